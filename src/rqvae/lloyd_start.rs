//! The first Lloyd steps of k-means on a sample, with the result of linfa-clustering's `KMeans`, bit for bit.
//!
//! Two rules differ from the Lloyd steps that follow: the previous centre counts as one more point of its cluster, so that
//! no cluster becomes empty, and the steps end when the centres move less than a tolerance. linfa computes all distances
//! one by one. Here, matrix products determine which centres can be the nearest. Distances are computed only for points
//! with several such centres, by the same operations in the same order.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

use crate::error::Error;

/// Points whose products are computed together.
const BLOCK: usize = 512;

/// The steps on the sample end when the centres move less, as the square root of the sum of squares.
pub(super) const SMALLEST_MOVE: f32 = 1e-4;

/// The error for points that are not finite.
pub(super) fn not_finite(got: impl ToString) -> Error {
    Error::data("k-means", "finite latents", got, "check the features for extreme values")
}

/// Centres after at most `most` steps from `centres (k, dim)`, for `points (n, dim)`. Steps end when the distance between
/// the old and the new centres is below `tolerance`.
pub(super) fn first_steps(points: ArrayView2<f32>, mut centres: Array2<f32>, most: u64, tolerance: f32) -> Array2<f32> {
    let norms: Vec<f32> = points.rows().into_iter().map(|row| row.dot(&row).sqrt()).collect();
    for _ in 0..most {
        let nearest = nearest_centres(points, &norms, &centres);
        let moved = moved_centres(points, &nearest, &centres);
        let distance = squared_distance(moved.iter(), centres.iter()).sqrt();
        centres = moved;
        if distance < tolerance {
            break;
        }
    }
    centres
}

/// The nearest centre of each point, the first of equally near ones.
fn nearest_centres(points: ArrayView2<f32>, norms: &[f32], centres: &Array2<f32>) -> Vec<usize> {
    let squares: Array1<f32> = centres.map_axis(Axis(1), |centre| centre.dot(&centre));
    let columns = centres.t().as_standard_layout().into_owned();
    // Relative rounding error of a product and of a distance, each a sum of `dim` terms.
    let rounding = (points.ncols() as f32 + 16.0) * f32::EPSILON;
    let mut nearest = vec![0; points.nrows()];
    nearest
        .par_chunks_mut(BLOCK)
        .zip(points.axis_chunks_iter(Axis(0), BLOCK).into_par_iter())
        .zip(norms.par_chunks(BLOCK))
        .for_each(|((nearest, points), norms)| {
            let mut products = Array2::zeros((points.nrows(), centres.nrows()));
            general_mat_mul(1.0, &points, &columns, 0.0, &mut products);
            let rows = nearest.iter_mut().zip(points.rows()).zip(norms).zip(products.rows_mut());
            for (((nearest, point), &norm), mut costs) in rows {
                // |p - c|^2 is the cost plus |p|^2, which is the same for all centres.
                costs.zip_mut_with(&squares, |cost, &square| *cost = square - 2.0 * *cost);
                *nearest = nearest_of(point, norm, costs.view(), &squares, centres, rounding);
            }
        });
    nearest
}

fn nearest_of(
    point: ArrayView1<f32>,
    norm: f32,
    costs: ArrayView1<f32>,
    squares: &Array1<f32>,
    centres: &Array2<f32>,
    rounding: f32,
) -> usize {
    // The error of a cost, and of a distance that is computed term by term: both at most `rounding (|p| + |c|)^2`.
    let error = |square: f32| 4.0 * rounding * (norm + square.sqrt()).powi(2);
    let least = costs.iter().zip(squares).fold(f32::INFINITY, |least, (cost, &square)| least.min(cost + error(square)));
    let mut near = (0..costs.len()).filter(|&at| costs[at] - error(squares[at]) <= least);
    match (near.next(), near.next()) {
        (Some(only), None) => only,
        _ => {
            let mut best = (0, f32::INFINITY);
            for (at, centre) in centres.rows().into_iter().enumerate() {
                // False where overflow makes the comparison impossible.
                let is_farther = costs[at] - error(squares[at]) > least;
                if !is_farther {
                    let distance = squared_distance(centre.iter(), point.iter());
                    if distance < best.1 {
                        best = (at, distance);
                    }
                }
            }
            best.0
        }
    }
}

/// The mean of each centre and its points.
fn moved_centres(points: ArrayView2<f32>, nearest: &[usize], centres: &Array2<f32>) -> Array2<f32> {
    let mut counts = vec![1usize; centres.nrows()];
    let mut moved = Array2::<f32>::zeros(centres.dim());
    for (point, &centre) in points.rows().into_iter().zip(nearest) {
        let mut sum = moved.row_mut(centre);
        sum += &point;
        counts[centre] += 1;
    }
    moved += centres;
    moved.rows_mut().into_iter().zip(counts).for_each(|(mut sum, count)| sum /= count as f32);
    moved
}

/// In the order of the terms.
fn squared_distance<'a>(a: impl Iterator<Item = &'a f32>, b: impl Iterator<Item = &'a f32>) -> f32 {
    a.zip(b).fold(0.0, |sum, (a, b)| sum + (a - b) * (a - b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use linfa::DatasetBase;
    use linfa::traits::Fit;
    use linfa_clustering::{KMeans, KMeansInit};
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256Plus;

    fn by_linfa(points: &Array2<f32>, start: Array2<f32>, most: u64, tolerance: f32) -> Array2<f32> {
        let data = DatasetBase::from(points.view());
        let fitted = KMeans::params_with_rng(start.nrows(), Xoshiro256Plus::seed_from_u64(0))
            .init_method(KMeansInit::Precomputed(start))
            .n_runs(1)
            .max_n_iterations(most)
            .tolerance(tolerance)
            .fit(&data);
        fitted.unwrap().centroids().clone()
    }

    #[test]
    fn the_centres_are_those_of_linfa_bit_for_bit() {
        for seed in 0..30 {
            let mut rng = Xoshiro256Plus::seed_from_u64(seed);
            let (n, k, dim) = (rng.gen_range(60..700), rng.gen_range(2..40), rng.gen_range(1..70));
            let scale = 10f32.powi(rng.gen_range(-6..6));
            // On a grid, many points are equally far from several centres; some seeds shift the points far from zero.
            let shift = if seed % 5 == 0 { 1_000.0 } else { 0.0 };
            let grid = seed % 3 == 0;
            let points = Array2::from_shape_simple_fn((n, dim), || {
                let number = rng.gen_range(-3.0f32..3.0);
                scale * (shift + if grid { number.round() } else { number })
            });
            let start = points.select(Axis(0), &(0..k).collect::<Vec<_>>());
            let (most, tolerance) = (rng.gen_range(1..12), if seed % 2 == 0 { 1e-4 } else { 0.5 * scale });
            let expected = by_linfa(&points, start.clone(), most, tolerance);
            assert_eq!(first_steps(points.view(), start, most, tolerance), expected, "seed {seed}");
        }
    }

    #[test]
    fn numbers_whose_squares_overflow_do_not_matter() {
        let points = Array2::from_shape_fn((90, 4), |(i, j)| if i % 9 == 0 { 3e18 } else { (i * 7 + j) as f32 });
        let start = points.select(Axis(0), &[0, 1, 2]);
        let expected = by_linfa(&points, start.clone(), 5, 1e-4);
        assert_eq!(first_steps(points.view(), start, 5, 1e-4), expected);
    }
}
