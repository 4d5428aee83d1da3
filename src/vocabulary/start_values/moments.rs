//! Mean, variance and covariance of a model's old rows, read block by block.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use super::matrix::EmbeddingMatrix;

/// Rows per block in memory.
const BLOCK: usize = 4_096;

/// The mean and variance that new rows are fitted to.
pub(super) struct Moments {
    /// `(dim)`.
    pub(super) mean: Array1<f32>,
    /// Mean squared distance of a row from the mean: the trace of the covariance.
    pub(super) spread: f64,
}

/// Calls `each` with blocks of the first `n` rows of a matrix minus `mean`.
pub(super) fn centred_blocks(
    matrix: &EmbeddingMatrix,
    n: usize,
    mean: ArrayView1<f32>,
    mut each: impl FnMut(usize, ArrayView2<f32>),
) {
    for (number, from) in (0..n).step_by(BLOCK).enumerate() {
        let block = matrix.block(from, n.min(from + BLOCK)) - mean.insert_axis(Axis(0));
        each(number, block.view());
    }
}

/// The moments of the first `n` rows.
pub(super) fn moments(matrix: &EmbeddingMatrix, n: usize) -> Moments {
    let mut sum = Array1::<f64>::zeros(matrix.dim);
    let zero = Array1::zeros(matrix.dim);
    centred_blocks(matrix, n, zero.view(), |_, block| {
        for row in block.rows() {
            sum.zip_mut_with(&row, |sum, &value| *sum += f64::from(value));
        }
    });
    let mean = sum.mapv(|sum| (sum / n as f64) as f32);
    let mut squares = 0.0;
    centred_blocks(matrix, n, mean.view(), |_, block| squares += squared_norm(block));
    Moments { mean, spread: squares / n as f64 }
}

/// The covariance `(r, r)` of the first `n` rows, projected onto the orthonormal columns of `basis (dim, r)`.
pub(super) fn covariance_along(
    matrix: &EmbeddingMatrix,
    n: usize,
    mean: ArrayView1<f32>,
    basis: ArrayView2<f32>,
) -> Array2<f64> {
    let mut covariance = Array2::zeros((basis.ncols(), basis.ncols()));
    centred_blocks(matrix, n, mean, |_, block| {
        let along = block.dot(&basis);
        covariance += &along.t().dot(&along).mapv(f64::from);
    });
    covariance / n as f64
}

/// The sum of all squares.
pub(super) fn squared_norm(rows: ArrayView2<f32>) -> f64 {
    rows.iter().map(|&value| f64::from(value) * f64::from(value)).sum()
}
