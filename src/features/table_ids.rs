//! Reads the ids of a feature table without its vectors.

use super::source::ROWS_AT_ONCE;
use super::table::{FeatureTable, id_error, named};
use super::table_columns::find_features;
use crate::error::Result;
use crate::item_ids::ItemIds;
use crate::table::TableParts;

impl FeatureTable {
    /// Reads the ids of all rows.
    pub(super) fn ids(&self) -> Result<ItemIds> {
        let Some(column) = &self.id else { return Ok(ItemIds::row_numbers(self.parts.rows())) };
        let only =
            TableParts::open(&self.path, find_features(&self.path)?, ROWS_AT_ONCE, |_, _| Ok(vec![column.clone()]))?;
        let mut ids = ItemIds::default();
        for part in 0..only.len() {
            let (file, mut row) = only.file_of_part(part);
            for batch in only.batches(part, ROWS_AT_ONCE)? {
                let batch = batch?;
                let here = ItemIds::from_arrow(named(&batch, column, file)?);
                ids.append(here.map_err(|fault| id_error(file, column, row, fault))?);
                row += batch.num_rows();
            }
        }
        Ok(ids)
    }
}
