//! Titles of a token table's items, read from the catalog.

use crate::catalog::{CatalogReader, CatalogSpec};
use crate::error::{Error, Result};
use crate::semantic_id::TokenTable;

/// The titles of a table's items by row: the text columns of `catalog`, cleaned as usual, so without tabs and line breaks.
/// Items that are not in the table are ignored.
///
/// # Errors
/// As [`CatalogReader`]; [`Error::Item`] for an item of the table that is not in the catalog.
pub fn titles(catalog: &CatalogSpec, table: &TokenTable) -> Result<Vec<String>> {
    let row_of = table.item_ids.rows_by_text();
    let mut titles: Vec<Option<String>> = vec![None; table.item_ids.len()];
    for batch in CatalogReader::open(catalog)? {
        let batch = batch?;
        for (at, passages) in batch.texts.iter().enumerate() {
            if let Some(&row) = row_of.get(&batch.item_ids.text(at)) {
                titles[row] = Some(passages.join(". "));
            }
        }
    }
    let missing = |row: usize| Error::Item {
        item: table.item_ids.text(row),
        expected: format!("a row in {}", catalog.path.display()),
        got: "none".into(),
        help: "pass the catalog that the table was made from, and with --id its id column".into(),
    };
    titles.into_iter().enumerate().map(|(row, title)| title.ok_or_else(|| missing(row))).collect()
}
