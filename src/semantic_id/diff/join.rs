//! Joins the rows of two tables by item id.

use rayon::prelude::*;

use super::compact::CompactTable;
use crate::error::{Error, Result};

/// The items of two tables, by row.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// The row of each common item in both tables, in the order of the first table.
    pub(super) common: Vec<(u32, u32)>,
    /// Rows of the first table whose items are not in the second, ascending.
    pub(super) removed: Vec<u32>,
    /// Rows of the second table whose items are not in the first, ascending.
    pub(super) added: Vec<u32>,
}

/// Joins the items of two tables by id. An integer id equals the same number as text.
///
/// # Errors
/// [`Error::Data`] if an id occurs twice in a table, or a table has more than `u32::MAX` rows.
pub(super) fn join(before: &CompactTable, after: &CompactTable) -> Result<Joined> {
    let (a, b) = (hashed(before)?, hashed(after)?);
    let mut joined = Joined::default();
    let (mut at, mut to) = (0, 0);
    // Both sides are sorted by hash. Ids with equal hashes are compared as text.
    while at < a.len() || to < b.len() {
        let hash = match (a.get(at), b.get(to)) {
            (Some(a), Some(b)) => a.0.min(b.0),
            (Some(a), None) => a.0,
            (None, Some(b)) => b.0,
            (None, None) => break,
        };
        let run = |side: &[(u64, u32)], from: usize| side[from..].iter().take_while(|(h, _)| *h == hash).count();
        let (of_a, of_b) = (run(&a, at), run(&b, to));
        let (here, there) = (&a[at..at + of_a], &b[to..to + of_b]);
        let mut taken = vec![false; of_b];
        for &(_, row) in here {
            let same = |&(_, other): &(u64, u32)| {
                before.with_text(row as usize, |id| after.with_text(other as usize, |other| id == other))
            };
            match there.iter().position(same) {
                Some(place) => {
                    taken[place] = true;
                    joined.common.push((row, there[place].1));
                }
                None => joined.removed.push(row),
            }
        }
        joined.added.extend(there.iter().zip(taken).filter(|(_, taken)| !taken).map(|((_, row), _)| *row));
        (at, to) = (at + of_a, to + of_b);
    }
    joined.common.par_sort_unstable();
    joined.removed.par_sort_unstable();
    joined.added.par_sort_unstable();
    Ok(joined)
}

/// The hash of the id, and the row, of each item; sorted.
fn hashed(table: &CompactTable) -> Result<Vec<(u64, u32)>> {
    let rows = u32::try_from(table.len()).map_err(|_| {
        Error::data(
            "comparison of token tables",
            format!("at most {} items", u32::MAX),
            table.len(),
            "compare the tables in parts",
        )
    })?;
    let mut hashed: Vec<(u64, u32)> =
        (0..rows).into_par_iter().map(|row| (table.with_text(row as usize, hash), row)).collect();
    hashed.par_sort_unstable();
    for (place, pair) in hashed.windows(2).enumerate().filter(|(_, pair)| pair[0].0 == pair[1].0) {
        // Different ids rarely have the same hash.
        for &(_, other) in hashed[place + 1..].iter().take_while(|(h, _)| *h == pair[0].0) {
            let row = pair[0].1 as usize;
            if table.with_text(row, |id| table.with_text(other as usize, |other| id == other)) {
                let got = format!("{} in rows {} and {}", table.id(row), row + 1, other + 1);
                let help = "make the table again with `catalex tokenize`";
                return Err(Error::data("item ids of a token table", "each id once", got, help));
            }
        }
    }
    Ok(hashed)
}

/// The FNV-1a hash, with its bits mixed at the end.
fn hash(text: &[u8]) -> u64 {
    let hash = text
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}
