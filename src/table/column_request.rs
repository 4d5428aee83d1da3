//! Columns that a caller requests of a table, and the error for one that is absent.

use std::path::Path;

use crate::error::Error;

/// Maximum number of column names that an error message lists.
const MAX_LISTED: usize = 20;

/// A column to read: the first of several names that the table has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnRequest {
    /// Accepted names, the preferred one first.
    pub(crate) names: Vec<String>,
    /// Whether a table without the column is refused.
    pub(crate) required: bool,
    /// Whether the column holds ids. JSON values have no types, so JSON ids have their own rules.
    pub(crate) of_ids: bool,
}

impl ColumnRequest {
    /// A required column with this name.
    pub(crate) fn required(name: &str) -> Self {
        ColumnRequest { names: vec![name.to_owned()], required: true, of_ids: false }
    }

    /// Marks the column as a column of ids.
    #[must_use]
    pub(crate) fn of_ids(self) -> Self {
        ColumnRequest { of_ids: true, ..self }
    }

    /// A required column with the given name or, if no name is given, with one of the usual names.
    pub(crate) fn named_or(name: Option<&str>, usual: &[&str]) -> Self {
        let names =
            name.map_or_else(|| usual.iter().map(|&name| name.to_owned()).collect(), |name| vec![name.to_owned()]);
        ColumnRequest { names, required: true, of_ids: false }
    }

    /// As [`ColumnRequest::named_or`], but the column can be absent if no name is given.
    pub(crate) fn optional(name: Option<&str>, usual: &[&str]) -> Self {
        ColumnRequest { required: name.is_some(), ..Self::named_or(name, usual) }
    }

    /// The name under which a table has the column.
    pub(super) fn find(&self, has: impl Fn(&str) -> bool) -> Option<String> {
        self.names.iter().find(|name| has(name)).cloned()
    }

    /// The error for a table without the column; `available` lists what it has.
    pub(super) fn absent(&self, path: &Path, available: &str) -> Error {
        Error::Column {
            path: path.to_path_buf(),
            column: self.names.join(" or "),
            expected: format!("one of: {available}"),
            got: "no such column".into(),
            help: "choose one of the existing columns".into(),
        }
    }
}

/// Column names for an error message. Long lists are truncated.
pub(crate) fn list_columns<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let names: Vec<S> = names.into_iter().collect();
    let listed = names.iter().take(MAX_LISTED).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MAX_LISTED) {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_of_columns_are_truncated() {
        assert_eq!(list_columns(["a", "b"]), "a, b");
        let listed = list_columns((0..25).map(|column| column.to_string()));
        assert!(listed.starts_with("0, 1, ") && listed.ends_with("19 and 5 more"), "{listed}");
    }

    #[test]
    fn only_a_column_that_was_not_named_can_be_missing() {
        assert!(!ColumnRequest::optional(None, &["timestamp", "time"]).required);
        assert!(ColumnRequest::optional(Some("when"), &["timestamp", "time"]).required);
        let request = ColumnRequest::named_or(None, &["item_id", "id"]);
        assert_eq!(request.find(|name| name == "id"), Some("id".into()));
        let error = request.absent(Path::new("a.csv"), "t, u").to_string();
        assert!(error.contains("column \"item_id or id\": expected one of: t, u"), "{error}");
    }
}
