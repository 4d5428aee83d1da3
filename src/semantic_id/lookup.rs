//! Finding items by ID and prefix in a token table.

use std::borrow::Borrow;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use rayon::prelude::*;

use super::TokenTable;
use crate::error::{Error, Result};

/// The rows of a token table sorted by their codes, so that the items of a prefix are one range. The members of a shared ID
/// are in the order of their ranks. The lookup owns or borrows the table.
#[derive(Debug)]
pub struct Lookup<T: Borrow<TokenTable>> {
    table: T,
    sorted: Vec<usize>,
}

impl<T: Borrow<TokenTable>> Lookup<T> {
    /// Sorts the rows of a table.
    pub fn new(table: T) -> Self {
        let TokenTable { codes, members, .. } = table.borrow();
        let rank = |row: usize| members.as_ref().map_or(0, |members| members.ranks[row]);
        let mut sorted: Vec<usize> = (0..codes.nrows()).collect();
        sorted.par_sort_unstable_by(|&a, &b| {
            codes.row(a).iter().cmp(codes.row(b).iter()).then((rank(a), a).cmp(&(rank(b), b)))
        });
        Lookup { table, sorted }
    }

    /// The table.
    pub fn table(&self) -> &TokenTable {
        self.table.borrow()
    }

    /// The row of an item.
    ///
    /// # Errors
    /// [`Error::Item`] if it is not in the table.
    pub fn item(&self, id: &str) -> Result<usize> {
        self.table().item_ids.position(id).ok_or_else(|| Error::Item {
            item: id.to_owned(),
            expected: "an item of the token table".into(),
            got: format!("an id that is not among its {} ids", self.table().item_ids.len()),
            help: "check the id; use the id from the catalog".into(),
        })
    }

    /// The rows of the items that have a semantic ID or a prefix of one, in the order of their codes.
    ///
    /// # Errors
    /// [`Error::Data`] if the text is neither.
    pub fn find(&self, text: &str) -> Result<Vec<usize>> {
        let metadata = &self.table().metadata;
        Ok(self.rows(&metadata.token_format.parse(text, &metadata.codebook_sizes)?).to_vec())
    }

    /// The rows whose codes begin with `prefix`, in the order of their codes.
    pub fn rows(&self, prefix: &[u16]) -> &[usize] {
        let compare = |row: usize| self.table().codes.row(row).iter().take(prefix.len()).cmp(prefix);
        let from = self.sorted.partition_point(|&row| compare(row) == Ordering::Less);
        let to = self.sorted.partition_point(|&row| compare(row) != Ordering::Greater);
        &self.sorted[from..to]
    }

    /// Number of distinct prefixes of `depth` codes.
    pub fn distinct_prefixes(&self, depth: usize) -> usize {
        self.sorted.chunk_by(|&a, &b| self.share_prefix(a, b, depth)).count()
    }

    /// The `most` prefixes of `depth` codes with the largest numbers of items, the largest first, then in the order of
    /// their codes.
    pub fn fullest_prefixes(&self, depth: usize, most: usize) -> Vec<(Vec<u16>, usize)> {
        // The smallest on top; of equally large ones the last.
        let mut fullest = BinaryHeap::with_capacity(most + 1);
        let mut start = 0;
        for rows in self.sorted.chunk_by(|&a, &b| self.share_prefix(a, b, depth)) {
            fullest.push(Reverse((rows.len(), Reverse(start))));
            if fullest.len() > most {
                fullest.pop();
            }
            start += rows.len();
        }
        let prefix = |start: usize| self.table().codes.row(self.sorted[start]).iter().take(depth).copied().collect();
        fullest.into_sorted_vec().into_iter().map(|Reverse((items, Reverse(start)))| (prefix(start), items)).collect()
    }

    fn share_prefix(&self, a: usize, b: usize, depth: usize) -> bool {
        let codes = &self.table().codes;
        codes.row(a).iter().take(depth).eq(codes.row(b).iter().take(depth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item_ids::ItemIds;
    use crate::semantic_id::{Collisions, TableMetadata, TokenFormat};
    use ndarray::array;

    #[test]
    fn prefixes_are_counted_and_the_fullest_come_first() {
        let codes = array![[2u16, 0], [0, 1], [2, 1], [1, 0], [0, 0], [3, 0]];
        let table = TokenTable {
            members: None,
            item_ids: ItemIds::row_numbers(6),
            residual_error: vec![0.0; 6],
            reassigned: vec![false; 6],
            codes,
            metadata: TableMetadata {
                model_hash: String::new(),
                codebook_sizes: vec![4, 2],
                token_format: TokenFormat::default(),
                policy: Collisions::Resolve,
                collisions: None,
            },
        };
        let lookup = Lookup::new(&table);
        assert_eq!(lookup.rows(&[]), [4, 1, 3, 0, 2, 5]);
        assert_eq!((lookup.distinct_prefixes(1), lookup.distinct_prefixes(2)), (4, 6));
        assert_eq!(lookup.fullest_prefixes(1, 3), [(vec![0], 2), (vec![2], 2), (vec![1], 1)]);
        assert_eq!(lookup.fullest_prefixes(1, 9).len(), 4);
        assert_eq!(lookup.fullest_prefixes(0, 2), [(vec![], 6)]);
    }
}
