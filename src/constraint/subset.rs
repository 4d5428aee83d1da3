//! Some of a trie's items.

use super::bits::{Bits, directory};
use rayon::prelude::*;

/// Some of a trie's items: what is in stock, of a category, or new to a user. Made by [`super::Trie::subset`], a bit an
/// item; the trie stays as it is.
#[derive(Debug, Clone)]
pub struct Subset {
    words: Vec<u64>,
    directory: Vec<u32>,
}

impl Subset {
    /// The leaves for whose row `belongs` holds.
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

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether one of these leaves belongs to it.
    pub(super) fn any(&self, leaves: std::ops::Range<usize>) -> bool {
        let bits = self.bits();
        bits.rank(leaves.start) < bits.rank(leaves.end)
    }

    fn bits(&self) -> Bits<'_> {
        Bits { words: &self.words, directory: &self.directory }
    }
}
