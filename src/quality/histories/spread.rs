//! How events spread over prefixes, and events of items that share their ID.

use ndarray::ArrayView2;
use serde::Serialize;

use super::tree::CodeTree;
use crate::tokenizer::CodeUsage;

/// How the events spread over the prefixes of one depth, and over the codes of its last level.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PopularitySpread {
    /// Number of codes in the prefix.
    pub depth: usize,
    /// Share of the events in the prefix with most events.
    pub largest_share: f64,
    /// Gini coefficient of the events per prefix, over all prefixes that an item has.
    pub gini: f64,
    /// Perplexity of the codes of level `depth - 1`, each item weighted by its events.
    pub code_perplexity: f64,
}

impl PopularitySpread {
    /// One entry per depth. `events` are per item.
    pub(super) fn measure(tree: &CodeTree, codes: ArrayView2<u16>, events: &[u64]) -> Vec<Self> {
        let all = events.iter().sum::<u64>().max(1) as f64;
        (1..=tree.levels())
            .map(|depth| {
                let prefixes = CodeUsage { counts: tree.sums(depth, events) };
                let mut by_code = CodeUsage { counts: Vec::new() };
                for (&code, &events) in codes.column(depth - 1).iter().zip(events) {
                    let code = usize::from(code);
                    if by_code.counts.len() <= code {
                        by_code.counts.resize(code + 1, 0);
                    }
                    by_code.counts[code] += events;
                }
                PopularitySpread {
                    depth,
                    largest_share: prefixes.counts.iter().copied().max().unwrap_or(0) as f64 / all,
                    gini: prefixes.gini(),
                    code_perplexity: by_code.perplexity(),
                }
            })
            .collect()
    }
}

/// Events of items that share their ID with other items.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SharedIdEvents {
    /// Share of the events whose item shares its ID.
    pub share: f64,
    /// Expected share of correctly recommended IDs that are lost, because one of the items with the ID is drawn at random.
    pub credit_lost: f64,
}

impl SharedIdEvents {
    /// Of the events per item.
    pub(super) fn measure(tree: &CodeTree, events: &[u64]) -> Self {
        let all = events.iter().sum::<u64>().max(1) as f64;
        let (mut shared, mut lost) = (0, 0.0);
        for (row, &events) in events.iter().enumerate() {
            let size = tree.size(tree.leaf(row as u32));
            if size > 1 {
                shared += events;
                lost += events as f64 * (1.0 - 1.0 / f64::from(size));
            }
        }
        SharedIdEvents { share: shared as f64 / all, credit_lost: lost / all }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn spread_by_hand() {
        let codes = array![[0u16, 0], [0, 5], [1, 0], [2, 0]];
        let tree = CodeTree::new(codes.view());
        let found = PopularitySpread::measure(&tree, codes.view(), &[2, 4, 6, 0]);
        assert_eq!([found[0].largest_share, found[1].largest_share], [0.5, 0.5]);
        // Events per first code: 6, 6, 0. Two of three codes have all events.
        assert!((found[0].gini - 1.0 / 3.0).abs() < 1e-12 && (found[0].code_perplexity - 2.0).abs() < 1e-12);
        // Codes 0 and 5 of the second level: 8 and 4 of 12 events.
        let entropy = -(2.0 / 3.0 * (2.0f64 / 3.0).ln() + (1.0f64 / 3.0).ln() / 3.0);
        assert!((found[1].code_perplexity - entropy.exp()).abs() < 1e-12);
    }

    #[test]
    fn credit_lost_by_hand() {
        let tree = CodeTree::new(array![[0u16], [0], [1], [0]].view());
        let found = SharedIdEvents::measure(&tree, &[1, 2, 4, 1]);
        assert_eq!(found, SharedIdEvents { share: 0.5, credit_lost: 0.5 * (1.0 - 1.0 / 3.0) });
    }
}
