//! Opening a table of each form as a stream of Arrow batches.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::csv;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::files::{Form, bytes, seekable};
use super::jsonl;
use crate::error::{Error, Result};

/// Rows of a batch.
pub(super) const BATCH: usize = 4_096;

pub(super) type Batches = Box<dyn Iterator<Item = std::result::Result<RecordBatch, ArrowError>>>;

/// A table being read.
pub(super) struct Table {
    /// What errors name.
    pub(super) path: PathBuf,
    /// What relative picture paths start from.
    pub(super) folder: PathBuf,
    pub(super) schema: SchemaRef,
    pub(super) batches: Batches,
}

impl Table {
    fn new(path: &Path, schema: SchemaRef, batches: Batches) -> Self {
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        Table { path: path.to_path_buf(), folder, schema, batches }
    }
}

/// Opens a part of a catalog.
pub(super) fn open(form: Form, path: &Path) -> Result<Table> {
    match form {
        Form::Parquet => parquet(path),
        Form::ArrowFile => arrow_file(path),
        Form::ArrowStream => arrow_stream(path),
        Form::Csv => csv_table(path, b','),
        Form::Tsv => csv_table(path, b'\t'),
        Form::JsonLines => json_lines(path, &[path.to_path_buf()]),
    }
}

/// Opens parts of JSON Lines as one table: what a column holds is settled over all of them.
pub(super) fn json_lines(path: &Path, parts: &[PathBuf]) -> Result<Table> {
    let (schema, batches) = jsonl::open(parts)?;
    let table = Table::new(path, schema, batches);
    let folder = parts.first().and_then(|part| part.parent()).unwrap_or(Path::new("")).to_path_buf();
    Ok(Table { folder, ..table })
}

fn damaged(path: &Path, reason: impl ToString) -> Error {
    let got = format!("a damaged file ({})", reason.to_string());
    Error::file(path, "a readable table", got, "write or copy it again")
}

fn parquet(path: &Path) -> Result<Table> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(seekable(path)?).map_err(|e| damaged(path, e))?;
    let schema = builder.schema().clone();
    let reader = builder.with_batch_size(BATCH).build().map_err(|e| damaged(path, e))?;
    Ok(Table::new(path, schema, Box::new(reader)))
}

fn arrow_file(path: &Path) -> Result<Table> {
    let reader = FileReader::try_new_buffered(seekable(path)?, None).map_err(|e| damaged(path, e))?;
    Ok(Table::new(path, reader.schema(), Box::new(reader)))
}

fn arrow_stream(path: &Path) -> Result<Table> {
    let reader = StreamReader::try_new_buffered(bytes(path)?, None).map_err(|e| damaged(path, e))?;
    Ok(Table::new(path, reader.schema(), Box::new(reader)))
}

/// Every column is read as text: a catalog's `007` is a name and not a number.
fn csv_table(path: &Path, delimiter: u8) -> Result<Table> {
    let format = csv::reader::Format::default().with_header(true).with_delimiter(delimiter);
    let (found, _) = format.infer_schema(bytes(path)?, Some(0)).map_err(|e| damaged(path, e))?;
    let name = |field: &Field| field.name().trim_start_matches('\u{feff}').to_owned();
    let fields: Vec<Field> = found.fields().iter().map(|f| Field::new(name(f), DataType::Utf8, true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let reader = csv::ReaderBuilder::new(schema.clone()).with_format(format).with_batch_size(BATCH).build(bytes(path)?);
    Ok(Table::new(path, schema, Box::new(reader.map_err(|e| damaged(path, e))?)))
}

/// The columns that a folder of pictures is read as.
pub(super) const PICTURE_ID: &str = "item_id";
/// See [`PICTURE_ID`].
pub(super) const PICTURE: &str = "image";
/// Extensions of pictures.
pub(super) const PICTURES: [&str; 8] = ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"];

/// Pictures of a folder as a table: the file's name without its extension is the id.
pub(super) fn pictures(folder: &Path, files: &[PathBuf]) -> Result<Table> {
    let schema = Arc::new(Schema::new(vec![
        Field::new(PICTURE_ID, DataType::Utf8, false),
        Field::new(PICTURE, DataType::Utf8, false),
    ]));
    let text = |part: fn(&Path) -> Option<&std::ffi::OsStr>| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(files.iter().map(|f| part(f).unwrap_or_default().to_string_lossy())))
    };
    let batch = RecordBatch::try_new(schema.clone(), vec![text(Path::file_stem), text(Path::file_name)])
        .map_err(|e| damaged(folder, e))?;
    let from_to = move |from: usize| Ok(batch.slice(from, BATCH.min(batch.num_rows() - from)));
    let batches: Batches = Box::new((0..files.len()).step_by(BATCH).map(from_to));
    Ok(Table { path: folder.to_path_buf(), folder: folder.to_path_buf(), schema, batches })
}
