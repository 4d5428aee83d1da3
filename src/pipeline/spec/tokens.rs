//! From features to semantic IDs, and the vocabulary of a language model.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{LlmSettings, Output, needs, text_settings};
use crate::error::{Error, Result};
use crate::semantic_id::{Collisions, TokenFormat};
use crate::settings::{MAX_COUNT, Range, SettingKind, SettingValue, settings};
use crate::vocabulary::VocabularyOptions;

impl SettingValue for TokenFormat {
    const KIND: SettingKind = SettingKind::Text;
}

settings! {
    /// The form of semantic IDs.
    pub struct TokenSettings {
        /// Format of a token, with {level} (a letter) or {index} (a number) and {code}.
        token_format: TokenFormat, "FORMAT", default "<{level}_{code}>";
        /// How to resolve ID collisions: resolve moves items to free codes; keep leaves them; suffix adds a
        /// disambiguating level; lc-rec runs LC-Rec's loop, after which collisions can remain.
        collisions: String, "POLICY", default "resolve";
    }
}

impl TokenSettings {
    /// How collisions are resolved.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for another name.
    pub(crate) fn collisions(&self) -> Result<Collisions> {
        self.collisions.as_deref().map_or(Ok(Collisions::default()), str::parse)
    }

    /// The format of the tokens.
    pub(crate) fn token_format(&self) -> TokenFormat {
        self.token_format.clone().unwrap_or_default()
    }
}

settings! {
    /// IDs that several items share.
    pub struct SharingSettings {
        /// Maximum number of items that may share an ID. They are ranked within it. Items with the same codes share an ID;
        /// the others keep an ID of their own.
        capacity: u32, "K", default "1: IDs are unique", range Range::Between(1.0, 65_535.0);
        /// Columns of the catalog. Items that differ in one of them never share an ID. Requires --capacity.
        must_differ: Vec<String>, "COLUMN,...";
        /// Column of numbers that rank the items of an ID, the highest first. Requires --capacity.
        member_rank: String, "COLUMN", default "the number of events of --interactions, then the item id";
    }
}

text_settings! {
    /// The catalog with the columns of items that share IDs.
    pub struct MemberCatalogSettings {
        /// Catalog with the columns of --must-differ and --member-rank.
        catalog: PathBuf, "CATALOG";
        /// Column of the catalog's item ids.
        id: String, "COLUMN", default "item_id or id";
    }
}

impl SharingSettings {
    /// The maximum number of items per ID. `None` for unique IDs.
    ///
    /// # Errors
    /// [`Error::Config`] for settings that require a capacity, or for a capacity with another collision policy.
    pub(in crate::pipeline) fn capacity(&self, tokens: &TokenSettings) -> Result<Option<u16>> {
        let capacity = self.capacity.and_then(|capacity| u16::try_from(capacity).ok()).filter(|&capacity| capacity > 1);
        if capacity.is_none() {
            for (setting, given) in
                [("must-differ", self.must_differ.is_some()), ("member-rank", self.member_rank.is_some())]
            {
                if given {
                    return Err(needs(setting, "capacity", "set --capacity to 2 or more, or omit this setting"));
                }
            }
        }
        match (capacity, tokens.collisions()?) {
            (None, _) | (_, Collisions::Resolve) => Ok(capacity),
            (Some(_), other) => {
                let help = "omit one of the two: with --capacity, items leave an ID only when it is full";
                Err(Error::config("collisions", "resolve, together with --capacity", other, help))
            }
        }
    }

    /// The columns that are read.
    pub(in crate::pipeline) fn columns(&self) -> Vec<String> {
        self.must_differ.iter().flatten().chain(&self.member_rank).cloned().collect()
    }

    /// Whether all settings have their defaults.
    pub(in crate::pipeline) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

settings! {
    /// Handling of items that are far from the training items.
    pub struct FarSettings {
        /// Maximum share of far items, such as 0.05 for 5 %. A larger share is an error. An item is far if its residual
        /// error is larger than that of 99 % of the items held out of training. An unusual share gives a warning.
        max_far: f64, "SHARE", range Range::Between(0.0, 1.0);
    }
}

settings! {
    /// The content of the vocabulary folder in addition to the tokens of the codes.
    pub struct VocabularySettings {
        /// Hugging Face tokenizer folder (with tokenizer.json, a SentencePiece model, or both): write a copy extended
        /// with the tokens.
        tokenizer: PathBuf, "HF_DIR";
        /// Add a marker token before each ID, such as <|sid_begin|>.
        begin_token: String, "TOKEN";
        /// Add a marker token after each ID, such as <|sid_end|>.
        end_token: String, "TOKEN";
        /// Round the number of embedding rows in vocabulary.json up to a multiple of this.
        pad_to_multiple_of: u32, "N", range Range::Between(1.0, MAX_COUNT);
    }
}

impl VocabularySettings {
    pub(crate) fn options(&self) -> VocabularyOptions<'static> {
        VocabularyOptions {
            tokenizer: self.tokenizer.clone(),
            begin_token: self.begin_token.clone(),
            end_token: self.end_token.clone(),
            pad_to_multiple_of: self.pad_to_multiple_of,
            start_values: None,
        }
    }
}

/// Give every item of some features a semantic ID: [`tokenize`](crate::pipeline::tokenize).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct TokenizeSpec {
    /// Features with the modalities that the model was trained on, or an index.
    pub features: PathBuf,
    /// Folder of the model, or an index.
    pub model: PathBuf,
    /// A token table of this model, or an index. Its items keep their IDs; only other items get new IDs.
    pub previous: Option<PathBuf>,
    /// The form of the IDs.
    pub tokens: TokenSettings,
    /// IDs that several items share.
    pub sharing: SharingSettings,
    /// The catalog with the columns of items that share IDs.
    pub members: MemberCatalogSettings,
    /// Handling of items that are far from the training items.
    pub far: FarSettings,
    /// Number of threads; all cores if not given.
    pub threads: Option<usize>,
    /// The table to write.
    pub output: Output,
}

/// Write the files that add a table's tokens to a language model: [`vocab`](crate::pipeline::vocab).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct VocabSpec {
    /// Token table, or an index.
    pub tokens: PathBuf,
    /// What to write.
    pub vocabulary: VocabularySettings,
    /// A language model whose files are extended too.
    pub llm: LlmSettings,
    /// The folder to write.
    pub output: Output,
}
