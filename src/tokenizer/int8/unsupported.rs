//! Processors without the instructions.

use ndarray::{Array1, Array2};

/// A codebook in 8 bits. It does not exist on this kind of processor.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::tokenizer) enum NoInt8Book {}

impl NoInt8Book {
    /// `None`.
    pub(in crate::tokenizer) fn new(_book: &Array2<f32>, _halves: &Array1<f32>) -> Option<Self> {
        None
    }

    /// The best code of each row; `None` for undecided rows.
    pub(in crate::tokenizer) fn search<'a>(
        &self,
        _residual: &Array2<f32>,
        _book: &Array2<f32>,
        _tables: impl Fn(usize) -> [Option<&'a [f32]>; 2],
    ) -> Vec<Option<u16>> {
        match *self {}
    }
}
