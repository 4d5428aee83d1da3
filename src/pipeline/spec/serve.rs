//! Serving an index to agents.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Environment, text_settings};

text_settings! {
    /// The sources of the texts and the text encoder. Those that the index names are used only if the index is trusted.
    pub struct ServeSettings {
        /// Catalog with the items' texts.
        catalog: PathBuf, "CATALOG", default "none: answers have no texts";
        /// Column of the catalog's item ids.
        id: String, "COLUMN", default "that of the build, else item_id or id";
        /// Columns of the texts that answers show.
        text: Vec<String>, "COLUMN,...", default "those of the build: --title and --show, else the encoded text";
        /// Text encoder with which the index was built, for text search: a folder, or a name on the Hugging Face Hub.
        text_encoder: PathBuf, "DIR|NAME", default "none: no text search";
        /// Use the catalog and the text encoder that the index names: files on this machine, and models on the Hugging
        /// Face Hub. Pass this only for indexes that you built yourself.
        trust_index: bool, "BOOL";
    }
}

/// Serve an index to agents: `pipeline::serve`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct ServeSpec {
    /// An index, or a token table, which has IDs but no vectors.
    pub index: PathBuf,
    /// Sources of the texts and the encoder.
    pub settings: ServeSettings,
    /// Number of threads; all cores if not given.
    pub threads: Option<usize>,
    /// The environment.
    #[serde(skip)]
    pub environment: Environment,
}
