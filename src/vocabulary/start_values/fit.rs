//! Fitting of directions to a model: new rows get the mean, variance and covariance of the old rows.

use ndarray::{Array2, ArrayView2, Axis, s};

use super::Additions;
use super::directions::{Directions, of_level, to_norm_one};
use super::draw::{normal, seed_of};
use super::matrix::EmbeddingMatrix;
use super::moments::{Moments, covariance_along};
use super::symmetric::{Eigen, principal_basis};
use crate::error::Result;

/// Maximum number of principal directions that the fit uses.
const MAX_DIRECTIONS: usize = 768;
/// Shrinkage of the directions' covariance toward a multiple of the identity before whitening. With hardly more rows than
/// dimensions, full whitening would make all rows equidistant.
const SHRINKAGE: f64 = 0.25;
/// Fraction of a row's squared length that all codes of a level share.
const LEVEL_SHARE: f32 = 0.15;

/// The rows of all codes, followed by those of the markers.
pub(super) fn fit(
    directions: &Directions,
    new: &Additions,
    matrix: &EmbeddingMatrix,
    old: usize,
    moments: &Moments,
    seed: u64,
) -> Result<Array2<f32>> {
    let (vocabulary, levels) = (new.vocabulary, new.table.metadata.codebook_sizes.len());
    let known = |index: usize| directions.items[index] > 0;
    let n_known = directions.items.iter().filter(|&&items| items > 0).count().max(1);
    let mut rows = directions.rows.clone();
    let mut mean = rows.sum_axis(Axis(0)) / n_known as f32;
    mean.mapv_inplace(|value| if value.is_finite() { value } else { 0.0 });
    for (index, mut row) in rows.rows_mut().into_iter().enumerate() {
        if known(index) {
            row -= &mean;
        }
    }
    let rank = matrix.dim.min(MAX_DIRECTIONS);
    let basis = principal_basis(rows.view(), normal(seed_of(seed, 1), matrix.dim, rank));
    let along = rows.dot(&basis);
    let old_root = Eigen::of(covariance_along(matrix, old, moments.mean.view(), basis.view()))?;
    let map = transport(along.view(), n_known, &old_root)?.mapv(|x| x as f32);
    let mut fitted = along.dot(&map).dot(&basis.t());

    // Levels, codes without a direction and markers are drawn from the distribution of the old rows.
    let drawn = normal(seed_of(seed, 2), levels + new.len(), rank);
    let mut drawn = drawn.dot(&old_root.power(0.5, 0.0).mapv(|x| x as f32)).dot(&basis.t());
    drawn.rows_mut().into_iter().for_each(|mut row| row /= row.dot(&row).sqrt().max(f32::MIN_POSITIVE));
    let (level_rows, code_rows) = drawn.view().split_at(Axis(0), levels);
    for level in 0..levels {
        let offset = vocabulary.offset(level);
        to_norm_one(of_level(&mut fitted, new, level), |code| known(offset + code));
        for (code, mut row) in of_level(&mut fitted, new, level).rows_mut().into_iter().enumerate() {
            if !known(offset + code) {
                row.assign(&code_rows.row(offset + code));
            }
            row *= (1.0 - LEVEL_SHARE).sqrt();
            row.scaled_add(LEVEL_SHARE.sqrt(), &level_rows.row(level));
        }
    }
    let mut all = ndarray::concatenate![Axis(0), fitted, code_rows.slice(s![vocabulary.len().., ..])];
    all *= moments.spread.sqrt() as f32;
    all += &moments.mean.view().insert_axis(Axis(0));
    Ok(all)
}

/// The linear map from rows `(n, r)`, of which `n_known` are nonzero, to rows with a given covariance: the optimal transport
/// between normal distributions, which changes the rows as little as possible.
fn transport(rows: ArrayView2<f32>, n_known: usize, target: &Eigen) -> Result<Array2<f64>> {
    let mut own = rows.t().dot(&rows).mapv(f64::from) / n_known as f64;
    let even = own.diag().sum() / own.nrows().max(1) as f64;
    own *= 1.0 - SHRINKAGE;
    own.diag_mut().iter_mut().for_each(|value| *value += SHRINKAGE * even);
    let own = Eigen::of(own)?;
    let (root, inverse) = (own.power(0.5, 1e-12), own.power(-0.5, 1e-12));
    let middle = Eigen::of(root.dot(&target.power(1.0, 0.0)).dot(&root))?.power(0.5, 0.0);
    Ok(inverse.dot(&middle).dot(&inverse))
}
