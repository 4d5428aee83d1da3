//! Tables with vector columns: Parquet and Arrow IPC.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::FileReader;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::columns::{self, Place};
use super::source::{Block, Blocks, ROWS_AT_ONCE};
use super::{FOREIGN_IDS, FORMAT_VERSION, Features, ID, Modality, VERSION_KEY};
use crate::error::{Error, Result};
use crate::item_ids::{IdFault, ItemIds};

/// What is known of a table before its vectors are read.
#[derive(Debug)]
pub(super) struct Table {
    /// Name and length of the vectors of each modality.
    pub(super) shapes: Vec<(String, usize)>,
    /// Rows of each part: a row group of Parquet, a record batch of Arrow.
    pub(super) parts: Vec<usize>,
    /// The column of the ids; none where they are the rows' numbers.
    pub(super) id: Option<String>,
    /// Places of the columns that are read.
    read: Vec<usize>,
    format: Format,
}

/// The container.
#[derive(Debug, Clone)]
enum Format {
    Parquet(ArrowReaderMetadata),
    Arrow,
}

/// Rows that follow each other: the first one's number, their ids and vectors.
type Rows<'a> = Box<dyn Iterator<Item = Result<(usize, ItemIds, Vec<Modality>)>> + 'a>;
type Batches = Box<dyn Iterator<Item = std::result::Result<RecordBatch, ArrowError>>>;

impl Table {
    /// Opens a table for all its vectors.
    pub(super) fn open(path: &Path) -> Result<Self> {
        Self::open_columns(path, None, None)
    }

    /// Opens a table for one column of vectors, or all, with ids in the column `id`, if there is one, else as usual.
    pub(super) fn open_columns(path: &Path, only: Option<&str>, id: Option<&str>) -> Result<Self> {
        let (format, schema, parts) = probe(path)?;
        // Foreign tables have no version; catalex's own of another one may mean something else.
        if let Some(version) = schema.metadata().get(VERSION_KEY).filter(|version| *version != FORMAT_VERSION) {
            let expected = format!("format version {FORMAT_VERSION}");
            return Err(Error::artifact(path, expected, version, "read it with the catalex that wrote it"));
        }
        let vectors = vectors(path, &schema)?;
        let vectors = match only {
            Some(column) if vectors.iter().any(|name| name == column) => vec![column.to_owned()],
            Some(column) => {
                return Err(Error::Column {
                    path: path.to_path_buf(),
                    column: column.to_owned(),
                    expected: "a column of float lists".into(),
                    got: columns_of(&schema),
                    help: format!("name one of: {}", vectors.join(", ")),
                });
            }
            None => vectors,
        };
        if parts.iter().sum::<usize>() == 0 {
            return Err(Error::file(path, "at least one item", "an empty table", "check how it was written"));
        }
        let id = id.into_iter().chain([ID]).chain(FOREIGN_IDS).find(|name| schema.field_with_name(name).is_ok());
        let read = vectors.iter().map(String::as_str).chain(id).filter_map(|name| schema.index_of(name).ok()).collect();
        let mut table = Table { shapes: Vec::new(), parts, id: id.map(str::to_owned), read, format };
        table.shapes = table.measure(path, vectors)?;
        Ok(table)
    }

    /// Lengths of the vectors: those of each column's first that is not null. Columns of nothing but nulls drop out.
    fn measure(&self, path: &Path, names: Vec<String>) -> Result<Vec<(String, usize)>> {
        let mut dims: Vec<Option<usize>> = vec![None; names.len()];
        for part in 0..self.parts.len() {
            for batch in self.batches(path, part)? {
                let batch = batch.map_err(|e| damaged(path, e))?;
                for (name, dim) in names.iter().zip(&mut dims).filter(|(_, dim)| dim.is_none()) {
                    *dim = columns::first_length(named(&batch, name, path)?, path)?;
                }
                if dims.iter().all(Option::is_some) {
                    return Ok(names.into_iter().zip(dims.into_iter().flatten()).collect());
                }
            }
        }
        let found: Vec<_> = names.into_iter().zip(dims).filter_map(|(name, dim)| Some((name, dim?))).collect();
        if found.is_empty() {
            return Err(Error::file(path, "at least one vector", "nulls only", "check how it was written"));
        }
        Ok(found)
    }

    /// The blocks of these parts, in this order.
    pub(super) fn blocks<'a>(&'a self, path: &'a Path, parts: Vec<usize>) -> Result<Blocks<'a>> {
        let blocks = self.rows(path, parts).map(|rows| {
            let (first_row, ids, modalities) = rows?;
            Ok(Block { first_row, features: Cow::Owned(Features::of_unchecked_ids(ids, modalities)?) })
        });
        Ok(Box::new(blocks))
    }

    /// Rows of these parts, in this order, some of which may have no vector at all: the first one's number, ids, vectors.
    pub(super) fn rows<'a>(&'a self, path: &'a Path, parts: Vec<usize>) -> Rows<'a> {
        let starts: Vec<usize> = (0..self.parts.len()).map(|part| self.parts[..part].iter().sum()).collect();
        let blocks = parts.into_iter().flat_map(move |part| {
            let mut row = starts[part];
            let (batches, failure) = match self.batches(path, part) {
                Ok(batches) => (Some(batches), None),
                Err(error) => (None, Some(Err(error))),
            };
            let blocks = batches.into_iter().flatten().map(move |batch| {
                let batch = batch.map_err(|e| damaged(path, e))?;
                let first_row = row;
                row += batch.num_rows();
                let (ids, modalities) = self.columns(path, &batch, first_row)?;
                Ok((first_row, ids, modalities))
            });
            blocks.chain(failure)
        });
        Box::new(blocks)
    }

    fn columns(&self, path: &Path, batch: &RecordBatch, first_row: usize) -> Result<(ItemIds, Vec<Modality>)> {
        let ids = match &self.id {
            Some(column) => ItemIds::from_arrow(named(batch, column, path)?)
                .map_err(|fault| id_error(path, column, first_row, fault))?,
            None => ItemIds::Integers((first_row..first_row + batch.num_rows()).map(|row| row as i64).collect()),
        };
        let modality = |(name, dim): &(String, usize)| {
            columns::modality(named(batch, name, path)?, *dim, &Place { path, column: name, first_row })
        };
        Ok((ids, self.shapes.iter().map(modality).collect::<Result<_>>()?))
    }

    pub(super) fn check_ids(&self, path: &Path, ids: &ItemIds) -> Result<()> {
        let column = self.id.as_deref().unwrap_or(ID);
        ids.check_unique().map_err(|fault| id_error(path, column, 0, fault))
    }

    fn batches(&self, path: &Path, part: usize) -> Result<Batches> {
        let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
        match &self.format {
            Format::Parquet(metadata) => {
                let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone());
                let read = ProjectionMask::roots(builder.parquet_schema(), self.read.iter().copied());
                let builder = builder.with_projection(read).with_row_groups(vec![part]);
                let reader = builder.with_batch_size(ROWS_AT_ONCE).build();
                Ok(Box::new(reader.map_err(|e| damaged(path, e))?))
            }
            Format::Arrow => {
                let mut reader = FileReader::try_new(BufReader::new(file), None).map_err(|e| damaged(path, e))?;
                reader.set_index(part).map_err(|e| damaged(path, e))?;
                // A record batch may be of any size; its slices share its memory.
                let slices = reader.take(1).flat_map(|batch| match batch {
                    Ok(batch) => (0..batch.num_rows())
                        .step_by(ROWS_AT_ONCE)
                        .map(|from| Ok(batch.slice(from, ROWS_AT_ONCE.min(batch.num_rows() - from))))
                        .collect(),
                    Err(error) => vec![Err(error)],
                });
                Ok(Box::new(slices))
            }
        }
    }
}

/// A table's container, columns, and rows a part.
fn probe(path: &Path) -> Result<(Format, SchemaRef, Vec<usize>)> {
    let mut file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    let mut magic = [0; 6];
    let read = file.read(&mut magic).map_err(|e| Error::io("read", path, e))?;
    file.rewind().map_err(|e| Error::io("read", path, e))?;
    if magic == *b"ARROW1" {
        let reader = FileReader::try_new(BufReader::new(file), None).map_err(|e| damaged(path, e))?;
        let schema = reader.schema();
        let parts = reader.map(|batch| batch.map(|batch| batch.num_rows()));
        return Ok((
            Format::Arrow,
            schema,
            parts.collect::<std::result::Result<_, _>>().map_err(|e| damaged(path, e))?,
        ));
    }
    if &magic[..4] != b"PAR1" {
        let got = if read == 0 { "an empty file" } else { "something else" };
        let help = "features are read from .parquet, .arrow and .npy; a catalog goes through `catalex embed` first";
        return Err(Error::file(path, "a Parquet, Arrow or .npy file", got, help));
    }
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::default()).map_err(|e| damaged(path, e))?;
    let parts = metadata.metadata().row_groups().iter().map(|group| group.num_rows() as usize).collect();
    let schema = metadata.schema().clone();
    Ok((Format::Parquet(metadata), schema, parts))
}

/// The columns that hold vectors; at least one.
pub(super) fn vectors(path: &Path, schema: &SchemaRef) -> Result<Vec<String>> {
    let vectors: Vec<String> =
        schema.fields().iter().filter(|f| columns::is_vector(f.data_type())).map(|f| f.name().clone()).collect();
    if vectors.is_empty() {
        let help = "embed the catalog first with `catalex embed`, or name a table that holds vectors";
        return Err(Error::file(path, "a column of float lists", columns_of(schema), help));
    }
    Ok(vectors)
}

/// The columns that are there, in words.
fn columns_of(schema: &SchemaRef) -> String {
    let columns = schema.fields().iter().map(|f| format!("{} ({})", f.name(), f.data_type())).collect::<Vec<_>>();
    format!("columns {}", columns.join(", "))
}

fn named<'a>(batch: &'a RecordBatch, name: &str, path: &Path) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| damaged(path, format!("a batch without column {name}")))
}

fn damaged(path: &Path, reason: impl ToString) -> Error {
    let got = format!("a damaged file ({})", reason.to_string());
    Error::file(path, "a readable table", got, "write or copy it again")
}

pub(super) fn id_error(path: &Path, column: &str, first_row: usize, fault: IdFault) -> Error {
    let row = |row: usize, expected: &str, got: String| Error::Row {
        path: path.to_path_buf(),
        row: (first_row + row) as u64 + 1,
        column: column.to_owned(),
        expected: expected.into(),
        got,
        help: "ids must be there and be unique; mend the table".into(),
    };
    match fault {
        IdFault::Null(at) => row(at, "an item id", "null".into()),
        IdFault::Duplicate(first, at, id) => {
            row(at, "an id not used before", format!("{id}, also in row {}", first + 1))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Overwrite;
    use crate::features::{FeatureFile, FeatureSource};
    use arrow::datatypes::Schema;
    use ndarray::Array2;
    use parquet::arrow::ArrowWriter;
    use parquet::file::metadata::KeyValue;
    use parquet::file::properties::WriterProperties;
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
    fn a_table_survives_and_is_the_same_bytes_twice() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a.parquet"), folder.path().join("b.parquet"));
        features().write(&a, Overwrite::Refuse).unwrap();
        features().write(&b, Overwrite::Refuse).unwrap();
        assert_eq!(Features::read(&a).unwrap(), features());
        assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
    }

    #[test]
    fn blocks_come_in_the_order_asked_for_and_know_their_rows() {
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
    fn a_cut_table_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        features().write(&path, Overwrite::Refuse).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(Features::read(&path).unwrap_err().to_string().contains("damaged"));
    }
}
