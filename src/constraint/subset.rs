//! Subsets of a trie's items.

use super::bits::{Bits, directory};
use rayon::prelude::*;

/// A subset of a trie's items, such as those in stock, of a category or new to a user. [`super::Trie::subset`] creates it;
/// it takes one bit per item and leaves the trie unchanged.
#[derive(Debug, Clone)]
pub struct Subset {
    words: Vec<u64>,
    directory: Vec<u32>,
}

impl Subset {
    /// The leaves whose row satisfies `belongs`.
    pub(super) fn new(rows: &[u32], belongs: impl Fn(usize) -> bool + Sync) -> Self {
        let words: Vec<u64> = rows
            .par_chunks(64)
            .map(|rows| {
                let bit = |(at, &row): (usize, &u32)| u64::from(belongs(row as usize)) << at;
                rows.iter().enumerate().map(bit).fold(0, |word, bit| word | bit)
            })
            .collect();
        Subset { directory: directory(&words), words }
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.bits().ones()
    }

    /// Whether the subset is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the subset contains one of these leaves.
    pub(super) fn any(&self, leaves: std::ops::Range<usize>) -> bool {
        let bits = self.bits();
        bits.rank(leaves.start) < bits.rank(leaves.end)
    }

    fn bits(&self) -> Bits<'_> {
        Bits { words: &self.words, directory: &self.directory }
    }
}
