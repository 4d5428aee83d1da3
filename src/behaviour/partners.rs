//! The items that co-occur most with each item.

use super::config::BehaviourConfig;
use super::counts::PairCounts;
use super::histories::UserHistory;
use super::split::SplitPart;

/// The items that co-occur most with each item, by shifted positive pointwise mutual information.
#[derive(Debug, Clone, PartialEq)]
pub struct Partners {
    /// Row of an item, and the rows of its partners: the strongest first, of equally strong ones the lower row. Items
    /// without a partner are left out.
    pub of_items: Vec<(u32, Vec<u32>)>,
}

impl Partners {
    /// At most `most` partners per item, from the events before each user's test event. Pairs are counted as for behaviour
    /// vectors with default settings.
    pub fn before_test(users: &[UserHistory<'_>], most: usize) -> Self {
        let config = BehaviourConfig::default();
        let mut counts = PairCounts::default();
        for user in users {
            let rows = &user.rows[..user.part(SplitPart::Test).start];
            for at in 0..rows.len() {
                for before in at.saturating_sub(config.window)..at {
                    counts.add(rows[before], rows[at], (config.window + 1 - (at - before)) as u64);
                }
            }
        }
        counts.merge();
        let items = counts.items();
        let matrix = counts.information(&items, &config);
        let partners = items.iter().enumerate().filter_map(|(at, &item)| {
            let mut cells = matrix.row(at).to_vec();
            cells.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            cells.truncate(most);
            let rows: Vec<u32> = cells.into_iter().map(|(column, _)| items[column as usize]).collect();
            (!rows.is_empty()).then_some((item, rows))
        });
        Partners { of_items: partners.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Histories, HistorySplit};
    use super::*;
    use crate::catalog::{Event, Interactions};
    use crate::item_ids::ItemIds;

    fn partners(histories: &[&[u32]], most: usize) -> Partners {
        let event = |&item: &u32| Event { item, time: 0.0, rating: 0.0 };
        let read = Interactions {
            users: (0..histories.len()).map(|user| format!("u{user}")).collect(),
            items: (0..6).map(|item| item.to_string()).collect(),
            histories: histories.iter().map(|history| history.iter().map(event).collect()).collect(),
            ..Interactions::default()
        };
        let read = Histories::new(&read, &ItemIds::row_numbers(6), HistorySplit::LeaveOneOut, 3).unwrap();
        Partners::before_test(&read.users().collect::<Vec<_>>(), most)
    }

    #[test]
    fn partners_by_hand() {
        // Without the last events: 0-1 twice, 2-3, 4-1.
        let histories: [&[u32]; 4] = [&[0, 1, 5], &[1, 0, 5], &[2, 3, 0], &[4, 1, 2]];
        let found = partners(&histories, 1);
        assert_eq!(found.of_items, [(0, vec![1]), (1, vec![0]), (2, vec![3]), (3, vec![2]), (4, vec![1])]);
        let both = partners(&histories, 2);
        assert_eq!(both.of_items[1], (1, vec![0, 4]));
    }

    #[test]
    fn the_last_event_of_a_user_has_no_partners() {
        let one = partners(&[&[0, 1, 5], &[2, 3, 0]], 3);
        assert_eq!(one, partners(&[&[0, 1, 4], &[2, 3, 1]], 3));
    }
}
