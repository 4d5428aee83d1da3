//! All drift figures of new items, and the advice that follows from them.

use ndarray::ArrayView2;
use serde::Serialize;

use super::drift::{CrowdedGrowth, PrefixNovelty, ResidualDrift, UsageShift};
use crate::semantic_id::TokenTable;
use crate::tokenizer::Tokenizer;

/// The advice is to retrain if fewer additions of the same size fit.
const SOON: u64 = 3;

/// The advice is to reassign IDs if a larger share of the changed items now belongs under another prefix of two codes.
const MISPLACED: f64 = 0.2;

/// Minimum number of changed items for the advice to reassign IDs.
const FEWEST_CHANGED: usize = 10;

/// What to do with the new items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Advice {
    /// Append them.
    Append,
    /// Append them with `changed: reassign`, so that changed items get new IDs.
    Reassign,
    /// Train new codebooks.
    Retrain,
}

/// How new items differ from the items of an index.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drift {
    /// Number of items in the index.
    pub items: usize,
    /// Number of new items, that is, items that are not in the index.
    pub new: usize,
    /// The residual errors of the new items compared with those of held-out items. `None` if the model has none.
    pub residuals: Option<ResidualDrift>,
    /// For each depth but the last, the share of new items under prefixes that no item of the index has.
    pub novelty: Vec<PrefixNovelty>,
    /// For each level, the use of its codes without and with the new items.
    pub usage: Vec<UsageShift>,
    /// The most crowded prefixes, counting the new items.
    pub crowded: Vec<CrowdedGrowth>,
    /// How many more times the same numbers of new items fit under every prefix of all codes but the last. `None` for a
    /// model of one level, or without new items.
    pub generations_left: Option<u64>,
    /// Number of items whose content changed.
    pub changed: usize,
    /// Share of the changed items whose vector now belongs under another prefix of two codes. `None` without such
    /// items.
    pub misplaced: Option<f64>,
    /// The advice.
    pub advice: Advice,
    /// The reasons for the advice.
    pub reasons: Vec<String>,
}

/// The drift of the items that were added to an index since an older generation.
#[derive(Debug, Clone, PartialEq)]
pub struct DriftSince {
    /// The drift relative to the older generation.
    pub drift: Drift,
    /// Number of the older generation; `None` for the parent, if its number is not known.
    pub generation: Option<u64>,
    /// Whether the model was trained on the older generation.
    pub trained: bool,
}

impl Drift {
    /// Measures the drift of new items with these quantized codes `(n, levels)` and residual errors, relative to the
    /// items of `table`. `changed` is the number of changed items, and `misplaced` the share of them that now belongs
    /// under another prefix of two codes.
    pub fn measured(
        table: &TokenTable,
        model: &Tokenizer,
        (codes, errors): (ArrayView2<u16>, &[f32]),
        (changed, misplaced): (usize, Option<f64>),
    ) -> Self {
        let reference = model.config().training.as_ref().and_then(|record| record.residual_errors.as_ref());
        let residuals = reference.filter(|known| known.held_out).map(|known| ResidualDrift::of(errors, known));
        let before = table.quantized();
        let novelty = PrefixNovelty::of(before, codes);
        let usage = UsageShift::of(before, codes, &model.config().codebook_sizes);
        let (crowded, generations_left) = CrowdedGrowth::of(table, codes, &model.config().codebook_sizes);
        let mut reasons = Vec::new();
        let mut advice = Advice::Append;
        match &residuals {
            Some(found) if found.drifted() => {
                advice = Advice::Retrain;
                reasons.push(format!(
                    "a new item has a larger residual error than a held-out item with probability {:.3} (0.5 without \
                 drift); the share of new items with a larger error than 99 % of the held-out items is {:.3} (0.01 \
                 without drift)",
                    found.probability, found.far
                ));
            }
            Some(_) => {}
            None => reasons.push("the model has no residual errors of held-out items to compare with".into()),
        }
        if generations_left.is_some_and(|left| left < SOON) {
            advice = Advice::Retrain;
            reasons.push(format!(
                "under some prefix, only {} more such additions fit",
                generations_left.unwrap_or_default()
            ));
        }
        if let Some(share) = misplaced.filter(|&share| share > MISPLACED && changed >= FEWEST_CHANGED) {
            if advice == Advice::Append {
                advice = Advice::Reassign;
            }
            reasons.push(format!(
                "{:.0} % of the changed items belong under a prefix other than that of their IDs",
                100.0 * share
            ));
        }
        if reasons.is_empty() {
            reasons.push("the new items resemble the training items of the model".into());
        }
        let (items, new) = (table.item_ids.len(), errors.len());
        Drift { items, new, residuals, novelty, usage, crowded, generations_left, changed, misplaced, advice, reasons }
    }
}
