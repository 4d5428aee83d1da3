//! The valid IDs in the forms that decoders read.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Output, text_settings};
use crate::settings::{MAX_COUNT, Range};

text_settings! {
    /// Which constraint forms to write, and for which items.
    pub struct ConstrainSettings {
        /// Forms to write: trie, static, llguidance, xgrammar, gbnf, regex, choices, xllm, minionerec,
        /// vllm, sglang, nvidia.
        form: Vec<String>, "FORM,...";
        /// Folder that `catalex vocab --tokenizer` wrote: forms then hold token ids.
        vocabulary: PathBuf, "DIR", default "the index's own";
        /// File with the ids of the allowed items, one per line.
        only: PathBuf, "FILE", default "all items";
        /// Catalog with the items' titles, for minionerec and nvidia.
        catalog: PathBuf, "CATALOG";
        /// Column of the item ids in the catalog.
        id: String, "COLUMN", default "item_id or id";
        /// Title columns, joined in this order.
        title: Vec<String>, "COLUMN,...";
        /// Number of the language model's logits, for static and nvidia.
        logits: usize, "N", default "the vocabulary's size", range Range::Between(1.0, MAX_COUNT);
        /// Number of levels with dense tables in static: 1, or 2 for small vocabularies.
        dense_depth: usize, "N", default "1", range Range::Between(1.0, 2.0);
    }
}

/// Write a table's valid IDs for decoders: [`constrain`](crate::pipeline::constrain).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConstrainSpec {
    /// Token table, or an index.
    pub tokens: PathBuf,
    /// What to write.
    pub constraint: ConstrainSettings,
    /// The folder to write.
    pub output: Output,
}
