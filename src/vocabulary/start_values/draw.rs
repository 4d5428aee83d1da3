//! Seeded random numbers, and the initialization of new rows as in Hugging Face.

use ndarray::{Array2, ArrayView1, Axis};
use rand::Rng;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::matrix::EmbeddingMatrix;
use super::moments::{Moments, centred_blocks};

/// Fraction of the covariance in transformers' `resize_token_embeddings(mean_resizing=True)`.
const COVARIANCE_SHARE: f64 = 1e-9;

/// A matrix `(rows, columns)` of independent standard normal numbers, by the Box-Muller method.
pub(super) fn normal(seed: u64, rows: usize, columns: usize) -> Array2<f32> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut spare = None;
    Array2::from_shape_simple_fn((rows, columns), || {
        spare.take().unwrap_or_else(|| {
            // In (0, 1], so that the logarithm is finite.
            let radius = (-2.0 * (1.0 - rng.r#gen::<f64>()).ln()).sqrt();
            let (sin, cos) = (std::f64::consts::TAU * rng.r#gen::<f64>()).sin_cos();
            spare = Some((radius * sin) as f32);
            (radius * cos) as f32
        })
    })
}

/// A derived seed for a part of the work.
pub(super) fn seed_of(seed: u64, part: u64) -> u64 {
    seed ^ part.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Draws `n` rows from the normal distribution with the mean of the old rows and a billionth of their covariance, as
/// transformers does. A draw is a random combination of the old rows, so the covariance matrix is not needed.
pub(super) fn like_hugging_face(
    matrix: &EmbeddingMatrix,
    old: usize,
    moments: &Moments,
    n: usize,
    seed: u64,
) -> Array2<f32> {
    let mut rows = Array2::zeros((n, matrix.dim));
    centred_blocks(matrix, old, moments.mean.view(), |number, block| {
        rows += &normal(seed_of(seed, number as u64), n, block.nrows()).dot(&block);
    });
    rows *= (COVARIANCE_SHARE / old as f64).sqrt() as f32;
    rows += &mean_rows(moments.mean.view());
    rows
}

/// The mean as a matrix with one row.
pub(super) fn mean_rows(mean: ArrayView1<f32>) -> Array2<f32> {
    mean.insert_axis(Axis(0)).to_owned()
}
