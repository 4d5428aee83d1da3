//! Feature tables: Parquet in and out, Arrow IPC in.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::FileReader;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::columns::{self, Place, VectorColumn};
use super::{Features, Modality};
use crate::artifact::{AtomicFile, Overwrite};
use crate::error::{Error, Result};
use crate::item_ids::{IdFault, ItemIds};

/// The id column of catalex's own tables.
const ID: &str = "item_id";
/// Further names under which a foreign table's ids are recognised.
const FOREIGN_IDS: [&str; 1] = ["id"];
const ROWS_AT_ONCE: usize = 8_192;
const VERSION_KEY: &str = "catalex.format_version";
const FORMAT_VERSION: &str = "1";

pub(super) fn read(path: &Path) -> Result<Features> {
    let (schema, batches) = open(path)?;
    // Foreign tables have no version; catalex's own of another one may mean something else.
    if let Some(version) = schema.metadata().get(VERSION_KEY).filter(|version| *version != FORMAT_VERSION) {
        let expected = format!("format version {FORMAT_VERSION}");
        return Err(Error::artifact(path, expected, version, "read it with the catalex that wrote it"));
    }
    let vectors: Vec<String> =
        schema.fields().iter().filter(|f| columns::is_vector(f.data_type())).map(|f| f.name().clone()).collect();
    if vectors.is_empty() {
        let got = schema.fields().iter().map(|f| format!("{} ({})", f.name(), f.data_type())).collect::<Vec<_>>();
        let help = "embed the catalog first with `catalex embed`, or name a table that holds vectors";
        return Err(Error::file(path, "a column of float lists", format!("columns {}", got.join(", ")), help));
    }
    let id = [ID].into_iter().chain(FOREIGN_IDS).find(|name| schema.field_with_name(name).is_ok());
    let mut ids: Option<ItemIds> = None;
    let mut gathered: Vec<VectorColumn> = vectors.iter().map(|_| VectorColumn::default()).collect();
    let mut rows = 0;
    for batch in batches {
        let batch = batch.map_err(|e| damaged(path, e))?;
        if let Some(column) = id {
            let found =
                ItemIds::from_arrow(named(&batch, column, path)?).map_err(|f| id_error(path, column, rows, f))?;
            match &mut ids {
                None => ids = Some(found),
                Some(ids) => ids.append(found).map_err(|_| damaged(path, "ids of two types"))?,
            }
        }
        for (name, column) in vectors.iter().zip(&mut gathered) {
            column.append(named(&batch, name, path)?, &Place { path, column: name, first_row: rows })?;
        }
        rows += batch.num_rows();
    }
    if rows == 0 {
        return Err(Error::file(path, "at least one item", "an empty table", "check how it was written"));
    }
    let ids = ids.unwrap_or_else(|| ItemIds::row_numbers(rows));
    ids.check_unique().map_err(|f| id_error(path, id.unwrap_or(ID), 0, f))?;
    let mut modalities = Vec::new();
    for (name, column) in vectors.iter().zip(gathered) {
        modalities.extend(column.finish(name)?);
    }
    Features::new(ids, modalities)
}

type Batches = Box<dyn Iterator<Item = std::result::Result<RecordBatch, ArrowError>>>;

fn open(path: &Path) -> Result<(SchemaRef, Batches)> {
    let mut file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    let mut magic = [0; 6];
    let read = file.read(&mut magic).map_err(|e| Error::io("read", path, e))?;
    file.rewind().map_err(|e| Error::io("read", path, e))?;
    if magic == *b"ARROW1" {
        let reader = FileReader::try_new(BufReader::new(file), None).map_err(|e| damaged(path, e))?;
        return Ok((reader.schema(), Box::new(reader)));
    }
    if &magic[..4] != b"PAR1" {
        let got = if read == 0 { "an empty file" } else { "something else" };
        let help = "features are read from .parquet, .arrow and .npy; a catalog goes through `catalex embed` first";
        return Err(Error::file(path, "a Parquet, Arrow or .npy file", got, help));
    }
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| damaged(path, e))?;
    let schema = builder.schema().clone();
    let reader = builder.with_batch_size(ROWS_AT_ONCE).build().map_err(|e| damaged(path, e))?;
    Ok((schema, Box::new(reader)))
}

fn named<'a>(batch: &'a RecordBatch, name: &str, path: &Path) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| damaged(path, format!("a batch without column {name}")))
}

fn damaged(path: &Path, reason: impl ToString) -> Error {
    let got = format!("a damaged file ({})", reason.to_string());
    Error::file(path, "a readable table", got, "write or copy it again")
}

fn id_error(path: &Path, column: &str, first_row: usize, fault: IdFault) -> Error {
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

pub(super) fn write(features: &Features, path: &Path, overwrite: Overwrite) -> Result<()> {
    let failed = |e: parquet::errors::ParquetError| Error::io("write", path, std::io::Error::other(e));
    let id = Field::new(ID, features.item_ids().data_type(), false);
    let fields: Vec<Field> = std::iter::once(id).chain(features.modalities().iter().map(columns::field)).collect();
    let schema = Arc::new(Schema::new(fields));
    let ids = features.item_ids().to_arrow();
    let file = AtomicFile::create(path, overwrite)?;
    let mut writer =
        ArrowWriter::try_new(file, schema.clone(), Some(properties(features.modalities()))).map_err(failed)?;
    for from in (0..features.len()).step_by(ROWS_AT_ONCE) {
        let to = features.len().min(from + ROWS_AT_ONCE);
        let vectors = features.modalities().iter().map(|m| Arc::new(columns::to_arrow(m, from, to)) as ArrayRef);
        let batch = std::iter::once(ids.slice(from, to - from)).chain(vectors).collect();
        let batch = RecordBatch::try_new(schema.clone(), batch)
            .map_err(|e| Error::mismatch("feature columns", "of equal length", e, "check the features"))?;
        writer.write(&batch).map_err(failed)?;
        writer.flush().map_err(failed)?;
    }
    writer.into_inner().map_err(failed)?.commit()
}

/// Floats are near noise: no dictionary; their bytes split by place, so that the exponents compress.
fn properties(modalities: &[Modality]) -> WriterProperties {
    let metadata = vec![KeyValue::new(VERSION_KEY.into(), FORMAT_VERSION.to_owned())];
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("catalex ", env!("CARGO_PKG_VERSION")).into())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(Some(metadata));
    for modality in modalities {
        let column = ColumnPath::new(vec![modality.name.clone(), "list".into(), "item".into()]);
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, Encoding::BYTE_STREAM_SPLIT);
    }
    properties.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

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
    fn another_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let says = |version: &str| {
            let path = folder.path().join("a.parquet");
            let features = features();
            let image = &features.modalities()[1];
            let schema = Arc::new(Schema::new(vec![columns::field(image)]));
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
