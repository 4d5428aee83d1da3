//! Embedding matrices in files.

use ndarray::Array2;

use crate::vocabulary::float_type::FloatType;

/// An embedding matrix `(rows, dim)`, row by row.
#[derive(Debug, Clone)]
pub(super) struct EmbeddingMatrix<'a> {
    pub(super) name: String,
    pub(super) float_type: FloatType,
    pub(super) rows: usize,
    pub(super) dim: usize,
    pub(super) bytes: &'a [u8],
}

impl EmbeddingMatrix<'_> {
    /// The numbers of a row.
    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = f32> {
        let width = self.dim * self.float_type.size();
        self.bytes[row * width..(row + 1) * width]
            .chunks_exact(self.float_type.size())
            .map(|bytes| self.float_type.read(bytes))
    }

    /// Rows `from..to` as `(to - from, dim)`.
    pub(super) fn block(&self, from: usize, to: usize) -> Array2<f32> {
        let mut block = Array2::zeros((to - from, self.dim));
        for (row, mut out) in (from..to).zip(block.rows_mut()) {
            out.iter_mut().zip(self.row(row)).for_each(|(out, value)| *out = value);
        }
        block
    }
}
