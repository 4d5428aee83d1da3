//! Exact ranking: the probability of every ID after a history, and the rank of the item that came next.

use rayon::prelude::*;

use super::mixture::{LAST_ITEMS, NextItem, leaves, trained};
use super::transitions::FollowerList;
use super::tree::CodeTree;
use crate::behaviour::UserHistory;

/// Length of the recommended list.
pub(super) const LIST: usize = 10;

/// Recall and NDCG of one list, or their means.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct ListScore {
    pub(super) recall: f64,
    pub(super) ndcg: f64,
}

/// Ranks all IDs for a history.
pub(super) struct Ranker<'a> {
    fitted: &'a NextItem<'a>,
    /// Per level: the probability of each code given its prefix, by popularity.
    popular: Vec<Vec<f64>>,
}

/// The memory of one ranking, which the next one reuses.
struct RankerMemory {
    codes: Vec<Vec<f64>>,
    prefixes: Vec<Vec<f64>>,
    total: Vec<f64>,
}

impl<'a> Ranker<'a> {
    pub(super) fn new(fitted: &'a NextItem<'a>) -> Self {
        let (tree, model) = (fitted.tree, &fitted.model);
        let popular = model.levels.iter().enumerate().map(|(level, smoothing)| {
            let mut codes = vec![0.0; tree.width(level + 1)];
            for parent in 0..tree.width(level) as u32 {
                let (under, k) = (tree.leaves_of(level, parent), smoothing.popularity);
                let (events, items) = (model.counts.events(under.clone()) as f64, tree.items(under) as f64);
                for child in tree.children_of(level, parent) {
                    let under = tree.leaves_of(level + 1, child as u32);
                    let share = tree.items(under.clone()) as f64 / items;
                    codes[child] = (model.counts.events(under) as f64 + k * share) / (events + k);
                }
            }
            codes
        });
        Ranker { popular: popular.collect(), fitted }
    }

    /// The scores of the users' test events.
    pub(super) fn scores(&self, users: &[UserHistory<'_>]) -> Vec<ListScore> {
        let tree = self.fitted.tree;
        users
            .par_iter()
            .map_init(
                || self.memory(),
                |memory, user| {
                    let (earlier, target) = user.rows.split_at(trained(user));
                    self.rank(&leaves(tree, &earlier[earlier.len().saturating_sub(LAST_ITEMS)..]), memory);
                    list_score(tree, &memory.total, tree.leaf(target[0]))
                },
            )
            .collect()
    }

    /// The scores of the users' test events if every history gets the most popular items.
    pub(super) fn popularity_scores(&self, users: &[UserHistory<'_>]) -> Vec<ListScore> {
        let tree = self.fitted.tree;
        let mut memory = self.memory();
        memory.codes.clone_from(&self.popular);
        add(tree, &mut memory, 1.0);
        let mut by_leaf: Vec<Option<ListScore>> = vec![None; tree.len()];
        let score = |user: &UserHistory<'_>| {
            let leaf = tree.leaf(user.rows[trained(user)]);
            *by_leaf[leaf as usize].get_or_insert_with(|| list_score(tree, &memory.total, leaf))
        };
        users.iter().map(score).collect()
    }

    fn memory(&self) -> RankerMemory {
        let tree = self.fitted.tree;
        RankerMemory {
            codes: self.popular.clone(),
            prefixes: (0..=tree.levels()).map(|depth| vec![1.0; tree.width(depth)]).collect(),
            total: vec![0.0; tree.len()],
        }
    }

    /// Writes the probability of every leaf after some leaves, up to [`LAST_ITEMS`].
    fn rank(&self, earlier: &[u32], memory: &mut RankerMemory) {
        memory.total.fill(0.0);
        let weights = self.fitted.weights(earlier.len());
        memory.codes.clone_from(&self.popular);
        add(self.fitted.tree, memory, weights[0]);
        for (&context, &weight) in earlier.iter().rev().zip(&weights[1..]) {
            if weight > 0.0 {
                self.codes_after(context, &mut memory.codes);
                add(self.fitted.tree, memory, weight);
            }
        }
    }

    /// Writes the probability of every code given its prefix, after one leaf.
    fn codes_after(&self, earlier: u32, codes: &mut Vec<Vec<f64>>) {
        let (tree, model) = (self.fitted.tree, &self.fitted.model);
        codes.clone_from(&self.popular);
        for (level, (codes, smoothing)) in codes.iter_mut().zip(&model.levels).enumerate() {
            let children = tree.children_of(level, tree.node(level, earlier));
            codes[children].iter_mut().for_each(|p| *p *= 1.0 - smoothing.repeat);
            codes[tree.node(level + 1, earlier) as usize] += smoothing.repeat;
            for (depth, &a) in (1..).zip(&smoothing.contexts) {
                let followers = model.counts.followers(depth, tree.node(depth, earlier));
                back_off(tree, level, followers, a, codes);
            }
        }
    }
}

/// Interpolates the codes of a level with the followers of a prefix.
fn back_off(tree: &CodeTree, level: usize, followers: FollowerList<'_>, a: f64, codes: &mut [f64]) {
    let leaves = followers.leaves;
    let end_of = |from: usize, limit: u32| from + leaves[from..].iter().take_while(|&&leaf| leaf < limit).count();
    let mut at = 0;
    while at < leaves.len() {
        let parent = tree.node(level, leaves[at]);
        let end = end_of(at, tree.leaves_of(level, parent).end);
        let whole = followers.weight(at, end) as f64 + a;
        codes[tree.children_of(level, parent)].iter_mut().for_each(|p| *p *= a / whole);
        while at < end {
            let child = tree.node(level + 1, leaves[at]);
            let next = end_of(at, tree.leaves_of(level + 1, child).end);
            codes[child as usize] += followers.weight(at, next) as f64 / whole;
            at = next;
        }
    }
}

/// Adds the weighted probability of every leaf, the product of its codes' probabilities.
fn add(tree: &CodeTree, memory: &mut RankerMemory, weight: f64) {
    for level in 0..tree.levels() {
        let (before, after) = memory.prefixes.split_at_mut(level + 1);
        let (parents, children) = (&before[level], &mut after[0]);
        for (parent, &p) in parents.iter().enumerate() {
            for child in tree.children_of(level, parent as u32) {
                children[child] = p * memory.codes[level][child];
            }
        }
    }
    let leaves = &memory.prefixes[tree.levels()];
    memory.total.iter_mut().zip(leaves).for_each(|(total, p)| *total += weight * p);
}

/// The expected score of the items of a leaf, if IDs are recommended by their probability, and items with the same ID or
/// with equally probable IDs are in random order.
fn list_score(tree: &CodeTree, probabilities: &[f64], leaf: u32) -> ListScore {
    let own = probabilities[leaf as usize];
    let (mut before, mut tied) = (0u64, 0u64);
    for (p, &size) in probabilities.iter().zip(tree.sizes()) {
        if *p > own {
            before += u64::from(size);
        } else if *p == own {
            tied += u64::from(size);
        }
    }
    let places = before..(before + tied).min(LIST as u64);
    let recall = places.clone().count() as f64 / tied as f64;
    let ndcg = places.map(|place| 1.0 / (place as f64 + 2.0).log2()).sum::<f64>() / tied as f64;
    ListScore { recall, ndcg }
}

#[cfg(test)]
mod tests {
    use super::super::tests::histories;
    use super::*;
    use ndarray::array;

    #[test]
    fn ties_and_shared_ids_share_the_credit() {
        // Items per leaf: 1, 2, 1.
        let tree = CodeTree::new(array![[0u16], [1], [1], [2]].view());
        let score = |p: [f64; 3], leaf| list_score(&tree, &p, leaf);
        assert_eq!(score([0.2, 0.5, 0.3], 1), ListScore { recall: 1.0, ndcg: (1.0 + 1.0 / 3f64.log2()) / 2.0 });
        assert_eq!(score([0.2, 0.5, 0.3], 0), ListScore { recall: 1.0, ndcg: 1.0 / 5f64.log2() });
        assert_eq!(score([0.4, 0.2, 0.4], 0).ndcg, (1.0 + 1.0 / 3f64.log2()) / 2.0);
        // The last place is shared by 3 leaves of 1 item.
        let many = CodeTree::new(ndarray::Array2::from_shape_fn((12, 1), |(row, _)| row as u16).view());
        let p = [&[1.0; 9][..], &[0.5; 3]].concat();
        assert_eq!(list_score(&many, &p, 11).recall, 1.0 / 3.0);
    }

    #[test]
    fn scores_of_all_leaves_equal_those_of_single_leaves() {
        let tree = CodeTree::new(array![[0u16, 0], [0, 1], [1, 0], [1, 1], [1, 1], [2, 0]].view());
        let read = histories(&[&[0, 1, 2, 3, 1, 0, 2], &[1, 2, 0], &[4, 5, 1, 2]], 6);
        let fitted = NextItem::fit(&tree, &read.users().collect::<Vec<_>>());
        let ranker = Ranker::new(&fitted);
        let mut memory = ranker.memory();
        for earlier in [&[3][..], &[0, 1], &[4, 1, 1, 0, 2]] {
            ranker.rank(earlier, &mut memory);
            for leaf in 0..tree.len() as u32 {
                let p = fitted.probability(earlier, leaf);
                assert!((memory.total[leaf as usize] - p).abs() < 1e-12, "{earlier:?} {leaf}");
            }
        }
    }
}
