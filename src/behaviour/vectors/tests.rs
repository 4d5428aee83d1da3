//! The vectors as a whole: against the formula, with any number of threads, and on planted groups.

use std::collections::HashMap;

use super::*;
use crate::features::ModalityRows;
use crate::progress::Silent;

/// Interactions whose item ids are the item numbers.
fn histories(histories: &[Vec<u32>]) -> Interactions {
    let items = histories.iter().flatten().max().map_or(0, |&most| most + 1);
    let event = |(at, &item): (usize, &u32)| Event { item, time: at as f64, rating: 0.0 };
    Interactions {
        users: (0..histories.len()).map(|user| user.to_string()).collect(),
        items: (0..items).map(|item| item.to_string()).collect(),
        histories: histories.iter().map(|history| history.iter().enumerate().map(event).collect()).collect(),
        ..Interactions::default()
    }
}

fn made(interactions: &Interactions, items: usize, config: &BehaviourConfig) -> (Modality, InteractionUsage) {
    let (vectors, usage) = vectors(interactions, &ItemIds::row_numbers(items), config, &Silent).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let spooled = vectors.clone().into_rows(folder.path()).unwrap().rows(0..items).unwrap();
    let modality = vectors.into_modality();
    assert_eq!(modality, spooled);
    (modality, usage)
}

/// Histories in which every user stays within one group: the items with the same remainder modulo `groups`.
fn grouped(users: u32, events: u32, items: u32, groups: u32) -> Vec<Vec<u32>> {
    let mut state = 9u32;
    let mut draw = move |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % below
    };
    let mut history = |user: u32| (0..events).map(|_| draw(items / groups) * groups + user % groups).collect();
    (0..users).map(&mut history).collect()
}

/// Share of items whose nearest other item is in the same group.
fn purity(modality: &Modality, groups: usize, of: usize) -> f64 {
    let vector = |row: usize| modality.vectors.row(row);
    let near = |row: usize| {
        let likeness = |other: &usize| vector(row).dot(&vector(*other));
        (0..modality.present.len())
            .filter(|&other| other != row && modality.present[other])
            .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
    };
    let rows: Vec<usize> = (0..modality.present.len()).filter(|&row| modality.present[row]).take(of).collect();
    let pure = rows.iter().filter(|&&row| near(row).is_some_and(|other| other % groups == row % groups)).count();
    pure as f64 / rows.len() as f64
}

fn cosine(modality: &Modality, i: usize, j: usize) -> f32 {
    let (a, b) = (modality.vectors.row(i), modality.vectors.row(j));
    a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
}

#[test]
fn cosines_approximate_the_mutual_information() {
    // With all eigenvalues, against the formula of the module.
    let lists = grouped(30, 6, 12, 2);
    let config = BehaviourConfig { window: 3, popularity_damping: 0.5, shift: 1.5, ..BehaviourConfig::default() };
    let mut pairs: HashMap<(u32, u32), f64> = HashMap::new();
    for list in &lists {
        for at in 0..list.len() {
            for before in at.saturating_sub(3)..at {
                if list[at] != list[before] {
                    *pairs.entry((list[at], list[before])).or_default() += (4 - (at - before)) as f64;
                    *pairs.entry((list[before], list[at])).or_default() += (4 - (at - before)) as f64;
                }
            }
        }
    }
    let all: f64 = pairs.values().sum();
    let of = |i: u32| pairs.iter().filter(|((one, _), _)| *one == i).map(|(_, n)| n).sum::<f64>();
    let damped: f64 = (0..12).map(|i| of(i).sqrt()).sum();
    let g = |i: u32| ((of(i) / all).ln() + (of(i).sqrt() / damped).ln()) / 2.0;
    let m = Array2::from_shape_fn((12, 12), |(i, j)| {
        let (i, j) = (i as u32, j as u32);
        let pmi = |n: &f64| (n / all).ln() - g(i) - g(j) - 1.5f64.ln();
        pairs.get(&(i, j)).map_or(0.0, pmi).max(0.0)
    });
    let (modality, _) = made(&histories(&lists), 12, &config);
    // The positive part of the matrix. Another test checks the lengths of its rows.
    let values = linfa_linalg::eigh::Eigh::eigh(&m).unwrap();
    let root = values.1.dot(&Array2::from_diag(&values.0.mapv(|v| v.max(0.0)))).dot(&values.1.t());
    for i in 0..12 {
        for j in 0..12 {
            let expected = root[[i, j]] / (root[[i, i]] * root[[j, j]]).sqrt();
            let found = f64::from(cosine(&modality, i, j));
            assert!((expected - found).abs() < 1e-4, "{i}, {j}: {found}, not {expected}");
        }
    }
}

#[test]
fn cooccurring_items_are_similar_for_any_number_of_threads() {
    let interactions = histories(&grouped(400, 12, 200, 5));
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let config = BehaviourConfig::default();
    let (modality, usage) = pool(1).install(|| made(&interactions, 203, &config));
    assert_eq!(pool(3).install(|| made(&interactions, 203, &config)).0, modality);
    assert_eq!(modality.vectors.dim(), (203, 64));
    assert!(purity(&modality, 5, 200) > 0.95);
    assert_eq!(modality.present[200..], [false; 3]);
    assert_eq!((usage.items, usage.items_with_vector, usage.events), (203, 200, 4_800));
}

#[test]
fn items_with_few_events_have_short_vectors() {
    let mut lists = vec![vec![0, 1]; 20];
    lists.push(vec![2, 4]);
    lists.push(vec![3]);
    let (modality, _) = made(&histories(&lists), 5, &BehaviourConfig::default());
    let lengths: Vec<f32> = modality.vectors.rows().into_iter().map(|v| v.dot(&v).sqrt()).collect();
    for (length, expected) in lengths.iter().zip([0.5, 0.5, 1.0 / 21.0, 0.0, 1.0 / 21.0]) {
        assert!((length - expected).abs() < 1e-5, "{lengths:?}");
    }
    // Held-out events do not count for the length.
    let config = BehaviourConfig { hold_out_last: 1, ..BehaviourConfig::default() };
    lists.iter_mut().for_each(|list| list.push(0));
    assert_eq!(made(&histories(&lists), 5, &config).0, modality);
}

#[test]
fn held_out_events_do_not_change_the_vectors() {
    let mut lists = grouped(60, 8, 40, 4);
    let config = BehaviourConfig { hold_out_last: 2, ..BehaviourConfig::default() };
    let (before, usage) = made(&histories(&lists), 40, &config);
    lists.iter_mut().for_each(|list| list[6..].fill(39));
    let (after, _) = made(&histories(&lists), 40, &config);
    assert_eq!(before, after);
    assert_eq!(usage.events, 60 * 6);
    lists.iter_mut().for_each(|list| list.truncate(6));
    assert_eq!(before, made(&histories(&lists), 40, &BehaviourConfig::default()).0);
}

#[test]
fn session_gaps_separate_items() {
    let mut interactions = histories(&[vec![0, 1, 2, 3], vec![0, 1], vec![2, 3]]);
    interactions.histories[0][2].time = 100.0;
    interactions.histories[0][3].time = 101.0;
    let apart = BehaviourConfig { session_gap: Some(50.0), ..BehaviourConfig::default() };
    let (modality, _) = made(&interactions, 4, &apart);
    assert!(cosine(&modality, 0, 1) > 0.99 && cosine(&modality, 2, 3) > 0.99);
    assert!(cosine(&modality, 0, 2).abs() < 1e-5);
}

#[test]
fn ignored_events_are_reported() {
    let mut interactions = histories(&[vec![0, 1, 2], vec![1, 1], vec![2, 0, 2]]);
    interactions.items[2] = "gone".into();
    interactions.duplicates = 4;
    let (modality, usage) = made(&interactions, 3, &BehaviourConfig::default());
    assert_eq!(modality.present, [true, true, false]);
    assert_eq!(
        usage.to_string(),
        "behaviour: 2 of 3 items have a vector, from 5 events; ignored 3 events of 1 items that are not in the \
         catalog, such as \"gone\"; dropped 4 duplicate rows; 2 users have no pair of items"
    );
    interactions.items = vec!["x".into(), "y".into(), "z".into()];
    let error = vectors(&interactions, &ItemIds::row_numbers(3), &BehaviourConfig::default(), &Silent).unwrap_err();
    assert!(error.to_string().contains("such as \"x\""), "{error}");
}

#[test]
fn memory_is_bounded_by_the_number_of_pairs() {
    let interactions = histories(&grouped(20_000, 50, 4_000, 20));
    let rows: Vec<Option<u32>> = (0..4_000).map(Some).collect();
    let counts = count(
        &interactions,
        &rows,
        &BehaviourConfig::default(),
        &mut InteractionUsage::default(),
        &mut [0; 4_000],
        &Silent,
    );
    // 20 groups of 200 items bound the number of pairs, whatever the number of events.
    assert_eq!(counts.items().len(), 4_000);
    assert!(counts.held() <= 20 * 200 * 199 / 2);
    let config = BehaviourConfig { dim: 32, ..BehaviourConfig::default() };
    let (modality, usage) = made(&interactions, 4_000, &config);
    assert_eq!(usage.events, 1_000_000);
    assert!(purity(&modality, 20, 300) > 0.99);
}
