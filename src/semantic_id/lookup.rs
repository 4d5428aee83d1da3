//! Finding items by ID and prefix in a token table.

use std::borrow::Borrow;
use std::cmp::Ordering;

use super::TokenTable;
use crate::error::{Error, Result};

/// A token table's rows in the order of their codes: every prefix is one stretch of it. The table is the lookup's own or
/// borrowed.
#[derive(Debug)]
pub struct Lookup<T: Borrow<TokenTable>> {
    table: T,
    sorted: Vec<usize>,
}

impl<T: Borrow<TokenTable>> Lookup<T> {
    /// Sorts the rows of a table.
    pub fn new(table: T) -> Self {
        let codes = &table.borrow().codes;
        let mut sorted: Vec<usize> = (0..codes.nrows()).collect();
        sorted.sort_by(|&a, &b| codes.row(a).iter().cmp(codes.row(b).iter()));
        Lookup { table, sorted }
    }

    /// The table.
    pub fn table(&self) -> &TokenTable {
        self.table.borrow()
    }

    /// The row of an item.
    ///
    /// # Errors
    /// [`Error::Item`] when it is not in the table.
    pub fn item(&self, id: &str) -> Result<usize> {
        self.table().item_ids.position(id).ok_or_else(|| Error::Item {
            item: id.to_owned(),
            expected: "an item of the token table".into(),
            got: format!("none of its {} ids", self.table().item_ids.len()),
            help: "check the id; it is the catalog's own".into(),
        })
    }

    /// The rows under a semantic ID or a prefix of one, in the order of their codes; none where no item has it.
    ///
    /// # Errors
    /// [`Error::Data`] where the text is neither.
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

    /// Every prefix of `depth` codes with its number of items, the fullest first, then in the order of their codes.
    pub fn prefix_counts(&self, depth: usize) -> Vec<(Vec<u16>, usize)> {
        let prefix = |row: usize| self.table().codes.row(row).iter().take(depth).copied().collect::<Vec<_>>();
        let mut counts: Vec<(Vec<u16>, usize)> =
            self.sorted.chunk_by(|&a, &b| prefix(a) == prefix(b)).map(|rows| (prefix(rows[0]), rows.len())).collect();
        counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        counts
    }
}
