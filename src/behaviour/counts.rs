//! Counts of item pairs, and their pointwise mutual information.

use rayon::prelude::*;

use super::BehaviourConfig;
use super::factors::SparseMatrix;

/// Minimum number of new pairs before they are merged.
const MIN_FRESH: usize = 1 << 22;

/// Weighted counts of pairs. They are integers, so the order of insertion does not matter.
#[derive(Debug, Default)]
pub(super) struct PairCounts {
    /// Sorted pairs, with the smaller item in the upper 32 bits, and their counts.
    merged_pairs: Vec<(u64, u64)>,
    /// Pairs added since the last merge.
    fresh: Vec<(u64, u64)>,
}

impl PairCounts {
    /// Adds a pair of different items. Returns `false` for a pair of an item with itself, which is not counted.
    pub(super) fn add(&mut self, one: u32, other: u32, weight: u64) -> bool {
        if one == other {
            return false;
        }
        self.fresh.push((u64::from(one.min(other)) << 32 | u64::from(one.max(other)), weight));
        // The threshold doubles with the size, so every pair is merged a few times at most.
        if self.fresh.len() >= MIN_FRESH.max(self.merged_pairs.len()) {
            self.merge();
        }
        true
    }

    /// Merges the new pairs into the sorted ones.
    pub(super) fn merge(&mut self) {
        self.fresh.par_sort_unstable_by_key(|(pair, _)| *pair);
        let fresh = std::mem::take(&mut self.fresh);
        let old_pairs = std::mem::take(&mut self.merged_pairs);
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(old_pairs.len() + fresh.len() / 2);
        let mut push = |(pair, count): (u64, u64)| match merged.last_mut() {
            Some(last) if last.0 == pair => last.1 += count,
            _ => merged.push((pair, count)),
        };
        let (mut old, mut new) = (old_pairs.into_iter().peekable(), fresh.into_iter().peekable());
        while let (Some(one), Some(other)) = (old.peek(), new.peek()) {
            let next = if one.0 <= other.0 { old.next() } else { new.next() };
            next.into_iter().for_each(&mut push);
        }
        old.chain(new).for_each(push);
        self.merged_pairs = merged;
    }

    /// Number of pairs in memory.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.merged_pairs.len() + self.fresh.len()
    }

    fn pairs(&self) -> impl Iterator<Item = (u32, u32, u64)> + '_ {
        self.merged_pairs.iter().map(|&(pair, count)| ((pair >> 32) as u32, pair as u32, count))
    }

    /// The items that are in a pair, ascending.
    pub(super) fn items(&self) -> Vec<u32> {
        let mut items: Vec<u32> = self.pairs().flat_map(|(one, other, _)| [one, other]).collect();
        items.par_sort_unstable();
        items.dedup();
        items
    }

    /// The shifted positive pointwise mutual information of these items; see `vectors.rs`.
    pub(super) fn information(self, items: &[u32], config: &BehaviourConfig) -> SparseMatrix {
        // Renumbering keeps the order of the pairs.
        let place = |item: u32| items.partition_point(|&other| other < item);
        let mut of_item = vec![0u64; items.len()];
        let pairs: Vec<(usize, usize, u64)> =
            self.pairs().map(|(one, other, count)| (place(one), place(other), count)).collect();
        drop(self);
        for &(one, other, count) in &pairs {
            of_item[one] += count;
            of_item[other] += count;
        }
        let all: f64 = of_item.iter().map(|&count| count as f64).sum();
        let damped: f64 = of_item.iter().map(|&count| (count as f64).powf(config.popularity_damping)).sum();
        let chance: Vec<f64> = of_item
            .iter()
            .map(|&count| {
                let count = (count as f64).ln();
                ((count - all.ln()) + (config.popularity_damping * count - damped.ln())) / 2.0
            })
            .collect();
        let information = |&(one, other, count): &(usize, usize, u64)| {
            let value = (count as f64 / all).ln() - chance[one] - chance[other] - config.shift.ln();
            (value > 0.0).then_some((one as u32, other as u32, value as f32))
        };
        SparseMatrix::symmetric(items.len(), &pairs.iter().filter_map(information).collect::<Vec<_>>())
    }
}
