//! Groups of items that share codes.

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::item_ids::ItemIds;

/// The rank of each row by item id.
pub(super) fn ranks(item_ids: &ItemIds) -> Vec<usize> {
    let mut by_id: Vec<usize> = (0..item_ids.len()).collect();
    by_id.par_sort_unstable_by(|&a, &b| item_ids.compare(a, b).then(a.cmp(&b)));
    let mut rank = vec![0; by_id.len()];
    by_id.iter().enumerate().for_each(|(place, &row)| rank[row] = place);
    rank
}

/// Rows grouped by their first codes; within a group in the order of the ids.
pub(super) struct Groups {
    rows: Vec<usize>,
    /// The end of each group in `rows`.
    ends: Vec<usize>,
}

impl Groups {
    /// Groups the rows of `codes (n, levels)` by their first `depth` codes.
    pub(super) fn of(codes: ArrayView2<u16>, depth: usize, rank: &[usize]) -> Self {
        // At most eight levels of 16 bits.
        let key = |row: usize| codes.row(row).iter().take(depth).fold(0u128, |key, &code| key << 16 | u128::from(code));
        let mut rows: Vec<usize> = (0..codes.nrows()).collect();
        rows.par_sort_unstable_by_key(|&row| (key(row), rank[row]));
        let mut ends = Vec::new();
        let mut end = 0;
        for group in rows.chunk_by(|&a, &b| key(a) == key(b)) {
            end += group.len();
            ends.push(end);
        }
        Groups { rows, ends }
    }

    /// Number of groups.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The rows of each group, groups in the order of their codes.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[usize]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.rows[start..end])
    }

    /// Size of the largest group.
    pub(super) fn largest(&self) -> usize {
        self.iter().map(<[usize]>::len).max().unwrap_or(0)
    }
}
