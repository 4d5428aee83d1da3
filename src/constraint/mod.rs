//! Constrained decoding: a language model generates only semantic IDs that items have.
//!
//! Without constraints a language model generates IDs of no item. [`Trie::allowed`] gives the codes that can still lead to
//! an item, in well under a microsecond for a catalog of any size. A [`Subset`] restricts the trie to some items (in stock,
//! of a category, not yet seen) without a new trie. [`Decoding`] applies the trie to whole answers over the language
//! model's token ids and masks logits. [`Forms`] writes the IDs in the formats of other decoders. [`FmIndex`] constrains
//! identifiers of several facets, which may be generated from any position on.

mod against_table;
mod bits;
mod check;
mod decoding;
mod diversity;
mod file;
mod fm_index;
mod forms;
mod forms_folder;
mod layout;
mod mask;
mod partial_answers;
mod rule_subset;
mod serving;
mod subset;
mod tokens;
mod transitions;
mod trie;
mod trie_build;

pub use against_table::check_forms;
pub use decoding::{After, Decoding, Next, Rules, Start};
pub use diversity::Logit;
pub use fm_index::{Document, FmIndex, FmPosition, FragmentContinuations, Occurrences};
pub use forms::{CONSTRAINT_FILE, ConstraintForm, Forms, ItemRules, one_line, titles};
pub use forms_folder::{FormsFolder, all_rows, first_of_each_id, rows_of};
pub use mask::LogitsMut;
pub use partial_answers::PartialAnswers;
pub use rule_subset::RuleSubset;
pub use serving::{Tails, TrieArrays};
pub use subset::Subset;
pub use tokens::{TokenTrie, tokens_of};
pub use transitions::Transitions;
pub use trie::{Prefix, Trie};
