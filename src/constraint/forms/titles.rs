//! Titles of a token table's items, read from the catalog.

use crate::catalog::{CatalogJoin, CatalogSpec, MissingItems};
use crate::error::Result;
use crate::progress::Progress;
use crate::semantic_id::TokenTable;

/// The titles of a table's items by row: the text columns of `catalog`, without tabs and line breaks.
///
/// # Errors
/// As [`CatalogJoin::read`]: every item of the table must be in the catalog.
pub fn titles(catalog: &CatalogSpec, table: &TokenTable, progress: &dyn Progress) -> Result<Vec<String>> {
    let mut found = CatalogJoin::new(&table.item_ids).texts(catalog, MissingItems::Refuse, progress)?;
    Ok((0..table.item_ids.len()).map(|row| one_line(&found.remove(&row).unwrap_or_default())).collect())
}

/// A text in one line: each run of whitespace becomes a space. With `raw_text`, texts can have several lines.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
