//! An FM-index of identifiers: what may be said next at any place inside one, and which items are meant.
//!
//! TransRec (arXiv 2310.06491) lets a language model name an item by any piece of any of its *facets* (number, title,
//! attributes, semantic ID), not from the first token on as a trie asks for. The index is that of Ferragina and Manzini
//! (2000) over the token ids of all items, each item's read backwards: appending a token to what has been said is then
//! one step of the backward search, and the tokens that may follow are what stands before the matches.
//!
//! | file | its job |
//! |---|---|
//! | `build.rs` | from documents to the arrays |
//! | `search.rs` | patterns, and what follows them |
//! | `locate.rs` | from matches to items, and an item's tokens |
//! | `wavelet.rs` | rank over a large alphabet |
//! | `layout.rs`, `file.rs` | the arrays' places in memory, and the file |

mod build;
mod file;
mod layout;
mod locate;
mod search;
#[cfg(test)]
mod tests;
mod wavelet;

pub use locate::FmPosition;
pub use search::{FragmentContinuations, Occurrences};

use layout::FmLayout;
use wavelet::{Wavelet, levels};

use super::bits::Bits;
use super::layout::Buffer;

/// An item's identifier: the token ids of its facets, in an order that is the same for all items.
///
/// The facets of an item are joined: a pattern may run from one into the next, and tokens of theirs that mark their
/// beginning or end belong to them. A facet may be empty, an item may not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    /// Token ids of each facet.
    pub facets: Vec<Vec<u32>>,
}

/// An index of all pieces of all identifiers; immutable, and one piece of memory that can be a mapped file.
///
/// ```
/// use catalex::constraint::{Document, FmIndex, Place};
///
/// // Two items of two facets: a number, and a title that token 9 ends.
/// let items = [[vec![1], vec![5, 6, 7, 9]], [vec![2], vec![6, 7, 8, 9]]];
/// let index = FmIndex::new(items.map(|facets| Document { facets: facets.into() }))?;
///
/// let said = index.range(&[6, 7]);
/// assert_eq!(said.count(), 2);
/// let next = index.continuations(said);
/// assert_eq!((next.tokens, next.counts), (vec![8, 9], vec![1, 1]));
///
/// let said = index.extend(said, 8);
/// assert_eq!(index.locate(said).collect::<Vec<_>>(), [Place { item: 1, facet: 1, offset: 0 }]);
/// # Ok::<(), catalex::Error>(())
/// ```
#[derive(Debug)]
pub struct FmIndex {
    buffer: Buffer,
    layout: FmLayout,
}

impl FmIndex {
    /// Number of items.
    pub fn len(&self) -> usize {
        self.layout.shape.items
    }

    /// Whether there is no item; there always is one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of facets an item.
    pub fn facets(&self) -> usize {
        self.layout.shape.facets
    }

    /// The tokens that occur, in ascending order.
    pub fn tokens(&self) -> &[u32] {
        self.buffer.read(&self.layout.tokens)
    }

    /// Bytes it takes in memory; a file has 64 more, its checksum.
    pub fn size(&self) -> usize {
        self.layout.end
    }

    /// What follows each row's pattern.
    fn wavelet(&self) -> Wavelet<'_> {
        Wavelet {
            blocks: self.buffer.read(&self.layout.wavelet),
            len: self.layout.shape.rows,
            levels: levels(self.layout.shape.symbols),
        }
    }

    /// Whether the place of a row is written down.
    fn sampled(&self) -> Bits<'_> {
        Bits {
            words: self.buffer.read(&self.layout.sampled_words),
            directory: self.buffer.read(&self.layout.sampled_directory),
        }
    }

    /// The row whose pattern is one token longer, where that token stands at `leaf` below the wavelet matrix.
    fn row_of_leaf(&self, symbol: usize, leaf: usize) -> usize {
        let first = self.buffer.read(&self.layout.first_rows)[symbol] as usize;
        first + leaf - self.buffer.read(&self.layout.leaves)[symbol] as usize
    }
}
