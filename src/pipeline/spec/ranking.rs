//! Semantic IDs as features of ranking models.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Output;
use crate::catalog::{CsvCharacter, CsvDialect, InteractionSpec};
use crate::settings::{MAX_COUNT, Range, settings};

settings! {
    /// Which features of semantic IDs to write, and the subword vocabulary.
    pub struct RankingSettings {
        /// Forms to write: levels, prefix-ngrams, subwords.
        form: Vec<String>, "FORM,...";
        /// Maximum number of ids per depth of prefix-ngrams. Prefixes of depths that have more are hashed into this many
        /// ids.
        table_size: u64, "N", default "no hashing", range Range::Between(2.0, MAX_COUNT);
        /// Subword vocabulary, for subwords. If the file does not exist, a vocabulary is trained and written there.
        subword_vocabulary: PathBuf, "FILE";
        /// Number of pieces of a new subword vocabulary, including one for each code of each level.
        subwords: usize, "N", range Range::Between(3.0, MAX_COUNT);
        /// Interactions of the training period. In the training of subwords, each item weighs 1 plus its number of
        /// events.
        interactions: PathBuf, "FILE", default "all items weigh 1";
        /// Column of the users.
        interactions_user: String, "COLUMN", default "user_id or user";
        /// Column of the items.
        interactions_item: String, "COLUMN", default "item_id or item";
        /// Column of the times.
        interactions_time: String, "COLUMN", default "timestamp or time, else the order of the file";
        /// Maximum fraction of events of items that are not in the token table. These events are ignored; a larger
        /// fraction is an error.
        max_unknown_events: f64, "X", default "0.5", range Range::Between(0.0, 1.0);
        /// Quote character of CSV and TSV files, or none.
        csv_quote: CsvCharacter, "CHAR|none", default "\" for CSV, none for TSV";
        /// Escape character before a quote in a quoted cell, such as Spark's backslash.
        csv_escape: CsvCharacter, "CHAR|none", default "none: quotes are doubled";
    }
}

impl RankingSettings {
    /// The interactions to read; none without `interactions`.
    pub(in crate::pipeline) fn weights(&self) -> Option<InteractionSpec> {
        Some(InteractionSpec {
            path: self.interactions.clone()?,
            user: self.interactions_user.clone(),
            item: self.interactions_item.clone(),
            time: self.interactions_time.clone(),
            csv: CsvDialect { quote: self.csv_quote, escape: self.csv_escape },
            ..InteractionSpec::default()
        })
    }
}

/// Write semantic IDs as features of ranking models: [`ranking_features`](crate::pipeline::ranking_features()).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct RankingSpec {
    /// Token table, index or store.
    pub tokens: PathBuf,
    /// What to write.
    pub ranking: RankingSettings,
    /// The file to write.
    pub output: Output,
}
