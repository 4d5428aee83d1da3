//! Distributed collision resolution: a catalog in independent parts, for example on several machines.
//!
//! Matching needs all items of a prefix and nothing else, so any set of whole prefixes can be a part: [`resolve_part`].
//! Before it, items must leave overfull prefixes. If no first code has more items than the remaining levels have codes, all
//! of them find a prefix under their own first code. The overfull prefixes of a first code can then be a part, together
//! with the numbers of items under all prefixes of that code: [`make_room`]. Both steps together give the same result as
//! [`super::resolve`].

use ndarray::{Array2, ArrayView2};

use super::groups::{Groups, ranks};
use super::latents::{Latents, Loaded};
use super::occupied::Occupied;
use super::overflow::{Room, relocate};
use super::resolve::{errors_of_moved, is_overfull, match_last, sizes_of};
use crate::error::{Error, Result};
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::tokenizer::Quantizer;

/// The items of a part of a catalog.
#[derive(Debug, Clone, Copy)]
pub struct CatalogPart<'a> {
    /// `(n, latent_dim)`.
    pub latents: ArrayView2<'a, f32>,
    /// `(n, levels)`, from the quantizer.
    pub codes: ArrayView2<'a, u16>,
    /// Ties are broken by id.
    pub item_ids: &'a ItemIds,
}

/// New codes `(n, levels)` for the items of overfull prefixes, so that no prefix has more items than last-level codes.
/// [`resolve_part`] then assigns the last codes. `counts (p,)` are the numbers of items under each of
/// `prefixes (p, levels - 1)`: all prefixes of the part's first codes, or of the catalog.
/// `occupied` contains the taken codes under these first codes, or all taken codes.
///
/// # Errors
/// [`Error::Mismatch`] if shapes are inconsistent, or counts and items differ.
pub fn make_room(
    part: CatalogPart,
    prefixes: ArrayView2<u16>,
    counts: &[i64],
    quantizer: &Quantizer,
    occupied: &Occupied,
    progress: &dyn Progress,
) -> Result<Array2<u16>> {
    check(part, quantizer)?;
    let (codebooks, (n, levels)) = (quantizer.codebooks(), part.codes.dim());
    if prefixes.dim() != (counts.len(), levels - 1) {
        let expected = format!("shape {:?}", (counts.len(), levels - 1));
        let help = "count the items under each prefix of all codes but the last";
        return Err(Error::mismatch("prefixes", expected, format!("shape {:?}", prefixes.dim()), help));
    }
    let sizes = sizes_of(quantizer);
    occupied.check_sizes(&sizes)?;
    check_codes("prefixes", prefixes, &sizes[..levels - 1])?;
    let rank = ranks(part.item_ids);
    let groups = Groups::of(part.codes, levels - 1, &rank);
    let counted: std::collections::HashMap<Vec<u16>, i64> =
        prefixes.rows().into_iter().map(|prefix| prefix.to_vec()).zip(counts.iter().copied()).collect();
    let groups: Vec<Vec<usize>> = groups.iter().map(<[usize]>::to_vec).collect();
    for group in &groups {
        let prefix: Vec<u16> = part.codes.row(group[0]).iter().take(levels - 1).copied().collect();
        if counted.get(&prefix) != Some(&(group.len() as i64)) {
            let got = counted.get(&prefix).copied().unwrap_or(0);
            let expected = format!("{} items under prefix {prefix:?}, as in this part", group.len());
            return Err(Error::mismatch(
                "counts",
                expected,
                got,
                "give all items of a prefix, and count the same table",
            ));
        }
    }
    progress.begin("make room", Some(n as u64), "items");
    let loaded = (&part.latents as &dyn Latents).load((0..n).collect())?;
    let mut codes = part.codes.to_owned();
    let room = Room::of_counts(prefixes, counts, codebooks, occupied);
    relocate(&loaded, &mut codes, codebooks, &groups, &rank, room)?;
    progress.end();
    Ok(codes)
}

/// Unique codes `(n, levels)` for all items of some prefixes, each with at most as many items as free last-level codes;
/// their errors; and whether each item's codes differ from the quantizer's. `places (n, levels)` are the quantizer's
/// codes, or for items of overfull prefixes the codes of [`make_room`]. `errors (n,)` are the quantizer's. `occupied`
/// contains the taken codes under these prefixes, or all taken codes.
///
/// # Errors
/// [`Error::Mismatch`] if shapes are inconsistent, or a prefix has too many items.
pub fn resolve_part(
    part: CatalogPart,
    places: ArrayView2<u16>,
    errors: &[f32],
    quantizer: &Quantizer,
    occupied: &Occupied,
    progress: &dyn Progress,
) -> Result<(Array2<u16>, Vec<f32>, Vec<bool>)> {
    check(part, quantizer)?;
    check(CatalogPart { latents: part.latents.view(), codes: places.view(), item_ids: part.item_ids }, quantizer)?;
    let (n, levels) = part.codes.dim();
    if errors.len() != n {
        return Err(Error::mismatch("errors", format!("{n}, one per item"), errors.len(), "check the call"));
    }
    let rank = ranks(part.item_ids);
    occupied.check_sizes(&sizes_of(quantizer))?;
    let groups = Groups::of(places, levels - 1, &rank);
    if let Some(group) = groups.iter().find(|group| is_overfull(group, places, occupied)) {
        let free = occupied.codebook_sizes()[levels - 1] - occupied.under(&places.row(group[0]).to_vec()[..levels - 1]);
        let help = "make room in overfull prefixes first, by make_room";
        return Err(Error::mismatch("items of a prefix", format!("at most {free}"), group.len(), help));
    }
    let mut unique = places.to_owned();
    let away: Vec<usize> = (0..n).filter(|&row| part.codes.row(row) != places.row(row)).collect();
    let loaded: Loaded = match_last(&part.latents, &mut unique, &away, (quantizer, occupied), &rank, progress)?;
    let reassigned: Vec<bool> = part.codes.rows().into_iter().zip(unique.rows()).map(|(a, b)| a != b).collect();
    let errors = errors_of_moved(&loaded, errors, &reassigned, unique.view(), quantizer.codebooks())?;
    Ok((unique, errors, reassigned))
}

fn check(part: CatalogPart, quantizer: &Quantizer) -> Result<()> {
    let books = quantizer.codebooks();
    let (n, dim) = (part.codes.nrows(), books.first().map_or(0, Array2::ncols));
    let fits = |what: &str, expected: (usize, usize), got: (usize, usize)| match expected == got {
        true => Ok(()),
        false => {
            let help = "give one row per item, from the model that assigned the codes";
            Err(Error::mismatch(what, format!("shape {expected:?}"), format!("shape {got:?}"), help))
        }
    };
    fits("codes", (n, books.len().max(1)), part.codes.dim())?;
    fits("latents", (n, dim), part.latents.dim())?;
    if part.item_ids.len() != n {
        let expected = format!("{n}, one per row");
        return Err(Error::mismatch("item_ids", expected, part.item_ids.len(), "give one id per row"));
    }
    let sizes: Vec<usize> = books.iter().map(Array2::nrows).collect();
    check_codes("codes", part.codes, &sizes)?;
    match part.latents.indexed_iter().find(|(_, v)| !v.is_finite()) {
        Some(((row, column), value)) => {
            Err(Error::data(format!("latents[{row}, {column}]"), "finite numbers", value, "correct or remove the item"))
        }
        None => Ok(()),
    }
}

fn check_codes(what: &str, codes: ArrayView2<u16>, sizes: &[usize]) -> Result<()> {
    for (level, &size) in sizes.iter().enumerate() {
        if let Some(code) = codes.column(level).iter().find(|&&code| usize::from(code) >= size) {
            let help = "pass the model that assigned them";
            return Err(Error::mismatch(format!("{what} of level {level}"), format!("below {size}"), code, help));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ndarray::{Axis, array};
    use proptest::prelude::*;

    use super::super::{UnresolvedItems, place};
    use super::*;
    use crate::progress::Silent;
    use crate::tokenizer::Offsets;

    const SIZES: [usize; 3] = [3, 4, 4];

    fn quantizer(seed: u64) -> Quantizer {
        let value = |i: usize, j: usize, l: usize| (((i * 37 + j * 101 + l * 17) as u64 + seed) % 23) as f32;
        let book =
            |(l, &size): (usize, &usize)| Array2::from_shape_fn((size, 2), |(i, j)| value(i, j, l) / (l + 1) as f32);
        Quantizer::new(SIZES.iter().enumerate().map(book).collect(), Offsets::zero(SIZES))
    }

    fn by<K: Ord>(n: usize, key: impl Fn(usize) -> K) -> BTreeMap<K, Vec<usize>> {
        let mut rows = BTreeMap::new();
        (0..n).for_each(|row| rows.entry(key(row)).or_insert_with(Vec::new).push(row));
        rows
    }

    /// The codes of `taken` that start with `prefix`.
    fn taken_under(taken: &Occupied, codes: &Array2<u16>, prefix: &[u16]) -> Occupied {
        let rows = codes.rows().into_iter().enumerate().filter(|(_, code)| code.to_vec().starts_with(prefix));
        let mut under = Occupied::new(taken.codebook_sizes()).unwrap();
        under.insert(codes.select(Axis(0), &rows.map(|(row, _)| row).collect::<Vec<_>>()).view()).unwrap();
        under
    }

    /// Makes room per first code, then resolves every prefix on its own, in reverse order.
    fn in_parts(
        points: &Array2<f32>,
        codes: &Array2<u16>,
        errors: &[f32],
        quantizer: &Quantizer,
        (taken, taken_codes): (&Occupied, &Array2<u16>),
    ) -> Assigned {
        let n = codes.nrows();
        let prefix = |codes: &Array2<u16>, row: usize| [codes[[row, 0]], codes[[row, 1]]];
        let prefixes = by(n, |row| prefix(codes, row));
        let mut places = codes.clone();
        let fits = |(first, rows): (&u16, &Vec<usize>)| rows.len() + taken.under(&[*first]) <= SIZES[1] * SIZES[2];
        let is_closed = by(n, |row| codes[[row, 0]]).iter().all(fits);
        let neighbourhood = |first: u16| if is_closed { first } else { 0 };
        for (first, rows) in by(n, |row| neighbourhood(codes[[row, 0]])).into_iter().rev() {
            let near = prefixes.iter().filter(|(prefix, _)| neighbourhood(prefix[0]) == first);
            let (keys, counts): (Vec<_>, Vec<_>) = near.map(|(key, rows)| (*key, rows.len() as i64)).unzip();
            let here = if is_closed { &[first][..] } else { &[] };
            let occupied = taken_under(taken, taken_codes, here);
            let crowded = |row: &usize| {
                let prefix = prefix(codes, *row);
                prefixes[&prefix].len() + taken.under(&prefix) > SIZES[2]
            };
            let rows: Vec<usize> = rows.into_iter().filter(crowded).collect();
            let (latents, here) = (points.select(Axis(0), &rows), codes.select(Axis(0), &rows));
            let ids = ItemIds::Integers(rows.iter().map(|&row| row as i64).collect());
            let part = CatalogPart { latents: latents.view(), codes: here.view(), item_ids: &ids };
            let keys = Array2::from_shape_fn((keys.len(), 2), |(i, j)| keys[i][j]);
            let made = make_room(part, keys.view(), &counts, quantizer, &occupied, &Silent).unwrap();
            rows.iter().zip(made.rows()).for_each(|(&row, code)| places.row_mut(row).assign(&code));
        }
        let mut out = (codes.clone(), vec![0.0; n], vec![false; n]);
        for rows in by(n, |row| prefix(&places, row)).into_values().rev() {
            let of = |codes: &Array2<u16>| codes.select(Axis(0), &rows);
            let (latents, here, places) = (points.select(Axis(0), &rows), of(codes), of(&places));
            let ids = ItemIds::Integers(rows.iter().map(|&row| row as i64).collect());
            let part = CatalogPart { latents: latents.view(), codes: here.view(), item_ids: &ids };
            let errors: Vec<f32> = rows.iter().map(|&row| errors[row]).collect();
            let occupied = taken_under(taken, taken_codes, &places.row(0).to_vec()[..2]);
            let found = resolve_part(part, places.view(), &errors, quantizer, &occupied, &Silent).unwrap();
            for (at, &row) in rows.iter().enumerate() {
                out.0.row_mut(row).assign(&found.0.row(at));
                (out.1[row], out.2[row]) = (found.1[at], found.2[at]);
            }
        }
        out
    }

    type Assigned = (Array2<u16>, Vec<f32>, Vec<bool>);

    proptest! {
        #[test]
        fn parts_give_the_same_codes_as_the_whole(
            values in prop::collection::vec(0u8..12, 2 * 48), n in 1usize..48, seed in 0u64..1000, narrow in any::<bool>(),
            taken in prop::collection::vec((0u16..3, 0u16..4, 0u16..4), 0usize..40),
        ) {
            let taken_codes = Array2::from_shape_fn((taken.len(), 3), |(i, j)| [taken[i].0, taken[i].1, taken[i].2][j]);
            let mut taken = Occupied::new(&SIZES).unwrap();
            taken.insert(taken_codes.view()).unwrap();
            let n = n.min(48 - taken.len());
            let quantizer = quantizer(seed);
            let value = |v: u8| f32::from(v) / if narrow { 20.0 } else { 1.0 };
            let points = Array2::from_shape_fn((n, 2), |(i, j)| value(values[2 * i + j]));
            let codes = quantizer.encode(points.view());
            let errors = (&points - &quantizer.decode(codes.view())).map_axis(Axis(1), |rest| rest.dot(&rest)).to_vec();
            let ids = ItemIds::row_numbers(n);
            let (latents, item_ids) = (&points.view(), &ids);
            let items = UnresolvedItems { latents, codes: codes.view(), errors: &errors, item_ids };
            let whole = place(&items, &quantizer, &taken, &Silent).unwrap();
            let (unique, errors, reassigned) = in_parts(&points, &codes, &errors, &quantizer, (&taken, &taken_codes));
            prop_assert_eq!(unique, whole.codes);
            prop_assert_eq!(errors, whole.errors);
            prop_assert_eq!(reassigned, whole.reassigned);
        }
    }

    #[test]
    fn inconsistent_input_is_refused() {
        let (quantizer, points, ids) = (quantizer(0), Array2::zeros((5, 2)), ItemIds::row_numbers(5));
        let codes = Array2::zeros((5, 3));
        let part = CatalogPart { latents: points.view(), codes: codes.view(), item_ids: &ids };
        let free = Occupied::new(&SIZES).unwrap();
        let message = |error: Error| error.to_string();
        let full = message(resolve_part(part, codes.view(), &[0.0; 5], &quantizer, &free, &Silent).unwrap_err());
        assert!(full.contains("at most 4") && full.contains("make room"), "{full}");
        let counted = message(make_room(part, array![[0, 0]].view(), &[4], &quantizer, &free, &Silent).unwrap_err());
        assert!(counted.contains("5 items under prefix [0, 0]") && counted.contains("got 4"), "{counted}");
        let wide = message(make_room(part, array![[0, 4]].view(), &[5], &quantizer, &free, &Silent).unwrap_err());
        assert!(wide.contains("prefixes of level 1: expected below 4, got 4"), "{wide}");
        let short = message(resolve_part(part, codes.view(), &[0.0; 4], &quantizer, &free, &Silent).unwrap_err());
        assert!(short.contains("5, one per item"), "{short}");
    }
}
