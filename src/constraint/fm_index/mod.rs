//! An FM-index of identifiers: the tokens that may follow any fragment of an identifier, and the items that contain it.
//!
//! In TransRec (arXiv 2310.06491) a language model identifies an item by any fragment of any of its *facets* (number, title,
//! attributes, semantic ID), while a trie requires generation from the first token on. The index (Ferragina and Manzini,
//! 2000) is built over the token ids of all items, each item reversed. Appending a token to a fragment is then one step of
//! backward search, and the tokens that may follow are those before the matches.
//!
//! | file | content |
//! |---|---|
//! | `build.rs` | construction from documents |
//! | `search.rs` | search for patterns and their continuations |
//! | `locate.rs` | from matches to items; extraction of documents |
//! | `wavelet.rs` | wavelet matrix: rank over a large alphabet |
//! | `layout.rs`, `file.rs` | the arrays in memory, and the file |
//! | `check.rs` | checks the arrays of a file |

mod build;
mod check;
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

/// An item's identifier: the token ids of its facets, in the same order for all items.
///
/// The facets are concatenated, so a pattern may span two of them; delimiter tokens belong to their facet. A facet may be
/// empty, but not the whole document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    /// Token ids per facet.
    pub facets: Vec<Vec<u32>>,
}

/// An index of all fragments of all identifiers: immutable, in one block of memory, which can be a mapped file.
///
/// ```
/// use catalex::constraint::{Document, FmIndex, FmPosition};
///
/// // Two items with two facets: a number, and a title that ends with token 9.
/// let items = [[vec![1], vec![5, 6, 7, 9]], [vec![2], vec![6, 7, 8, 9]]];
/// let index = FmIndex::new(items.map(|facets| Document { facets: facets.into() }))?;
///
/// let fragment = index.range(&[6, 7]);
/// assert_eq!(fragment.count(), 2);
/// let next = index.continuations(fragment);
/// assert_eq!((next.tokens, next.counts), (vec![8, 9], vec![1, 1]));
///
/// let fragment = index.extend(fragment, 8);
/// assert_eq!(index.locate(fragment).collect::<Vec<_>>(), [FmPosition { item: 1, facet: 1, offset: 0 }]);
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

    /// Always `false`.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of facets per item.
    pub fn facets(&self) -> usize {
        self.layout.shape.facets
    }

    /// The distinct tokens, ascending.
    pub fn tokens(&self) -> &[u32] {
        self.buffer.read(&self.layout.tokens)
    }

    /// Size in memory in bytes; the file has a checksum of 64 bytes in addition.
    pub fn size(&self) -> usize {
        self.layout.end
    }

    /// The symbol that follows the pattern of each row.
    fn wavelet(&self) -> Wavelet<'_> {
        Wavelet {
            blocks: self.buffer.read(&self.layout.wavelet),
            len: self.layout.shape.rows,
            levels: levels(self.layout.shape.symbols),
        }
    }

    /// A bit per row: whether its text position is sampled.
    fn sampled(&self) -> Bits<'_> {
        Bits {
            words: self.buffer.read(&self.layout.sampled_words),
            directory: self.buffer.read(&self.layout.sampled_directory),
        }
    }

    /// The row of the pattern extended by a symbol that is at index `leaf` below the wavelet matrix (LF mapping).
    fn row_of_leaf(&self, symbol: usize, leaf: usize) -> usize {
        let first = self.buffer.read(&self.layout.first_rows)[symbol] as usize;
        first + leaf - self.buffer.read(&self.layout.leaves)[symbol] as usize
    }
}
