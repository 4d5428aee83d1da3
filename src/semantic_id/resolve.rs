//! Collision resolution: a distinct code for every item, at the least added distortion.

use std::cmp::Ordering;
use std::collections::HashMap;

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::matching::{cheapest, squared_distances};
use super::overflow::{relocate, residual};
use crate::error::{Error, Result};
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::tokenizer::Quantizer;

/// What resolving the collisions of a catalog did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CollisionReport {
    /// Number of items.
    pub items: usize,
    /// Distinct codes that the quantizer gave.
    pub distinct_before: usize,
    /// `(items - distinct_before) / items`.
    pub collision_rate: f64,
    /// Items whose code was changed.
    pub moved: usize,
    /// Of these, items that had to leave a full prefix.
    pub moved_to_other_prefix: usize,
    /// Most items that had one code.
    pub largest_group: usize,
    /// Items whose latent equals an earlier item's to the last bit: no quantizer could tell them apart.
    pub exact_duplicates: usize,
    /// Mean squared distance of the latents from their codewords' sums, before.
    pub residual_error_before: f64,
    /// The same after.
    pub residual_error_after: f64,
    /// `(after - before) / before`.
    pub added_distortion: f64,
}

/// Unique codes.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// `(n, levels)`; no row stands twice.
    pub codes: Array2<u16>,
    /// Which items were moved.
    pub reassigned: Vec<bool>,
    /// What it took.
    pub report: CollisionReport,
}

/// Cost matrices above this many cells are not made; such a group is served item by item.
const LARGEST_MATRIX: usize = 1 << 26;

/// Gives every item its own code.
///
/// Items that share a prefix (all codes but the last) are matched to the last-level codes at the least total squared
/// distance; groups without a collision stay as they are. A prefix with more items than codes first sends those away
/// that lose least. Equal choices go to the lower item id, so the result depends on the ids and not on the row order.
///
/// `latents (n, dim)`, `codes (n, levels)` as the quantizer gave them. The quantizer's offsets count as distance.
///
/// # Errors
/// [`Error::Data`] when there are more items than codes; [`Error::Mismatch`] when the shapes do not fit.
pub fn resolve(
    latents: ArrayView2<f32>,
    codes: ArrayView2<u16>,
    quantizer: &Quantizer,
    item_ids: &ItemIds,
    progress: &dyn Progress,
) -> Result<Assignment> {
    let (n, levels) = codes.dim();
    let codebooks = quantizer.codebooks();
    if (latents.nrows(), codebooks.len(), item_ids.len()) != (n, levels, n) || levels == 0 {
        let got = format!("{} latents, {} codebooks, {} ids", latents.nrows(), codebooks.len(), item_ids.len());
        return Err(Error::mismatch(
            "codes to resolve",
            format!("{n} items of {levels} levels"),
            got,
            "check the call",
        ));
    }
    check_capacity(n, codebooks)?;
    let rank = ranks(item_ids);
    let last = codebooks[levels - 1].nrows();
    let mut unique = codes.to_owned();
    let mut groups = grouped(unique.view(), levels - 1, &rank);
    let overfull: Vec<Vec<usize>> = groups.iter().filter(|group| group.len() > last).cloned().collect();
    if !overfull.is_empty() {
        relocate(latents, &mut unique, codebooks, &overfull, &rank);
        groups = grouped(unique.view(), levels - 1, &rank);
    }
    groups.retain(|group| has_collision(group, unique.view()));
    progress.begin("resolve", Some(groups.len() as u64), "prefixes");
    let matched: Vec<Vec<(usize, u16)>> = groups
        .par_iter()
        .map(|group| {
            let matched = match_group(group, latents, unique.view(), quantizer);
            progress.advance(1);
            matched
        })
        .collect();
    for (row, code) in matched.into_iter().flatten() {
        unique[[row, levels - 1]] = code;
    }
    progress.end();

    let reassigned = codes.rows().into_iter().zip(unique.rows()).map(|(a, b)| a != b).collect();
    let report = report(latents, codes, unique.view(), codebooks, &rank);
    Ok(Assignment { codes: unique, reassigned, report })
}

/// Place of each row among the ids.
pub(super) fn ranks(item_ids: &ItemIds) -> Vec<usize> {
    let mut by_id: Vec<usize> = (0..item_ids.len()).collect();
    by_id.sort_by(|&a, &b| item_ids.compare(a, b));
    let mut rank = vec![0; by_id.len()];
    by_id.iter().enumerate().for_each(|(place, &row)| rank[row] = place);
    rank
}

/// What it took to get from the quantizer's `codes` to `unique` ones.
pub(super) fn report(
    latents: ArrayView2<f32>,
    codes: ArrayView2<u16>,
    unique: ArrayView2<u16>,
    codebooks: &[Array2<f32>],
    rank: &[usize],
) -> CollisionReport {
    let (n, levels) = codes.dim();
    let full = grouped(codes, levels, rank);
    let differing = |depth: usize| {
        let upper = ndarray::s![.., ..depth];
        let (before, after) = (codes.slice(upper), unique.slice(upper));
        before.rows().into_iter().zip(after.rows()).filter(|(a, b)| a != b).count()
    };
    let before = mean_error(latents, codes, codebooks);
    let after = mean_error(latents, unique, codebooks);
    CollisionReport {
        items: n,
        distinct_before: full.len(),
        collision_rate: if n > 0 { (n - full.len()) as f64 / n as f64 } else { 0.0 },
        moved: differing(levels),
        moved_to_other_prefix: differing(levels - 1),
        largest_group: full.iter().map(Vec::len).max().unwrap_or(0),
        exact_duplicates: full.iter().map(|group| group.len() - classes(group, latents, codes).len()).sum(),
        residual_error_before: before,
        residual_error_after: after,
        added_distortion: if before > 0.0 { (after - before) / before } else { 0.0 },
    }
}

fn check_capacity(n: usize, codebooks: &[Array2<f32>]) -> Result<()> {
    let capacity = codebooks.iter().fold(1usize, |product, book| product.saturating_mul(book.nrows()));
    if n <= capacity {
        return Ok(());
    }
    let levels = codebooks.len();
    let size = codebooks.iter().map(Array2::nrows).max().unwrap_or(2);
    let more = (levels + 1..).find(|&l| (size as f64).powi(l as i32) >= n as f64).unwrap_or(levels + 1);
    let wider = (n as f64).powf(1.0 / levels as f64).ceil();
    Err(Error::data(
        "semantic IDs",
        format!("at most {capacity} items, the number of codes of this model"),
        n,
        format!("train with {more} levels of {size} codes, or {levels} levels of at least {wider} codes"),
    ))
}

/// Rows that share their first `depth` codes, each group in the order of the ids.
pub(super) fn grouped(codes: ArrayView2<u16>, depth: usize, rank: &[usize]) -> Vec<Vec<usize>> {
    let compare =
        |a: usize, b: usize| -> Ordering { codes.row(a).iter().take(depth).cmp(codes.row(b).iter().take(depth)) };
    let mut rows: Vec<usize> = (0..codes.nrows()).collect();
    rows.par_sort_unstable_by(|&a, &b| compare(a, b).then(rank[a].cmp(&rank[b])));
    rows.chunk_by(|&a, &b| compare(a, b) == Ordering::Equal).map(<[usize]>::to_vec).collect()
}

fn has_collision(group: &[usize], codes: ArrayView2<u16>) -> bool {
    let mut last: Vec<u16> = group.iter().map(|&row| codes[[row, codes.ncols() - 1]]).collect();
    last.sort_unstable();
    last.windows(2).any(|pair| pair[0] == pair[1])
}

/// Rows of a group with one latent and one code: for the matching they are one. In the order of their first rows.
fn classes(group: &[usize], latents: ArrayView2<f32>, codes: ArrayView2<u16>) -> Vec<Vec<usize>> {
    let mut place = HashMap::new();
    let mut classes: Vec<Vec<usize>> = Vec::new();
    for &row in group {
        let bits: Vec<u32> = latents.row(row).iter().map(|v| v.to_bits()).collect();
        let at = *place.entry((bits, codes[[row, codes.ncols() - 1]])).or_insert(classes.len());
        match classes.get_mut(at) {
            Some(class) => class.push(row),
            None => classes.push(vec![row]),
        }
    }
    classes
}

/// The last code of every row of a group that shares its prefix.
fn match_group(
    group: &[usize],
    latents: ArrayView2<f32>,
    codes: ArrayView2<u16>,
    quantizer: &Quantizer,
) -> Vec<(usize, u16)> {
    let (level, prefix) = match codes.row(group[0]).to_vec().split_last() {
        Some((_, prefix)) => (prefix.len(), prefix.to_vec()),
        None => return Vec::new(),
    };
    let codebooks = quantizer.codebooks();
    let book = &codebooks[level];
    let offsets = quantizer.offsets_after(&prefix).mapv(f64::from);
    let classes = classes(group, latents, codes);
    let firsts: Vec<usize> = classes.iter().map(|class| class[0]).collect();
    let mut points = latents.select(Axis(0), &firsts).mapv(f64::from);
    for (mut point, &row) in points.rows_mut().into_iter().zip(&firsts) {
        point.assign(&residual(latents.row(row), &prefix, codebooks));
    }
    if classes.len().saturating_mul(book.nrows()) > LARGEST_MATRIX {
        return one_by_one(&classes, points.view(), book.view(), &offsets);
    }
    let mut cost = squared_distances(points.view(), book.view()) + &offsets;
    let wanted: Vec<usize> = firsts
        .iter()
        .zip(cost.rows_mut())
        .map(|(&row, mut cost)| {
            let (best, least) = lowest(cost.iter().copied());
            // The quantizer computes in f32: what it found nearest counts as nearest within its rounding.
            let given = usize::from(codes[[row, level]]);
            if cost[given] <= least + 1e-5 * (least.abs() + latents.row(row).dot(&latents.row(row)) as f64) {
                cost[given] = least;
                given
            } else {
                best
            }
        })
        .collect();
    let supply: Vec<usize> = classes.iter().map(Vec::len).collect();
    let given = cheapest(cost.view(), &supply, &wanted);
    classes
        .iter()
        .zip(given)
        .flat_map(|(rows, columns)| rows.iter().copied().zip(columns))
        .map(|(r, c)| (r, c as u16))
        .collect()
}

/// Each item in turn takes the nearest free code.
fn one_by_one(
    classes: &[Vec<usize>],
    points: ArrayView2<f64>,
    book: ArrayView2<f32>,
    offsets: &Array1<f64>,
) -> Vec<(usize, u16)> {
    let mut taken = vec![false; book.nrows()];
    let mut given = Vec::new();
    for (rows, point) in classes.iter().zip(points.axis_chunks_iter(Axis(0), 1)) {
        let cost = squared_distances(point, book) + offsets;
        let mut order: Vec<usize> = (0..book.nrows()).filter(|&c| !taken[c]).collect();
        order.sort_by(|&a, &b| cost[[0, a]].total_cmp(&cost[[0, b]]));
        for (&row, &code) in rows.iter().zip(&order) {
            taken[code] = true;
            given.push((row, code as u16));
        }
    }
    given
}

fn lowest(values: impl Iterator<Item = f64>) -> (usize, f64) {
    values.enumerate().fold((0, f64::INFINITY), |best, (i, v)| if v < best.1 { (i, v) } else { best })
}

fn mean_error(latents: ArrayView2<f32>, codes: ArrayView2<u16>, codebooks: &[Array2<f32>]) -> f64 {
    let errors: Vec<f64> = (0..latents.nrows())
        .into_par_iter()
        .map(|row| {
            let rest = residual(latents.row(row), &codes.row(row).to_vec(), codebooks);
            rest.dot(&rest)
        })
        .collect();
    errors.iter().sum::<f64>() / errors.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use crate::tokenizer::Offsets;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// Codebooks of made numbers; those of an odd seed have offsets.
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
        }
        Quantizer::new(sizes.iter().enumerate().map(book).collect(), offsets)
    }

    fn plain(book: Array2<f32>) -> Quantizer {
        let offsets = Offsets::zero([book.nrows()]);
        Quantizer::new(vec![book], offsets)
    }

    fn run(points: &Array2<f32>, quantizer: &Quantizer, ids: Vec<i64>) -> Assignment {
        let codes = quantizer.encode(points.view());
        resolve(points.view(), codes.view(), quantizer, &ItemIds::Integers(ids), &Silent).unwrap()
    }

    fn distinct(codes: &Array2<u16>) -> usize {
        codes.rows().into_iter().map(|row| row.to_vec()).collect::<HashSet<_>>().len()
    }

    #[test]
    fn identical_items_fill_a_model_to_the_brim() {
        let quantizer = quantizer(&[4, 5, 16], 4);
        let points = Array2::from_elem((320, 2), 7.5);
        let out = run(&points, &quantizer, (0..320).collect());
        assert_eq!(distinct(&out.codes), 320);
        assert_eq!((out.report.distinct_before, out.report.exact_duplicates, out.report.largest_group), (1, 319, 320));
        let too_many = Array2::from_elem((321, 2), 7.5);
        let codes = Array2::zeros((321, 3));
        let error =
            resolve(too_many.view(), codes.view(), &quantizer, &ItemIds::row_numbers(321), &Silent).unwrap_err();
        assert!(error.to_string().contains("4 levels of 16 codes"), "{error}");
    }

    #[test]
    fn of_equal_items_the_lowest_id_keeps_the_nearest_code() {
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
            let again = resolve(points.view(), out.codes.view(), &quantizer, &ItemIds::row_numbers(n), &Silent).unwrap();
            prop_assert_eq!(&again.codes, &out.codes);
            let order: Vec<usize> = (0..n).map(|i| (i + shift) % n).collect();
            let turned = run(&points.select(Axis(0), &order), &quantizer, order.iter().map(|&i| i as i64).collect());
            prop_assert_eq!(turned.codes, out.codes.select(Axis(0), &order));
        }
    }
}
