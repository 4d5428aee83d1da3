//! Codebooks after k-means, made better without gradients: in turns, all items are encoded and all codebooks are fitted
//! to the codes jointly.
//!
//! k-means fits each level to what the levels before it left over, and to the last item: with a dozen items a codeword
//! it learns their noise. Three things are done about that.
//!
//! - *Joint ridge regression.* Given the codes, the codewords are the coefficients of a linear regression of the latents
//!   on code indicators; all levels are solved together, and shrunk like the estimates from few items that they are.
//!   Directions of little variance are shrunk more.
//! - *Balance.* Offsets on the codes (see [`crate::tokenizer::Offsets`]) follow how often each is used, until all are
//!   used about equally often.
//! - *Coherence.* Offsets on pairs of the first two codes follow the pointwise mutual information of the pair: under a
//!   prefix, the codes that are frequent there are preferred, so near items agree in two codes and not in one.

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::Rng;
use rand_xoshiro::Xoshiro256Plus;

use super::balance::Balance;
use super::regression::{counts, fit};
use super::valid_config::ValidTrainConfig;
use crate::progress::Progress;
use crate::tokenizer::{Offsets, Quantizer};

/// Sweeps of the regression a round; the codes change more between rounds than a third one would tell.
const SWEEPS: usize = 2;

/// The first level is shrunk less: its codewords are the largest, and rare codes that shrink lose their last items.
const FIRST_RIDGE: f32 = 0.5;

/// Dead codes are placed anew until this many iterations before the end, so that all can settle.
const SETTLING: usize = 1;

/// Tables of pair offsets above this many cells are not made.
const LARGEST_TABLE: usize = 1 << 22;

/// Items that a prefix is taken to have seen, spread as codes are overall, before its own are counted.
const PRIOR: f32 = 4.0;

/// Refines k-means `codebooks` on `latents (n, latent_dim)`, the settings' number of times.
pub(super) fn refine(
    latents: ArrayView2<f32>,
    codebooks: Vec<Array2<f32>>,
    config: &ValidTrainConfig,
    rng: &mut Xoshiro256Plus,
    progress: &dyn Progress,
) -> Quantizer {
    let sizes: Vec<usize> = codebooks.iter().map(|book| book.nrows()).collect();
    let mut quantizer = Quantizer::new(codebooks, Offsets::zero(sizes.iter().copied()));
    let rounds = config.refine_iterations();
    if rounds == 0 {
        return quantizer;
    }
    let ridge = ridge(latents, config.ridge as f32);
    let ridges: Vec<Array1<f32>> =
        (0..sizes.len()).map(|level| if level == 0 { &ridge * FIRST_RIDGE } else { ridge.clone() }).collect();
    let total = mean_square(latents);
    let mut balance = Balance::new(config.balance as f32, sizes.len());
    progress.begin("refine", Some(rounds as u64), "rounds");
    for iteration in 1..=rounds {
        let codes = quantizer.encode(latents);
        let mut offsets = quantizer.offsets().clone();
        let mut books = quantizer.codebooks().to_vec();
        let spread = residual_spread(latents, &codes, &books);
        if iteration + SETTLING <= rounds {
            revive(latents, &codes, &mut books, rng);
        }
        let left = fit(latents, &codes, &mut books, &ridges, SWEEPS);
        // The offsets of the last round are those under which its codes were chosen.
        if iteration < rounds {
            balance.step(&codes, &spread, &mut offsets);
            if let [first, second, ..] = sizes[..]
                && config.coherence() > 0.0
                && first.saturating_mul(second) <= LARGEST_TABLE
            {
                offsets.pairs = Some(coherence(&codes, (first, second), spread[1] * config.coherence() as f32));
            }
        }
        quantizer = Quantizer::new(books, offsets);
        progress.figure("error", f64::from(left / total));
        progress.advance(1);
    }
    progress.end();
    quantizer
}

/// The weight with which each dimension of a codeword is drawn to zero, in items. Estimating a mean from few items is
/// worth the less, the smaller the variance to be explained is beside the noise, so the weight grows as the standard
/// deviation of a dimension falls below that of the leading ones.
fn ridge(latents: ArrayView2<f32>, strength: f32) -> Array1<f32> {
    let variances = latents.map_axis(Axis(0), |column| column.iter().map(|&v| f64::from(v * v)).sum::<f64>());
    let leading = variances.iter().map(|v| v * v).sum::<f64>() / variances.sum().max(f64::MIN_POSITIVE);
    variances.mapv(|variance| strength * (leading / variance.max(1e-9 * leading).max(f64::MIN_POSITIVE)).sqrt() as f32)
}

/// Mean squared length of what is left before each level.
fn residual_spread(latents: ArrayView2<f32>, codes: &Array2<u16>, books: &[Array2<f32>]) -> Vec<f32> {
    let mut spread = vec![0.0f64; books.len()];
    for (latent, codes) in latents.rows().into_iter().zip(codes.rows()) {
        let mut rest = latent.to_owned();
        for ((sum, book), &code) in spread.iter_mut().zip(books).zip(codes) {
            *sum += f64::from(rest.dot(&rest));
            rest -= &book.row(usize::from(code));
        }
    }
    spread.iter().map(|sum| (sum / latents.nrows() as f64) as f32).collect()
}

/// `-strength * ln(p(second | first) / p(second))` for each pair of the first two codes.
fn coherence(codes: &Array2<u16>, (first, second): (usize, usize), strength: f32) -> Array2<f32> {
    /// Items of an even spread mixed into that of the second code, as a share: none has probability zero.
    const EVEN: f32 = 0.2;
    let mut pairs = Array2::<f32>::zeros((first, second));
    for row in codes.rows() {
        pairs[[usize::from(row[0]), usize::from(row[1])]] += 1.0;
    }
    let overall = (pairs.sum_axis(Axis(0)) / codes.nrows() as f32 + EVEN / second as f32) / (1.0 + EVEN);
    for mut row in pairs.rows_mut() {
        let seen = row.sum() + PRIOR;
        ndarray::Zip::from(&mut row)
            .and(&overall)
            .for_each(|pair, &overall| *pair = -strength * ((*pair + PRIOR * overall) / seen / overall).ln());
    }
    pairs
}

/// Places unused codewords on residuals, drawn in proportion to their squared length.
fn revive(latents: ArrayView2<f32>, codes: &Array2<u16>, books: &mut [Array2<f32>], rng: &mut Xoshiro256Plus) {
    let dead: Vec<Vec<usize>> = books
        .iter()
        .zip(codes.columns())
        .map(|(book, column)| {
            let used = counts(column, book.nrows());
            (0..book.nrows()).filter(|&code| used[code] == 0.0).collect()
        })
        .collect();
    if dead.iter().all(Vec::is_empty) {
        return;
    }
    let mut residual = latents.to_owned();
    for ((book, column), dead) in books.iter_mut().zip(codes.columns()).zip(dead) {
        let lengths: Vec<f64> = residual.rows().into_iter().map(|row| f64::from(row.dot(&row))).collect();
        let placed: Vec<(usize, Array1<f32>)> =
            dead.into_iter().map(|code| (code, residual.row(draw(&lengths, rng)).to_owned())).collect();
        for (mut row, &code) in residual.rows_mut().into_iter().zip(column) {
            row -= &book.row(usize::from(code));
        }
        placed.into_iter().for_each(|(code, place)| book.row_mut(code).assign(&place));
    }
}

/// A row drawn in proportion to its weight.
fn draw(weights: &[f64], rng: &mut Xoshiro256Plus) -> usize {
    let mut left = rng.r#gen::<f64>() * weights.iter().sum::<f64>();
    let found = weights.iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    found.unwrap_or(weights.len() - 1)
}

fn mean_square(rows: ArrayView2<f32>) -> f32 {
    (rows.rows().into_iter().map(|row| f64::from(row.dot(&row))).sum::<f64>() / rows.nrows() as f64) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use crate::rqvae::config::TrainConfig;
    use crate::tokenizer::CodeUsage;
    use rand::SeedableRng;

    /// Few items a code, as in a catalog.
    const SIZE: usize = 64;

    /// Clusters of very different sizes in 24 dimensions of falling variance, blurred as much as they differ.
    fn points(n: usize, seed: u64) -> Array2<f32> {
        let mut centre = Xoshiro256Plus::seed_from_u64(3);
        let centres = Array2::from_shape_simple_fn((40, 24), || centre.gen_range(-1.0f32..1.0));
        let mut rng = Xoshiro256Plus::seed_from_u64(seed);
        let mut rows = Array2::from_shape_simple_fn((n, 24), || rng.gen_range(-1.0f32..1.0));
        for mut row in rows.rows_mut() {
            row += &centres.row((rng.r#gen::<f32>().powi(2) * 40.0) as usize);
        }
        rows *= &Array1::from_shape_fn(24, |j| 1.0 / (1.0 + j as f32).sqrt());
        let mean = rows.mean_axis(Axis(0)).unwrap();
        rows - &mean
    }

    fn start(points: &Array2<f32>, sizes: [usize; 3]) -> Vec<Array2<f32>> {
        let mut rest = points.clone();
        let mut rng = Xoshiro256Plus::seed_from_u64(1);
        let mut books = Vec::new();
        for size in sizes {
            let book = crate::rqvae::kmeans::codebook(rest.view(), size, 30, 100_000, None, &mut rng).unwrap();
            let quantizer = Quantizer::new(vec![book.clone()], Offsets::zero([size]));
            rest -= &quantizer.decode(quantizer.encode(rest.view()).view());
            books.push(book);
        }
        books
    }

    fn config(change: impl Fn(&mut TrainConfig)) -> ValidTrainConfig {
        let mut config = TrainConfig { codebook_sizes: vec![SIZE; 3], ..TrainConfig::default() };
        change(&mut config);
        config.validate(800, &[("text".into(), 24)]).unwrap()
    }

    fn error(points: &Array2<f32>, quantizer: &Quantizer) -> f32 {
        let rest = points - &quantizer.decode(quantizer.encode(points.view()).view());
        mean_square(rest.view()) / mean_square(points.view())
    }

    fn refined(change: impl Fn(&mut TrainConfig)) -> Quantizer {
        let points = points(800, 5);
        let mut rng = Xoshiro256Plus::seed_from_u64(9);
        refine(points.view(), start(&points, [SIZE; 3]), &config(change), &mut rng, &Silent)
    }

    #[test]
    fn new_items_are_described_better_than_by_k_means() {
        let fresh = points(2_000, 6);
        let before = error(&fresh, &refined(|c| c.refine_iterations = Some(0)));
        let after = error(&fresh, &refined(|c| (c.balance, c.coherence) = (0.0, Some(0.0))));
        assert!(after < 0.98 * before, "{after} after {before}");
    }

    #[test]
    fn balance_evens_out_and_coherence_gathers() {
        let points = points(800, 5);
        let perplexity = |quantizer: &Quantizer, level: usize| {
            CodeUsage::of_levels(quantizer.encode(points.view()).view(), &[SIZE; 3])[level].perplexity()
        };
        let (plain, even) = (refined(|c| c.balance = 0.0), refined(|c| c.balance = 0.05));
        assert!(
            perplexity(&even, 0) > perplexity(&plain, 0) + 0.2,
            "{} {}",
            perplexity(&even, 0),
            perplexity(&plain, 0)
        );
        let prefixes = |quantizer: &Quantizer| {
            let codes = quantizer.encode(points.view());
            codes.rows().into_iter().map(|row| (row[0], row[1])).collect::<std::collections::HashSet<_>>().len()
        };
        let (apart, together) = (refined(|c| c.coherence = Some(0.0)), refined(|c| c.coherence = Some(0.1)));
        assert!(prefixes(&together) < prefixes(&apart), "{} {}", prefixes(&together), prefixes(&apart));
    }
}
