//! Joint refinement of the codebooks after k-means, without gradients: rounds of encoding all items and fitting all
//! codebooks to the codes together.
//!
//! k-means fits each level only to the residuals of the levels before, and with a dozen items per codeword it fits their
//! noise. Refinement differs in three ways:
//!
//! - *Joint ridge regression.* Given the codes, the codewords are the coefficients of a linear regression of the latents on
//!   code indicators. All levels are solved together and shrunk towards zero, directions of small variance more.
//! - *Balance.* Offsets on the codes (see [`crate::tokenizer::Offsets`]) follow how often each is used, until all are used
//!   about equally often.
//! - *Coherence.* Offsets on pairs of the first two codes follow the pointwise mutual information of the pair. Under a
//!   prefix, frequent second codes are preferred, so that similar items share two codes instead of one.

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::Rng;
use rand_xoshiro::Xoshiro256Plus;

use super::balance::Balance;
use super::keep::KeptItems;
use super::points::LatentPoints;
use super::regression::counts;
use super::valid_config::ValidQuantizerConfig;
use crate::error::Result;
use crate::progress::Progress;
use crate::tokenizer::{Offsets, Quantizer};

/// Sweeps of the regression per round. A third sweep changes less than the next round does.
const SWEEPS: usize = 2;

/// Factor on the ridge of the first level. Its codewords are the largest, and rare codes that shrink lose their last items.
const FIRST_RIDGE: f32 = 0.5;

/// Number of last rounds without revival, in which revived codewords converge.
const SETTLING: usize = 1;

/// Maximum number of pair offsets. Models with more pairs get none.
const LARGEST_TABLE: usize = 1 << 22;

/// Weight, in items, of the overall distribution of second codes in that of each first code.
const PRIOR: f32 = 4.0;

/// Refines `codebooks` on latents. Items change `kept` codes only at a price (see [`super::keep`]).
pub(super) fn refine<P: LatentPoints>(
    latents: &P,
    codebooks: Vec<Array2<f32>>,
    kept: Option<&KeptItems>,
    config: &ValidQuantizerConfig,
    rng: &mut Xoshiro256Plus,
    progress: &dyn Progress,
) -> Result<Quantizer> {
    let sizes: Vec<usize> = codebooks.iter().map(|book| book.nrows()).collect();
    let mut quantizer = Quantizer::new(codebooks, Offsets::zero(sizes.iter().copied()));
    let rounds = config.refine_iterations();
    if rounds == 0 {
        return Ok(quantizer);
    }
    let ridges = ridges(latents, config.ridge as f32, sizes.len())?;
    let total = mean_square(latents)?;
    let mut balance = Balance::new(config.balance as f32, sizes.len());
    progress.begin("refine", Some(rounds as u64), "rounds");
    for iteration in 1..=rounds {
        let codes = match kept {
            Some(kept) => kept.encode(latents, &quantizer)?,
            None => latents.encode(&quantizer),
        };
        let on_host = P::codes_on_host(&codes)?;
        let mut offsets = quantizer.offsets().clone();
        let mut books = quantizer.codebooks().to_vec();
        let spread = latents.residual_spread(&codes, &books)?;
        if iteration + SETTLING <= rounds {
            revive(latents, &codes, on_host.view(), &mut books, rng)?;
        }
        let left = latents.fit(&codes, &mut books, &ridges, SWEEPS)?;
        // After the last round, the offsets stay those by which its codes were chosen.
        if iteration < rounds {
            balance.step(on_host.view(), &spread, &mut offsets);
            if let [first, second, ..] = sizes[..]
                && config.coherence() > 0.0
                && first.saturating_mul(second) <= LARGEST_TABLE
            {
                offsets.pairs = Some(coherence(on_host.view(), (first, second), spread[1] * config.coherence() as f32));
            }
        }
        quantizer = Quantizer::new(books, offsets);
        progress.figure("error", f64::from(left / total));
        progress.advance(1);
    }
    progress.end();
    Ok(quantizer)
}

/// The ridge penalty of each dimension, per level.
pub(super) fn ridges(latents: &impl LatentPoints, strength: f32, levels: usize) -> Result<Vec<Array1<f32>>> {
    let ridge = ridge(&latents.column_squares()?, strength);
    Ok((0..levels).map(|level| if level == 0 { &ridge * FIRST_RIDGE } else { ridge.clone() }).collect())
}

/// The ridge penalty of each dimension, in items. A mean over few items is less reliable where the variance is small
/// relative to the noise, so the penalty is inversely proportional to the standard deviation of a dimension. `variances`
/// are the sums of squares.
fn ridge(variances: &Array1<f64>, strength: f32) -> Array1<f32> {
    let leading = variances.iter().map(|v| v * v).sum::<f64>() / variances.sum().max(f64::MIN_POSITIVE);
    variances.mapv(|variance| strength * (leading / variance.max(1e-9 * leading).max(f64::MIN_POSITIVE)).sqrt() as f32)
}

/// `-strength * ln(p(second | first) / p(second))` for each pair of the first two codes.
fn coherence(codes: ArrayView2<u16>, (first, second): (usize, usize), strength: f32) -> Array2<f32> {
    /// Weight of the uniform distribution in that of the second codes, so that no probability is zero.
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

/// Moves unused codewords to residuals drawn with probability proportional to their squared length.
fn revive<P: LatentPoints>(
    latents: &P,
    codes: &P::Codes,
    on_host: ArrayView2<u16>,
    books: &mut [Array2<f32>],
    rng: &mut Xoshiro256Plus,
) -> Result<()> {
    let dead: Vec<Vec<usize>> = books
        .iter()
        .zip(on_host.columns())
        .map(|(book, column)| {
            let used = counts(column, book.nrows());
            (0..book.nrows()).filter(|&code| used[code] == 0.0).collect()
        })
        .collect();
    if dead.iter().all(Vec::is_empty) {
        return Ok(());
    }
    let mut residual = latents.duplicate();
    for (level, (book, dead)) in books.iter_mut().zip(dead).enumerate() {
        let lengths: Vec<f64> = residual.squared_lengths()?.into_iter().map(f64::from).collect();
        let drawn: Vec<usize> = dead.iter().map(|_| draw(&lengths, rng)).collect();
        let placed = residual.rows(&drawn)?;
        residual.subtract(codes, level, book);
        dead.into_iter().zip(placed.rows()).for_each(|(code, place)| book.row_mut(code).assign(&place));
    }
    Ok(())
}

/// A row drawn with probability proportional to its weight.
fn draw(weights: &[f64], rng: &mut Xoshiro256Plus) -> usize {
    let mut left = rng.r#gen::<f64>() * weights.iter().sum::<f64>();
    let found = weights.iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    found.unwrap_or(weights.len() - 1)
}

fn mean_square(rows: &impl LatentPoints) -> Result<f32> {
    Ok((rows.squared_lengths()?.into_iter().map(f64::from).sum::<f64>() / rows.count() as f64) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use crate::tokenizer::CodeUsage;
    use crate::training::QuantizerConfig;
    use rand::SeedableRng;

    /// Few items per code, as in a catalog.
    const SIZE: usize = 64;

    /// Clusters of very different sizes in 24 dimensions of decreasing variance, with as much noise within as between them.
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
            let book = crate::rqvae::kmeans::codebook(&rest, size, 30, 100_000, None, &mut rng).unwrap();
            let quantizer = Quantizer::new(vec![book.clone()], Offsets::zero([size]));
            rest -= &quantizer.decode(quantizer.encode(rest.view()).view());
            books.push(book);
        }
        books
    }

    fn config(change: impl Fn(&mut QuantizerConfig)) -> ValidQuantizerConfig {
        let mut config = QuantizerConfig { codebook_sizes: vec![SIZE; 3], ..QuantizerConfig::default() };
        change(&mut config);
        ValidQuantizerConfig::new(config, 800, &[("text".into(), 24)]).unwrap()
    }

    fn error(points: &Array2<f32>, quantizer: &Quantizer) -> f32 {
        let rest = points - &quantizer.decode(quantizer.encode(points.view()).view());
        mean_square(&rest).unwrap() / mean_square(points).unwrap()
    }

    fn refined(change: impl Fn(&mut QuantizerConfig)) -> Quantizer {
        let points = points(800, 5);
        let mut rng = Xoshiro256Plus::seed_from_u64(9);
        refine(&points, start(&points, [SIZE; 3]), None, &config(change), &mut rng, &Silent).unwrap()
    }

    #[test]
    fn refinement_lowers_the_error_on_new_items() {
        let fresh = points(2_000, 6);
        let before = error(&fresh, &refined(|c| c.refine_iterations = Some(0)));
        let after = error(&fresh, &refined(|c| (c.balance, c.coherence) = (0.0, Some(0.0))));
        assert!(after < 0.98 * before, "{after} after {before}");
    }

    #[test]
    fn balance_equalises_use_and_coherence_reduces_prefixes() {
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
