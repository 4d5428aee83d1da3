//! An index for agents.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Environment;
use crate::catalog::CsvCharacter;
use crate::settings::settings;

settings! {
    /// Where an index's texts and text encoder are, if not where they were when it was built.
    pub struct ServeSettings {
        /// Catalog with the items' texts.
        catalog: PathBuf, "CATALOG", default "the one that the index was built from";
        /// Column of the catalog's item ids.
        id: String, "COLUMN", default "that of the build, else item_id or id";
        /// Text columns of the catalog.
        text: Vec<String>, "COLUMN,...", default "those of the build";
        /// Folder of the text encoder, for search by text.
        text_encoder: PathBuf, "DIR", default "the one that the index was built with";
        /// Character around cells of CSV and TSV files, or none.
        csv_quote: CsvCharacter, "CHAR|none", default "\" in CSV, none in TSV";
        /// Character before a quote within a quoted cell, such as the backslash of Spark.
        csv_escape: CsvCharacter, "CHAR|none", default "none: quotes are doubled";
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
