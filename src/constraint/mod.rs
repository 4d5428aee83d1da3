//! Only real items: the trie of valid semantic IDs, and what decoders make of it.
//!
//! A language model that may say any token sequence will say IDs that no item has. At each step of an ID the decoder is
//! told which codes can still lead to an item: [`Trie::allowed`], in well under a microsecond, whatever the size of the
//! catalog. [`Subset`] narrows that down to some items (in stock, of a category, not yet seen) without a new trie.
//! [`FmIndex`] does the same for identifiers of several facets, from any place inside them.

mod bits;
mod file;
mod fm_index;
mod layout;
mod subset;
mod transitions;
mod trie;

pub use fm_index::{Continuations, Document, FmIndex, Occurrences, Place};
pub use subset::Subset;
pub use transitions::Transitions;
pub use trie::{Prefix, Trie};
