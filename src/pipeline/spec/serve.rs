//! An index for agents.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Environment, text_settings};

text_settings! {
    /// Where the texts and the text encoder of an index are. What an index itself names is used only where it is trusted.
    pub struct ServeSettings {
        /// Catalog with the items' texts.
        catalog: PathBuf, "CATALOG", default "none: answers have no texts";
        /// Column of the catalog's item ids.
        id: String, "COLUMN", default "that of the build, else item_id or id";
        /// Columns of the texts that answers show.
        text: Vec<String>, "COLUMN,...", default "those of the build: --title and --show, else the text that is encoded";
        /// Text encoder that the index was built with, for search by text: a folder, or a name on the Hugging Face Hub.
        text_encoder: PathBuf, "DIR|NAME", default "none: no search by text";
        /// Use the catalog and the text encoder that the index names: files of this machine, and models of the Hugging Face
        /// Hub. For indexes of your own.
        trust_index: bool, "BOOL";
    }
}

/// Serve an index to agents: `pipeline::serve`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct ServeSpec {
    /// Index, or a token table, which has IDs and no vectors.
    pub index: PathBuf,
    /// Where texts and encoder are.
    pub settings: ServeSettings,
    /// Number of threads; all cores if not given.
    pub threads: Option<usize>,
    /// What the machine provides.
    #[serde(skip)]
    pub environment: Environment,
}
