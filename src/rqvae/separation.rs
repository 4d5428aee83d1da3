//! Separation: penalties on the last code that give different codes to items which would share all codes.
//!
//! Similar items share their first codes and have similar residuals, so that the nearest last codeword is the same for
//! both. Which last code an item has matters little, as it does not change the prefix. Last codes therefore have a price
//! for each first code, which an auction determines (Bertsekas, 1988): of the items that share all codes, the one that
//! loses least by its second-best code leaves, because the price rises until it does. Prices become offsets of the frozen
//! model ([`Offsets::last`]). They apply to new items as well, and near codewords are still preferred.
//!
//! The auctions of different first codes are independent.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

use super::points::LatentPoints;
use super::regression::members;
use crate::error::Result;
use crate::tokenizer::{Offsets, Quantizer};

/// Maximum number of rounds of an auction. Most auctions end after a few.
const ROUNDS: usize = 300;
/// Losses that differ by less count as equal, and no price separates the items. A fraction of the mean squared residual
/// before the last level, as is [`STEP`].
const EQUAL: f32 = 1e-4;
/// Maximum rise of a price above the loss of the item that leaves.
const STEP: f32 = 0.02;
/// Maximum number of prices. Models with more pairs of first and last code get none.
const LARGEST_TABLE: usize = 1 << 22;

/// The quantizer with the prices on last codes for which the fewest items share all codes. No
/// price exceeds `highest` times the mean squared residual before the last level; 0 changes nothing.
pub(super) fn separate<P: LatentPoints>(latents: &P, quantizer: Quantizer, highest: f32) -> Result<Quantizer> {
    let (first, levels) = (quantizer.codebooks()[0].nrows(), quantizer.codebooks().len());
    let size = quantizer.codebooks()[levels - 1].nrows();
    if levels < 2 || highest == 0.0 || first.saturating_mul(size) > LARGEST_TABLE {
        return Ok(quantizer);
    }
    let codes = latents.encode(&quantizer);
    let spread = latents.residual_spread(&codes, quantizer.codebooks())?[levels - 1];
    let (latents, codes) = (latents.on_host()?, P::codes_on_host(&codes)?);
    let rows: Vec<Option<Array1<f32>>> = members(codes.column(0), first)
        .into_par_iter()
        .map(|rows| {
            LastCodeAuction::open(&rows, latents.view(), codes.view(), &quantizer)?.run(spread, highest * spread)
        })
        .collect();
    if rows.iter().all(Option::is_none) {
        return Ok(quantizer);
    }
    let mut last = Array2::zeros((first, size));
    for (mut row, prices) in last.rows_mut().into_iter().zip(rows) {
        prices.iter().for_each(|prices| row.assign(prices));
    }
    let offsets = Offsets { last: Some(last), ..quantizer.offsets().clone() };
    Ok(Quantizer::new(quantizer.codebooks().to_vec(), offsets))
}

/// The auction among the items of one first code that share their prefix with another item.
struct LastCodeAuction {
    /// The prefix of each item, as a number.
    groups: Vec<usize>,
    /// The cost of each last code for each item without the price, `(items, size)`.
    costs: Array2<f32>,
}

impl LastCodeAuction {
    /// `None` if no two items share a prefix.
    fn open(rows: &[usize], latents: ArrayView2<f32>, codes: ArrayView2<u16>, quantizer: &Quantizer) -> Option<Self> {
        let last = codes.ncols() - 1;
        let mut prefixes: BTreeMap<Vec<u16>, Vec<usize>> = BTreeMap::new();
        for &row in rows {
            prefixes.entry(codes.row(row).iter().take(last).copied().collect()).or_default().push(row);
        }
        prefixes.retain(|_, rows| rows.len() > 1);
        let book = &quantizer.codebooks()[last];
        let lengths = book.map_axis(Axis(1), |codeword| codeword.dot(&codeword));
        let (mut groups, mut left, mut own) = (Vec::new(), Vec::new(), Vec::new());
        for (group, (prefix, rows)) in prefixes.iter().enumerate() {
            let offsets = &lengths + &quantizer.offsets_after(prefix);
            for &row in rows {
                groups.push(group);
                left.push(remainder(latents.row(row), prefix, quantizer));
                own.push(offsets.clone());
            }
        }
        let left = ndarray::stack(Axis(0), &left.iter().map(Array1::view).collect::<Vec<_>>()).ok()?;
        let own = ndarray::stack(Axis(0), &own.iter().map(Array1::view).collect::<Vec<_>>()).ok()?;
        Some(LastCodeAuction { groups, costs: own - left.dot(&book.t()) * 2.0 })
    }

    /// The prices for which the fewest items share all codes; `None` if none are needed or none help.
    fn run(&self, spread: f32, highest: f32) -> Option<Array1<f32>> {
        let mut prices = Array1::<f32>::zeros(self.costs.ncols());
        let (mut fewest, mut best) = (usize::MAX, None);
        for round in 0..ROUNDS {
            let mut bids: BTreeMap<(usize, usize), Vec<f32>> = BTreeMap::new();
            for (&group, costs) in self.groups.iter().zip(self.costs.rows()) {
                let (code, loss) = cheapest(costs, &prices);
                bids.entry((code, group)).or_default().push(loss);
            }
            let together = self.groups.len() - bids.len();
            if together < fewest {
                (fewest, best) = (together, (round > 0).then(|| prices.clone()));
            }
            if together == 0 {
                break;
            }
            let mut rises: BTreeMap<usize, f32> = BTreeMap::new();
            for ((code, _), mut losses) in bids {
                losses.sort_by(f32::total_cmp);
                if let [least, next, ..] = losses[..]
                    && next - least > EQUAL * spread
                {
                    let rise = (0.5 * (least + next)).min(least + STEP * spread);
                    if prices[code] + rise <= highest {
                        rises.entry(code).and_modify(|least| *least = least.min(rise)).or_insert(rise);
                    }
                }
            }
            if rises.is_empty() {
                break;
            }
            rises.into_iter().for_each(|(code, rise)| prices[code] += rise);
        }
        best
    }
}

/// The code with the lowest cost, and the loss by the second-best code.
fn cheapest(costs: ArrayView1<f32>, prices: &Array1<f32>) -> (usize, f32) {
    let (mut code, mut least, mut next) = (0, f32::INFINITY, f32::INFINITY);
    for (at, (cost, price)) in costs.iter().zip(prices).enumerate() {
        let cost = cost + price;
        if cost < least {
            (code, next, least) = (at, least, cost);
        } else if cost < next {
            next = cost;
        }
    }
    (code, next - least)
}

/// The residual of a latent after the codewords of a prefix.
pub(super) fn remainder(latent: ArrayView1<f32>, prefix: &[u16], quantizer: &Quantizer) -> Array1<f32> {
    let mut rest = latent.to_owned();
    for (book, &code) in quantizer.codebooks().iter().zip(prefix) {
        rest -= &book.row(usize::from(code));
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn sharing(codes: &Array2<u16>) -> usize {
        codes.nrows() - codes.rows().into_iter().map(|row| row.to_vec()).collect::<HashSet<_>>().len()
    }

    /// 8 first codes far apart on a line, 16 last codes on a grid around each, and items so close to the first codewords
    /// that many share both codes.
    fn made(values: &[f32]) -> (Array2<f32>, Quantizer) {
        let first = Array2::from_shape_fn((8, 2), |(i, j)| if j == 0 { i as f32 * 10.0 } else { 0.0 });
        let last = Array2::from_shape_fn((16, 2), |(i, j)| (if j == 0 { i / 4 } else { i % 4 }) as f32 * 0.4 - 0.6);
        let points = Array2::from_shape_fn((values.len() / 2, 2), |(i, j)| values[2 * i + j] * 0.3 + first[[i % 8, j]]);
        (points, Quantizer::new(vec![first, last], Offsets::zero([8, 16])))
    }

    proptest! {
        #[test]
        fn fewer_items_share_all_codes_and_no_prefix_changes(values in prop::collection::vec(-1.0f32..1.0, 80)) {
            let (points, quantizer) = made(&values);
            let before = quantizer.encode(points.view());
            let after = separate(&points, quantizer, 1.0).unwrap().encode(points.view());
            prop_assert!(sharing(&after) <= sharing(&before));
            prop_assert_eq!(before.column(0), after.column(0));
        }
    }

    #[test]
    fn most_different_items_are_separated_and_equal_ones_are_not() {
        let values: Vec<f32> = (1..81).map(|i| ((i * i) as f32).sin()).collect();
        let (mut points, quantizer) = made(&values);
        let before = sharing(&quantizer.encode(points.view()));
        let after = sharing(&separate(&points, quantizer.clone(), 10.0).unwrap().encode(points.view()));
        assert!(before > 12 && 4 * after <= before, "{after} after {before}");
        assert_eq!(separate(&points, quantizer.clone(), 0.0).unwrap(), quantizer, "a maximum price of zero");
        let twin = points.row(0).to_owned();
        points.row_mut(8).assign(&twin);
        let codes = separate(&points, quantizer, 10.0).unwrap().encode(points.view());
        assert_eq!(codes.row(0), codes.row(8), "no price separates equal items");
    }
}
