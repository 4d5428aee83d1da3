//! Search for patterns and their continuations.

use std::ops::Range;

use super::FmIndex;

/// The occurrences of a pattern in an index; valid only for the index that returned it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Occurrences {
    /// The range of rows of the pattern.
    pub(super) from: u32,
    pub(super) to: u32,
    /// Length of the pattern in tokens.
    pub(super) length: u32,
}

impl Occurrences {
    /// Number of occurrences; an item can contain several.
    pub fn count(self) -> usize {
        self.to.saturating_sub(self.from) as usize
    }

    /// Whether the pattern does not occur.
    pub fn is_empty(self) -> bool {
        self.count() == 0
    }

    /// Length of the pattern in tokens.
    pub fn length(self) -> usize {
        self.length as usize
    }
}

/// The tokens that follow the occurrences of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FragmentContinuations {
    /// The following tokens, ascending.
    pub tokens: Vec<u32>,
    /// The number of occurrences that each token follows.
    pub counts: Vec<u32>,
    /// The number of occurrences at the end of an item.
    pub ends: u32,
}

impl FmIndex {
    /// The occurrences of the empty pattern: every position of every item, including its end. The start for generation
    /// from any position of an identifier.
    pub fn anywhere(&self) -> Occurrences {
        Occurrences { from: 0, to: self.layout.shape.rows as u32, length: 0 }
    }

    /// The occurrences of the empty pattern at the start of an item. The start for generation of prefixes only, as in a
    /// trie.
    pub fn beginnings(&self) -> Occurrences {
        Occurrences { from: 0, to: self.layout.shape.items as u32, length: 0 }
    }

    /// The occurrences of a pattern; none spans two items.
    pub fn range(&self, pattern: &[u32]) -> Occurrences {
        pattern.iter().fold(self.anywhere(), |found, &token| self.extend(found, token))
    }

    /// The number of occurrences of a pattern.
    pub fn count(&self, pattern: &[u32]) -> usize {
        self.range(pattern).count()
    }

    /// The occurrences of a pattern extended by one token.
    pub fn extend(&self, found: Occurrences, token: u32) -> Occurrences {
        let length = found.length.saturating_add(1);
        let nothing = Occurrences { from: 0, to: 0, length };
        let rows = self.rows(found);
        let Ok(index) = self.tokens().binary_search(&token) else { return nothing };
        if rows.is_empty() {
            return nothing;
        }
        // Symbol 0 is the end of an item.
        let symbol = index + 1;
        let leaves = self.wavelet().descend(symbol as u32, rows);
        if leaves.is_empty() {
            return nothing;
        }
        let from = self.row_of_leaf(symbol, leaves.start) as u32;
        Occurrences { from, to: from + leaves.len() as u32, length }
    }

    /// The continuations of a pattern: the tokens that a decoder may generate next.
    pub fn continuations(&self, found: Occurrences) -> FragmentContinuations {
        let tokens = self.tokens();
        let mut next = FragmentContinuations::default();
        self.wavelet().distinct(self.rows(found), |symbol, count| match symbol.checked_sub(1) {
            Some(index) => {
                next.tokens.push(tokens[index as usize]);
                next.counts.push(count as u32);
            }
            None => next.ends = count as u32,
        });
        next
    }

    /// The rows of occurrences, clamped to the index.
    pub(super) fn rows(&self, found: Occurrences) -> Range<usize> {
        let to = (found.to as usize).min(self.layout.shape.rows);
        (found.from as usize).min(to)..to
    }
}
