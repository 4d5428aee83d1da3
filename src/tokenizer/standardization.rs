//! Centring and scaling of the concatenated features, per modality.
//!
//! Each dimension is centred. Each modality is divided by one number, the root mean square distance from its mean, and
//! multiplied by its weight. One factor per modality, not per dimension, keeps the angles and neighbours within a modality
//! as its encoder learned them, and makes modalities of different dimensions and units comparable.

use ndarray::{Array1, Array2, ArrayView2, Axis, Zip};

use super::Completion;
use super::elementwise::standardize;
use crate::error::Result;

/// The statistics of the features that a model was trained on.
#[derive(Debug, Clone, PartialEq)]
pub struct Standardization {
    /// Mean of each dimension over the items that have its modality, `(dim,)`.
    pub mean: Array1<f32>,
    /// Factor of each dimension, `(dim,)`; constant within a modality.
    pub scale: Array1<f32>,
    /// Length of each modality's vectors, in order.
    pub dims: Vec<usize>,
    /// Imputes missing modalities; without it, they are set to the mean.
    pub completion: Option<Completion>,
}

impl Standardization {
    /// Measures features `x (n, dim)` with `present (n, modalities)`; the mean squared length of a standardised modality
    /// is its weight squared. Sums are in `f64` and in row order, so the result does not depend on the threads.
    ///
    /// A modality without variance (all its vectors are equal) gets the scale 0 and has no influence.
    pub fn measure(x: ArrayView2<f32>, present: ArrayView2<bool>, dims: &[usize], weights: &[f32]) -> Self {
        let dim = x.ncols();
        let (mut mean, mut scale) = (Array1::zeros(dim), Array1::zeros(dim));
        let mut start = 0;
        for (m, (&d, &weight)) in dims.iter().zip(weights).enumerate() {
            let rows: Vec<usize> = (0..x.nrows()).filter(|&row| present[[row, m]]).collect();
            let count = rows.len().max(1) as f64;
            let block = x.slice(ndarray::s![.., start..start + d]);
            let mut sum = Array1::<f64>::zeros(d);
            for &row in &rows {
                Zip::from(&mut sum).and(&block.row(row)).for_each(|s, &v| *s += f64::from(v));
            }
            sum /= count;
            let mut spread = 0.0;
            for &row in &rows {
                spread += Zip::from(&sum).and(&block.row(row)).fold(0.0, |acc, &mu, &v| {
                    let centred = f64::from(v) - mu;
                    acc + centred * centred
                });
            }
            let rms = (spread / count).sqrt();
            // Below this, the variance is rounding error of 32-bit numbers and no difference between items.
            let noise = f64::from(f32::EPSILON) * sum.iter().map(|v| v * v).sum::<f64>().sqrt();
            let factor = if rms > noise { f64::from(weight) / rms } else { 0.0 };
            mean.slice_mut(ndarray::s![start..start + d]).assign(&sum.mapv(|v| v as f32));
            scale.slice_mut(ndarray::s![start..start + d]).fill(factor as f32);
            start += d;
        }
        Standardization { mean, scale, dims: dims.to_vec(), completion: None }
    }

    /// The identity.
    pub fn none(dims: &[usize]) -> Self {
        let dim: usize = dims.iter().sum();
        Standardization { mean: Array1::zeros(dim), scale: Array1::ones(dim), dims: dims.to_vec(), completion: None }
    }

    /// Whether no modality has any variance, so that there is nothing to learn.
    pub fn is_flat(&self) -> bool {
        self.scale.iter().all(|&s| s == 0.0)
    }

    /// Standardised copy of `x (n, dim)`. A missing modality gets its expected value, or without a completion its mean,
    /// which is zero.
    ///
    /// # Errors
    /// As [`Completion::fill`].
    pub fn apply(&self, x: ArrayView2<f32>, present: Option<ArrayView2<bool>>) -> Result<Array2<f32>> {
        let mut out = self.apply_with_gaps(x, present);
        if let (Some(completion), Some(present)) = (&self.completion, present) {
            completion.fill(&mut out, present)?;
        }
        Ok(out)
    }

    /// Standardised copy of `x (n, dim)`; missing modalities are zero.
    pub fn apply_with_gaps(&self, x: ArrayView2<f32>, present: Option<ArrayView2<bool>>) -> Array2<f32> {
        let mut out = Array2::zeros(x.dim());
        for (out, x) in out.rows_mut().into_iter().zip(x.rows()) {
            standardize(x, self.mean.view(), self.scale.view(), out);
        }
        if let Some(present) = present {
            let mut start = 0;
            for (m, &d) in self.dims.iter().enumerate() {
                for (mut row, &has) in out.axis_iter_mut(Axis(0)).zip(present.column(m)) {
                    if !has {
                        row.slice_mut(ndarray::s![start..start + d]).fill(0.0);
                    }
                }
                start += d;
            }
        }
        out
    }

    /// Converts back to the units of the features, in place. A modality of scale 0 becomes its mean.
    pub fn invert(&self, standardized: &mut Array2<f32>) {
        for mut row in standardized.rows_mut() {
            Zip::from(&mut row).and(&self.scale).and(&self.mean).for_each(|v, &scale, &mean| {
                *v = if scale > 0.0 { *v / scale + mean } else { mean };
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn measured() -> (Array2<f32>, Array2<bool>, Standardization) {
        let x = array![[1.0, 3.0, 100.0], [3.0, 5.0, 300.0], [9.0, 9.0, 200.0]];
        let present = array![[true, true], [true, true], [false, true]];
        let s = Standardization::measure(x.view(), present.view(), &[2, 1], &[1.0, 0.5]);
        (x, present, s)
    }

    #[test]
    fn each_modality_gets_its_weight() {
        let (x, present, s) = measured();
        assert_eq!(s.mean, array![2.0, 4.0, 200.0]);
        let z = s.apply(x.view(), Some(present.view())).unwrap();
        let first: f32 = z.slice(ndarray::s![..2, ..2]).iter().map(|v| v * v).sum::<f32>() / 2.0;
        let second: f32 = z.column(2).iter().map(|v| v * v).sum::<f32>() / 3.0;
        assert!((first - 1.0).abs() < 1e-6 && (second - 0.25).abs() < 1e-6, "{first} {second}");
        assert_eq!(z.row(2).slice(ndarray::s![..2]).to_vec(), [0.0, 0.0], "missing modalities are at the mean");
    }

    #[test]
    fn invert_is_the_inverse_of_apply() {
        let (x, _, s) = measured();
        let mut z = s.apply(x.view(), None).unwrap();
        s.invert(&mut z);
        assert!((&z - &x).iter().all(|d| d.abs() < 1e-4));
    }

    #[test]
    fn equal_vectors_have_no_variance() {
        let x = Array2::from_elem((5, 3), 0.1);
        let s = Standardization::measure(x.view(), Array2::from_elem((5, 1), true).view(), &[3], &[1.0]);
        assert!(s.is_flat());
    }

    #[test]
    fn small_differences_of_large_numbers_are_kept() {
        for (around, spread) in [(1e6, 1.0), (1e6, 0.5), (1.0, 1e-6), (1e30, 1e24)] {
            let x = Array2::from_shape_fn((40, 3), |(i, j)| around + spread * ((i * 7 + j * 3) % 11) as f32 / 10.0);
            let present = Array2::from_elem((40, 1), true);
            let s = Standardization::measure(x.view(), present.view(), &[3], &[1.0]);
            assert!(!s.is_flat(), "{spread} around {around}");
        }
    }
}
