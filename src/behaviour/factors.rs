//! The leading eigenvectors of a sparse symmetric matrix, by randomized subspace iteration (Halko, Martinsson and Tropp,
//! 2011).

use linfa_linalg::eigh::Eigh;
use ndarray::{Array1, Array2, Axis, s};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;
use rayon::prelude::*;

use crate::progress::Progress;

/// Number of subspace iterations.
const ITERATIONS: usize = 10;

/// Number of rows per block of a matrix product.
const BLOCK: usize = 1_024;

/// A sparse symmetric matrix in compressed row format.
#[derive(Debug)]
pub(super) struct SparseMatrix {
    /// Start of each row in `cells`, and the end of the last.
    begins: Vec<usize>,
    /// Column and value of each nonzero cell.
    cells: Vec<(u32, f32)>,
}

impl SparseMatrix {
    /// The matrix of `n` rows with these cells and their mirror images. Each cell is given once, sorted by row and column.
    pub(super) fn symmetric(n: usize, cells: &[(u32, u32, f32)]) -> Self {
        let mut begins = vec![0; n + 1];
        for &(one, other, _) in cells {
            begins[one as usize + 1] += 1;
            begins[other as usize + 1] += 1;
        }
        (0..n).for_each(|row| begins[row + 1] += begins[row]);
        let mut next = begins.clone();
        let mut placed = vec![(0, 0.0); cells.len() * 2];
        for &(one, other, value) in cells {
            for (row, column) in [(one, other), (other, one)] {
                placed[next[row as usize]] = (column, value);
                next[row as usize] += 1;
            }
        }
        SparseMatrix { begins, cells: placed }
    }

    fn rows(&self) -> usize {
        self.begins.len() - 1
    }

    /// Column and value of the nonzero cells of a row.
    pub(super) fn row(&self, row: usize) -> &[(u32, f32)] {
        &self.cells[self.begins[row]..self.begins[row + 1]]
    }

    /// The product with `x (n, k)`. One thread sums a row in the order of its cells, so the result is deterministic.
    fn times(&self, x: &Array2<f64>) -> Array2<f64> {
        let mut product = Array2::zeros(x.raw_dim());
        product.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(row, mut sum)| {
            for &(column, value) in &self.cells[self.begins[row]..self.begins[row + 1]] {
                sum.scaled_add(f64::from(value), &x.row(column as usize));
            }
        });
        product
    }
}

/// Vectors `(n, at most dim)` whose dot products approximate the matrix best: the eigenvectors of the largest positive
/// eigenvalues, times the square roots of these eigenvalues.
pub(super) fn factorize(matrix: &SparseMatrix, dim: usize, seed: u64, progress: &dyn Progress) -> Array2<f64> {
    progress.begin("factorize", Some(ITERATIONS as u64), "iterations");
    let n = matrix.rows();
    // Oversampling, because negative eigenvalues also take up dimensions.
    let width = n.min(2 * dim + 32);
    let mut rng = Xoshiro256Plus::seed_from_u64(seed);
    let mut space = Array2::from_shape_simple_fn((n, width), || rng.gen_range(-1.0..1.0));
    for _ in 0..ITERATIONS {
        space = matrix.times(&space);
        space = orthonormal(space);
        progress.advance(1);
    }
    let (values, turn) = eigen(&space.t().dot(&matrix.times(&space)));
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    let largest = order.first().map_or(0.0, |&first| values[first]);
    order.retain(|&at| values[at] > 1e-9 * largest);
    order.truncate(dim);
    let mut vectors = times_small(space, &turn.select(Axis(1), &order));
    for (mut column, &at) in vectors.columns_mut().into_iter().zip(&order) {
        // The sign of an eigenvector is arbitrary: make the component of largest magnitude positive.
        let sign = column.iter().fold(0.0f64, |most, &v| if v.abs() > most.abs() { v } else { most }).signum();
        column *= sign * values[at].sqrt();
    }
    progress.end();
    vectors
}

/// An orthonormal basis of the column space. Two passes, because one loses half of the digits.
fn orthonormal(mut columns: Array2<f64>) -> Array2<f64> {
    for _ in 0..2 {
        let (values, turn) = eigen(&columns.t().dot(&columns));
        let largest = values.iter().copied().fold(0.0, f64::max);
        let kept: Vec<usize> = (0..values.len()).filter(|&at| values[at] > 1e-13 * largest).collect();
        let mut scaled = turn.select(Axis(1), &kept);
        for (mut column, &at) in scaled.columns_mut().into_iter().zip(&kept) {
            column /= values[at].sqrt();
        }
        columns = times_small(columns, &scaled);
    }
    columns
}

/// Multiplies by a small matrix that has at most as many columns as rows. The product overwrites `columns` block by
/// block, because each of them can take gigabytes.
fn times_small(mut columns: Array2<f64>, small: &Array2<f64>) -> Array2<f64> {
    let width = small.ncols();
    columns.axis_chunks_iter_mut(Axis(0), BLOCK).into_par_iter().for_each(|mut block| {
        let product = block.dot(small);
        block.slice_mut(s![.., ..width]).assign(&product);
    });
    columns.slice_move(s![.., ..width])
}

/// Eigenvalues and eigenvectors (as columns) of a small matrix that is symmetric up to rounding.
fn eigen(matrix: &Array2<f64>) -> (Array1<f64>, Array2<f64>) {
    let even = (matrix + &matrix.t()) / 2.0;
    // `eigh` fails only for a matrix that is not square.
    even.eigh().unwrap_or_else(|_| (Array1::zeros(0), even.slice(s![.., ..0]).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn the_factors_reproduce_the_positive_part_of_the_matrix() {
        // A Gram matrix of rank 3.
        let mut rng = Xoshiro256Plus::seed_from_u64(3);
        let vectors = Array2::from_shape_simple_fn((40, 3), || rng.gen_range(0.0..1.0f64));
        let mut whole = vectors.dot(&vectors.t());
        let cells: Vec<(u32, u32, f32)> = (0..40u32)
            .flat_map(|i| (i + 1..40).map(move |j| (i, j)))
            .map(|(i, j)| (i, j, whole[[i as usize, j as usize]] as f32))
            .collect();
        whole.diag_mut().fill(0.0);
        let matrix = SparseMatrix::symmetric(40, &cells);
        let found = factorize(&matrix, 40, 1, &Silent);
        // All positive eigenvalues.
        let (values, turn) = eigen(&whole);
        let expected = turn.dot(&Array2::from_diag(&values.mapv(|v| v.max(0.0)))).dot(&turn.t());
        let difference = (found.dot(&found.t()) - expected).mapv(f64::abs);
        assert!(difference.iter().copied().fold(0.0, f64::max) < 1e-5);
        let short = factorize(&matrix, 2, 1, &Silent);
        assert_eq!(short.ncols(), 2);
        let difference = (&short - &found.slice(s![.., ..2])).mapv(f64::abs);
        assert!(difference.iter().copied().fold(0.0, f64::max) < 1e-3);
    }
}
