//! Only real items: the trie of valid semantic IDs, and what decoders make of it.
//!
//! A language model that may say any token sequence will say IDs that no item has. At each step of an ID the decoder is
//! told which codes can still lead to an item: [`Trie::allowed`], in well under a microsecond, whatever the size of the
//! catalog. [`Subset`] narrows that down to some items (in stock, of a category, not yet seen) without a new trie.
//! [`Decoding`] says it of whole answers over the language model's own token ids, and masks their scores. [`Forms`]
//! writes the IDs as other decoders read them. [`FmIndex`] is the same for identifiers of several facets, from any place
//! inside them.

mod bits;
mod decoding;
mod file;
mod fm_index;
mod forms;
mod layout;
mod mask;
mod subset;
mod tokens;
mod transitions;
mod trie;

pub use decoding::{After, Decoding, Next, Rules, Start};
pub use fm_index::{Document, FmIndex, FmPosition, FragmentContinuations, Occurrences};
pub use forms::{CONSTRAINT_FILE, ConstraintForm, Forms, titles};
pub use mask::{LogitsMut, PartialAnswers};
pub use subset::Subset;
pub use tokens::{TokenTrie, tokens_of};
pub use transitions::Transitions;
pub use trie::{Prefix, Trie};
