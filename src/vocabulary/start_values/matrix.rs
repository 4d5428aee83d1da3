//! A matrix of half or whole floats in somebody's file, and rows in its numbers.

use half::{bf16, f16};
use ndarray::{Array2, ArrayView2};

/// What numbers are stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vocabulary) enum Number {
    F32,
    F16,
    Bf16,
}

impl Number {
    /// Bytes of one.
    pub(in crate::vocabulary) fn size(self) -> usize {
        if self == Number::F32 { 4 } else { 2 }
    }

    /// The bytes of a row in these numbers.
    pub(in crate::vocabulary) fn write(self, values: impl IntoIterator<Item = f32>, out: &mut Vec<u8>) {
        for value in values {
            match self {
                Number::F32 => out.extend_from_slice(&value.to_le_bytes()),
                Number::F16 => out.extend_from_slice(&f16::from_f32(value).to_le_bytes()),
                Number::Bf16 => out.extend_from_slice(&bf16::from_f32(value).to_le_bytes()),
            }
        }
    }

    fn read(self, bytes: &[u8]) -> f32 {
        match self {
            Number::F32 => f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            Number::F16 => f16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
            Number::Bf16 => bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
        }
    }
}

/// `(rows, dim)` numbers, row by row.
#[derive(Debug, Clone)]
pub(super) struct EmbeddingMatrix<'a> {
    pub(super) name: String,
    pub(super) number: Number,
    pub(super) rows: usize,
    pub(super) dim: usize,
    pub(super) bytes: &'a [u8],
}

impl EmbeddingMatrix<'_> {
    /// The numbers of a row.
    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = f32> {
        let width = self.dim * self.number.size();
        self.bytes[row * width..(row + 1) * width].chunks_exact(self.number.size()).map(|bytes| self.number.read(bytes))
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

/// The bytes of rows in these numbers.
pub(in crate::vocabulary) fn bytes_of(rows: ArrayView2<f32>, number: Number) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rows.len() * number.size());
    number.write(rows.iter().copied(), &mut bytes);
    bytes
}
