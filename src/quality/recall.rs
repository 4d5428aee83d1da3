//! Whether items that are alike share a prefix.

use rand::SeedableRng;
use rand::seq::index::sample;
use rand_xoshiro::Xoshiro256Plus;
use serde::Serialize;

use super::neighbours::NeighbourSearch;
use crate::features::FeatureSource;
use crate::semantic_id::{Lookup, TokenTable};

/// Neighbours per item.
const NEIGHBOURS: usize = 10;
/// Maximum number of items whose neighbours are searched. Larger catalogs are sampled at random.
const MAX_QUERIES: usize = 5_000;
/// Limit on the multiplications of the search: larger catalogs get fewer queries, down to [`MIN_QUERIES`].
const MAX_PRODUCTS: usize = 400_000_000_000;
const MIN_QUERIES: usize = 500;
/// Seed of the sample: figures of different tables over the same items are comparable.
const SEED: u64 = 42;

/// How well prefixes keep neighbours together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NeighbourFigures {
    /// Cosine neighbours per item.
    pub neighbours: usize,
    /// Number of items whose neighbours were searched among all items.
    pub queries: usize,
    /// Recall@k: fraction of an item's `k` neighbours among the `k` items that share the longest prefix with it. The
    /// mean over all choices where ties leave several.
    pub recall: f64,
    /// The expected recall of random IDs.
    pub recall_by_chance: f64,
    /// Fraction of an item's neighbours that share its first code, its first two codes, and so on.
    pub share_by_depth: Vec<f64>,
}

impl NeighbourFigures {
    /// The search for the neighbours of sampled items; none for fewer than two items.
    pub(super) fn search(features: &dyn FeatureSource) -> Option<NeighbourSearch> {
        let n = features.rows();
        let k = NEIGHBOURS.min(n.checked_sub(1).filter(|&others| others > 0)?);
        let dim = features.shapes().iter().map(|(_, dim)| dim).sum();
        let affordable = MAX_PRODUCTS / n.saturating_mul(dim).max(1);
        let count = affordable.clamp(MIN_QUERIES, MAX_QUERIES).min(n);
        let mut queries = sample(&mut Xoshiro256Plus::seed_from_u64(SEED), n, count).into_vec();
        queries.sort_unstable();
        Some(NeighbourSearch::new(queries, dim, k))
    }

    /// Compares prefixes with the neighbours that a finished search found among the table's items.
    pub(super) fn of_search(table: &TokenTable, lookup: &Lookup<&TokenTable>, search: NeighbourSearch) -> Self {
        let n = table.item_ids.len();
        let counts = search.finish().map(|(query, found)| shared(table, lookup, query, &found));
        Self::of_counts(counts, NEIGHBOURS.min(n.saturating_sub(1)), n)
    }

    fn of_counts(counts: impl Iterator<Item = Shared>, k: usize, n: usize) -> Self {
        let (mut queries, mut recall, mut by_depth) = (0, 0.0, Vec::new());
        for shared in counts {
            queries += 1;
            recall += shared.expected_hits(k) / k as f64;
            by_depth.resize(shared.neighbours.len() - 1, 0.0);
            let mut deeper = 0;
            for (depth, sum) in by_depth.iter_mut().enumerate().rev() {
                deeper += shared.neighbours[depth + 1];
                *sum += deeper as f64 / k as f64;
            }
        }
        let mean = |sum: f64| sum / f64::from(queries.max(1));
        NeighbourFigures {
            neighbours: k,
            queries: queries as usize,
            recall: mean(recall),
            recall_by_chance: k as f64 / (n - 1) as f64,
            share_by_depth: by_depth.into_iter().map(mean).collect(),
        }
    }
}

/// Number of items and of neighbours by the length of the prefix that they share with an item.
#[derive(Debug, PartialEq)]
struct Shared {
    items: Vec<usize>,
    neighbours: Vec<usize>,
}

fn shared(table: &TokenTable, lookup: &Lookup<&TokenTable>, query: usize, found: &[usize]) -> Shared {
    let codes = table.codes.row(query).to_vec();
    let at_least: Vec<usize> = (0..=codes.len()).map(|depth| lookup.rows(&codes[..depth]).len() - 1).collect();
    let items = (0..=codes.len()).map(|depth| at_least[depth] - at_least.get(depth + 1).unwrap_or(&0)).collect();
    let mut neighbours = vec![0; codes.len() + 1];
    for &row in found {
        neighbours[table.codes.row(row).iter().zip(&codes).take_while(|(a, b)| a == b).count()] += 1;
    }
    Shared { items, neighbours }
}

impl Shared {
    /// Expected number of neighbours among the `k` items with the longest common prefix. If only some of the items with
    /// equally long prefixes fit, each of them is among the `k` with equal probability.
    fn expected_hits(&self, k: usize) -> f64 {
        let (mut left, mut hits) = (k, 0.0);
        for (&items, &neighbours) in self.items.iter().zip(&self.neighbours).rev() {
            if items == 0 {
                continue;
            }
            let taken = items.min(left);
            hits += neighbours as f64 * taken as f64 / items as f64;
            left -= taken;
        }
        hits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::tests::table;
    use ndarray::array;

    #[test]
    fn counts_of_shared_prefixes() {
        let table = table(array![[0, 0], [0, 1], [0, 2], [1, 0], [1, 1]], &[2, 3]);
        let lookup = Lookup::new(&table);
        // Of the item (0, 0): two others share one code, two share none.
        let shared = shared(&table, &lookup, 0, &[1, 3]);
        assert_eq!(shared, Shared { items: vec![2, 2, 0], neighbours: vec![1, 1, 0] });
    }

    #[test]
    fn recall_by_hand() {
        // Two places, two items with one common code, one of them a neighbour: 1 hit of 2.
        let one = Shared { items: vec![2, 2, 0], neighbours: vec![1, 1, 0] };
        assert_eq!(one.expected_hits(2), 1.0);
        // Three places: both of these, and one of the two others, of which one is a neighbour.
        assert_eq!(one.expected_hits(3), 1.5);
        let all = Shared { items: vec![7, 0, 2], neighbours: vec![0, 0, 2] };
        let figures = NeighbourFigures::of_counts([one, all].into_iter(), 2, 10);
        assert_eq!((figures.queries, figures.recall), (2, 0.75));
        assert_eq!(figures.recall_by_chance, 2.0 / 9.0);
        // First code: 1 of 2 and 2 of 2; both codes: none and 2 of 2.
        assert_eq!(figures.share_by_depth, [0.75, 0.5]);
    }
}
