//! Tests of assigning codes to new items in a table with taken codes.

use std::collections::{BTreeMap, HashSet};

use ndarray::{Array2, Axis, array, s};
use proptest::prelude::*;

use super::{Assignment, Occupied, UnresolvedItems, place, resolve};
use crate::error::Result;
use crate::item_ids::ItemIds;
use crate::progress::Silent;
use crate::tokenizer::{Offsets, Quantizer};

const SIZES: [usize; 3] = [3, 4, 4];

fn quantizer(seed: u64) -> Quantizer {
    let value = |i: usize, j: usize, l: usize| (((i * 37 + j * 101 + l * 17) as u64 + seed) % 23) as f32;
    let book = |(l, &size): (usize, &usize)| Array2::from_shape_fn((size, 2), |(i, j)| value(i, j, l) / (l + 1) as f32);
    Quantizer::new(SIZES.iter().enumerate().map(book).collect(), Offsets::zero(SIZES))
}

fn errors(points: &Array2<f32>, codes: &Array2<u16>, quantizer: &Quantizer) -> Vec<f32> {
    (points - &quantizer.decode(codes.view())).map_axis(Axis(1), |rest| rest.dot(&rest)).to_vec()
}

fn placed(points: &Array2<f32>, quantizer: &Quantizer, ids: &[usize], occupied: &Occupied) -> Result<Assignment> {
    let codes = quantizer.encode(points.view());
    let errors = errors(points, &codes, quantizer);
    let ids = ItemIds::Integers(ids.iter().map(|&id| id as i64).collect());
    let (latents, codes) = (&points.view(), codes.view());
    place(&UnresolvedItems { latents, codes, errors: &errors, item_ids: &ids }, quantizer, occupied, &Silent)
}

fn book(sizes: &[usize]) -> Occupied {
    Occupied::new(sizes).unwrap()
}

#[test]
fn the_error_of_a_full_table_lists_the_crowded_prefixes() {
    let (quantizer, mut occupied) = (quantizer(0), book(&SIZES));
    let all = Array2::from_shape_fn((48, 3), |(i, j)| [i / 16, i / 4 % 4, i % 4][j] as u16);
    let free = all.slice(s![47.., ..]);
    occupied.insert(all.slice(s![..47, ..])).unwrap();
    let points = Array2::from_elem((2, 2), 3.0);
    let prefix = quantizer.encode(points.view()).row(0).to_vec();
    let error = placed(&points, &quantizer, &[4, 5], &occupied).unwrap_err().to_string();
    assert!(error.contains("at most 1 new items: 47 of 48 codes are taken"), "{error}");
    assert!(error.contains(&format!("prefix {:?} with 2 new items and 0 of 4", &prefix[..2])), "{error}");
    assert!(error.contains("free the IDs of deleted items"), "{error}");
    let last = placed(&points.slice_move(s![..1, ..]), &quantizer, &[4], &occupied).unwrap();
    assert_eq!(last.codes, free, "the last free code is found under any prefix");
}

#[test]
fn codes_of_another_model_are_refused() {
    let error = placed(&Array2::zeros((1, 2)), &quantizer(0), &[1], &book(&[3, 4, 5])).unwrap_err().to_string();
    assert!(error.contains("codebook sizes of the taken codes: expected [3, 4, 4], got [3, 4, 5]"), "{error}");
}

#[test]
fn the_item_that_loses_less_gets_the_farther_code() {
    // Code 1 is taken, so both new items compete for code 0. The item that loses less gets code 2.
    let quantizer = Quantizer::new(vec![array![[0.0f32], [1.0], [2.0], [-9.0]]], Offsets::zero([4]));
    let mut occupied = book(&[4]);
    occupied.insert(array![[1]].view()).unwrap();
    let out = placed(&array![[0.45f32], [0.6]], &quantizer, &[0, 1], &occupied).unwrap();
    assert_eq!(out.codes, array![[0], [2]]);
    let out = placed(&array![[0.45f32], [0.2]], &quantizer, &[0, 1], &occupied).unwrap();
    assert_eq!((out.codes, out.reassigned), (array![[2], [0]], vec![true, false]));
}

#[test]
fn a_group_that_is_too_large_for_matching_skips_taken_codes() {
    let size = 4_200;
    let wide = Quantizer::new(vec![Array2::from_shape_fn((size, 1), |(i, _)| i as f32)], Offsets::zero([size]));
    let mut occupied = book(&[size]);
    occupied.insert(Array2::from_shape_fn((size / 2, 1), |(i, _)| 2 * i as u16).view()).unwrap();
    let points = Array2::from_shape_fn((size / 2, 1), |(i, _)| 1e-4 * i as f32);
    let out = placed(&points, &wide, &(0..size / 2).collect::<Vec<_>>(), &occupied).unwrap();
    assert!(out.codes.iter().enumerate().all(|(row, &code)| usize::from(code) == 2 * row + 1));
}

/// The minimum total squared distance of items that take different free codes of one prefix, by exhaustive search.
fn least(costs: &Array2<f32>, row: usize, taken: &mut Vec<usize>) -> f32 {
    if row == costs.nrows() {
        return 0.0;
    }
    let mut best = f32::INFINITY;
    for column in 0..costs.ncols() {
        if !taken.contains(&column) {
            taken.push(column);
            best = best.min(costs[[row, column]] + least(costs, row + 1, taken));
            taken.pop();
        }
    }
    best
}

proptest! {
    #[test]
    fn place_without_taken_codes_equals_resolve(values in prop::collection::vec(0u8..12, 2 * 40), n in 1usize..40, seed in 0u64..1000) {
        let quantizer = quantizer(seed);
        let points = Array2::from_shape_fn((n, 2), |(i, j)| f32::from(values[2 * i + j]));
        let codes = quantizer.encode(points.view());
        let errors = errors(&points, &codes, &quantizer);
        let ids: Vec<usize> = (0..n).collect();
        let item_ids = &ItemIds::row_numbers(n);
        let items = UnresolvedItems { latents: &points.view(), codes: codes.view(), errors: &errors, item_ids };
        let whole = resolve(&items, &quantizer, &Silent).unwrap();
        prop_assert_eq!(placed(&points, &quantizer, &ids, &book(&SIZES)).unwrap(), whole);
    }

    #[test]
    fn new_items_of_one_prefix_take_its_free_codes_at_the_least_distance(
        values in prop::collection::vec(0.0f32..6.0, 3), taken in prop::collection::hash_set(0u16..6, 0usize..4), n in 1usize..4,
    ) {
        let book = array![[0.0f32], [1.0], [2.0], [3.0], [4.0], [5.0]];
        let quantizer = Quantizer::new(vec![book.clone()], Offsets::zero([6]));
        let points = Array2::from_shape_fn((n, 1), |(i, _)| values[i]);
        let mut occupied = Occupied::new(&[6]).unwrap();
        let mut taken: Vec<u16> = taken.into_iter().take(6 - n).collect();
        occupied.insert(Array2::from_shape_fn((taken.len(), 1), |(i, _)| taken[i]).view()).unwrap();
        let out = placed(&points, &quantizer, &(0..n).collect::<Vec<_>>(), &occupied).unwrap();
        let costs = Array2::from_shape_fn((n, 6), |(i, j)| (points[[i, 0]] - book[[j, 0]]).powi(2));
        let mut full: Vec<usize> = taken.drain(..).map(usize::from).collect();
        let total: f32 = out.errors.iter().sum();
        prop_assert!((total - least(&costs, 0, &mut full)).abs() < 1e-4);
    }

    /// For any number and order of appends, and any order of rows in each: assigned IDs never change, and no ID is
    /// assigned twice. Deleted items free their IDs for later items.
    #[test]
    fn appends_never_change_or_duplicate_ids(
        values in prop::collection::vec(0u8..12, 2 * 46), sizes in prop::collection::vec(1usize..9, 1..8),
        gone in prop::collection::vec(any::<bool>(), 46), seed in 0u64..1000, shift in 0usize..9,
    ) {
        let quantizer = quantizer(seed);
        let points = Array2::from_shape_fn((46, 2), |(i, j)| f32::from(values[2 * i + j]));
        let mut given: BTreeMap<usize, Vec<u16>> = BTreeMap::new();
        let (mut occupied, mut first) = (book(&SIZES), 0);
        for size in sizes {
            let ids: Vec<usize> = (first..46.min(first + size)).collect();
            if ids.is_empty() {
                break;
            }
            first += size;
            let out = placed(&points.select(Axis(0), &ids), &quantizer, &ids, &occupied).unwrap();
            let turned: Vec<usize> = (0..ids.len()).map(|i| (i + shift) % ids.len()).collect();
            let turned_ids: Vec<usize> = turned.iter().map(|&i| ids[i]).collect();
            let again = placed(&points.select(Axis(0), &turned_ids), &quantizer, &turned_ids, &occupied).unwrap();
            prop_assert_eq!(again.codes, out.codes.select(Axis(0), &turned));
            for (&id, codes) in ids.iter().zip(out.codes.rows()) {
                prop_assert!(codes.iter().zip(SIZES).all(|(&code, size)| usize::from(code) < size));
                prop_assert!(!occupied.contains(&codes.to_vec()));
                given.insert(id, codes.to_vec());
            }
            occupied.insert(out.codes.view()).unwrap();
            let all: HashSet<&Vec<u16>> = given.values().collect();
            prop_assert_eq!(all.len(), given.len());
            prop_assert_eq!(occupied.len(), given.len());
            prop_assert!(given.values().all(|codes| occupied.contains(codes)));
            let leaving: Vec<usize> = ids.into_iter().filter(|&id| gone[id]).collect();
            for id in leaving {
                let codes = given.remove(&id).unwrap();
                occupied.remove(ndarray::aview1(&codes).insert_axis(Axis(0))).unwrap();
            }
        }
    }
}
