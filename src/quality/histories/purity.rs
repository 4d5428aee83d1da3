//! How often consecutive items share a prefix.

use serde::Serialize;

use super::mixture::trained;
use super::tree::CodeTree;
use crate::behaviour::UserHistory;

/// How often two consecutive items of a history share the prefix of one depth. Pairs of an item with itself do not count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrefixPurity {
    /// Number of codes in the prefix.
    pub depth: usize,
    /// Share of the users whose last two items share the prefix.
    pub share: f64,
    /// The expected share if the last items were paired at random, with the same popularity.
    pub by_chance: f64,
    /// `share / by_chance`; none if random pairs never share the prefix.
    pub lift: Option<f64>,
    /// The share among the consecutive pairs before each user's last event.
    pub share_in_training: f64,
    /// Its expected value.
    pub by_chance_in_training: f64,
}

impl PrefixPurity {
    /// One entry per depth.
    pub(super) fn measure(tree: &CodeTree, items: usize, users: &[UserHistory<'_>]) -> Vec<Self> {
        let last = users.iter().filter_map(|user| {
            let at = trained(user);
            Some((*user.rows.get(at.checked_sub(1)?)?, *user.rows.get(at)?))
        });
        let earlier =
            users.iter().flat_map(|user| user.rows[..trained(user)].windows(2).map(|pair| (pair[0], pair[1])));
        let (last, earlier) = (Pairs::count(items, last), Pairs::count(items, earlier));
        (1..=tree.levels())
            .map(|depth| {
                let (share, by_chance) = last.shares(tree, depth);
                let (share_in_training, by_chance_in_training) = earlier.shares(tree, depth);
                let lift = (by_chance > 0.0).then(|| share / by_chance);
                PrefixPurity { depth, share, by_chance, lift, share_in_training, by_chance_in_training }
            })
            .collect()
    }
}

/// Pairs of different items.
struct Pairs {
    pairs: Vec<(u32, u32)>,
    /// How often each item is the first of a pair, and how often the second.
    first: Vec<u64>,
    second: Vec<u64>,
}

impl Pairs {
    fn count(items: usize, pairs: impl Iterator<Item = (u32, u32)>) -> Self {
        let (mut first, mut second) = (vec![0; items], vec![0; items]);
        let pairs: Vec<(u32, u32)> = pairs.filter(|(one, other)| one != other).collect();
        for &(one, other) in &pairs {
            first[one as usize] += 1;
            second[other as usize] += 1;
        }
        Pairs { pairs, first, second }
    }

    /// The share of pairs with a common prefix, and its expected value.
    fn shares(&self, tree: &CodeTree, depth: usize) -> (f64, f64) {
        let node = |row: u32| tree.node(depth, tree.leaf(row));
        let kept = self.pairs.iter().filter(|&&(one, other)| node(one) == node(other)).count();
        let product = |first: &[u64], second: &[u64]| -> f64 {
            first.iter().zip(second).map(|(&one, &other)| one as f64 * other as f64).sum()
        };
        let all = self.pairs.len() as f64;
        let same_item = product(&self.first, &self.second);
        let same_prefix = product(&tree.sums(depth, &self.first), &tree.sums(depth, &self.second));
        let possible = all * all - same_item;
        let share = if all > 0.0 { kept as f64 / all } else { 0.0 };
        (share, if possible > 0.0 { (same_prefix - same_item) / possible } else { 0.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::histories;
    use super::*;
    use ndarray::array;

    #[test]
    fn purity_by_hand() {
        let tree = CodeTree::new(array![[0u16, 0], [0, 1], [1, 0], [1, 1]].view());
        // Last pairs: 0-1, 0-2, 3-2, and 1-1, which does not count.
        let read = histories(&[&[3, 2, 0, 1], &[2, 0, 2], &[0, 3, 2], &[0, 1, 1]], 4);
        let users: Vec<_> = read.users().collect();
        let found = PrefixPurity::measure(&tree, 4, &users);
        assert_eq!(found[0].share, 2.0 / 3.0);
        // First items: 0 twice, 3 once; second items: 1 once, 2 twice. Of 9 combinations none has an item twice.
        // Common first code: (0, 1) 2 x 1, (3, 2) 1 x 2.
        assert_eq!((found[0].by_chance, found[0].lift), (4.0 / 9.0, Some(1.5)));
        assert_eq!((found[1].share, found[1].by_chance, found[1].lift), (0.0, 0.0, None));
        // Before: 3-2, 2-0, 2-0, 0-3, 0-1: two of five.
        assert_eq!(found[0].share_in_training, 0.4);
    }
}
