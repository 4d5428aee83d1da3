//! Codes that items had under an earlier model. Encoding can keep them unless another code lowers the cost by more than
//! a price.

use ndarray::{Array2, ArrayView2, Axis, s};

/// The codes that some items had under an earlier model.
#[derive(Debug, Clone, PartialEq)]
pub struct PreviousCodes {
    /// `(n, levels)`; zeros where `known` is false.
    pub codes: Array2<u16>,
    /// Whether each item had codes.
    pub known: Vec<bool>,
}

impl PreviousCodes {
    /// The codes of the items in these rows.
    pub fn select(&self, rows: &[usize]) -> Self {
        PreviousCodes {
            codes: self.codes.select(Axis(0), rows),
            known: rows.iter().map(|&row| self.known[row]).collect(),
        }
    }

    /// The rows of the items that had codes.
    pub fn rows(&self) -> Vec<usize> {
        (0..self.known.len()).filter(|&row| self.known[row]).collect()
    }

    /// Whether an item had these codes.
    pub fn is(&self, row: usize, codes: &[u16]) -> bool {
        self.known[row] && self.codes.row(row).iter().eq(codes)
    }
}

/// The previous codes of a block of items, and the price of changing them, per level.
#[derive(Clone, Copy)]
pub(super) struct Keeping<'a> {
    pub(super) codes: ArrayView2<'a, u16>,
    pub(super) known: &'a [bool],
    pub(super) prices: &'a [f32],
}

impl Keeping<'_> {
    /// Raises the score of each item's previous code at a level if its codes at the levels before are the previous
    /// ones. The price is a squared distance, and scores are halves of squared distances.
    pub(super) fn favour(&self, level: usize, codes: ArrayView2<u16>, scores: &mut Array2<f32>) {
        for (row, mut scores) in scores.rows_mut().into_iter().enumerate() {
            let upper = s![row, ..level];
            if self.known[row] && codes.slice(upper) == self.codes.slice(upper) {
                scores[usize::from(self.codes[[row, level]])] += 0.5 * self.prices[level];
            }
        }
    }
}
