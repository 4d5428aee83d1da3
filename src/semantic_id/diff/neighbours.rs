//! Counts the items that share a prefix in one table and also share one in another. The counts do not depend on the
//! names of codes.

use rayon::prelude::*;

/// The common items of one table, grouped by prefix. The depth of the prefixes starts at 0 and can be extended.
#[derive(Debug)]
pub(super) struct PrefixGroups {
    /// The group of each item. Items with the same prefix have the same group.
    of_item: Vec<u32>,
    /// Number of groups.
    groups: usize,
}

impl PrefixGroups {
    /// All `items` under the empty prefix.
    pub(super) fn new(items: usize) -> Self {
        PrefixGroups { of_item: vec![0; items], groups: 1 }
    }

    /// Extends the prefixes by one level. `code` returns an item's code at that level.
    pub(super) fn extend(&mut self, code: impl Fn(usize) -> u16 + Sync) {
        let group = |item: usize| u64::from(self.of_item[item]) << 16 | u64::from(code(item));
        let mut sorted: Vec<(u64, u32)> =
            (0..self.of_item.len()).into_par_iter().map(|item| (group(item), item as u32)).collect();
        sorted.par_sort_unstable();
        self.groups = 0;
        for same in sorted.chunk_by(|a, b| a.0 == b.0) {
            same.iter().for_each(|&(_, item)| self.of_item[item as usize] = self.groups as u32);
            self.groups += 1;
        }
    }

    /// Number of distinct prefixes.
    pub(super) fn len(&self) -> usize {
        self.groups
    }

    /// Of the other items that share an item's prefix here, the share that also share it in `other`: the mean over the
    /// items that share their prefix. `None` if no two items share a prefix.
    pub(super) fn kept_in(&self, other: &PrefixGroups) -> Option<f64> {
        let mut sizes = vec![0u32; self.groups];
        self.of_item.iter().for_each(|&group| sizes[group as usize] += 1);
        let both = self.of_item.par_iter().zip(&other.of_item);
        let mut both: Vec<u64> = both.map(|(&here, &there)| u64::from(here) << 32 | u64::from(there)).collect();
        both.par_sort_unstable();
        let (mut items, mut kept) = (0u64, 0.0);
        for together in both.chunk_by(|a, b| a == b) {
            let others = sizes[(together[0] >> 32) as usize] - 1;
            if others > 0 {
                items += together.len() as u64;
                kept += together.len() as f64 * (together.len() - 1) as f64 / f64::from(others);
            }
        }
        (items > 0).then(|| kept / items as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_neighbours_equal_a_manual_count() {
        let groups = |codes: &[&[u16]]| {
            let mut groups = PrefixGroups::new(codes[0].len());
            codes.iter().for_each(|codes| groups.extend(|item| codes[item]));
            groups
        };
        let first = groups(&[&[5, 5, 5, 9]]);
        // Other names, same neighbours.
        assert_eq!((first.kept_in(&groups(&[&[1, 1, 1, 1]])), first.len()), (Some(1.0), 2));
        // Two of three items keep one of their two neighbours, the third none: (1/2 + 1/2 + 0) / 3.
        assert_eq!(first.kept_in(&groups(&[&[1, 1, 2, 2]])), Some(1.0 / 3.0));
        let deeper = groups(&[&[5, 5, 5, 9], &[0, 1, 2, 0]]);
        assert_eq!((deeper.kept_in(&first), deeper.len()), (None, 4));
    }
}
