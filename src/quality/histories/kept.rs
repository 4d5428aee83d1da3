//! How many of the items that co-occur most with an item have its prefix.

use serde::Serialize;

use super::tree::CodeTree;
use crate::behaviour::{Partners, UserHistory};

/// Co-occurring items per item.
const PARTNERS: usize = 10;

/// The share of co-occurring items that have the same prefix of one depth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CoOccurrenceKept {
    /// Number of codes in the prefix.
    pub depth: usize,
    /// Of the up to 10 items that co-occur most with an item before the users' last events, the share with its prefix:
    /// the mean over these pairs.
    pub share: f64,
    /// The expected share if the co-occurring items were drawn at random, by how often they are one.
    pub by_chance: f64,
    /// `share / by_chance`; none if random pairs never share the prefix.
    pub lift: Option<f64>,
}

impl CoOccurrenceKept {
    /// One entry per depth.
    pub(super) fn measure(tree: &CodeTree, items: usize, users: &[UserHistory<'_>]) -> Vec<Self> {
        let partners = Partners::before_test(users, PARTNERS).of_items;
        let (mut drawn, mut all) = (vec![0u64; items], 0u64);
        for &partner in partners.iter().flat_map(|(_, partners)| partners) {
            drawn[partner as usize] += 1;
            all += 1;
        }
        (1..=tree.levels())
            .map(|depth| {
                let node = |row: u32| tree.node(depth, tree.leaf(row));
                let drawn_by_node = tree.sums(depth, &drawn);
                let (mut kept, mut expected) = (0, 0.0);
                for (item, partners) in &partners {
                    let own = node(*item);
                    kept += partners.iter().filter(|&&partner| node(partner) == own).count();
                    // The item itself cannot be drawn.
                    let itself = drawn[*item as usize];
                    let (possible, others) = (drawn_by_node[own as usize] - itself, all - itself);
                    if others > 0 {
                        expected += partners.len() as f64 * possible as f64 / others as f64;
                    }
                }
                let pairs = all.max(1) as f64;
                let (share, by_chance) = (kept as f64 / pairs, expected / pairs);
                CoOccurrenceKept { depth, share, by_chance, lift: (by_chance > 0.0).then(|| share / by_chance) }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::histories;
    use super::*;
    use ndarray::array;

    #[test]
    fn co_occurrence_by_hand() {
        // Before the last events: 0-1, 2-3. Each item has one partner, and is the partner of one.
        let read = histories(&[&[0, 1, 2], &[2, 3, 0]], 4);
        let users: Vec<_> = read.users().collect();
        let kept = |codes: ndarray::Array2<u16>| CoOccurrenceKept::measure(&CodeTree::new(codes.view()), 4, &users);
        // One of the three others has the same first code.
        let found = kept(array![[0, 0], [0, 1], [1, 0], [1, 1]]);
        assert_eq!((found[0].share, found[1].share, found[1].lift), (1.0, 0.0, None));
        assert!((found[0].by_chance - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(kept(array![[0, 0], [1, 1], [0, 1], [1, 0]])[0].share, 0.0);
    }
}
