//! What to read of interactions.

use std::path::PathBuf;

/// What to read of the interactions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InteractionSpec {
    /// A table, or lines `user item item ...` in a file that ends in `.txt`.
    pub path: PathBuf,
    /// The table's column of users; without one, `user_id` or `user`.
    pub user: Option<String>,
    /// The column of items; without one, `item_id` or `item`.
    pub item: Option<String>,
    /// The column of times; without one, `timestamp` or `time`, and the order of the file where there is neither.
    pub time: Option<String>,
    /// Whether ratings are wanted.
    pub rated: bool,
    /// The column of ratings, where they are wanted; without one, `rating`, and no ratings where there is none.
    pub rating: Option<String>,
}
