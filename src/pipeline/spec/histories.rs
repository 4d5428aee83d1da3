//! Histories that IDs are measured against.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::catalog::{CsvCharacter, CsvDialect, InteractionSpec};
use crate::settings::{MAX_COUNT, Range, settings};

settings! {
    /// Interactions that IDs are measured against.
    pub struct HistorySettings {
        /// Interactions, to measure how well the IDs predict each user's last event: a table with one row per event, or
        /// .txt with lines "user item item ...".
        interactions: PathBuf, "FILE";
        /// Column of the users.
        interactions_user: String, "COLUMN", default "user_id or user";
        /// Column of the items.
        interactions_item: String, "COLUMN", default "item_id or item";
        /// Column of the times.
        interactions_time: String, "COLUMN", default "timestamp or time, else the order of the file";
        /// Maximum fraction of events of items that are not in the token table. These events are ignored; a larger
        /// fraction is an error.
        max_unknown_events: f64, "X", default "0.5", range Range::Between(0.0, 1.0);
        /// Leave out users with fewer events.
        min_interactions: usize, "N", default "3", range Range::Between(3.0, MAX_COUNT);
    }
}

impl HistorySettings {
    /// The file to read; none without `interactions`.
    pub(in crate::pipeline) fn spec(&self, csv: CsvDialect) -> Option<InteractionSpec> {
        Some(InteractionSpec {
            path: self.interactions.clone()?,
            user: self.interactions_user.clone(),
            item: self.interactions_item.clone(),
            time: self.interactions_time.clone(),
            csv,
            ..InteractionSpec::default()
        })
    }
}

settings! {
    /// How two sets of IDs are compared.
    pub struct CompareSettings {
        /// Number of bootstrap resamples of the users.
        resamples: usize, "N", default "2000", range Range::Between(100.0, 100_000.0);
        /// Seed of the resamples.
        seed: u64, "N", default "42";
        /// Quote character of CSV and TSV files, or none.
        csv_quote: CsvCharacter, "CHAR|none", default "\" for CSV, none for TSV";
        /// Escape character before a quote in a quoted cell, such as Spark's backslash.
        csv_escape: CsvCharacter, "CHAR|none", default "none: quotes are doubled";
    }
}

/// Compare two sets of IDs: [`compare`](crate::pipeline::compare).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct CompareSpec {
    /// The first token table, index or store.
    pub a: PathBuf,
    /// The second token table, index or store.
    pub b: PathBuf,
    /// The histories.
    pub histories: HistorySettings,
    /// The bootstrap.
    pub compare: CompareSettings,
}
