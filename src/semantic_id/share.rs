//! IDs that several items share on purpose: at most `capacity` items per ID, and never two of different classes.
//!
//! Items with the same codes share an ID while it has room; those with the smallest errors stay. The others move to the
//! nearest code under their prefix that is free, or whose members are of their class and leave room. If the prefix has no
//! such code, they move together, up to `capacity` items of a class at a time, to a free code that [`place`] finds.

use std::collections::BTreeMap;

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use super::groups::{Groups, ranks};
use super::join_ids::Joining;
use super::latents::Loaded;
use super::members::{MemberFacts, Members};
use super::overflow::residual;
use super::report::CollisionReport;
use super::resolve::{Assignment, UnresolvedItems, errors_of_moved, place, sizes_of, sorted};
use super::taken_seats::{Seat, TakenSeats, key_of};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::tokenizer::Quantizer;

/// Assigns IDs to new items, at most `capacity` per ID including the members of taken IDs. Existing members do not move.
/// Members are ranked among the new items only.
///
/// # Errors
/// As [`place`].
pub(super) fn share(
    items: &UnresolvedItems,
    facts: &MemberFacts,
    taken: &TakenSeats,
    (quantizer, capacity): (&Quantizer, u16),
    progress: &dyn Progress,
) -> Result<(Assignment, Members)> {
    let &UnresolvedItems { latents, codes, errors, item_ids } = items;
    let rank = ranks(item_ids);
    let by_error = |rows: &mut Vec<usize>| {
        rows.sort_by(|&a, &b| errors[a].total_cmp(&errors[b]).then(rank[a].cmp(&rank[b])));
    };
    let groups = Groups::of(codes, codes.ncols(), &rank);
    let mut seats = taken.clone();
    let mut moving: Vec<usize> = Vec::new();
    for group in groups.iter() {
        let key = key_of(codes.row(group[0]));
        let owner = seats.seats.get(&key).map_or_else(|| largest_class(group, facts), |seat| seat.class);
        let (mut stay, others): (Vec<usize>, Vec<usize>) = group.iter().partition(|&&row| facts.class(row) == owner);
        by_error(&mut stay);
        moving.extend(stay.into_iter().filter(|_| !seats.add(key, owner, capacity)));
        moving.extend(others);
    }
    let loaded = latents.load(sorted(groups.iter().filter(|group| group.len() > 1).flatten().chain(&moving)))?;
    let mut shared = codes.to_owned();
    let left =
        move_within_prefixes(&moving, by_error, (&loaded, facts), &mut shared, &mut seats, (quantizer, capacity))?;
    move_together(&left, items, (&loaded, facts), &mut shared, &mut seats, (quantizer, capacity), progress)?;
    let reassigned: Vec<bool> = codes.rows().into_iter().zip(shared.rows()).map(|(a, b)| a != b).collect();
    let errors_after = errors_of_moved(&loaded, errors, &reassigned, shared.view(), quantizer.codebooks())?;
    let report = CollisionReport::new(&loaded, (codes, shared.view()), (errors, &errors_after), &rank)?;
    let members = Members::ranked(shared.view(), item_ids, facts.clone(), &[]);
    Ok((Assignment { codes: shared, errors: errors_after, reassigned, report }, members))
}

/// The class with the most rows; of equally large ones, the one with the lowest item id. Rows are in the order of their
/// ids.
fn largest_class(rows: &[usize], facts: &MemberFacts) -> u32 {
    let mut counts: Vec<(u32, usize)> = Vec::new();
    for &row in rows {
        let class = facts.class(row);
        match counts.iter_mut().find(|(known, _)| *known == class) {
            Some((_, count)) => *count += 1,
            None => counts.push((class, 1)),
        }
    }
    let largest = counts.iter().map(|&(_, count)| count).max().unwrap_or(0);
    counts.iter().find(|(_, count)| *count == largest).map_or(0, |&(class, _)| class)
}

/// Moves items to the nearest code with room under their prefix, in the order of their errors. Returns the items whose
/// prefix has no room.
fn move_within_prefixes(
    moving: &[usize],
    by_error: impl Fn(&mut Vec<usize>) + Sync,
    (loaded, facts): (&Loaded, &MemberFacts),
    shared: &mut Array2<u16>,
    taken: &mut TakenSeats,
    (quantizer, capacity): (&Quantizer, u16),
) -> Result<Vec<usize>> {
    let last = shared.ncols() - 1;
    let mut prefixes: BTreeMap<u128, Vec<usize>> = BTreeMap::new();
    moving.iter().for_each(|&row| prefixes.entry(key_of(shared.row(row)) >> 16).or_default().push(row));
    let book = &quantizer.codebooks()[last];
    let given: Vec<Vec<(usize, Option<u16>)>> = prefixes
        .into_par_iter()
        .map(|(prefix, mut rows)| {
            by_error(&mut rows);
            let mut seats: Vec<Option<Seat>> =
                (0..book.nrows()).map(|code| taken.seats.get(&(prefix << 16 | code as u128)).copied()).collect();
            let codes: Vec<u16> = shared.row(rows[0]).iter().take(last).copied().collect();
            let offsets = quantizer.offsets_after(&codes);
            let latents = loaded.get(&rows)?;
            let place = |(at, row): (usize, usize)| {
                let class = facts.class(row);
                let rest = residual(latents.row(at), &codes, quantizer.codebooks());
                let cost = |code: usize| {
                    let distance: f64 =
                        book.row(code).iter().zip(&rest).map(|(&c, &r)| (r - f64::from(c)).powi(2)).sum();
                    distance + f64::from(offsets[code])
                };
                let open = (0..seats.len()).filter(|&code| seats[code].is_none_or(|seat| seat.takes(class, capacity)));
                let code = open.map(|code| (code, cost(code))).min_by(|a, b| a.1.total_cmp(&b.1))?.0;
                seats[code].get_or_insert(Seat { class, members: 0 }).members += 1;
                Some(code as u16)
            };
            let placed: Vec<Option<u16>> = rows.iter().copied().enumerate().map(place).collect();
            Ok(rows.into_iter().zip(placed).collect())
        })
        .collect::<Result<_>>()?;
    let mut left = Vec::new();
    for (row, code) in given.into_iter().flatten() {
        match code {
            Some(code) => {
                shared[[row, last]] = code;
                taken.add(key_of(shared.row(row)), facts.class(row), capacity);
            }
            None => left.push(row),
        }
    }
    Ok(left)
}

/// Moves items out of full prefixes. Up to `capacity` items with the same codes and class move as one, with the mean of
/// their latents. If there are fewer free IDs than such lots, some items join IDs of their class under other prefixes, and
/// then items with different codes move as one.
///
/// # Errors
/// [`Error::Data`] if the IDs have no room for all items; as [`place`].
fn move_together(
    left: &[usize],
    items: &UnresolvedItems,
    (loaded, facts): (&Loaded, &MemberFacts),
    shared: &mut Array2<u16>,
    taken: &mut TakenSeats,
    (quantizer, capacity): (&Quantizer, u16),
    progress: &dyn Progress,
) -> Result<()> {
    if left.is_empty() {
        return Ok(());
    }
    let ids = sizes_of(quantizer).iter().fold(1usize, |product, &size| product.saturating_mul(size));
    let free = ids - taken.len();
    let code = |row: usize| key_of(items.codes.row(row));
    let mut lots = lots_of(left, code, facts, capacity);
    if lots.len() > free {
        let joining = Joining { loaded, facts, quantizer, capacity };
        let rest = joining.join(left, items, shared, taken, free)?;
        lots = lots_of(&rest, code, facts, capacity);
    }
    if lots.len() > free {
        // Items with different codes move together too.
        let rest = sorted(lots.iter().flatten());
        lots = lots_of(&rest, |_| 0, facts, capacity);
    }
    if lots.len() > free {
        return Err(no_room(&lots, free, ids, capacity));
    }
    let firsts: Vec<usize> = lots.iter().map(|rows| rows[0]).collect();
    let dim = quantizer.codebooks().first().map_or(0, Array2::ncols);
    let mut points = Array2::<f32>::zeros((lots.len(), dim));
    for (mut point, rows) in points.rows_mut().into_iter().zip(&lots) {
        if let Some(mean) = loaded.get(rows)?.mean_axis(Axis(0)) {
            point.assign(&mean);
        }
    }
    let codes = items.codes.select(Axis(0), &firsts);
    let errors: Vec<f32> = points
        .rows()
        .into_iter()
        .zip(codes.rows())
        .map(|(point, codes)| {
            let rest = residual(point, &codes.to_vec(), quantizer.codebooks());
            rest.dot(&rest) as f32
        })
        .collect();
    let (latents, item_ids) = (points.view(), items.item_ids.take(&firsts));
    let new = UnresolvedItems { latents: &latents, codes: codes.view(), errors: &errors, item_ids: &item_ids };
    let placed = place(&new, quantizer, &taken.occupied(&sizes_of(quantizer))?, progress)?;
    for (rows, codes) in lots.iter().zip(placed.codes.rows()) {
        rows.iter().for_each(|&row| shared.row_mut(row).assign(&codes));
    }
    Ok(())
}

/// Groups of at most `capacity` rows with the same `code` and class, in the order of both.
fn lots_of(rows: &[usize], code: impl Fn(usize) -> u128, facts: &MemberFacts, capacity: u16) -> Vec<Vec<usize>> {
    let mut lots: BTreeMap<(u128, u32), Vec<usize>> = BTreeMap::new();
    rows.iter().for_each(|&row| lots.entry((code(row), facts.class(row))).or_default().push(row));
    lots.values().flat_map(|rows| rows.chunks(usize::from(capacity)).map(<[usize]>::to_vec)).collect()
}

fn no_room(lots: &[Vec<usize>], free: usize, ids: usize, capacity: u16) -> Error {
    let items: usize = lots.iter().map(Vec::len).sum();
    Error::data(
        "shared semantic IDs",
        format!("room for all items: up to {capacity} items of a class per ID, and {ids} IDs"),
        format!("{items} items that need {} IDs where {free} are free", lots.len()),
        "raise --capacity, name fewer columns in --must-differ, or train with more levels or more codes per level",
    )
}

#[cfg(test)]
mod tests {
    use super::super::members::{ItemClasses, fault};
    use super::*;
    use crate::item_ids::ItemIds;
    use crate::progress::Silent;
    use crate::tokenizer::Offsets;
    use ndarray::array;
    use proptest::prelude::*;

    fn quantizer(sizes: &[usize]) -> Quantizer {
        let book = |(level, &size): (usize, &usize)| {
            Array2::from_shape_fn((size, 2), |(i, j)| ((i * 7 + j * 5 + level) % 11) as f32 / (level + 1) as f32)
        };
        Quantizer::new(sizes.iter().enumerate().map(book).collect(), Offsets::zero(sizes.iter().copied()))
    }

    fn shared(
        points: &Array2<f32>,
        ids: Vec<i64>,
        facts: &MemberFacts,
        taken: &TakenSeats,
        (quantizer, capacity): (&Quantizer, u16),
    ) -> Result<(Assignment, Members)> {
        let codes = quantizer.encode(points.view());
        let errors = (points - &quantizer.decode(codes.view())).map_axis(Axis(1), |rest| rest.dot(&rest)).to_vec();
        let (latents, item_ids) = (&points.view(), &ItemIds::Integers(ids));
        let items = UnresolvedItems { latents, codes: codes.view(), errors: &errors, item_ids };
        share(&items, facts, taken, (quantizer, capacity), &Silent)
    }

    fn of_classes(names: &[&str]) -> MemberFacts {
        MemberFacts { classes: Some(ItemClasses::of_names(names)), priority: Vec::new() }
    }

    #[test]
    fn the_nearest_items_share_a_code_and_others_join_or_move() {
        let quantizer = Quantizer::new(vec![array![[0.0f32], [10.0], [30.0]]], Offsets::zero([3]));
        let points = array![[1.0f32], [2.0], [3.0], [9.0]];
        let none = TakenSeats::default();
        let facts = MemberFacts::default();
        let (out, members) = shared(&points, vec![1, 2, 3, 4], &facts, &none, (&quantizer, 2)).unwrap();
        // The third item joins the fourth, which is nearer than the free code.
        assert_eq!(out.codes, array![[0], [0], [1], [1]]);
        assert_eq!((out.reassigned, members.ranks), (vec![false, false, true, false], vec![0, 1, 0, 1]));
        // It may not if their classes differ.
        let facts = of_classes(&["low", "low", "low", "high"]);
        let (out, _) = shared(&points, vec![1, 2, 3, 4], &facts, &none, (&quantizer, 2)).unwrap();
        assert_eq!(out.codes, array![[0], [0], [2], [1]]);
    }

    #[test]
    fn a_class_with_fewer_items_leaves_the_code() {
        let quantizer = Quantizer::new(vec![array![[0.0f32], [10.0]]], Offsets::zero([2]));
        let facts = of_classes(&["high", "low", "low"]);
        let points = array![[0.0f32], [0.0], [0.0]];
        let (out, _) = shared(&points, vec![1, 2, 3], &facts, &TakenSeats::default(), (&quantizer, 9)).unwrap();
        assert_eq!(out.codes, array![[1], [0], [0]]);
    }

    #[test]
    fn deleted_members_keep_their_seats() {
        let quantizer = Quantizer::new(vec![array![[0.0f32], [10.0], [20.0]]], Offsets::zero([3]));
        let facts = MemberFacts::default();
        let quarantined = array![[0u16], [1]];
        let taken = TakenSeats::of_ids(array![[0u16]].view(), None, quarantined.view(), &facts);
        let points = array![[0.0f32], [0.1]];
        let (out, _) = shared(&points, vec![1, 2], &facts, &taken, (&quantizer, 3)).unwrap();
        // One seat of code 0 is left; code 1 has no live member and is in quarantine.
        assert_eq!(out.codes, array![[0], [2]]);
    }

    #[test]
    fn every_seat_can_be_used_and_one_item_more_is_refused() {
        let quantizer = quantizer(&[4, 4]);
        for (n, classes) in [(64usize, 1usize), (40, 2)] {
            let points = Array2::from_shape_fn((n, 2), |(i, j)| ((i * 13 + j * 7) % 17) as f32 / 3.0);
            let names: Vec<String> = (0..n).map(|row| format!("[{}]", row % classes)).collect();
            let facts = MemberFacts { classes: Some(ItemClasses::of_names(&names)), priority: Vec::new() };
            let ids = (0..n as i64).collect();
            let (out, members) = shared(&points, ids, &facts, &TakenSeats::default(), (&quantizer, 4)).unwrap();
            assert_eq!(fault(out.codes.view(), &members, 4), None);
        }
        let points = Array2::from_elem((65, 2), 0.5);
        let refused =
            shared(&points, (0..65).collect(), &MemberFacts::default(), &TakenSeats::default(), (&quantizer, 4));
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("up to 4 items of a class per ID, and 16 IDs"), "{message}");
    }

    proptest! {
        #[test]
        fn rules_hold_and_a_capacity_of_one_is_unique(
            values in prop::collection::vec(0u8..9, 2 * 60), n in 1usize..60, capacity in 1u16..6, kinds in 1usize..4,
            shift in 0usize..60, cut in 0usize..60,
        ) {
            let quantizer = quantizer(&[3, 4, 6]);
            let points = Array2::from_shape_fn((n, 2), |(i, j)| f32::from(values[2 * i + j]));
            let names: Vec<String> = (0..n).map(|row| format!("[{}]", values[row] as usize % kinds)).collect();
            let facts_of = |rows: &[usize]| MemberFacts {
                classes: Some(ItemClasses::of_names(rows.iter().map(|&row| &names[row]))),
                priority: Vec::new(),
            };
            let make = |rows: &[usize], taken: &TakenSeats| {
                let ids = rows.iter().map(|&row| row as i64).collect();
                shared(&points.select(Axis(0), rows), ids, &facts_of(rows), taken, (&quantizer, capacity)).unwrap()
            };
            let all: Vec<usize> = (0..n).collect();
            let (out, members) = make(&all, &TakenSeats::default());
            prop_assert_eq!(fault(out.codes.view(), &members, capacity), None);
            // The result does not depend on the order of the rows.
            let order: Vec<usize> = (0..n).map(|row| (row + shift) % n).collect();
            let (turned, ranks) = make(&order, &TakenSeats::default());
            prop_assert_eq!(turned.codes, out.codes.select(Axis(0), &order));
            prop_assert_eq!(ranks.ranks, members.take(&order).ranks);
            // Appended items never move an item, and the rules hold for all.
            let (old, new) = all.split_at(cut.min(n - 1).max(1).min(n));
            let (before, ranked) = make(old, &TakenSeats::default());
            if !new.is_empty() {
                let none = Array2::zeros((0, 3));
                let (classes, facts) = (ranked.classes.as_ref(), facts_of(new));
                let taken = TakenSeats::of_ids(before.codes.view(), classes, none.view(), &facts);
                let (after, _) = make(new, &taken);
                let codes = ndarray::concatenate(Axis(0), &[before.codes.view(), after.codes.view()]).unwrap();
                let known: Vec<Option<u16>> = ranked.ranks.iter().copied().map(Some).collect();
                let ids = ItemIds::Integers((0..n as i64).collect());
                let together = Members::ranked(codes.view(), &ids, facts_of(&all), &known);
                prop_assert_eq!(fault(codes.view(), &together, capacity), None);
            }
        }
    }
}
