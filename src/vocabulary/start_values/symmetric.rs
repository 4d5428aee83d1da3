//! Powers of symmetric matrices, and orthonormal bases.

use linfa_linalg::eigh::EighInto;
use ndarray::{Array1, Array2, ArrayView2, Axis};

use crate::error::{Error, Result};

/// The eigendecomposition of a symmetric matrix without negative eigenvalues.
pub(super) struct Eigen {
    values: Array1<f64>,
    /// Eigenvectors as columns.
    vectors: Array2<f64>,
}

impl Eigen {
    /// Decomposes a matrix.
    ///
    /// # Errors
    /// [`Error::Data`] for NaN or infinity.
    pub(super) fn of(matrix: Array2<f64>) -> Result<Self> {
        let fault = |got: String| {
            let help = "check that the model's embeddings are finite numbers";
            Error::data("start values of new embedding rows", "finite embeddings", got, help)
        };
        if !matrix.iter().all(|value| value.is_finite()) {
            return Err(fault("NaN or infinity".into()));
        }
        let (values, vectors) = matrix.eigh_into().map_err(|e| fault(e.to_string()))?;
        Ok(Eigen { values, vectors })
    }

    /// The matrix to this power; eigenvalues are clamped from below at `floor` times the largest one.
    pub(super) fn power(&self, power: f64, floor: f64) -> Array2<f64> {
        let largest = self.values.iter().copied().fold(0.0, f64::max);
        // A zero matrix stays without a direction.
        let least = if largest > 0.0 { floor * largest } else { 1.0 };
        let scaled = &self.vectors * &self.values.mapv(|value| value.max(least).powf(power)).insert_axis(Axis(0));
        scaled.dot(&self.vectors.t())
    }
}

/// Orthonormal columns `(d, rank)` that span the principal directions of the rows `(n, d)`: the identity if `rank` is `d`,
/// otherwise by subspace iteration from `start (d, rank)`.
pub(super) fn principal_basis(rows: ArrayView2<f32>, start: Array2<f32>) -> Array2<f32> {
    const ITERATIONS: usize = 4;
    if start.ncols() >= rows.ncols() {
        return Array2::eye(rows.ncols());
    }
    let mut basis = start;
    for _ in 0..ITERATIONS {
        basis = rows.t().dot(&rows.dot(&basis));
        orthonormalize(&mut basis);
    }
    basis
}

/// Orthonormalizes the columns by Gram-Schmidt, twice for numerical accuracy.
fn orthonormalize(basis: &mut Array2<f32>) {
    for column in 0..basis.ncols() {
        for _ in 0..2 {
            let (done, mut rest) = basis.view_mut().split_at(Axis(1), column);
            let mut this = rest.column_mut(0);
            let along = done.t().dot(&this);
            this -= &done.dot(&along);
            let length = this.dot(&this).sqrt().max(f32::MIN_POSITIVE);
            this /= length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn powers_multiply_to_the_matrix() {
        let matrix = array![[4.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, 2.0]];
        let eigen = Eigen::of(matrix.clone()).unwrap();
        let root = eigen.power(0.5, 0.0);
        assert!((&root.dot(&root) - &matrix).iter().all(|x| x.abs() < 1e-9));
        let unit = root.dot(&eigen.power(-0.5, 0.0));
        assert!((&unit - &Array2::<f64>::eye(3)).iter().all(|x| x.abs() < 1e-9));
        assert!(Eigen::of(array![[f64::NAN]]).is_err());
    }

    #[test]
    fn the_basis_spans_the_principal_directions() {
        // Rows in the plane of the first two axes of five.
        let rows = Array2::from_shape_fn((40, 5), |(i, j)| if j < 2 { ((i * (j + 2)) % 7) as f32 - 3.0 } else { 0.0 });
        let start = Array2::from_shape_fn((5, 2), |(i, j)| 1.0 + (i as f32) * (j as f32 + 0.5));
        let basis = principal_basis(rows.view(), start);
        let back = rows.dot(&basis).dot(&basis.t());
        assert!((&back - &rows).iter().all(|x| x.abs() < 1e-4));
    }
}
