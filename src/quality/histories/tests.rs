//! What holds for all figures: names of codes do not matter, equal IDs do not differ, and last events are only tested on.

use ndarray::{Array2, array};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;

use super::{BetterIds, HistoryFigures, IdComparison};
use crate::behaviour::{Histories, HistorySplit};
use crate::catalog::{Event, Interactions};
use crate::item_ids::ItemIds;
use crate::progress::Silent;

/// Histories of the items `0..items`.
pub(crate) fn histories(rows: &[&[u32]], items: usize) -> Histories {
    let event = |&item: &u32| Event { item, time: 0.0, rating: 0.0 };
    let read = Interactions {
        users: (0..rows.len()).map(|user| format!("u{user}")).collect(),
        items: (0..items).map(|item| item.to_string()).collect(),
        histories: rows.iter().map(|history| history.iter().map(event).collect()).collect(),
        ..Interactions::default()
    };
    Histories::new(&read, &ItemIds::row_numbers(items), HistorySplit::LeaveOneOut, 3).unwrap()
}

/// The same IDs, given to other items, not as by the reference.
pub(crate) fn given_to_others(codes: &Array2<u16>) -> Array2<u16> {
    super::shuffled::given_to_others(codes.view(), 9)
}

fn figures(codes: &Array2<u16>, read: &Histories) -> HistoryFigures {
    HistoryFigures::measure(codes.view(), read, &Silent)
}

fn compared(a: &Array2<u16>, b: &Array2<u16>, read: &Histories) -> IdComparison {
    IdComparison::measure([a.view(), b.view()], read, 200, 42, &Silent)
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * (1.0 + a.abs())
}

#[test]
fn totals_are_sums_of_levels() {
    let codes = array![[0u16, 0], [0, 1], [1, 0], [1, 1], [1, 1]];
    let found = figures(&codes, &histories(&[&[0, 1, 2, 3], &[4, 3, 2, 0], &[1, 2, 4]], 5));
    let entropy = &found.entropy;
    assert!(close(entropy.shared_id, 2.0 * 2f64.ln() / 3.0), "{entropy:?}");
    let sum: f64 = entropy.levels.iter().map(|level| level.given_last_item).sum();
    assert!(close(entropy.given_last_item, sum + entropy.shared_id));
    assert_eq!((found.users, found.ranked_users, found.events), (3, 3, 11));
}

#[test]
fn the_last_events_are_not_fitted() {
    let codes = array![[0u16, 0], [0, 1], [1, 0], [1, 1], [2, 0]];
    let one = figures(&codes, &histories(&[&[0, 1, 2, 3, 0], &[1, 2, 4, 0], &[4, 4, 1, 2, 3]], 5));
    let other = figures(&codes, &histories(&[&[0, 1, 2, 3, 1], &[1, 2, 4, 1], &[4, 4, 1, 2, 1]], 5));
    assert_eq!(one.co_occurrence, other.co_occurrence);
    let training = |found: &HistoryFigures| found.purity.iter().map(|p| p.share_in_training).collect::<Vec<_>>();
    assert_eq!(training(&one), training(&other));
    // The same test event after the same history costs the same, whatever the last events of the other users are.
    let alone = |last: u32| {
        let rows: [&[u32]; 3] = [&[0, 1, 2, 3, 0], &[1, 2, 4, last], &[4, 4, 1, 2, last]];
        let read = histories(&rows, 5);
        let users: Vec<_> = read.users().collect();
        let tree = super::tree::CodeTree::new(codes.view());
        let fitted = super::mixture::NextItem::fit(&tree, &users);
        let ranker = super::ranking::Ranker::new(&fitted);
        (fitted.probability(&[0, 1, 2, 3], 0), ranker.scores(&users[..1]))
    };
    assert_eq!(alone(0), alone(3));
}

#[test]
fn ids_by_which_the_next_item_is_predicted_are_better() {
    // Users stay in one of 8 groups of 32 items, each of which occurs about six times. Meaningful IDs begin with the group.
    let mut rng = Xoshiro256Plus::seed_from_u64(1);
    let rows: Vec<Vec<u32>> =
        (0..400u32).map(|user| (0..4).map(|_| user % 8 * 32 + rng.gen_range(0..32)).collect()).collect();
    let read = histories(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>(), 256);
    let grouped = Array2::from_shape_fn((256, 2), |(row, level)| if level == 0 { row / 32 } else { row % 32 } as u16);
    let mixed = Array2::from_shape_fn((256, 2), |(row, level)| if level == 0 { row % 32 } else { row / 32 } as u16);
    let (good, bad) = (figures(&grouped, &read), figures(&mixed, &read));
    assert_eq!((good.purity[0].share, bad.purity[0].share), (1.0, 0.0));
    assert!(close(good.entropy.levels[0].by_popularity, 8f64.ln()), "{:?}", good.entropy);
    assert!(good.entropy.levels[0].given_first_code < 0.3, "{:?}", good.entropy);
    assert!(good.next_item.nats < bad.next_item.nats, "{:?} {:?}", good.next_item, bad.next_item);
    let shuffled = |found: &HistoryFigures| found.shuffled.clone().unwrap();
    let (helps, useless) = (shuffled(&good), shuffled(&figures(&given_to_others(&grouped), &read)));
    assert!(helps.is_clear() && close(helps.gain, helps.nats - good.entropy.given_last_item), "{helps:?}");
    assert!(!useless.is_clear() && useless.gain.abs() < 0.2 * helps.gain, "{useless:?} {helps:?}");
    let found = compared(&grouped, &mixed, &read);
    let nats = found.figures.iter().find(|figure| figure.name == found.decided_by).unwrap();
    assert!(nats.is_clear() && nats.favours_a() && nats.probability_a_better == 1.0, "{nats:?}");
    assert_eq!(found.better, BetterIds::A, "{}", found.result);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn names_of_codes_change_nothing_and_equal_ids_do_not_differ(
        rows in prop::collection::vec(prop::collection::vec(0u32..12, 3..9), 2..9),
        codes in prop::collection::vec(0u16..4, 36),
        shift in 0u16..7,
    ) {
        let codes = Array2::from_shape_vec((12, 3), codes).unwrap();
        let renamed = Array2::from_shape_fn((12, 3), |(row, level)| (codes[[row, level]] * 3 + shift + level as u16) % 7);
        let views: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let read = histories(&views, 12);
        let (one, other) = (figures(&codes, &read), figures(&renamed, &read));
        prop_assert_eq!(&one.next_item, &other.next_item);
        prop_assert_eq!(&one.entropy, &other.entropy);
        prop_assert_eq!(&one.shuffled, &other.shuffled);
        for (a, b) in one.purity.iter().zip(&other.purity) {
            prop_assert!(close(a.share, b.share) && close(a.by_chance, b.by_chance));
        }
        for (a, b) in one.co_occurrence.iter().zip(&other.co_occurrence) {
            prop_assert!(close(a.share, b.share) && close(a.by_chance, b.by_chance));
        }
        for (a, b) in one.spread.iter().zip(&other.spread) {
            prop_assert!(close(a.largest_share, b.largest_share) && close(a.gini, b.gini));
            prop_assert!(close(a.code_perplexity, b.code_perplexity));
        }
        prop_assert!(close(one.shared_ids.credit_lost, other.shared_ids.credit_lost));
        let same = compared(&codes, &renamed, &read);
        prop_assert_eq!(same.better, BetterIds::Neither);
        for figure in &same.figures {
            prop_assert!(figure.difference.abs() < 1e-9 && !figure.is_clear(), "{:?}", figure);
        }
        let same = compared(&codes, &codes, &read);
        prop_assert!(same.figures.iter().all(|figure| figure.difference == 0.0 && figure.interval == [0.0; 2]));
    }
}
