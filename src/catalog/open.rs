//! Telling the formats apart and opening each as a stream of Arrow batches.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::csv;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::jsonl;
use crate::error::{Error, Result};

/// Rows of a batch.
pub(super) const BATCH: usize = 4_096;

pub(super) type Batches = Box<dyn Iterator<Item = std::result::Result<RecordBatch, ArrowError>>>;

/// A table being read.
pub(super) struct Table {
    pub(super) schema: SchemaRef,
    pub(super) batches: Batches,
    /// Number of rows, where the file says so.
    pub(super) rows: Option<u64>,
}

pub(super) fn open(path: &Path) -> Result<Table> {
    if !path.exists() {
        return Err(Error::Missing {
            path: path.to_path_buf(),
            expected: "a catalog: Parquet, Arrow, CSV or JSONL, or a folder of pictures".into(),
            help: "check the path".into(),
        });
    }
    if path.is_dir() {
        return pictures(path);
    }
    let mut head = Vec::new();
    let mut file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    (&mut file).take(6).read_to_end(&mut head).map_err(|e| Error::io("read", path, e))?;
    file.rewind().map_err(|e| Error::io("read", path, e))?;
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    match (&head[..], extension.as_str()) {
        ([], _) => Err(Error::file(path, "a catalog with items", "an empty file", "check how it was written")),
        (b"ARROW1", _) => arrow_file(path, file),
        (head, _) if head.starts_with(b"PAR1") => parquet(path, file),
        (_, "csv") => csv_table(path, file, b','),
        (_, "tsv") => csv_table(path, file, b'\t'),
        (_, "jsonl" | "ndjson" | "json") => jsonl::open(path),
        (_, "arrows") => arrow_stream(path, file),
        (_, "parquet" | "arrow" | "feather" | "ipc") => Err(damaged(path, "a file that does not begin as one")),
        _ => {
            let help = "give it the extension of its format: .parquet, .arrow, .csv, .tsv or .jsonl";
            Err(Error::file(path, "a Parquet, Arrow, CSV or JSONL table", "something else", help))
        }
    }
}

fn damaged(path: &Path, reason: impl ToString) -> Error {
    let got = format!("a damaged file ({})", reason.to_string());
    Error::file(path, "a readable table", got, "write or copy it again")
}

fn parquet(path: &Path, file: File) -> Result<Table> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| damaged(path, e))?;
    let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).ok();
    let schema = builder.schema().clone();
    let reader = builder.with_batch_size(BATCH).build().map_err(|e| damaged(path, e))?;
    Ok(Table { schema, batches: Box::new(reader), rows })
}

fn arrow_file(path: &Path, file: File) -> Result<Table> {
    let reader = FileReader::try_new(BufReader::new(file), None).map_err(|e| damaged(path, e))?;
    Ok(Table { schema: reader.schema(), batches: Box::new(reader), rows: None })
}

fn arrow_stream(path: &Path, file: File) -> Result<Table> {
    let reader = StreamReader::try_new(BufReader::new(file), None).map_err(|e| damaged(path, e))?;
    Ok(Table { schema: reader.schema(), batches: Box::new(reader), rows: None })
}

/// Every column is read as text: a catalog's `007` is a name and not a number.
fn csv_table(path: &Path, file: File, delimiter: u8) -> Result<Table> {
    let format = csv::reader::Format::default().with_header(true).with_delimiter(delimiter);
    let (found, _) = format.infer_schema(BufReader::new(file), Some(0)).map_err(|e| damaged(path, e))?;
    let fields: Vec<Field> = found.fields().iter().map(|f| Field::new(f.name(), DataType::Utf8, true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    let reader = csv::ReaderBuilder::new(schema.clone()).with_format(format).with_batch_size(BATCH).build(file);
    Ok(Table { schema, batches: Box::new(reader.map_err(|e| damaged(path, e))?), rows: None })
}

/// The columns that a folder of pictures is read as.
pub(super) const PICTURE_ID: &str = "item_id";
/// See [`PICTURE_ID`].
pub(super) const PICTURE: &str = "image";
const PICTURE_EXTENSIONS: [&str; 8] = ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"];

/// A folder of pictures as a table: the file's name without its extension is the id.
fn pictures(path: &Path) -> Result<Table> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|e| Error::io("read", path, e))? {
        let file = entry.map_err(|e| Error::io("read", path, e))?.path();
        let extension = file.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        if PICTURE_EXTENSIONS.contains(&extension.as_str()) {
            files.push(file);
        }
    }
    if files.is_empty() {
        let expected = format!("a folder of pictures ({})", PICTURE_EXTENSIONS.join(", "));
        return Err(Error::file(path, expected, "none", "name a folder of pictures, or the catalog's table"));
    }
    files.sort();
    let schema = Arc::new(Schema::new(vec![
        Field::new(PICTURE_ID, DataType::Utf8, false),
        Field::new(PICTURE, DataType::Utf8, false),
    ]));
    let text = |part: fn(&Path) -> Option<&std::ffi::OsStr>| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(files.iter().map(|f| part(f).unwrap_or_default().to_string_lossy())))
    };
    let batch = RecordBatch::try_new(schema.clone(), vec![text(Path::file_stem), text(Path::file_name)])
        .map_err(|e| damaged(path, e))?;
    let rows = Some(batch.num_rows() as u64);
    let from_to = move |from: usize| batch.slice(from, BATCH.min(batch.num_rows() - from));
    Ok(Table { schema, batches: Box::new((0..files.len()).step_by(BATCH).map(move |from| Ok(from_to(from)))), rows })
}
