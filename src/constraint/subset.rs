//! Subsets of a trie's items.

use super::bits::{Bits, directory};
use rayon::prelude::*;

/// A subset of a trie's items, such as those in stock, of a category or new to a user. [`super::Trie::subset`] creates it;
/// it takes one bit per item and leaves the trie unchanged.
#[derive(Debug, Clone)]
pub struct Subset {
    words: Vec<u64>,
    directory: Vec<u32>,
    /// Number of items of the trie.
    leaves: usize,
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
        Subset::of_words(words, rows.len())
    }

    fn of_words(words: Vec<u64>, leaves: usize) -> Self {
        Subset { directory: directory(&words), words, leaves }
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.bits().ones()
    }

    /// Whether the subset is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items of both subsets, which must belong to the same trie.
    #[must_use]
    pub fn and(&self, other: &Subset) -> Self {
        self.with(other, |a, b| a & b)
    }

    /// The items of either subset. Both must belong to the same trie.
    #[must_use]
    pub fn or(&self, other: &Subset) -> Self {
        self.with(other, |a, b| a | b)
    }

    /// The items of this subset that are not in the other. Both must belong to the same trie.
    #[must_use]
    pub fn minus(&self, other: &Subset) -> Self {
        self.with(other, |a, b| a & !b)
    }

    /// The other items of the trie.
    #[must_use]
    pub fn complement(&self) -> Self {
        let mut words: Vec<u64> = self.words.iter().map(|word| !word).collect();
        if let Some(last) = words.last_mut().filter(|_| self.leaves % 64 > 0) {
            *last &= (1 << (self.leaves % 64)) - 1;
        }
        Subset::of_words(words, self.leaves)
    }

    fn with(&self, other: &Subset, combine: impl Fn(u64, u64) -> u64) -> Self {
        let words = self.words.iter().zip(&other.words).map(|(a, b)| combine(*a, *b)).collect();
        Subset::of_words(words, self.leaves)
    }

    /// The subset with some leaves added or removed.
    pub(super) fn changed(&self, changes: impl Iterator<Item = (u32, bool)>) -> Self {
        let mut words = self.words.clone();
        for (leaf, belongs) in changes {
            let (word, bit) = (&mut words[leaf as usize / 64], 1 << (leaf % 64));
            if belongs { *word |= bit } else { *word &= !bit }
        }
        Subset::of_words(words, self.leaves)
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
