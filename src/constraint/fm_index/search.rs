//! Patterns, and what follows them.

use std::ops::Range;

use super::FmIndex;

/// The occurrences of a pattern in an index. To be used with the index that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Occurrences {
    /// The rows of the index whose pattern it is.
    pub(super) from: u32,
    pub(super) to: u32,
    /// Tokens of the pattern.
    pub(super) length: u32,
}

impl Occurrences {
    /// Number of occurrences; an item can have several.
    pub fn count(self) -> usize {
        self.to.saturating_sub(self.from) as usize
    }

    /// Whether the pattern does not occur.
    pub fn is_empty(self) -> bool {
        self.count() == 0
    }

    /// Number of tokens of the pattern.
    pub fn length(self) -> usize {
        self.length as usize
    }
}

/// What follows the occurrences of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FragmentContinuations {
    /// The tokens that follow, in ascending order.
    pub tokens: Vec<u32>,
    /// How many occurrences each of them follows.
    pub counts: Vec<u32>,
    /// How many occurrences stand at the end of an item.
    pub ends: u32,
}

impl FmIndex {
    /// The occurrences of the pattern of no tokens: every place of every item, its end too. Generation that may begin
    /// inside an identifier begins here.
    pub fn anywhere(&self) -> Occurrences {
        Occurrences { from: 0, to: self.layout.shape.rows as u32, length: 0 }
    }

    /// Those of them at which an item begins. From here on, only beginnings of identifiers match, as in a trie.
    pub fn beginnings(&self) -> Occurrences {
        Occurrences { from: 0, to: self.layout.shape.items as u32, length: 0 }
    }

    /// The occurrences of a pattern, which lie inside an item each.
    pub fn range(&self, pattern: &[u32]) -> Occurrences {
        pattern.iter().fold(self.anywhere(), |found, &token| self.extend(found, token))
    }

    /// How often a pattern occurs.
    pub fn count(&self, pattern: &[u32]) -> usize {
        self.range(pattern).count()
    }

    /// The occurrences of the pattern with one token more.
    pub fn extend(&self, found: Occurrences, token: u32) -> Occurrences {
        let length = found.length.saturating_add(1);
        let nothing = Occurrences { from: 0, to: 0, length };
        let rows = self.rows(found);
        let Ok(place) = self.tokens().binary_search(&token) else { return nothing };
        if rows.is_empty() {
            return nothing;
        }
        // Symbol 0 is the end of an item.
        let symbol = place + 1;
        let leaves = self.wavelet().descend(symbol as u32, rows);
        if leaves.is_empty() {
            return nothing;
        }
        let from = self.row_of_leaf(symbol, leaves.start) as u32;
        Occurrences { from, to: from + leaves.len() as u32, length }
    }

    /// What follows the occurrences of a pattern: the tokens that a decoder may say next.
    pub fn continuations(&self, found: Occurrences) -> FragmentContinuations {
        let tokens = self.tokens();
        let mut next = FragmentContinuations::default();
        self.wavelet().distinct(self.rows(found), |symbol, count| match symbol.checked_sub(1) {
            Some(place) => {
                next.tokens.push(tokens[place as usize]);
                next.counts.push(count as u32);
            }
            None => next.ends = count as u32,
        });
        next
    }

    /// The rows of some occurrences, cut to those that there are.
    pub(super) fn rows(&self, found: Occurrences) -> Range<usize> {
        let to = (found.to as usize).min(self.layout.shape.rows);
        (found.from as usize).min(to)..to
    }
}
