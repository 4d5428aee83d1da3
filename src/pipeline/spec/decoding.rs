//! The valid IDs in the forms that decoders read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Output, text_settings};
use crate::error::{Error, Result};
use crate::settings::{MAX_COUNT, Range, SettingKind, SettingValue};

/// Values of the parameters of a rule, one `NAME=VALUE` per parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserValues(pub Vec<String>);

impl SettingValue for UserValues {
    const KIND: SettingKind = SettingKind::RepeatedTexts;
}

impl UserValues {
    /// The values by name. A value that is not JSON is a string.
    ///
    /// # Errors
    /// [`Error::Config`] for a value without a name, and a repeated name.
    pub(in crate::pipeline) fn by_name(&self) -> Result<BTreeMap<String, Value>> {
        let mut values = BTreeMap::new();
        for given in &self.0 {
            let (name, value) = given
                .split_once('=')
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(|| Error::config("user", "NAME=VALUE", given, "write it as in --user age=18"))?;
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
            if values.insert(name.to_owned(), value).is_some() {
                return Err(Error::config("user", "each name once", format!("{name} twice"), "name it once"));
            }
        }
        Ok(values)
    }
}

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
        /// File with a rule over the attributes of the index, such as: stock > 0 and market in ('DE', 'AT'). Only items
        /// for which it is true are allowed.
        rules: PathBuf, "FILE";
        /// Value of a parameter user.NAME of the rule, as JSON or as text: age=18, market=DE, 'brands=["A", "B"]'. Can
        /// be repeated.
        user: UserValues, "NAME=VALUE";
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
