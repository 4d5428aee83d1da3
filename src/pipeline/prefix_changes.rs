//! Shares of items and events whose prefix changed.

use serde::Serialize;

use crate::catalog::Interactions;
use crate::semantic_id::TokenTable;

/// The shares of changed prefixes of one depth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PrefixChange {
    /// Number of codes.
    pub depth: usize,
    /// Share of the items in both tables whose prefix changed.
    pub items: f64,
    /// Share of the events of the items in both tables whose item's prefix changed. `None` without interactions.
    pub events: Option<f64>,
}

/// The changes from one table to another, one entry per depth.
pub(super) fn prefix_changes(
    before: &TokenTable,
    after: &TokenTable,
    interactions: Option<&Interactions>,
) -> Vec<PrefixChange> {
    let rows = after.item_ids.rows_by_text();
    let both: Vec<(usize, usize)> =
        (0..before.item_ids.len()).filter_map(|row| Some((row, *rows.get(&before.item_ids.text(row))?))).collect();
    let events = interactions.map(|interactions| {
        let rows = before.item_ids.rows_by_text();
        let row_of: Vec<Option<usize>> = interactions.items.iter().map(|item| rows.get(item).copied()).collect();
        let mut events = vec![0u64; before.item_ids.len()];
        for event in interactions.histories.iter().flatten() {
            if let Some(row) = row_of[event.item as usize] {
                events[row] += 1;
            }
        }
        events
    });
    let depths = 1..=before.codes.ncols().min(after.codes.ncols());
    let change = |depth: usize| {
        let moved = |&&(old, new): &&(usize, usize)| {
            let old = before.codes.row(old);
            old.iter().take(depth).ne(after.codes.row(new).iter().take(depth))
        };
        let share = |moved: f64, all: f64| if all > 0.0 { moved / all } else { 0.0 };
        let events = events.as_ref().map(|events| {
            let sum = |rows: &mut dyn Iterator<Item = &(usize, usize)>| rows.map(|&(old, _)| events[old]).sum::<u64>();
            share(sum(&mut both.iter().filter(moved)) as f64, sum(&mut both.iter()) as f64)
        });
        PrefixChange { depth, items: share(both.iter().filter(moved).count() as f64, both.len() as f64), events }
    };
    depths.map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Event;
    use crate::item_ids::ItemIds;
    use crate::semantic_id::{Collisions, TableMetadata, TokenFormat};
    use ndarray::{Array2, array};

    fn table(ids: Vec<i64>, codes: Array2<u16>) -> TokenTable {
        TokenTable {
            members: None,
            residual_error: vec![0.0; ids.len()],
            reassigned: vec![false; ids.len()],
            item_ids: ItemIds::Integers(ids),
            codes,
            metadata: TableMetadata {
                model_hash: String::new(),
                codebook_sizes: vec![4, 4],
                token_format: TokenFormat::default(),
                policy: Collisions::Resolve,
                collisions: None,
            },
        }
    }

    #[test]
    fn changed_prefixes_are_counted_by_items_and_events() {
        let before = table(vec![1, 2, 3, 9], array![[0, 0], [1, 0], [2, 0], [3, 3]]);
        let after = table(vec![3, 2, 1, 4, 5], array![[2, 1], [3, 0], [0, 0], [1, 1], [1, 2]]);
        let event = |item| Event { item, time: 0.0, rating: 0.0 };
        let interactions = Interactions {
            items: ["2", "1", "7", "4"].map(String::from).to_vec(),
            histories: vec![vec![event(0), event(1), event(2)], vec![event(0), event(0), event(3)]],
            ..Interactions::default()
        };
        let changes = prefix_changes(&before, &after, Some(&interactions));
        let third = 1.0 / 3.0;
        assert_eq!(changes.iter().map(|change| change.items).collect::<Vec<_>>(), [third, 2.0 * third]);
        assert_eq!(changes.iter().map(|change| change.events).collect::<Vec<_>>(), [Some(0.75); 2]);
        assert_eq!(prefix_changes(&before, &before, None)[1], PrefixChange { depth: 2, items: 0.0, events: None });
    }
}
