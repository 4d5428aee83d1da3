//! Fitting directions to a model: new rows get the mean, the spread and the covariance of the old ones.

use ndarray::{Array2, ArrayView2, Axis, s};

use super::Additions;
use super::directions::{Directions, of_level, to_norm_one};
use super::draw::{normal, seed_of};
use super::matrix::EmbeddingMatrix;
use super::moments::{Moments, covariance_along};
use super::symmetric::{Eigen, principal_basis};
use crate::error::Result;

/// Directions that the fit tells apart at most; the rest keeps its place relative to them.
const MOST_DIRECTIONS: usize = 768;
/// How far the directions' own covariance is drawn to an even one before it is undone. With hardly more rows than
/// dimensions, undoing all of it would move every row equally far from every other.
const SHRINKAGE: f64 = 0.25;
/// Share of a row's squared length that all codes of a level have in common.
const LEVEL_SHARE: f32 = 0.15;

/// Rows for all codes, and after them for the markers.
pub(super) fn fit(
    directions: &Directions,
    new: &Additions,
    matrix: &EmbeddingMatrix,
    old: usize,
    moments: &Moments,
    seed: u64,
) -> Result<Array2<f32>> {
    let (vocabulary, levels) = (new.vocabulary, new.table.metadata.codebook_sizes.len());
    let known = |place: usize| directions.items[place] > 0;
    let n_known = directions.items.iter().filter(|&&items| items > 0).count().max(1);
    let mut rows = directions.rows.clone();
    let mut mean = rows.sum_axis(Axis(0)) / n_known as f32;
    mean.mapv_inplace(|value| if value.is_finite() { value } else { 0.0 });
    for (place, mut row) in rows.rows_mut().into_iter().enumerate() {
        if known(place) {
            row -= &mean;
        }
    }
    let rank = matrix.dim.min(MOST_DIRECTIONS);
    let basis = principal_basis(rows.view(), normal(seed_of(seed, 1), matrix.dim, rank));
    let along = rows.dot(&basis);
    let old_root = Eigen::of(covariance_along(matrix, old, moments.mean.view(), basis.view()))?;
    let map = transport(along.view(), n_known, &old_root)?.mapv(|x| x as f32);
    let mut fitted = along.dot(&map).dot(&basis.t());

    // What has no direction of its own is drawn as the old rows are spread: levels, unknown codes, markers.
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

/// The linear map of least effort from rows `(n, r)` of `n_known` to rows of a given covariance: the optimal transport
/// between normal distributions, which turns no direction into another where it need not.
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
