//! Counts of which item follows which prefix in the histories.

use rayon::prelude::*;

use super::tree::CodeTree;
use crate::behaviour::UserHistory;

/// Maximum distance, in events, of two items that count as a transition. A distance of 1 counts `WINDOW` times, the
/// maximum distance once.
pub(super) const WINDOW: usize = 5;

/// The leaves that follow the prefixes of one depth, and how often.
#[derive(Debug, PartialEq)]
struct Followers {
    /// Start of each prefix's entries, and the end of the last.
    begins: Vec<usize>,
    /// The following leaf of each entry, ascending per prefix.
    leaves: Vec<u32>,
    /// Sum of the weights of all entries before each entry, and of all entries.
    sums: Vec<u64>,
}

/// Weighted counts of the items that follow each prefix, and of all items.
#[derive(Debug, PartialEq)]
pub(super) struct CodeTransitions {
    /// By depth of the preceding prefix, from 1.
    by_depth: Vec<Followers>,
    /// Number of events of all leaves before each leaf, and of all leaves.
    events: Vec<u64>,
}

/// The items that follow one prefix.
#[derive(Debug, Clone, Copy)]
pub(super) struct FollowerList<'a> {
    /// The leaves, ascending.
    pub(super) leaves: &'a [u32],
    /// Running sums of their weights: one more than leaves.
    sums: &'a [u64],
}

impl FollowerList<'_> {
    /// The weight of the entries in a range.
    pub(super) fn weight(&self, from: usize, to: usize) -> u64 {
        self.sums[to] - self.sums[from]
    }

    /// The weight of a range of leaves.
    fn of_leaves(&self, leaves: std::ops::Range<u32>) -> u64 {
        let place = |leaf: u32| self.leaves.partition_point(|&other| other < leaf);
        self.weight(place(leaves.start), place(leaves.end))
    }
}

impl CodeTransitions {
    /// Counts the first events of each user. `used` is how many of a user's events count.
    pub(super) fn count(tree: &CodeTree, users: &[UserHistory<'_>], used: impl Fn(&UserHistory<'_>) -> usize) -> Self {
        let (mut pairs, mut of_leaf) = (Vec::new(), vec![0u64; tree.len()]);
        for user in users {
            let leaves: Vec<u32> = user.rows[..used(user)].iter().map(|&row| tree.leaf(row)).collect();
            for (at, &leaf) in leaves.iter().enumerate() {
                of_leaf[leaf as usize] += 1;
                for (distance, &before) in (1..).zip(leaves[..at].iter().rev().take(WINDOW)) {
                    pairs.push((u64::from(before) << 32 | u64::from(leaf), (WINDOW + 1 - distance) as u64));
                }
            }
        }
        let mut by_depth = Vec::with_capacity(tree.levels());
        for depth in (1..=tree.levels()).rev() {
            // The pairs of a depth are those of the next depth with shorter prefixes.
            if depth < tree.levels() {
                let child = |pair: u64| tree.leaves_of(depth + 1, (pair >> 32) as u32).start;
                for (pair, _) in &mut pairs {
                    *pair = u64::from(tree.node(depth, child(*pair))) << 32 | (*pair & u64::from(u32::MAX));
                }
            }
            merge(&mut pairs);
            by_depth.push(Followers::of_pairs(&pairs, tree.width(depth)));
        }
        by_depth.reverse();
        CodeTransitions { by_depth, events: running(of_leaf.into_iter()) }
    }

    /// Number of events of a range of leaves.
    pub(super) fn events(&self, leaves: std::ops::Range<u32>) -> u64 {
        self.events[leaves.end as usize] - self.events[leaves.start as usize]
    }

    /// What follows a prefix of `depth` codes.
    pub(super) fn followers(&self, depth: usize, node: u32) -> FollowerList<'_> {
        let lists = &self.by_depth[depth - 1];
        let (begin, end) = (lists.begins[node as usize], lists.begins[node as usize + 1]);
        FollowerList { leaves: &lists.leaves[begin..end], sums: &lists.sums[begin..=end] }
    }

    /// How often a leaf in `child` follows a prefix, and how often one in `parent` does.
    pub(super) fn followed(
        &self,
        depth: usize,
        node: u32,
        child: std::ops::Range<u32>,
        parent: std::ops::Range<u32>,
    ) -> [u64; 2] {
        let list = self.followers(depth, node);
        [list.of_leaves(child), list.of_leaves(parent)]
    }
}

impl Followers {
    /// Lists of sorted and merged pairs.
    fn of_pairs(pairs: &[(u64, u64)], prefixes: usize) -> Self {
        let mut begins = vec![0; prefixes + 1];
        pairs.iter().for_each(|(pair, _)| begins[(pair >> 32) as usize + 1] += 1);
        (0..prefixes).for_each(|at| begins[at + 1] += begins[at]);
        let leaves = pairs.iter().map(|(pair, _)| *pair as u32).collect();
        Followers { begins, leaves, sums: running(pairs.iter().map(|(_, weight)| *weight)) }
    }
}

/// Sorts pairs and adds up the weights of equal ones.
fn merge(pairs: &mut Vec<(u64, u64)>) {
    pairs.par_sort_unstable();
    pairs.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    pairs.shrink_to_fit();
}

/// Running sums, from 0.
fn running(values: impl Iterator<Item = u64>) -> Vec<u64> {
    let sums = values.scan(0, |sum, value| {
        *sum += value;
        Some(*sum)
    });
    std::iter::once(0).chain(sums).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::histories;
    use super::*;
    use ndarray::array;

    #[test]
    fn transitions_by_hand() {
        // Leaves: rows 0 and 1 share the first code.
        let tree = CodeTree::new(array![[0u16, 0], [0, 1], [1, 0]].view());
        let read = histories(&[&[0, 1, 2, 2], &[1, 2, 0]], 3);
        let counts = CodeTransitions::count(&tree, &read.users().collect::<Vec<_>>(), |user| user.rows.len() - 1);
        // u0: 0 1 2; u1: 1 2.
        assert_eq!([0..1, 1..2, 2..3, 0..3].map(|leaves| counts.events(leaves)), [1, 2, 2, 5]);
        let followers = |depth, node| {
            let list = counts.followers(depth, node);
            list.leaves.iter().enumerate().map(|(at, &leaf)| (leaf, list.weight(at, at + 1))).collect::<Vec<_>>()
        };
        assert_eq!(followers(2, 0), [(1, 5), (2, 4)]);
        assert_eq!(followers(2, 1), [(2, 10)]);
        assert_eq!(followers(2, 2), []);
        assert_eq!(followers(1, 0), [(1, 5), (2, 14)]);
        assert_eq!(counts.followed(1, 0, 2..3, 0..3), [14, 19]);
    }
}
