//! The disambiguating level of a retrained index.

use std::collections::{HashMap, HashSet};

use ndarray::{ArrayView1, ArrayView2};

use crate::error::{Error, Result};
use crate::semantic_id::{Collisions, TokenTable};
use crate::tokenizer::MAX_CODEBOOK_SIZE;

/// Numbers the items with equal codes again, for the collision policy `suffix`. With `kept`, items whose other codes are
/// those of `before` keep their numbers. In the order of the item ids, the others get the lowest numbers that neither
/// these items nor IDs in `reserved` have. The level keeps its size, or grows.
///
/// # Errors
/// [`Error::Data`] for more items with equal codes than a level can have codes.
pub(super) fn keep_suffixes(
    table: &mut TokenTable,
    before: &TokenTable,
    kept: bool,
    reserved: ArrayView2<u16>,
) -> Result<()> {
    let last = table.codes.ncols() - 1;
    if table.metadata.policy != Collisions::Suffix || before.codes.ncols() != last + 1 {
        return Ok(());
    }
    let prefix = |codes: ArrayView1<u16>| codes.iter().take(last).copied().collect::<Vec<u16>>();
    let mut taken: HashMap<Vec<u16>, HashSet<u16>> = HashMap::new();
    for codes in reserved.rows() {
        taken.entry(prefix(codes)).or_default().insert(codes[last]);
    }
    let row_before = before.item_ids.rows_by_text();
    let mut open = Vec::new();
    for row in 0..table.codes.nrows() {
        let old = row_before.get(&table.item_ids.text(row)).map(|&row| before.codes.row(row));
        match old.filter(|old| kept && prefix(*old) == prefix(table.codes.row(row))) {
            Some(old) => {
                table.codes[[row, last]] = old[last];
                taken.entry(prefix(old)).or_default().insert(old[last]);
            }
            None => open.push(row),
        }
    }
    open.sort_by(|&a, &b| table.item_ids.compare(a, b));
    let mut next: HashMap<Vec<u16>, usize> = HashMap::new();
    for row in open {
        let codes = prefix(table.codes.row(row));
        let taken = taken.get(&codes);
        let next = next.entry(codes).or_default();
        while taken.is_some_and(|taken| u16::try_from(*next).is_ok_and(|number| taken.contains(&number))) {
            *next += 1;
        }
        table.codes[[row, last]] = u16::try_from(*next).map_err(|_| {
            let expected = format!("at most {MAX_CODEBOOK_SIZE} items with equal codes");
            Error::data("suffixes of semantic IDs", expected, "more", "build a new index with more codes")
        })?;
        *next += 1;
    }
    let highest = table.codes.column(last).iter().max().map_or(0, |&number| usize::from(number) + 1);
    table.metadata.codebook_sizes[last] = highest.max(before.metadata.codebook_sizes[last]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item_ids::ItemIds;
    use crate::semantic_id::{TableMetadata, TokenFormat};
    use ndarray::{Array2, array};

    fn table(ids: &[&str], codes: Array2<u16>, size: usize) -> TokenTable {
        TokenTable {
            members: None,
            item_ids: ItemIds::Strings(ids.iter().map(|id| (*id).into()).collect()),
            residual_error: vec![0.0; ids.len()],
            reassigned: vec![false; ids.len()],
            codes,
            metadata: TableMetadata {
                model_hash: "m".into(),
                codebook_sizes: vec![4, size],
                token_format: TokenFormat::default(),
                policy: Collisions::Suffix,
                collisions: None,
            },
        }
    }

    #[test]
    fn items_keep_their_numbers_and_ids_in_quarantine_stay_free() {
        let before = table(&["a", "b", "c", "d"], array![[0, 2], [0, 0], [1, 0], [1, 1]], 3);
        // The item that had ID (0, 1) was deleted. Item d moves to the codes of a and b, and z and y are new.
        let reserved = array![[0u16, 1], [3, 0]];
        let after =
            || table(&["d", "a", "z", "c", "y", "b"], array![[0, 0], [0, 0], [0, 0], [1, 0], [3, 0], [0, 0]], 4);
        let mut kept = after();
        keep_suffixes(&mut kept, &before, true, reserved.view()).unwrap();
        assert_eq!(kept.codes, array![[0, 3], [0, 2], [0, 4], [1, 0], [3, 1], [0, 0]]);
        assert_eq!(kept.metadata.codebook_sizes, [4, 5]);
        let mut new = after();
        keep_suffixes(&mut new, &before, false, reserved.view()).unwrap();
        assert_eq!(new.codes, array![[0, 3], [0, 0], [0, 4], [1, 0], [3, 1], [0, 2]]);
        let mut few = table(&["a", "c"], array![[0, 0], [1, 0]], 1);
        keep_suffixes(&mut few, &before, true, reserved.view()).unwrap();
        assert_eq!(few.metadata.codebook_sizes, [4, 3], "the vocabulary keeps its tokens");
    }
}
