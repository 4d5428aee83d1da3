//! Collision resolution: unique codes for all items at the minimum added distortion. Taken codes are not assigned.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::assign::{LastLevel, batches};
use super::groups::{Groups, ranks};
use super::latents::{Latents, Loaded};
use super::occupied::Occupied;
use super::overflow::{Room, relocate, residual};
use super::report::CollisionReport;
use crate::error::{Error, Result};
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::tokenizer::Quantizer;

/// Items before collision resolution, with the codes that the quantizer assigns.
#[derive(Clone, Copy)]
pub struct UnresolvedItems<'a> {
    /// The items' latents `(n, latent_dim)`; only those of items in groups with a collision are loaded.
    pub latents: &'a dyn Latents,
    /// `(n, levels)`.
    pub codes: ArrayView2<'a, u16>,
    /// Squared distance of each item's latent from the sum of its codewords.
    pub errors: &'a [f32],
    /// Unique ids, which break ties.
    pub item_ids: &'a ItemIds,
}

/// The result of collision resolution.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// `(n, levels)`; unique after [`resolve`].
    pub codes: Array2<u16>,
    /// Squared distance of each item's latent from the sum of its codewords.
    pub errors: Vec<f32>,
    /// Whether the codes of an item changed.
    pub reassigned: Vec<bool>,
    /// Statistics.
    pub report: CollisionReport,
}

/// Assigns unique codes to all items.
///
/// Items that share a prefix (all codes but the last) are matched to the last-level codes at the minimum total squared
/// distance. Groups without a collision are not changed. From a prefix with more items than last-level codes, the items
/// with the smallest added distortion move to other prefixes first. Ties go to the lower item id, so the result depends on
/// the ids and not on the row order.
///
/// The quantizer's offsets count as distance.
///
/// # Errors
/// [`Error::Data`] for more items than codes; [`Error::Mismatch`] if shapes are inconsistent; as [`Latents::load`].
pub fn resolve(items: &UnresolvedItems, quantizer: &Quantizer, progress: &dyn Progress) -> Result<Assignment> {
    place(items, quantizer, &Occupied::none(sizes_of(quantizer)), progress)
}

/// Assigns unique codes to new items. Taken codes never change and are not assigned. Works as [`resolve`], with these
/// differences: an item whose code is taken has a collision, items are matched to the free codes of their prefix, and
/// items leave a prefix that has more new items than free codes.
///
/// # Errors
/// [`Error::Data`] if there are more items than free codes; the message lists the most crowded prefixes. As [`resolve`].
pub fn place(
    items: &UnresolvedItems,
    quantizer: &Quantizer,
    occupied: &Occupied,
    progress: &dyn Progress,
) -> Result<Assignment> {
    let &UnresolvedItems { latents, codes, errors, item_ids } = items;
    let (n, levels) = codes.dim();
    let codebooks = quantizer.codebooks();
    if (errors.len(), codebooks.len(), item_ids.len()) != (n, levels, n) || levels == 0 {
        let got = format!("{} errors, {} codebooks, {} ids", errors.len(), codebooks.len(), item_ids.len());
        let expected = format!("{n} items of {levels} levels");
        return Err(Error::mismatch("codes to resolve", expected, got, "check the call"));
    }
    occupied.check_sizes(&sizes_of(quantizer))?;
    let rank = ranks(item_ids);
    let mut unique = codes.to_owned();
    let groups = Groups::of(unique.view(), levels - 1, &rank);
    check_capacity(codes, &groups, occupied)?;
    let overfull: Vec<Vec<usize>> =
        groups.iter().filter(|group| is_overfull(group, codes, occupied)).map(<[usize]>::to_vec).collect();
    if !overfull.is_empty() {
        let loaded = latents.load(sorted(overfull.iter().flatten()))?;
        let room = Room::count(codes, codebooks, occupied);
        relocate(&loaded, &mut unique, codebooks, &overfull, &rank, room)?;
    }
    // Including the items that left an overfull prefix, whose errors change.
    let loaded = match_last(latents, &mut unique, &overfull.concat(), (quantizer, occupied), &rank, progress)?;
    let reassigned: Vec<bool> = codes.rows().into_iter().zip(unique.rows()).map(|(a, b)| a != b).collect();
    let errors_after = errors_of_moved(&loaded, errors, &reassigned, unique.view(), codebooks)?;
    let report = CollisionReport::new(&loaded, (codes, unique.view()), (errors, &errors_after), &rank)?;
    Ok(Assignment { codes: unique, errors: errors_after, reassigned, report })
}

/// Assigns free last codes to the items of prefixes with a collision, none of which is overfull. Returns their latents
/// together with those of `more` items.
pub(super) fn match_last(
    latents: &dyn Latents,
    unique: &mut Array2<u16>,
    more: &[usize],
    (quantizer, occupied): (&Quantizer, &Occupied),
    rank: &[usize],
    progress: &dyn Progress,
) -> Result<Loaded> {
    let level = unique.ncols() - 1;
    let groups = Groups::of(unique.view(), level, rank);
    let colliding: Vec<&[usize]> = groups.iter().filter(|group| is_disturbed(group, unique.view(), occupied)).collect();
    let loaded = latents.load(sorted(colliding.iter().copied().flatten().chain(more)))?;
    progress.begin("resolve", Some(colliding.len() as u64), "prefixes");
    let last_level = LastLevel::of(quantizer, occupied);
    let matched: Vec<Vec<(usize, u16)>> = batches(&colliding, quantizer.codebooks()[level].nrows())
        .par_iter()
        .map(|groups| {
            let matched = last_level.assign(groups, &loaded, unique.view())?;
            progress.advance(groups.len() as u64);
            Ok(matched)
        })
        .collect::<Result<_>>()?;
    for (row, code) in matched.into_iter().flatten() {
        unique[[row, level]] = code;
    }
    progress.end();
    Ok(loaded)
}

/// Rows in ascending order without duplicates.
pub(super) fn sorted<'a>(rows: impl Iterator<Item = &'a usize>) -> Vec<usize> {
    let mut rows: Vec<usize> = rows.copied().collect();
    rows.par_sort_unstable();
    rows.dedup();
    rows
}

/// The errors, recomputed for items whose codes changed.
pub(super) fn errors_of_moved(
    loaded: &Loaded,
    errors: &[f32],
    reassigned: &[bool],
    unique: ArrayView2<u16>,
    codebooks: &[Array2<f32>],
) -> Result<Vec<f32>> {
    let error = |row: usize| -> Result<f32> {
        let rest = residual(loaded.get(&[row])?.row(0), &unique.row(row).to_vec(), codebooks);
        Ok(rest.dot(&rest) as f32)
    };
    let rows = errors.par_iter().zip(reassigned).enumerate();
    rows.map(|(row, (&before, &moved))| if moved { error(row) } else { Ok(before) }).collect()
}

pub(super) fn sizes_of(quantizer: &Quantizer) -> Vec<usize> {
    quantizer.codebooks().iter().map(Array2::nrows).collect()
}

/// Whether a prefix has more items than free last codes.
pub(super) fn is_overfull(group: &[usize], codes: ArrayView2<u16>, occupied: &Occupied) -> bool {
    let size = occupied.codebook_sizes()[codes.ncols() - 1];
    group.len() + occupied.under(&prefix_of(group, codes)) > size
}

/// Whether the items of a prefix have a collision with each other or with a taken code.
fn is_disturbed(group: &[usize], codes: ArrayView2<u16>, occupied: &Occupied) -> bool {
    has_collision(group, codes) || !occupied.is_empty() && group.iter().any(|&row| occupied.has(codes.row(row)))
}

/// All codes but the last of the items of a group.
fn prefix_of(group: &[usize], codes: ArrayView2<u16>) -> Vec<u16> {
    codes.row(group[0]).iter().take(codes.ncols() - 1).copied().collect()
}

fn check_capacity(codes: ArrayView2<u16>, groups: &Groups, occupied: &Occupied) -> Result<()> {
    let (items, sizes) = (codes.nrows(), occupied.codebook_sizes());
    let capacity = sizes.iter().fold(1usize, |product, &size| product.saturating_mul(size));
    let n = items + occupied.len();
    if n <= capacity {
        return Ok(());
    }
    let levels = sizes.len();
    let size = sizes.iter().copied().max().unwrap_or(2);
    let more = (levels + 1..).find(|&l| (size as f64).powi(l as i32) >= n as f64).unwrap_or(levels + 1);
    let wider = (n as f64).powf(1.0 / levels as f64).ceil();
    if !occupied.is_empty() {
        let crowded = most_crowded(codes, groups, occupied);
        return Err(Error::data(
            "semantic IDs",
            format!(
                "at most {} new items: {} of {capacity} codes are taken",
                capacity - occupied.len(),
                occupied.len()
            ),
            format!("{items}; most crowded: {crowded}"),
            format!(
                "free the IDs of deleted items, or train a new model with {more} levels of {size} codes, or {levels} \
                 levels of at least {wider} codes"
            ),
        ));
    }
    Err(Error::data(
        "semantic IDs",
        format!("at most {capacity} items, the number of codes of this model"),
        items,
        format!("train with {more} levels of {size} codes, or {levels} levels of at least {wider} codes"),
    ))
}

/// The prefixes in which the most new items do not get a free code.
fn most_crowded(codes: ArrayView2<u16>, groups: &Groups, occupied: &Occupied) -> String {
    /// Prefixes that the message names.
    const NAMED: usize = 3;
    let last = occupied.codebook_sizes()[codes.ncols() - 1];
    let lacking = |group: &[usize]| {
        let prefix = prefix_of(group, codes);
        let taken = occupied.under(&prefix);
        (std::cmp::Reverse((group.len() + taken).saturating_sub(last)), prefix, group.len(), taken)
    };
    let mut crowded: Vec<_> = groups.iter().map(lacking).collect();
    crowded.sort_unstable();
    let named = crowded.into_iter().take(NAMED).map(|(_, prefix, new, taken)| {
        format!("prefix {prefix:?} with {new} new items and {} of {last} codes free", last - taken)
    });
    named.collect::<Vec<_>>().join(", ")
}

pub(super) fn has_collision(group: &[usize], codes: ArrayView2<u16>) -> bool {
    let mut last: Vec<u16> = group.iter().map(|&row| codes[[row, codes.ncols() - 1]]).collect();
    last.sort_unstable();
    last.windows(2).any(|pair| pair[0] == pair[1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use crate::tokenizer::Offsets;
    use ndarray::Axis;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// Synthetic codebooks; with offsets for an odd seed.
    fn quantizer(sizes: &[usize], seed: u64) -> Quantizer {
        let value =
            |i: usize, j: usize, l: usize| (((i * 37 + j * 101 + l * 17) as u64 + seed) % 23) as f32 / (l + 1) as f32;
        let book = |(l, &size): (usize, &usize)| Array2::from_shape_fn((size, 2), |(i, j)| value(i, j, l));
        let mut offsets = Offsets::zero(sizes.iter().copied());
        if seed % 2 == 1 {
            offsets
                .codes
                .iter_mut()
                .for_each(|o| o.iter_mut().enumerate().for_each(|(i, o)| *o = value(i, 1, 3) - 3.0));
            offsets.pairs = Some(Array2::from_shape_fn((sizes[0], sizes[1]), |(i, j)| value(i, j, 2) - 4.0));
            let size = sizes[sizes.len() - 1];
            offsets.last = Some(Array2::from_shape_fn((sizes[0], size), |(i, j)| value(j, i, 1) / 2.0));
        }
        Quantizer::new(sizes.iter().enumerate().map(book).collect(), offsets)
    }

    fn plain(book: Array2<f32>) -> Quantizer {
        let offsets = Offsets::zero([book.nrows()]);
        Quantizer::new(vec![book], offsets)
    }

    fn resolved(points: &Array2<f32>, codes: &Array2<u16>, quantizer: &Quantizer, ids: Vec<i64>) -> Result<Assignment> {
        let errors = (points - &quantizer.decode(codes.view())).map_axis(Axis(1), |rest| rest.dot(&rest)).to_vec();
        let (latents, item_ids) = (&points.view(), &ItemIds::Integers(ids));
        resolve(&UnresolvedItems { latents, codes: codes.view(), errors: &errors, item_ids }, quantizer, &Silent)
    }

    fn run(points: &Array2<f32>, quantizer: &Quantizer, ids: Vec<i64>) -> Assignment {
        resolved(points, &quantizer.encode(points.view()), quantizer, ids).unwrap()
    }

    fn distinct(codes: &Array2<u16>) -> usize {
        codes.rows().into_iter().map(|row| row.to_vec()).collect::<HashSet<_>>().len()
    }

    #[test]
    fn identical_items_can_use_all_codes_of_a_model() {
        let quantizer = quantizer(&[4, 5, 16], 4);
        let points = Array2::from_elem((320, 2), 7.5);
        let out = run(&points, &quantizer, (0..320).collect());
        assert_eq!(distinct(&out.codes), 320);
        assert_eq!((out.report.distinct_before, out.report.exact_duplicates, out.report.largest_group), (1, 319, 320));
        let too_many = Array2::from_elem((321, 2), 7.5);
        let codes = Array2::zeros((321, 3));
        let error = resolved(&too_many, &codes, &quantizer, (0..321).collect()).unwrap_err();
        assert!(error.to_string().contains("4 levels of 16 codes"), "{error}");
    }

    #[test]
    fn the_lowest_id_of_equal_items_keeps_the_nearest_code() {
        let quantizer = plain(ndarray::array![[0.0f32], [1.0], [5.0]]);
        let points = ndarray::array![[0.1f32], [0.1]];
        let out = run(&points, &quantizer, vec![9, 4]);
        assert_eq!(out.codes, ndarray::array![[1], [0]]);
        assert_eq!(out.reassigned, [true, false]);
    }

    #[test]
    fn a_large_group_is_quick() {
        let quantizer = plain(Array2::from_shape_fn((65_536, 2), |(i, j)| if j == 0 { i as f32 } else { 0.0 }));
        let points = Array2::from_elem((4_000, 2), 0.5);
        assert_eq!(distinct(&run(&points, &quantizer, (0..4_000).collect()).codes), 4_000);
    }

    proptest! {
        #[test]
        fn unique_whatever_the_order_and_settled_at_once(
            values in prop::collection::vec(0u8..12, 2 * 40), n in 1usize..40, seed in 0u64..1000, shift in 0usize..40,
        ) {
            let quantizer = quantizer(&[3, 4, 4], seed);
            let points = Array2::from_shape_fn((n, 2), |(i, j)| f32::from(values[2 * i + j]));
            let out = run(&points, &quantizer, (0..n as i64).collect());
            prop_assert_eq!(distinct(&out.codes), n);
            for (level, book) in quantizer.codebooks().iter().enumerate() {
                prop_assert!(out.codes.column(level).iter().all(|&c| usize::from(c) < book.nrows()));
            }
            let again = resolved(&points, &out.codes, &quantizer, (0..n as i64).collect()).unwrap();
            prop_assert_eq!(&again.codes, &out.codes);
            let (settled, again) = (out.report.residual_error_after, again.report.residual_error_after);
            prop_assert!((settled - again).abs() <= 1e-5 * settled.abs(), "{settled} {again}");
            for (rest, error) in (&points - &quantizer.decode(out.codes.view())).rows().into_iter().zip(&out.errors) {
                prop_assert!((rest.dot(&rest) - error).abs() <= 1e-3 * error.abs());
            }
            let order: Vec<usize> = (0..n).map(|i| (i + shift) % n).collect();
            let turned = run(&points.select(Axis(0), &order), &quantizer, order.iter().map(|&i| i as i64).collect());
            prop_assert_eq!(turned.codes, out.codes.select(Axis(0), &order));
        }
    }
}
