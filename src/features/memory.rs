//! Features from Arrow batches in memory.

use std::path::Path;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;

use super::columns::{self, CellPlace};
use super::{FOREIGN_IDS, Features, ID, table, table_columns};
use crate::error::{Error, Result};
use crate::item_ids::ItemIds;

/// The name of an in-memory table in error messages.
const MEMORY: &str = "table in memory";

impl Features {
    /// Features from Arrow batches, as [`Features::read`] reads them from a file: ids from the column `id`, by default
    /// `item_id` or `id`, or the row numbers if there is no such column; one modality per column of float lists.
    ///
    /// # Errors
    /// Errors name column and row.
    pub fn of_batches(schema: &SchemaRef, batches: &[RecordBatch], id: Option<&str>) -> Result<Features> {
        let path = Path::new(MEMORY);
        let help = "name the column of the ids";
        let batch = concat_batches(schema, batches)
            .map_err(|e| Error::file(path, "batches of one schema", e, "convert them to the same schema"))?;
        let there = |name: &str| schema.field_with_name(name).is_ok();
        if let Some(wanted) = id.filter(|name| !there(name)) {
            let got = schema.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>().join(", ");
            return Err(Error::file(path, format!("a column {wanted}"), format!("columns {got}"), help));
        }
        let id = id.or_else(|| [ID].into_iter().chain(FOREIGN_IDS).find(|name| there(name)));
        let ids = match id.and_then(|name| Some((name, batch.column_by_name(name)?))) {
            Some((name, column)) => {
                let ids = ItemIds::from_arrow(column).map_err(|fault| table::id_error(path, name, 0, fault))?;
                ids.check_unique().map_err(|fault| table::id_error(path, name, 0, fault))?;
                ids
            }
            None => ItemIds::row_numbers(batch.num_rows()),
        };
        let mut modalities = Vec::new();
        for name in table_columns::vectors(path, schema)? {
            let Some(column) = batch.column_by_name(&name) else { continue };
            // A column of nulls is ignored.
            if let Some(dim) = columns::first_length(column, path)? {
                modalities.push(columns::modality(column, dim, &CellPlace { path, column: &name, first_row: 0 })?);
            }
        }
        Self::of_unchecked_ids(ids, modalities)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Overwrite;
    use crate::features::Modality;
    use ndarray::array;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    #[test]
    fn batches_give_the_same_features_as_their_file() {
        let image =
            Modality { name: "image".into(), vectors: array![[1.0, 2.0], [0.0, 0.0]], present: vec![true, false] };
        let text = Modality { name: "text".into(), vectors: array![[5.0], [6.0]], present: vec![true, true] };
        let ids = ItemIds::Strings(vec!["a".into(), "b".into()]);
        let features = Features::new(ids, vec![image, text]).unwrap();
        let file = tempfile::tempdir().unwrap().path().join("f");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        features.write(&file, Overwrite::Refuse).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&file).unwrap()).unwrap();
        let schema = reader.schema().clone();
        let batches: Vec<RecordBatch> = reader.with_batch_size(1).build().unwrap().map(Result::unwrap).collect();
        assert_eq!(Features::of_batches(&schema, &batches, None).unwrap(), features);
        let named = Features::of_batches(&schema, &batches, Some("title")).unwrap_err().to_string();
        assert!(named.contains("a column title, got columns item_id, image, text"), "{named}");
        let twice = [batches[0].clone(), batches[0].clone()];
        assert!(Features::of_batches(&schema, &twice, None).unwrap_err().to_string().contains("row 2"));
    }
}
