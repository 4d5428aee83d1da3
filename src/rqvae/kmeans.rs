//! k-means for one codebook: k-means++ and the first Lloyd steps on a sample, then Lloyd steps on all points as matrix
//! products.

use ndarray::{Array1, Array2, ArrayView1, Zip};
use rand::Rng;
use rand::seq::index;
use rand_xoshiro::Xoshiro256Plus;

use super::crowding::{Crowding, split};
use super::points::LatentPoints;
use crate::error::Result;
use crate::tokenizer::{Offsets, Quantizer};

/// Lloyd steps on the sample, and after each split.
const FIRST_STEPS: u64 = 5;

/// Maximum number of times that overfull codes are split.
const SPLITS: usize = 12;

/// The codebook `(k, dim)` for `points (n, dim)`: started on a sample of at most `most` points, then at most `iterations`
/// Lloyd steps on all points. Codes that are overfull by the limits of `crowding` are split.
///
/// With fewer distinct points than codes, the surplus codewords are points with a little noise. They give the collision
/// resolver free codes close to the used ones.
///
/// # Errors
/// [`Error::Data`] for points that are not finite.
pub(super) fn codebook<P: LatentPoints>(
    points: &P,
    k: usize,
    iterations: usize,
    most: usize,
    crowding: Option<Crowding>,
    rng: &mut Xoshiro256Plus,
) -> Result<Array2<f32>> {
    let sample = (points.count() > most).then(|| {
        let mut rows = index::sample(rng, points.count(), most).into_vec();
        rows.sort_unstable();
        points.select(&rows)
    });
    let sample = sample.as_ref().unwrap_or(points);
    let (start, distinct) = plus_plus(sample, k, rng)?;
    if distinct < k {
        return Ok(start);
    }
    let start = sample.first_steps(start, FIRST_STEPS)?;
    let mut book = lloyd(points, start, iterations)?;
    if let Some(crowding) = crowding {
        for _ in 0..SPLITS {
            let codes = assign(points, &book);
            if !split(points, P::codes_on_host(&codes)?.view(), &mut book, crowding)? {
                break;
            }
            book = lloyd(points, book, FIRST_STEPS as usize)?;
        }
    }
    Ok(book)
}

/// The nearest codeword of each point, `(n, 1)`.
fn assign<P: LatentPoints>(points: &P, book: &Array2<f32>) -> P::Codes {
    points.encode(&Quantizer::new(vec![book.clone()], Offsets::zero([book.nrows()])))
}

/// Lloyd steps until no point changes its codeword. A codeword that loses all points stays where it is.
fn lloyd<P: LatentPoints>(points: &P, mut book: Array2<f32>, iterations: usize) -> Result<Array2<f32>> {
    let mut before = None;
    for _ in 0..iterations {
        let codes = assign(points, &book);
        if before.as_ref() == Some(&codes) {
            break;
        }
        points.move_to_means(&codes, &mut book)?;
        before = Some(codes);
    }
    Ok(book)
}

/// k-means++ (Arthur and Vassilvitskii, 2007): each centre is a point drawn with probability proportional to its squared
/// distance from the centres so far. Returns the centres, and how many of them are distinct points.
fn plus_plus<P: LatentPoints>(points: &P, k: usize, rng: &mut Xoshiro256Plus) -> Result<(Array2<f32>, usize)> {
    let n = points.count();
    let norms = points.squared_lengths()?;
    let scale = norms.mean().unwrap_or(0.0).max(f32::MIN_POSITIVE);
    let mut chosen = Vec::new();
    let mut distances = Array1::from_elem(n, f32::INFINITY);
    while chosen.len() < k {
        let drawn =
            if chosen.is_empty() { Some(rng.gen_range(0..n)) } else { draw(distances.view(), 1e-6 * scale, rng) };
        let Some(row) = drawn else { break };
        chosen.push(row);
        let products = points.products(row)?;
        Zip::from(&mut distances).and(&products).and(&norms).for_each(|distance, &product, &norm| {
            *distance = distance.min((norm - 2.0 * product + norms[row]).max(0.0));
        });
    }
    let distinct = chosen.len();
    let noise = (1e-6 * scale).sqrt();
    // Surplus centres are random points with a little noise.
    let (mut rows, mut noises) = (chosen, Vec::new());
    while rows.len() < k {
        rows.push(rng.gen_range(0..n));
        noises.extend((0..points.dim()).map(|_| noise * (rng.r#gen::<f32>() - 0.5)));
    }
    let mut starts = points.rows(&rows)?;
    starts.iter_mut().skip(distinct * points.dim()).zip(noises).for_each(|(start, noise)| *start += noise);
    Ok((starts, distinct))
}

/// A row drawn with probability proportional to its distance; `None` if all distances are at most `zero`.
fn draw(distances: ArrayView1<f32>, zero: f32, rng: &mut Xoshiro256Plus) -> Option<usize> {
    let weight = |d: f32| if d > zero { f64::from(d) } else { 0.0 };
    let total: f64 = distances.iter().map(|&d| weight(d)).sum();
    if total <= 0.0 {
        return None;
    }
    let mut left = rng.r#gen::<f64>() * total;
    let mut last = None;
    for (row, &d) in distances.iter().enumerate() {
        if weight(d) > 0.0 {
            last = Some(row);
            left -= weight(d);
            if left < 0.0 {
                break;
            }
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn rng() -> Xoshiro256Plus {
        Xoshiro256Plus::seed_from_u64(1)
    }

    #[test]
    fn separate_clusters_get_one_codeword_each() {
        let points = Array2::from_shape_fn((200, 2), |(i, j)| (i % 4) as f32 * 10.0 + 0.01 * (i / 4 + j) as f32);
        let mut centres: Vec<f32> =
            codebook(&points, 4, 50, 1_000, Some(Crowding::FAR), &mut rng()).unwrap().column(0).to_vec();
        centres.sort_by(f32::total_cmp);
        for (i, centre) in centres.iter().enumerate() {
            assert!((centre - (i as f32 * 10.0 + 0.245)).abs() < 0.1, "{centres:?}");
        }
    }

    #[test]
    fn every_distinct_point_gets_a_codeword_if_there_are_enough() {
        let points = Array2::from_shape_fn((50, 3), |(i, _)| (i % 5) as f32);
        let book = codebook(&points, 16, 50, 1_000, Some(Crowding::FAR), &mut rng()).unwrap();
        for value in 0..5 {
            assert!(book.column(0).iter().any(|&v| (v - value as f32).abs() < 1e-2), "{value} has a codeword");
        }
        assert!(book.iter().all(|v| v.is_finite()));
    }

    #[test]
    fn equal_seeds_give_equal_codebooks() {
        let points = Array2::from_shape_fn((500, 2), |(i, j)| ((i * 7 + j * 3) % 97) as f32);
        let book = || codebook(&points, 8, 20, 100, Some(Crowding::FAR), &mut rng()).unwrap();
        assert_eq!(book(), book());
    }
}
