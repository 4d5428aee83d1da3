//! Items whose vectors are far from the training data.
//!
//! An item is *far* if its residual error exceeds the 99th percentile of the items that were held out of training.
//! About one in a hundred items that resemble the training data is far. The expected number depends only on ranks, not
//! on the distribution of the errors: if new and held-out items are exchangeable, the share of new items above the
//! `j`-th largest of `m` held-out errors has the distribution Beta(j, m - j + 1), and their number is beta-binomial.

use super::TokenizedItems;
use crate::error::{Error, Result};
use crate::training::ResidualErrors;

/// The percentile of held-out errors above which an item is far.
pub const FAR_PERCENTILE: usize = 99;
/// Significance level: a number of far items that is less probable than this is not attributed to chance.
const CHANCE: f64 = 1e-3;
/// Minimum share of far items for a warning, as a multiple of the expected share.
const MULTIPLE: f64 = 2.0;
/// A single item causes a warning if its squared error exceeds this multiple of the percentile: twice the distance.
const EXTREME: f32 = 4.0;

/// The number of far items, and whether it is unusual.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct FarItems {
    /// Number of compared items.
    pub items: usize,
    /// Number of items whose residual error exceeds `limit`.
    pub far: usize,
    /// The 99th percentile of the residual errors of held-out items.
    pub limit: f32,
    /// The expected share of far items among items that resemble the training data.
    pub usual_share: f64,
    /// The probability of at least this many far items among items that resemble the training data.
    pub probability: f64,
    /// The id of the item with the largest residual error, as text.
    pub farthest: String,
    /// The largest residual error.
    pub largest_error: f32,
}

impl FarItems {
    /// Compares items with the items that were held out of training. `None` if there are no items, or if the model has
    /// no errors of held-out items: it is of an older version, or no items were held out.
    pub fn of(tokenized: &TokenizedItems, reference: Option<&ResidualErrors>) -> Option<Self> {
        let reference = reference.filter(|reference| reference.held_out)?;
        let (errors, limit) = (&tokenized.quantizer_errors, reference.percentile(FAR_PERCENTILE)?);
        let far = errors.iter().filter(|&&error| error > limit).count();
        // The first row of those with the largest error.
        let farthest = (0..errors.len()).rev().max_by(|&a, &b| errors[a].total_cmp(&errors[b]))?;
        let (above, measured) = (reference.items_from(FAR_PERCENTILE), reference.items);
        Some(FarItems {
            items: errors.len(),
            far,
            limit,
            usual_share: above as f64 / (measured + 1) as f64,
            probability: at_least(far, errors.len(), above, measured),
            farthest: tokenized.table.item_ids.text(farthest),
            largest_error: errors[farthest],
        })
    }

    /// The share of far items.
    pub fn share(&self) -> f64 {
        self.far as f64 / self.items as f64
    }

    /// A warning if significantly more items are far than expected, or if the farthest item is extreme.
    pub fn warning(&self) -> Option<String> {
        let many = self.probability < CHANCE && self.share() >= MULTIPLE * self.usual_share;
        let extreme = self.largest_error > EXTREME * self.limit;
        (many || extreme).then(|| {
            format!(
                "{}; the farthest is item {}, with {:.1} times the error of that percentile. The model may not \
                 represent such items well: check their vectors, or train a new model",
                self.counted(),
                self.farthest,
                self.largest_error / self.limit,
            )
        })
    }

    /// Checks that the share of far items is at most `most`.
    ///
    /// # Errors
    /// [`Error::Data`] if it is larger.
    pub fn check(&self, most: f64) -> Result<()> {
        if self.share() <= most {
            return Ok(());
        }
        Err(Error::data(
            "items",
            format!("at most {:.2} % far from those of training (max-far)", 100.0 * most),
            self.counted(),
            format!("check their vectors, starting with the farthest item {}, or train a new model", self.farthest),
        ))
    }

    fn counted(&self) -> String {
        format!(
            "{} of {} items ({:.1} %; expected: {:.1} %) have a larger residual error than {FAR_PERCENTILE} % of the items \
             held out of training",
            self.far,
            self.items,
            100.0 * self.share(),
            100.0 * self.usual_share,
        )
    }
}

/// The probability that at least `k` of `n` items exceed the `above`-th largest of `m` others, if all are exchangeable.
fn at_least(k: usize, n: usize, above: usize, m: usize) -> f64 {
    let (a, b, n) = (above as f64, (m + 1).saturating_sub(above) as f64, n as f64);
    // The logarithm of the probability that none does: B(a, n + b) / B(a, b).
    let mut log = (0..above).map(|i| ((b + i as f64) / (b + n + i as f64)).ln()).sum::<f64>();
    let mut fewer = 0.0;
    for i in 0..k {
        fewer += log.exp();
        let i = i as f64;
        log += ((n - i) * (a + i) / ((i + 1.0) * (b + n - 1.0 - i))).ln();
    }
    (1.0 - fewer).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item_ids::ItemIds;
    use crate::semantic_id::{Collisions, TableMetadata, TokenFormat, TokenTable};
    use ndarray::Array2;

    fn items(errors: Vec<f32>) -> TokenizedItems {
        let n = errors.len();
        let table = TokenTable {
            members: None,
            item_ids: ItemIds::row_numbers(n),
            codes: Array2::zeros((n, 1)),
            residual_error: errors.clone(),
            reassigned: vec![false; n],
            metadata: TableMetadata {
                model_hash: String::new(),
                codebook_sizes: vec![2],
                token_format: TokenFormat::default(),
                policy: Collisions::Keep,
                collisions: None,
            },
        };
        TokenizedItems { table, quantizer_errors: errors }
    }

    fn reference(held_out: bool) -> ResidualErrors {
        ResidualErrors::of((0..500).map(|i| 1.0 + i as f32 / 500.0).collect(), held_out).unwrap()
    }

    #[test]
    fn the_probability_follows_from_ranks() {
        // Of 3 new items and 2 others in random order, the largest is one of the new ones in 3 of 5 orders; all three are
        // above the largest other in 1 of 10.
        for (k, probability) in [(0, 1.0), (1, 0.6), (2, 0.3), (3, 0.1)] {
            assert!((at_least(k, 3, 1, 2) - probability).abs() < 1e-12, "{k}");
        }
        let usual = at_least(100_000, 10_000_000, 131, 13_000);
        assert!((0.3..0.7).contains(&usual), "{usual}");
        assert!(at_least(200_000, 10_000_000, 131, 13_000) < 1e-9);
    }

    #[test]
    fn only_unusual_items_cause_a_warning() {
        let usual: Vec<f32> = (0..300).map(|i| 1.0 + (i * 7 % 300) as f32 / 300.0).collect();
        let found = FarItems::of(&items(usual.clone()), Some(&reference(true))).unwrap();
        assert_eq!((found.items, found.far, found.warning()), (300, 3, None));
        found.check(0.05).unwrap();
        let mut shifted = usual.clone();
        shifted[..30].iter_mut().for_each(|error| *error += 1.0);
        let found = FarItems::of(&items(shifted), Some(&reference(true))).unwrap();
        assert!(found.far >= 30);
        let warning = found.warning().unwrap();
        assert!(warning.contains(" of 300 items (1") && warning.contains("expected: 1.2 %"), "{warning}");
        assert!(found.check(0.05).unwrap_err().to_string().contains("at most 5.00 % far"));
        let mut one = usual;
        one[17] = 100.0;
        let warning = FarItems::of(&items(one), Some(&reference(true))).unwrap().warning().unwrap();
        assert!(warning.contains("item 17, with 50.3 times"), "{warning}");
    }

    #[test]
    fn far_items_need_errors_of_held_out_items() {
        assert_eq!(FarItems::of(&items(vec![9.0]), Some(&reference(false))), None);
        assert_eq!(FarItems::of(&items(vec![9.0]), None), None);
        let damaged = ResidualErrors { percentiles: vec![1.0], ..reference(true) };
        assert_eq!(FarItems::of(&items(vec![9.0]), Some(&damaged)), None);
    }
}
