//! Which columns of interactions to read.

use std::path::PathBuf;

use crate::table::CsvDialect;

/// Which columns of interactions to read. A column that is given must exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InteractionSpec {
    /// A table, a folder or a pattern of tables, or a `.txt` file of lines `user item item ...`.
    pub path: PathBuf,
    /// The user column; by default `user_id` or `user`.
    pub user: Option<String>,
    /// The item column; by default `item_id` or `item`.
    pub item: Option<String>,
    /// The time column; by default `timestamp` or `time`, or the order of the rows if there is neither.
    pub time: Option<String>,
    /// Quote and escape characters, if the table is CSV or TSV.
    pub csv: CsvDialect,
    /// Whether to read ratings.
    pub rated: bool,
    /// The rating column, if ratings are read; by default `rating`, or no ratings if there is no such column.
    pub rating: Option<String>,
}
