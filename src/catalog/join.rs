//! The join of a catalog with the items of a token table, by id.

use std::collections::HashMap;

use super::{CatalogReader, CatalogSpec, ItemBatch};
use crate::error::{Error, Result, quoted};
use crate::item_ids::ItemIds;
use crate::progress::Progress;

/// What to do about items of the table that the catalog does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingItems {
    /// Refuse the catalog, because the output needs every item.
    Refuse,
    /// Warn, and leave these items without values.
    Warn,
}

/// The items of a token table, or some of them, to be found in a catalog. Ids are compared as text. Items that only the
/// catalog has are skipped.
#[derive(Debug)]
pub struct CatalogJoin<'a> {
    ids: &'a ItemIds,
    /// Row of the table by id.
    rows: HashMap<String, usize>,
}

impl<'a> CatalogJoin<'a> {
    /// All items of a table.
    pub fn new(ids: &'a ItemIds) -> Self {
        CatalogJoin { ids, rows: ids.rows_by_text() }
    }

    /// The items in these rows of a table.
    pub fn of_rows(ids: &'a ItemIds, rows: &[usize]) -> Self {
        CatalogJoin { ids, rows: rows.iter().map(|&row| (ids.text(row), row)).collect() }
    }

    /// Reads the catalog once. `visit` is given each batch with the pairs (row of the batch, row of the table) of the
    /// items that were found in it.
    ///
    /// # Errors
    /// As [`CatalogReader`]; [`Error::Mismatch`] if no item is found, or if one is missing and `missing` refuses that.
    pub fn read(
        &self,
        catalog: &CatalogSpec,
        missing: MissingItems,
        progress: &dyn Progress,
        mut visit: impl FnMut(ItemBatch, &[(usize, usize)]) -> Result<()>,
    ) -> Result<()> {
        let mut found = vec![false; self.ids.len()];
        let mut reader = CatalogReader::open(catalog)?;
        for batch in &mut reader {
            let batch = batch?;
            let row_of = |at: usize| Some((at, *self.rows.get(&batch.item_ids.text(at))?));
            let pairs: Vec<(usize, usize)> = (0..batch.item_ids.len()).filter_map(row_of).collect();
            pairs.iter().for_each(|&(_, row)| found[row] = true);
            visit(batch, &pairs)?;
        }
        reader.take_notes().iter().for_each(|note| progress.warn(note));
        let absent = self.rows.values().filter(|&&row| !found[row]).min();
        let Some(&absent) = absent else { return Ok(()) };
        let count = self.rows.values().filter(|&&row| !found[row]).count();
        if count == self.rows.len() {
            return Err(Error::mismatch(
                format!("items of the catalog {}", catalog.path.display()),
                "items of the token table",
                "none of them",
                "name the catalog of this table, and its id column with --id",
            ));
        }
        if missing == MissingItems::Refuse {
            return Err(Error::mismatch(
                format!("items of the catalog {}", catalog.path.display()),
                format!("all {} items of the token table", self.rows.len()),
                format!("{count} missing, such as {}", quoted(&self.ids.text(absent))),
                "name the catalog of this table, and its id column with --id",
            ));
        }
        let (item, path) = (quoted(&self.ids.text(absent)), catalog.path.display());
        progress.warn(&format!("{count} items of the token table are not in {path}, such as {item}"));
        Ok(())
    }

    /// The texts of the items by row of the table, passages joined by `". "`; empty where an item has none.
    ///
    /// # Errors
    /// As [`CatalogJoin::read`].
    pub fn texts(
        &self,
        catalog: &CatalogSpec,
        missing: MissingItems,
        progress: &dyn Progress,
    ) -> Result<HashMap<usize, String>> {
        let mut texts = HashMap::with_capacity(self.rows.len());
        self.read(catalog, missing, progress, |batch, pairs| {
            texts.extend(pairs.iter().map(|&(at, row)| (row, batch.texts[at].join(". "))));
            Ok(())
        })?;
        Ok(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::TextSpec;
    use crate::progress::Silent;

    #[test]
    fn items_are_found_by_id_and_missing_items_follow_the_setting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.csv");
        std::fs::write(&path, "id,t\nb,Pen\nother,Saw\na,\n").unwrap();
        let catalog = CatalogSpec { path, text: TextSpec::Joined(vec!["t".into()]), ..CatalogSpec::default() };
        let ids = ItemIds::Strings(["a", "b", "c"].map(str::to_owned).into());
        let texts = |rows: &[usize], missing| CatalogJoin::of_rows(&ids, rows).texts(&catalog, missing, &Silent);
        assert_eq!(texts(&[0, 1], MissingItems::Refuse).unwrap()[&1], "Pen");
        assert_eq!(texts(&[0, 1, 2], MissingItems::Warn).unwrap().len(), 2);
        let refused = texts(&[0, 1, 2], MissingItems::Refuse).unwrap_err().to_string();
        assert!(refused.contains("all 3 items of the token table, got 1 missing, such as \"c\""), "{refused}");
        assert!(texts(&[2], MissingItems::Warn).is_err(), "nothing in common");
    }
}
