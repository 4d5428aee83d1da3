//! Unused codes after training.
//!
//! A token that no item has is wasted. The codeword of an unused code is moved to the item with the largest error, which
//! then gets that code.

use ndarray::{Array1, ArrayView2};

use super::points::LatentPoints;
use super::regression::counts;
use super::separation::remainder;
use crate::error::Result;
use crate::tokenizer::Quantizer;

/// Maximum number of rounds. A moved codeword can take the only item of another code.
const ROUNDS: usize = 4;

/// Margin by which an item prefers the codeword that moved to it, as a fraction of its squared distance before.
const AHEAD: f32 = 0.05;

/// The quantizer with every code used by some item of the latents, if there are enough items.
pub(super) fn use_every_code<P: LatentPoints>(latents: &P, mut quantizer: Quantizer) -> Result<Quantizer> {
    for _ in 0..ROUNDS {
        let codes = latents.encode(&quantizer);
        let on_host = P::codes_on_host(&codes)?;
        let level = (0..on_host.ncols()).find(|&level| unused(on_host.view(), level, &quantizer).next().is_some());
        let Some(level) = level else { break };
        quantizer = placed(latents, &codes, on_host.view(), level, quantizer)?;
    }
    Ok(quantizer)
}

fn unused(codes: ArrayView2<u16>, level: usize, quantizer: &Quantizer) -> impl Iterator<Item = usize> + use<> {
    let used = counts(codes.column(level), quantizer.codebooks()[level].nrows());
    (0..used.len()).filter(move |&code| used[code] == 0.0)
}

/// Moves the unused codewords of the levels from `from` on to items whose code has several.
fn placed<P: LatentPoints>(
    latents: &P,
    codes: &P::Codes,
    on_host: ArrayView2<u16>,
    from: usize,
    quantizer: Quantizer,
) -> Result<Quantizer> {
    let (mut books, mut offsets) = (quantizer.codebooks().to_vec(), quantizer.offsets().clone());
    let mut left = latents.duplicate();
    for (level, column) in on_host.columns().into_iter().enumerate() {
        left.subtract(codes, level, &quantizer.codebooks()[level]);
        if level >= from {
            let mut used = counts(column, books[level].nrows());
            let mut served: Array1<f32> = left.squared_lengths()?;
            for code in unused(on_host, level, &quantizer) {
                let worst = (0..served.len())
                    .filter(|&row| used[usize::from(column[row])] > 1.0)
                    .max_by(|&a, &b| served[a].total_cmp(&served[b]).then(b.cmp(&a)));
                let Some(worst) = worst else { break };
                used[usize::from(column[worst])] -= 1.0;
                let distance = std::mem::replace(&mut served[worst], f32::NEG_INFINITY);
                // No codeword is nearer; the offset also makes it cheaper than the item's present code.
                let prefix: Vec<u16> = on_host.row(worst).iter().take(level).copied().collect();
                let latent = latents.rows(&[worst])?;
                books[level].row_mut(code).assign(&remainder(latent.row(0), &prefix, &quantizer));
                let (own, after) = (usize::from(column[worst]), quantizer.offsets_after(&prefix));
                let ahead = distance * (1.0 - AHEAD) + after[own] - (after[code] - offsets.codes[level][code]);
                offsets.codes[level][code] = ahead.min(0.0);
            }
        }
    }
    Ok(Quantizer::new(books, offsets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::{CodeUsage, Offsets};
    use ndarray::{Array2, array};

    #[test]
    fn codewords_that_are_far_away_or_have_high_offsets_become_used() {
        let points = Array2::from_shape_fn((60, 2), |(i, j)| ((i * 31 + j * 17) % 60) as f32 / 10.0);
        let far = |i: usize| if i < 3 { i as f32 * 2.0 } else { 90.0 };
        let books = [6, 5].map(|size| Array2::from_shape_fn((size, 2), |(i, _)| far(i)));
        let mut offsets = Offsets::zero([6, 5]);
        offsets.codes[0] = array![0.0, 0.3, -0.3, 50.0, 50.0, 50.0];
        offsets.pairs = Some(Array2::from_shape_fn((6, 5), |(i, j)| (i * j) as f32));
        let used = |quantizer: &Quantizer| -> Vec<usize> {
            let codes = quantizer.encode(points.view());
            CodeUsage::of_levels(codes.view(), &[6, 5]).iter().map(|usage| usage.used()).collect()
        };
        let before = Quantizer::new(books.to_vec(), offsets);
        assert!(used(&before)[0] <= 3);
        assert_eq!(used(&use_every_code(&points, before).unwrap()), [6, 5]);
    }
}
