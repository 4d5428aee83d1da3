//! Drift of new items relative to the items of a table: residual errors, new prefixes, code usage and free capacity.

use std::collections::HashMap;

use ndarray::ArrayView2;
use serde::Serialize;

use crate::semantic_id::TokenTable;
use crate::tokenizer::CodeUsage;
use crate::training::ResidualErrors;

/// Effect size: minimum probability of a larger error that is reported as drift, however significant the difference is.
const EFFECT: f64 = 0.6;

/// Minimum z-score of a significant difference: a one-sided p-value of about 1 in 2,000.
const CERTAIN: f64 = 3.3;

/// Minimum share of new items with a larger error than 99 % of the held-out items that is reported as drift. It detects
/// a group of unusual items among ordinary ones.
const FAR: f64 = 0.05;

/// Minimum number of held-out items for [`FAR`]. With fewer, their 99th percentile depends on chance.
const FEWEST_HELD_OUT: usize = 100;

/// Maximum number of listed prefixes.
const LISTED: usize = 5;

/// Comparison of the residual errors of new items and of items that were held out of training, by the Mann-Whitney U
/// test (Mann and Whitney, 1947).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ResidualDrift {
    /// Number of held-out items.
    pub held_out: usize,
    /// Probability that a new item has a larger error than a held-out one: 0.5 without drift.
    pub probability: f64,
    /// z-score: the difference of `probability` from 0.5, in standard deviations of the case without drift.
    pub deviations: f64,
    /// One-sided p-value: the probability of at least this z-score without drift.
    pub p_value: f64,
    /// Mean squared error of the new items.
    pub mean: f64,
    /// Median squared error of the held-out items.
    pub median_held_out: f64,
    /// Share of the new items with a larger error than 99 % of the held-out items.
    pub far: f64,
}

impl ResidualDrift {
    /// Compares the errors of new items with a reference distribution.
    pub fn of(errors: &[f32], reference: &ResidualErrors) -> Self {
        let (n, m) = (errors.len().max(1) as f64, reference.items.max(1) as f64);
        let probability = errors.iter().map(|&error| reference.share_below(error)).sum::<f64>() / n;
        let deviations = (probability - 0.5) / ((n + m + 1.0) / (12.0 * n * m)).sqrt();
        let far = reference.percentile(99).map_or(0, |limit| errors.iter().filter(|&&error| error > limit).count());
        ResidualDrift {
            held_out: reference.items,
            probability,
            deviations,
            p_value: upper_tail(deviations),
            mean: errors.iter().map(|&error| f64::from(error)).sum::<f64>() / n,
            median_held_out: reference.percentile(50).map_or(f64::NAN, f64::from),
            far: far as f64 / n,
        }
    }

    /// Whether the errors of the new items are significantly and substantially larger, or at least 5 % of them exceed
    /// the 99th percentile of the held-out items.
    pub fn drifted(&self) -> bool {
        let partly = self.far >= FAR && self.held_out >= FEWEST_HELD_OUT && self.deviations > 0.0;
        self.probability >= EFFECT && self.deviations > CERTAIN || partly
    }
}

/// Upper tail probability of the standard normal distribution, by Abramowitz and Stegun 7.1.26 (within 1e-7).
fn upper_tail(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let series = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    let erfc = series.into_iter().fold(0.0, |sum, term| sum * t + term) * t * (-x * x).exp();
    if z >= 0.0 { 0.5 * erfc } else { 1.0 - 0.5 * erfc }
}

/// New items under prefixes of one depth that no item of the table has. A recommender has never seen these prefixes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PrefixNovelty {
    /// Number of codes in a prefix.
    pub depth: usize,
    /// Share of the new items that have a new prefix.
    pub share: f64,
    /// Share of the table's items that are alone under their prefix. By the Good-Turing estimate, about the same share
    /// of further items of the same kind has a new prefix.
    pub expected: f64,
}

impl PrefixNovelty {
    /// One entry per depth except the last, for the codes `(n, levels)` of the table and of the new items.
    pub fn of(before: ArrayView2<u16>, new: ArrayView2<u16>) -> Vec<Self> {
        let novelty = |depth: usize| {
            let counts = prefix_counts(before, depth);
            let unseen = new.rows().into_iter().filter(|row| !counts.contains_key(&key(row.iter(), depth))).count();
            let alone = counts.values().filter(|&&count| count == 1).count();
            let share = |part: usize, all: usize| part as f64 / all.max(1) as f64;
            PrefixNovelty { depth, share: share(unseen, new.nrows()), expected: share(alone, before.nrows()) }
        };
        (1..before.ncols()).map(novelty).collect()
    }
}

/// Code usage of one level, without and with the new items.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct UsageShift {
    /// The level, from 0.
    pub level: usize,
    /// Number of codes that items of the table have.
    pub used: usize,
    /// Number of codes that items have, including the new items.
    pub used_now: usize,
    /// Perplexity of the code usage of the table.
    pub perplexity: f64,
    /// Perplexity of the code usage including the new items.
    pub perplexity_now: f64,
    /// Total variation distance between the code distributions of the table and of the new items: 0 if they are equal,
    /// 1 if they have no code in common.
    pub distance: f64,
}

impl UsageShift {
    /// One entry per level, for the codes `(n, levels)` of the table and of the new items.
    pub fn of(before: ArrayView2<u16>, new: ArrayView2<u16>, sizes: &[usize]) -> Vec<Self> {
        let levels = CodeUsage::of_levels(before, sizes).into_iter().zip(CodeUsage::of_levels(new, sizes)).enumerate();
        levels
            .map(|(level, (before, new))| {
                let now = CodeUsage { counts: before.counts.iter().zip(&new.counts).map(|(a, b)| a + b).collect() };
                let total = |usage: &CodeUsage| usage.counts.iter().sum::<u64>().max(1) as f64;
                let (all, added) = (total(&before), total(&new));
                let pairs = before.counts.iter().zip(&new.counts);
                let distance = 0.5 * pairs.map(|(&a, &b)| (a as f64 / all - b as f64 / added).abs()).sum::<f64>();
                UsageShift {
                    level,
                    used: before.used(),
                    used_now: now.used(),
                    perplexity: before.perplexity(),
                    perplexity_now: now.perplexity(),
                    distance,
                }
            })
            .collect()
    }
}

/// A prefix of all codes but the last, its number of items, and its capacity.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CrowdedGrowth {
    /// The prefix as tokens.
    pub prefix: String,
    /// Number of items under the prefix, including the new items.
    pub items: usize,
    /// Number of new items under the prefix.
    pub new: usize,
    /// Number of last-level codes: the maximum number of items under the prefix.
    pub capacity: usize,
}

impl CrowdedGrowth {
    /// The most crowded prefixes, and how many more times the same numbers of new items fit under every prefix. The
    /// number is `None` for a model of one level, or without new items.
    pub fn of(table: &TokenTable, new: ArrayView2<u16>, sizes: &[usize]) -> (Vec<Self>, Option<u64>) {
        let quantized = table.quantized();
        let (depth, capacity) = (quantized.ncols() - 1, sizes.last().copied().unwrap_or(1));
        let added = prefix_counts(new, depth);
        let mut counts = prefix_counts(quantized, depth);
        added.iter().for_each(|(&key, &more)| *counts.entry(key).or_insert(0) += more);
        let left = |(key, &more): (&u128, &usize)| (capacity.saturating_sub(counts[key]) / more) as u64;
        let generations = if depth == 0 { None } else { added.iter().map(left).min() };
        let mut order: Vec<(u128, usize)> = counts.iter().map(|(&key, &count)| (key, count)).collect();
        order.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        let crowded = order.into_iter().take(LISTED).map(|(key, items)| {
            let codes: Vec<u16> = (0..depth).map(|level| (key >> (16 * (depth - 1 - level))) as u16).collect();
            let prefix = table.metadata.token_format.semantic_id(&codes);
            CrowdedGrowth { prefix, items, new: added.get(&key).copied().unwrap_or(0), capacity }
        });
        (crowded.collect(), generations)
    }
}

/// A prefix of at most eight codes as one number, 16 bits per code.
fn key<'a>(codes: impl Iterator<Item = &'a u16>, depth: usize) -> u128 {
    codes.take(depth).fold(0, |key, &code| key << 16 | u128::from(code))
}

fn prefix_counts(codes: ArrayView2<u16>, depth: usize) -> HashMap<u128, usize> {
    let mut counts = HashMap::new();
    codes.rows().into_iter().for_each(|row| *counts.entry(key(row.iter(), depth)).or_insert(0) += 1);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item_ids::ItemIds;
    use crate::semantic_id::{Collisions, TableMetadata, TokenFormat};
    use ndarray::array;
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256Plus;

    fn errors(seed: u64, n: usize, factor: f32) -> Vec<f32> {
        let mut rng = Xoshiro256Plus::seed_from_u64(seed);
        (0..n).map(|_| factor * (0..8).map(|_| rng.gen_range(0.0f32..1.0).powi(2)).sum::<f32>()).collect()
    }

    #[test]
    fn larger_errors_are_drift_and_equal_ones_are_not() {
        let reference = ResidualErrors::of(errors(1, 300, 1.0), true).unwrap();
        for seed in 2..30 {
            let same = ResidualDrift::of(&errors(seed, 200, 1.0), &reference);
            assert!(!same.drifted() && same.deviations.abs() < 3.5, "{same:?}");
            let larger = ResidualDrift::of(&errors(seed, 200, 1.4), &reference);
            assert!(larger.drifted() && larger.probability > EFFECT && larger.p_value < 1e-6, "{larger:?}");
            // A fifth of the items has larger errors.
            let some = [errors(seed, 160, 1.0), errors(seed, 40, 3.0)].concat();
            assert!(ResidualDrift::of(&some, &reference).drifted());
        }
        // Significant, but too small to be reported as drift.
        let many = ResidualErrors::of(errors(1, 40_000, 1.0), true).unwrap();
        let little = ResidualDrift::of(&errors(9, 40_000, 1.05), &many);
        assert!(little.deviations > 10.0 && !little.drifted(), "{little:?}");
        for (z, expected) in [(0.0, 0.5), (1.0, 0.158_655), (3.0, 0.001_350), (-2.0, 0.977_250)] {
            assert!((upper_tail(z) - expected).abs() < 1e-6, "{z}");
        }
    }

    #[test]
    fn new_prefixes_code_usage_and_capacity_are_counted() {
        let before = array![[0u16, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]];
        let new = array![[0u16, 0, 0], [0, 0, 2], [2, 0, 0], [1, 1, 0]];
        let novelty = PrefixNovelty::of(before.view(), new.view());
        assert_eq!(novelty[0], PrefixNovelty { depth: 1, share: 0.25, expected: 0.25 });
        assert_eq!(novelty[1], PrefixNovelty { depth: 2, share: 0.5, expected: 0.5 });
        let usage = UsageShift::of(before.view(), new.view(), &[4, 4, 8]);
        assert_eq!((usage[0].used, usage[0].used_now, usage[0].distance), (2, 3, 0.25));
        let table = TokenTable {
            members: None,
            item_ids: ItemIds::row_numbers(4),
            codes: before,
            residual_error: vec![0.0; 4],
            reassigned: vec![false; 4],
            metadata: TableMetadata {
                model_hash: String::new(),
                codebook_sizes: vec![4, 4, 8],
                token_format: TokenFormat::default(),
                policy: Collisions::Resolve,
                collisions: None,
            },
        };
        let (crowded, left) = CrowdedGrowth::of(&table, new.view(), &[4, 4, 8]);
        let fullest = CrowdedGrowth { prefix: "<a_0><b_0>".into(), items: 4, new: 2, capacity: 8 };
        assert_eq!((&crowded[0], left), (&fullest, Some(2)));
    }
}
