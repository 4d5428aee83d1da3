//! Fits the projection, the codebooks and the offsets of a model from sums over items.

use linfa_linalg::eigh::EighInto;
use ndarray::{Array1, Array2, Axis, s};

use super::moments::CodeMoments;
use super::sweeps::CodeCounts;
use crate::error::{Error, Result};
use crate::tokenizer::{ModalityShape, Network, Offsets, Standardization, Tokenizer, Weights};
use crate::training::TrainingRecord;

/// Ridge penalty on codewords, in items, as in training.
const RIDGE: f64 = 2.0;
/// Minimum noise variance of a direction, relative to the mean over all directions.
const LEAST_NOISE: f64 = 0.03;
/// Minimum variance of a latent dimension, relative to the largest.
const LEAST_VARIANCE: f64 = 1e-9;
/// Pseudocount that is added to the number of items of each code, so that the offset of a rare code depends less on
/// chance.
const PRIOR: f64 = 0.5;
/// Offset of a code that no item has, relative to the mean squared length of the latents. Only collision resolution
/// assigns such a code.
const UNUSED: f64 = 16.0;

/// Fits a model to codes that another system assigned, with at most `latent_dim` latent dimensions. `moments` are sums
/// over vectors that were standardised with `standardization`.
///
/// # Errors
/// [`Error::Data`] if the vectors are all equal or not finite.
pub fn fitted_to_codes(
    moments: &CodeMoments,
    modalities: Vec<ModalityShape>,
    standardization: Standardization,
    latent_dim: usize,
    training: Option<TrainingRecord>,
) -> Result<Tokenizer> {
    let items = moments.items.max(1) as f64;
    let counts = CodeCounts::of(moments);
    let total = &moments.products / items;
    let books = counts.codewords(moments.sums.view(), RIDGE);
    // Noise covariance: products of the regression's residuals for all pairs of dimensions, averaged over the items.
    let explained = books.t().dot(&moments.sums);
    let fitted = books.t().dot(&counts.sums_of(books.view()));
    let noise = (&moments.products - &explained - explained.t() + &fitted) / items;
    let whiten = whitening(noise)?;
    let within = whiten.dot(&total).dot(&whiten.t());
    let (variances, directions) = eigen(within)?;
    let largest = variances.first().copied().unwrap_or(0.0);
    if !(largest.is_finite() && largest > 0.0) {
        let help = "check the features";
        return Err(Error::data("features of the given codes", "vectors that differ", "equal vectors", help));
    }
    let kept = variances.iter().take(latent_dim).take_while(|&&v| v > LEAST_VARIANCE * largest).count();
    let (variances, directions) = (variances.slice(s![..kept]), directions.slice(s![.., ..kept]));
    // Latents have a mean square of 1 per dimension, as in trained models.
    let factor = (kept as f64 / variances.sum()).sqrt();
    let projection = directions.t().dot(&whiten) * factor;
    // Least-squares map from latents to features: their covariance with the latents over the variances of the latents.
    let inverse = total.dot(&projection.t()) / &(&variances * (factor * factor)).insert_axis(Axis(0));
    let sums = moments.sums.dot(&projection.t());
    let books = counts.codewords(sums.view(), RIDGE);
    let left = kept as f64 * items - 2.0 * (&books * &sums).sum() + (&books * &counts.sums_of(books.view())).sum();
    let spread = (left / items / kept as f64).max(0.0);
    let weights = Weights {
        standardization,
        projection: Network { skip: Some(projection.mapv(|v| v as f32)), layers: Vec::new() },
        inverse: Network { skip: Some(inverse.mapv(|v| v as f32)), layers: Vec::new() },
        codebooks: counts.by_level(books.view()),
        offsets: Offsets { codes: offsets(&counts, items, spread, kept as f64), pairs: None, last: None },
    };
    Tokenizer::new(modalities, weights, training)
}

/// `-2 spread ln p` for each code with a share of `p` of the items. For noise of variance `spread` per dimension, the
/// codeword with the lowest cost is then the most likely one.
fn offsets(counts: &CodeCounts, items: f64, spread: f64, length: f64) -> Vec<Array1<f32>> {
    let of_level = |used: &[f64]| {
        let all = items + PRIOR * used.len() as f64;
        let of_code = |&count: &f64| match count {
            0.0 => (UNUSED * length) as f32,
            count => (-2.0 * spread * ((count + PRIOR) / all).ln()) as f32,
        };
        used.iter().map(of_code).collect()
    };
    counts.items_by_level().map(of_level).collect()
}

/// The whitening matrix `(dim, dim)` of noise with this covariance: it makes the variance equal in all directions.
fn whitening(noise: Array2<f64>) -> Result<Array2<f64>> {
    let mean = noise.diag().sum() / noise.nrows().max(1) as f64;
    let (variances, directions) = eigen(noise)?;
    let least = if mean > 0.0 { LEAST_NOISE * mean } else { 1.0 };
    let scales = variances.mapv(|variance| variance.max(least).sqrt().recip());
    Ok((&directions * &scales.insert_axis(Axis(0))).reversed_axes())
}

/// Eigenvalues of a symmetric matrix in descending order, and eigenvectors as columns.
fn eigen(matrix: Array2<f64>) -> Result<(Array1<f64>, Array2<f64>)> {
    let fault = |got: String| {
        let help = "check the features for extreme values";
        Error::data("features of the given codes", "finite vectors without extreme values", got, help)
    };
    if !matrix.iter().all(|value| value.is_finite()) {
        return Err(fault("NaN or infinity".into()));
    }
    let symmetric = (&matrix + &matrix.t()) * 0.5;
    let (values, vectors) = symmetric.eigh_into().map_err(|e| fault(e.to_string()))?;
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]).then(a.cmp(&b)));
    Ok((values.select(Axis(0), &order), vectors.select(Axis(1), &order)))
}

#[cfg(test)]
mod tests {
    use super::super::OwnCodes;
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256Plus;

    /// Items that are the sum of two codewords in the first 12 dimensions, plus noise in all dimensions, which is
    /// strong in the last 8.
    fn items(n: usize, seed: u64) -> (Array2<f32>, Array2<u16>) {
        let mut centres = Xoshiro256Plus::seed_from_u64(1);
        let books: Vec<Array2<f32>> = [2.0, 1.0]
            .iter()
            .map(|&size: &f32| Array2::from_shape_simple_fn((16, 12), || centres.gen_range(-size..size)))
            .collect();
        let mut rng = Xoshiro256Plus::seed_from_u64(seed);
        let codes = Array2::from_shape_simple_fn((n, 2), || rng.gen_range(0..15u16));
        let x = Array2::from_shape_fn((n, 20), |(i, j)| {
            let own = |l: usize| if j < 12 { books[l][[usize::from(codes[[i, l]]), j]] } else { 0.0 };
            own(0) + own(1) + rng.gen_range(-1.0f32..1.0) * if j < 12 { 0.5 } else { 6.0 }
        });
        (x, codes)
    }

    fn fitted(latent_dim: usize) -> Result<Tokenizer> {
        let (mut x, codes) = items(900, 2);
        let mean = x.mean_axis(Axis(0)).unwrap();
        x -= &mean;
        let mut moments = CodeMoments::new(&[16, 16], 20);
        moments.add(x.view(), codes.view());
        let shapes = vec![ModalityShape { name: "text".into(), dim: 20 }];
        let standardization = Standardization { mean, ..Standardization::none(&[20]) };
        fitted_to_codes(&moments, shapes, standardization, latent_dim, None)
    }

    #[test]
    fn new_items_get_their_own_codes_under_strong_noise() {
        for latent_dim in [64, 10] {
            let model = fitted(latent_dim).unwrap();
            assert_eq!(model.config().latent_dim, latent_dim.min(20));
            let (x, codes) = items(400, 3);
            let latents = model.encode(x.view(), None).unwrap().latents;
            let mut own = OwnCodes::new(2);
            let found = own.count(model.quantizer(), latents.view(), codes.view());
            assert_eq!(found, model.codes(x.view(), None).unwrap());
            let [first, second] = own.nearest()[..] else { panic!("two levels") };
            assert!(first > 0.95 && second > 0.8 && own.given_back()[1] > 0.75, "{own:?}");
            // No item has code 15.
            assert!(found.iter().all(|&code| code < 15));
            let square = latents.mapv(|v| v * v).mean().unwrap();
            assert!((0.8..1.25).contains(&square), "{square}");
            // Decoded vectors are nearer to the features than the mean is, in the dimensions that the codes explain.
            let back = model.decode(codes.view()).unwrap();
            let error = |a: &Array2<f32>| (&x - a).slice(s![.., ..12]).mapv(|v| v * v).sum();
            assert!(error(&back) < 0.2 * error(&Array2::zeros(x.dim())));
        }
    }

    #[test]
    fn equal_vectors_are_refused() {
        let mut moments = CodeMoments::new(&[2], 3);
        moments.add(Array2::zeros((4, 3)).view(), Array2::zeros((4, 1)).view());
        let shapes = vec![ModalityShape { name: "text".into(), dim: 3 }];
        let refused = fitted_to_codes(&moments, shapes, Standardization::none(&[3]), 3, None);
        assert!(refused.unwrap_err().to_string().contains("equal vectors"));
    }
}
