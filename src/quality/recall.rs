//! Whether items that are alike share a prefix.

use rand::SeedableRng;
use rand::seq::index::sample;
use rand_xoshiro::Xoshiro256Plus;
use serde::Serialize;

use super::neighbours::nearest;
use crate::features::Features;
use crate::progress::Progress;
use crate::semantic_id::{Lookup, TokenTable};

/// Neighbours of an item that are looked for.
const NEIGHBOURS: usize = 10;
/// Most items whose neighbours are looked for; of more, this many are drawn.
const MOST_QUERIES: usize = 5_000;
/// Multiplications that the search may cost; larger catalogs get fewer queries, but never fewer than the least.
const MOST_WORK: usize = 400_000_000_000;
const LEAST_QUERIES: usize = 500;
/// Seed of the draw: figures of one table are comparable with figures of another over the same items.
const SEED: u64 = 42;

/// How well prefixes keep neighbours together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NeighbourFigures {
    /// Cosine neighbours of each item that were looked for.
    pub neighbours: usize,
    /// Items whose neighbours were looked for, among all items.
    pub queries: usize,
    /// Share of an item's neighbours that are among as many items with the longest common prefix. Where ties leave it
    /// open which items those are, the mean over all choices.
    pub recall: f64,
    /// What [`NeighbourFigures::recall`] would be for random IDs.
    pub recall_by_chance: f64,
    /// Share of an item's neighbours that have its first code, its first two codes, and so on.
    pub share_by_depth: Vec<f64>,
}

impl NeighbourFigures {
    /// Compares prefixes with the features' neighbours; none for fewer than two items. The features' items must be
    /// the table's.
    pub(super) fn measure(
        table: &TokenTable,
        lookup: &Lookup<&TokenTable>,
        features: &Features,
        progress: &dyn Progress,
    ) -> Option<Self> {
        let n = features.len();
        let k = NEIGHBOURS.min(n.checked_sub(1).filter(|&others| others > 0)?);
        let affordable = MOST_WORK / n.saturating_mul(features.dims().iter().sum::<usize>()).max(1);
        let count = affordable.clamp(LEAST_QUERIES, MOST_QUERIES).min(n);
        let mut queries = sample(&mut Xoshiro256Plus::seed_from_u64(SEED), n, count).into_vec();
        queries.sort_unstable();
        let neighbours = nearest(features, &queries, k, progress);
        let counts = queries.iter().zip(&neighbours).map(|(&query, found)| shared(table, lookup, query, found));
        Some(Self::of_counts(counts, k, n))
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

/// How many items, and how many neighbours, have exactly so many first codes in common with an item.
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
    /// Neighbours among the `k` items of the longest common prefix. Of items equally far down only some may fit: then
    /// each neighbour among them is one of those with equal chance.
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
