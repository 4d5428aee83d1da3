//! Counting pairs of items, and what the counts tell.

use rayon::prelude::*;

use super::BehaviourConfig;
use super::factors::SparseMatrix;

/// Pairs that are held before they are added up.
const LEAST_FRESH: usize = 1 << 22;

/// Weighted counts of pairs. They are whole numbers, so the order in which they come does not matter.
#[derive(Debug, Default)]
pub(super) struct PairCounts {
    /// Pairs, the lesser item in the upper half, in ascending order, and their counts.
    settled: Vec<(u64, u64)>,
    /// Pairs that came since.
    fresh: Vec<(u64, u64)>,
}

impl PairCounts {
    /// Counts a pair of items, unless they are one and the same. Returns whether it did.
    pub(super) fn add(&mut self, one: u32, other: u32, weight: u64) -> bool {
        if one == other {
            return false;
        }
        self.fresh.push((u64::from(one.min(other)) << 32 | u64::from(one.max(other)), weight));
        // As many again as there are: every pair is merged a few times at most.
        if self.fresh.len() >= LEAST_FRESH.max(self.settled.len()) {
            self.settle();
        }
        true
    }

    /// Adds up all that came.
    pub(super) fn settle(&mut self) {
        self.fresh.par_sort_unstable_by_key(|(pair, _)| *pair);
        let fresh = std::mem::take(&mut self.fresh);
        let settled = std::mem::take(&mut self.settled);
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(settled.len() + fresh.len() / 2);
        let mut push = |(pair, count): (u64, u64)| match merged.last_mut() {
            Some(last) if last.0 == pair => last.1 += count,
            _ => merged.push((pair, count)),
        };
        let (mut old, mut new) = (settled.into_iter().peekable(), fresh.into_iter().peekable());
        while let (Some(one), Some(other)) = (old.peek(), new.peek()) {
            let next = if one.0 <= other.0 { old.next() } else { new.next() };
            next.into_iter().for_each(&mut push);
        }
        old.chain(new).for_each(push);
        self.settled = merged;
    }

    /// Pairs that are in memory.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.settled.len() + self.fresh.len()
    }

    fn pairs(&self) -> impl Iterator<Item = (u32, u32, u64)> + '_ {
        self.settled.iter().map(|&(pair, count)| ((pair >> 32) as u32, pair as u32, count))
    }

    /// Items that are in a pair, in ascending order.
    pub(super) fn items(&self) -> Vec<u32> {
        let mut items: Vec<u32> = self.pairs().flat_map(|(one, other, _)| [one, other]).collect();
        items.par_sort_unstable();
        items.dedup();
        items
    }

    /// The shifted positive pointwise mutual information of these items; see the head of the room.
    pub(super) fn information(self, items: &[u32], config: &BehaviourConfig) -> SparseMatrix {
        // Pairs are sorted, and so are places.
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
