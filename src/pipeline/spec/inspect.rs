//! What to measure.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{HistorySettings, text_settings};

text_settings! {
    /// What to read of the items themselves, for a report.
    pub struct ReportColumns {
        /// Catalog of the items, for the report's texts and images and for labels.
        catalog: PathBuf, "CATALOG";
        /// Column of the item ids.
        id: String, "COLUMN", default "item_id or id";
        /// Text columns that the report shows.
        text: Vec<String>, "COLUMN,...";
        /// Image columns; the report shows the first image of each item.
        image: Vec<String>, "COLUMN,...";
        /// Column of labels, such as a category or a brand, to compare prefixes with.
        label: String, "COLUMN";
    }
}

/// Measure a model, a token table or an index: [`inspect`](crate::pipeline::inspect).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct InspectSpec {
    /// A model's folder, a token table, or an index.
    pub path: PathBuf,
    /// Features, for the metrics that need them.
    pub features: Option<PathBuf>,
    /// The model of the token table, for the reconstruction error. For an index, a model to use instead of the index's
    /// own.
    pub model: Option<PathBuf>,
    /// What to read of the items.
    pub columns: ReportColumns,
    /// Histories, for the figures of how well IDs predict the next item.
    pub histories: HistorySettings,
    /// The report to write.
    pub report: Option<PathBuf>,
    /// Whether an existing report is replaced.
    pub force: bool,
}
