//! Imputation of missing modalities from those that an item has.
//!
//! A factor model of the standardised features: they vary along a few common axes, with independent noise per modality.
//! The conditional mean of the missing modalities is linear in the others. It equals a ridge regression on the items that
//! have all modalities, for any set of missing ones, and only the axes need to be stored.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use linfa_linalg::cholesky::InverseC;
use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use crate::error::{Error, Result};

/// A factor model of standardised features of dimension `D`.
#[derive(Debug)]
pub struct Completion {
    /// Directions, `(axes, D)`.
    pub axes: Array2<f32>,
    /// Variance along each, above 0.
    pub variances: Array1<f32>,
    /// Noise variance per dimension of each modality, above 0.
    pub noise: Array1<f32>,
    /// Length of each modality's vectors, in order.
    pub dims: Vec<usize>,
    /// Results of [`Completion::expectation`] by set of modalities.
    known: Mutex<BTreeMap<Vec<bool>, Arc<Array2<f32>>>>,
}

impl PartialEq for Completion {
    fn eq(&self, other: &Self) -> bool {
        let fields = |c: &Self| (c.axes.clone(), c.variances.clone(), c.noise.clone(), c.dims.clone());
        fields(self) == fields(other)
    }
}

impl Clone for Completion {
    fn clone(&self) -> Self {
        Completion::new(self.axes.clone(), self.variances.clone(), self.noise.clone(), self.dims.clone())
    }
}

impl Completion {
    /// Builds the model from its arrays.
    pub fn new(axes: Array2<f32>, variances: Array1<f32>, noise: Array1<f32>, dims: Vec<usize>) -> Self {
        Completion { axes, variances, noise, dims, known: Mutex::default() }
    }

    /// The column range of each modality.
    pub fn columns(&self) -> Vec<Range<usize>> {
        let mut start = 0;
        self.dims
            .iter()
            .map(|&dim| {
                start += dim;
                start - dim..start
            })
            .collect()
    }

    /// The matrix `(axes, D)` that maps standardised vectors with only the `present` modalities to their expected
    /// coordinates on the axes; zero in the columns of missing modalities.
    ///
    /// With axes `A`, variances `v` and noise `n`: `(diag(1 / v) + sum A_m A_m' / n_m)^-1 [A_m / n_m]` (Tipping and
    /// Bishop, 1999, with a noise variance per modality).
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the matrix cannot be inverted, for extreme values.
    pub fn expectation(&self, present: &[bool]) -> Result<Arc<Array2<f32>>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(present) {
            return Ok(known.clone());
        }
        let found = Arc::new(self.solve(present)?);
        known.insert(present.to_vec(), found.clone());
        Ok(found)
    }

    fn solve(&self, present: &[bool]) -> Result<Array2<f32>> {
        let mut precision = Array2::from_diag(&self.variances.mapv(|v| 1.0 / f64::from(v)));
        let mut weighted = Array2::zeros(self.axes.dim());
        for (m, columns) in self.columns().into_iter().enumerate().filter(|&(m, _)| present[m]) {
            let part = self.axes.slice(s![.., columns.clone()]).mapv(f64::from) / f64::from(self.noise[m]);
            precision += &part.dot(&self.axes.slice(s![.., columns.clone()]).mapv(f64::from).t());
            weighted.slice_mut(s![.., columns]).assign(&part);
        }
        let spread = precision.invc().map_err(|e| {
            Error::mismatch("common axes of the modalities", "a matrix with an inverse", e, "train the model again")
        })?;
        Ok(spread.dot(&weighted).mapv(|v| v as f32))
    }

    /// Replaces missing modalities by their expected values; `s (n, D)` holds zeros there. Rows without any modality are
    /// not changed: they are at the mean.
    ///
    /// # Errors
    /// As [`Completion::expectation`].
    pub fn fill(&self, s: &mut Array2<f32>, present: ArrayView2<bool>) -> Result<()> {
        let mut patterns: BTreeMap<Vec<bool>, Vec<usize>> = BTreeMap::new();
        for (row, present) in present.rows().into_iter().enumerate() {
            if present.iter().any(|&has| has) && present.iter().any(|&has| !has) {
                patterns.entry(present.to_vec()).or_default().push(row);
            }
        }
        for (pattern, rows) in patterns {
            let places = s.select(Axis(0), &rows).dot(&self.expectation(&pattern)?.t());
            for (_, columns) in self.columns().into_iter().enumerate().filter(|&(m, _)| !pattern[m]) {
                let expected = places.dot(&self.axes.slice(s![.., columns.clone()]));
                for (expected, &row) in expected.rows().into_iter().zip(&rows) {
                    s.slice_mut(s![row, columns.clone()]).assign(&expected);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// One axis along which both modalities vary equally.
    fn alike(noise: f32) -> Completion {
        let half = 0.5f32.sqrt();
        Completion::new(array![[half, half]], array![2.0], array![noise, noise], vec![1, 1])
    }

    #[test]
    fn missing_modalities_follow_the_present_ones() {
        let mut s = array![[3.0, 0.0], [0.0, -2.0], [1.0, 5.0], [0.0, 0.0]];
        let present = array![[true, false], [false, true], [true, true], [false, false]];
        alike(1e-4).fill(&mut s, present.view()).unwrap();
        let expected = array![[3.0, 3.0], [-2.0, -2.0], [1.0, 5.0], [0.0, 0.0]];
        assert!((&s - &expected).iter().all(|d| d.abs() < 1e-2), "{s}");
    }

    #[test]
    fn noise_pulls_the_expectation_to_the_mean() {
        // Both have variance 1 and covariance 1; with noise 1 the regression is 1 / (1 + 1).
        let mut s = array![[3.0, 0.0]];
        alike(1.0).fill(&mut s, array![[true, false]].view()).unwrap();
        assert!((s[[0, 1]] - 1.5).abs() < 1e-5, "{s}");
    }
}
