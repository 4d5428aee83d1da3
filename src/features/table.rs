//! Tables with vector columns: Parquet and Arrow IPC.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use arrow::array::{ArrayRef, RecordBatch};

use super::columns::{self, CellPlace};
use super::source::{Block, Blocks, ROWS_AT_ONCE};
use super::table_columns::{VectorColumns, check_same_columns, check_version, find_features, find_id, select_vectors};
use super::{Features, ID, Modality};
use crate::error::{Error, Result};
use crate::item_ids::{IdFault, ItemIds};
use crate::table::{TableParts, damaged};

/// A table with vector columns, opened. Its vectors are read block by block.
#[derive(Debug)]
pub(super) struct FeatureTable {
    pub(super) path: PathBuf,
    /// Name and length of the vectors of each modality.
    pub(super) shapes: Vec<(String, usize)>,
    /// The id column; none if ids are row numbers.
    pub(super) id: Option<String>,
    /// Row groups of Parquet, record batches of Arrow.
    pub(super) parts: TableParts,
}

/// Consecutive rows: number of the first, ids and vectors.
type FeatureRows<'a> = Box<dyn Iterator<Item = Result<(usize, ItemIds, Vec<Modality>)>> + 'a>;

impl FeatureTable {
    /// Opens a table for all its vector columns.
    pub(super) fn open(path: &Path) -> Result<Self> {
        Self::open_columns(path, None, None)
    }

    /// Opens a table for one vector column, or for all. Ids are taken from the column `id` if there is one, otherwise from
    /// one of the usual names.
    pub(super) fn open_columns(path: &Path, only: Option<&str>, id: Option<&str>) -> Result<Self> {
        let mut selected: Option<VectorColumns> = None;
        let parts = TableParts::open(path, find_features(path)?, ROWS_AT_ONCE, |file, schema| {
            check_version(file, schema)?;
            let found = VectorColumns { vectors: select_vectors(file, schema, only)?, id: find_id(schema, id) };
            let first = selected.get_or_insert(found);
            check_same_columns(file, schema, first, find_id(schema, id))?;
            Ok(first.vectors.iter().chain(&first.id).cloned().collect())
        })?;
        if parts.rows() == 0 {
            return Err(Error::file(path, "at least one item", "an empty table", "check how it was written"));
        }
        let VectorColumns { vectors, id } = selected.unwrap_or(VectorColumns { vectors: Vec::new(), id: None });
        let mut table = FeatureTable { path: path.to_path_buf(), shapes: Vec::new(), id, parts };
        table.shapes = table.measure(vectors)?;
        Ok(table)
    }

    /// Length of each column's first vector that is not null. Columns of nulls are dropped.
    fn measure(&self, names: Vec<String>) -> Result<Vec<(String, usize)>> {
        let mut dims: Vec<Option<usize>> = vec![None; names.len()];
        for part in 0..self.parts.len() {
            let (file, _) = self.parts.file_of_part(part);
            for batch in self.parts.batches(part, ROWS_AT_ONCE)? {
                let batch = batch?;
                for (name, dim) in names.iter().zip(&mut dims).filter(|(_, dim)| dim.is_none()) {
                    *dim = columns::first_length(named(&batch, name, file)?, file)?;
                }
                if dims.iter().all(Option::is_some) {
                    return Ok(names.into_iter().zip(dims.into_iter().flatten()).collect());
                }
            }
        }
        let found: Vec<_> = names.into_iter().zip(dims).filter_map(|(name, dim)| Some((name, dim?))).collect();
        if found.is_empty() {
            return Err(Error::file(&self.path, "at least one vector", "nulls only", "check how it was written"));
        }
        Ok(found)
    }

    /// The blocks of these parts, in this order.
    pub(super) fn blocks(&self, parts: Vec<usize>) -> Result<Blocks<'_>> {
        let blocks = self.rows(parts).map(|rows| {
            let (first_row, ids, modalities) = rows?;
            Ok(Block { first_row, features: Cow::Owned(Features::of_unchecked_ids(ids, modalities)?) })
        });
        Ok(Box::new(blocks))
    }

    /// The rows of these parts, in this order. Unlike in [`FeatureTable::blocks`], a row may have no vector at all.
    pub(super) fn rows(&self, parts: Vec<usize>) -> FeatureRows<'_> {
        let first_rows = self.parts.first_rows();
        let blocks = parts.into_iter().flat_map(move |part| {
            let (mut row, (file, mut row_in_file)) = (first_rows[part], self.parts.file_of_part(part));
            let (batches, failure) = match self.parts.batches(part, ROWS_AT_ONCE) {
                Ok(batches) => (Some(batches), None),
                Err(error) => (None, Some(Err(error))),
            };
            let blocks = batches.into_iter().flatten().map(move |batch| {
                let batch = batch?;
                let (ids, modalities) = self.columns(file, &batch, row_in_file)?;
                let ids = ids.unwrap_or_else(|| {
                    ItemIds::Integers((row..row + batch.num_rows()).map(|row| row as i64).collect())
                });
                let first_row = row;
                row += batch.num_rows();
                row_in_file += batch.num_rows();
                Ok((first_row, ids, modalities))
            });
            blocks.chain(failure)
        });
        Box::new(blocks)
    }

    fn columns(&self, path: &Path, batch: &RecordBatch, first_row: usize) -> Result<(Option<ItemIds>, Vec<Modality>)> {
        let ids = self.id.as_ref().map(|column| {
            ItemIds::from_arrow(named(batch, column, path)?).map_err(|fault| id_error(path, column, first_row, fault))
        });
        let modality = |(name, dim): &(String, usize)| {
            columns::modality(named(batch, name, path)?, *dim, &CellPlace { path, column: name, first_row })
        };
        Ok((ids.transpose()?, self.shapes.iter().map(modality).collect::<Result<_>>()?))
    }

    /// Checks that the ids of all rows are unique.
    pub(super) fn check_ids(&self, ids: &ItemIds) -> Result<()> {
        let column = self.id.as_deref().unwrap_or(ID);
        ids.check_unique().map_err(|fault| match fault {
            IdFault::Duplicate(first, row, id) => {
                let ((first_file, first), (file, row)) = (self.parts.file_of_row(first), self.parts.file_of_row(row));
                let of_file = if first_file == file { String::new() } else { format!(" of {}", first_file.display()) };
                id_row_error(
                    file,
                    column,
                    row,
                    "an id not used before",
                    format!("{id}, also in row {}{of_file}", first + 1),
                )
            }
            other => id_error(&self.path, column, 0, other),
        })
    }
}

pub(super) fn named<'a>(batch: &'a RecordBatch, name: &str, path: &Path) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| damaged(path, format!("a batch without column {name}")))
}

pub(super) fn id_error(path: &Path, column: &str, first_row: usize, fault: IdFault) -> Error {
    match fault {
        IdFault::Null(at) => id_row_error(path, column, first_row + at, "an item id", "null".into()),
        IdFault::Unusable(at, got) => {
            id_row_error(path, column, first_row + at, "an integer or a string that is not empty", got)
        }
        IdFault::Duplicate(first, at, id) => {
            let got = format!("{id}, also in row {}", first + 1);
            id_row_error(path, column, first_row + at, "an id not used before", got)
        }
        IdFault::Type(data_type) => Error::Column {
            path: path.to_path_buf(),
            column: column.to_owned(),
            expected: "integers or strings".into(),
            got: data_type.to_string(),
            help: "write the ids as 64-bit integers or strings".into(),
        },
    }
}

fn id_row_error(path: &Path, column: &str, row: usize, expected: &str, got: String) -> Error {
    Error::Row {
        path: path.to_path_buf(),
        row: row as u64 + 1,
        column: column.to_owned(),
        expected: expected.into(),
        got,
        help: "give every row a unique id".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Overwrite;
    use crate::features::{FeatureFile, FeatureSource, VERSION_KEY};
    use arrow::array::StringArray;
    use arrow::datatypes::Schema;
    use ndarray::Array2;
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ArrowReaderMetadata;
    use parquet::file::metadata::KeyValue;
    use parquet::file::properties::WriterProperties;
    use std::fs::File;
    use std::sync::Arc;

    fn features() -> Features {
        let vectors = |d| Array2::from_shape_fn((20_000, d), |(i, j)| (i * 31 + j) as f32 * 0.37 - 3.0);
        let present = |step| (0..20_000).map(|i| i % step != 1).collect::<Vec<_>>();
        let mut text = Modality { name: "text".into(), vectors: vectors(5), present: present(7) };
        text.present[0] = false;
        let image = Modality { name: "image".into(), vectors: vectors(3), present: vec![true; 20_000] };
        Features::new(ItemIds::Strings((0..20_000).map(|i| format!("i{i}")).collect()), vec![text, image]).unwrap()
    }

    #[test]
    fn a_feature_table_round_trips_and_writing_is_deterministic() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a.parquet"), folder.path().join("b.parquet"));
        features().write(&a, Overwrite::Refuse).unwrap();
        features().write(&b, Overwrite::Refuse).unwrap();
        assert_eq!(Features::read(&a).unwrap(), features());
        assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
    }

    #[test]
    fn every_flipped_bit_is_found_and_a_rewritten_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        features().write(&path, Overwrite::Refuse).unwrap();
        let whole = std::fs::read(&path).unwrap();
        // Every byte of the metadata at the end, and some bytes of the pages.
        let positions = (0..whole.len() - 3_000).step_by(whole.len() / 100).chain(whole.len() - 3_000..whole.len());
        for at in positions {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            std::fs::write(&path, flipped).unwrap();
            let read = std::panic::catch_unwind(|| FeatureFile::open(&path).is_ok());
            assert!(!read.unwrap_or(false), "byte {at}");
        }
        // Another program can keep the metadata when it rewrites the file.
        std::fs::write(&path, &whole).unwrap();
        let reader = ArrowReaderMetadata::load(&File::open(&path).unwrap(), Default::default()).unwrap();
        let pairs = reader.metadata().file_metadata().key_value_metadata().cloned();
        let batch = RecordBatch::try_new(
            Arc::new(Schema::new(vec![columns::field("image", 3)])),
            vec![Arc::new(columns::to_arrow(&features().modalities()[1], 0, 2))],
        )
        .unwrap();
        let pairs = pairs.map(|pairs| pairs.into_iter().filter(|pair| pair.key.starts_with("catalex.")).collect());
        let properties = WriterProperties::builder().set_key_value_metadata(pairs).build();
        let file = File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        assert_eq!(FeatureFile::open(&path).unwrap().rows(), 2);
    }

    #[test]
    fn blocks_follow_the_requested_order_and_know_their_rows() {
        let folder = tempfile::tempdir().unwrap();
        let (parquet, arrow) = (folder.path().join("a.parquet"), folder.path().join("a.arrow"));
        let features = features();
        features.write(&parquet, Overwrite::Refuse).unwrap();
        // Without ids, and in batches of 9,000, of which a block holds a part.
        let schema = Arc::new(Schema::new(vec![columns::field("image", 3)]));
        let mut writer = arrow::ipc::writer::FileWriter::try_new(File::create(&arrow).unwrap(), &schema).unwrap();
        for from in (0..20_000).step_by(9_000) {
            let column = columns::to_arrow(&features.modalities()[1], from, 20_000.min(from + 9_000));
            writer.write(&RecordBatch::try_new(schema.clone(), vec![Arc::new(column)]).unwrap()).unwrap();
        }
        writer.finish().unwrap();
        for (path, parts) in [(&parquet, vec![8_192, 8_192, 3_616]), (&arrow, vec![9_000, 9_000, 2_000])] {
            let file = FeatureFile::open(path).unwrap();
            assert_eq!((file.rows(), file.parts()), (20_000, 3));
            let mut expected = parts[0] + parts[1];
            for block in file.blocks(vec![2, 0]).unwrap() {
                let block = block.unwrap();
                assert_eq!(block.first_row, expected % 20_000);
                expected += block.features.len();
                let image = block.features.modalities().iter().find(|m| m.name == "image").unwrap();
                let from = block.first_row;
                let rows = ndarray::s![from..from + block.features.len(), ..];
                assert_eq!(image.vectors, features.modalities()[1].vectors.slice(rows));
                let id = if path == &parquet { format!("i{from}") } else { from.to_string() };
                assert_eq!(block.features.item_ids().text(0), id);
            }
            assert_eq!(expected, 20_000 + parts[0], "the last part and then the first");
        }
    }

    #[test]
    fn every_format_and_compression_gives_the_same_features() {
        let folder = tempfile::tempdir().unwrap();
        let part = |rows: std::ops::Range<i64>| {
            let vectors =
                Array2::from_shape_fn((rows.clone().count(), 3), |(i, j)| rows.start as f32 + i as f32 + j as f32);
            let image = Modality { name: "image".into(), present: vec![true; vectors.nrows()], vectors };
            let ids = StringArray::from_iter_values(rows.clone().map(|row| format!("i{row}")));
            let columns: Vec<(&str, ArrayRef)> = vec![
                ("item_id", Arc::new(ids)),
                ("image", Arc::new(columns::to_arrow(&image, 0, image.vectors.nrows()))),
            ];
            RecordBatch::try_from_iter(columns).unwrap()
        };
        let ids = ItemIds::Strings((0..30).map(|row| format!("i{row}")).collect());
        for path in crate::table::samples::binary_tables(folder.path(), &[part(0..20), part(20..30)]) {
            let read = Features::read(&path).unwrap();
            assert_eq!(read.item_ids(), &ids, "{}", path.display());
            assert_eq!(read.modalities()[0].vectors.row(29).to_vec(), [29.0, 30.0, 31.0]);
        }
    }

    #[test]
    fn each_file_of_a_table_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, ids: [i64; 2], column: &str| {
            let modality = Modality { name: column.into(), vectors: Array2::ones((2, 3)), present: vec![true; 2] };
            let features = Features::new(ItemIds::Integers(ids.to_vec()), vec![modality]).unwrap();
            features.write(&folder.path().join(name), Overwrite::Replace).unwrap();
        };
        let says = || Features::read(folder.path()).unwrap_err().to_string();
        write("a.parquet", [1, 2], "text");
        write("b.parquet", [3, 4], "text");
        assert_eq!(Features::read(folder.path()).unwrap().item_ids(), &ItemIds::Integers(vec![1, 2, 3, 4]));
        write("b.parquet", [3, 2], "text");
        assert!(says().contains("b.parquet, row 2") && says().contains("2, also in row 2 of "), "{}", says());
        write("b.parquet", [3, 4], "image");
        assert!(says().contains("b.parquet, column \"text\""), "{}", says());
        std::fs::write(folder.path().join("b.parquet"), "PAR1").unwrap();
        assert!(says().contains("b.parquet") && says().contains("damaged"), "{}", says());
    }

    #[test]
    fn another_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let says = |version: &str| {
            let path = folder.path().join("a.parquet");
            let features = features();
            let image = &features.modalities()[1];
            let schema = Arc::new(Schema::new(vec![columns::field("image", 3)]));
            let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(columns::to_arrow(image, 0, 2))]).unwrap();
            let metadata = vec![KeyValue::new(VERSION_KEY.into(), version.to_owned())];
            let properties = WriterProperties::builder().set_key_value_metadata(Some(metadata)).build();
            let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), schema, Some(properties)).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
            Features::read(&path).map(|read| read.len()).map_err(|e| e.to_string())
        };
        assert_eq!(says("1"), Ok(2));
        assert!(says("2").unwrap_err().contains("expected format version 1, got 2"));
    }

    #[test]
    fn a_truncated_table_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        features().write(&path, Overwrite::Refuse).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(Features::read(&path).unwrap_err().to_string().contains("damaged"));
    }
}
