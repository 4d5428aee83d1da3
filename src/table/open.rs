//! Opening one file of a table as a stream of record batches that hold the requested columns.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::csv;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::column_request::{ColumnRequest, list_columns};
use super::compression::{decompressed, seekable};
use super::int96::in_microseconds;
use super::{TableFormat, damaged};
use crate::error::{Error, Result};

/// Most rows of a batch that a stream gives.
pub(super) const BATCH_ROWS: usize = 4_096;

/// Record batches, one after the other.
pub(super) type RecordBatches = Box<dyn Iterator<Item = Result<RecordBatch>>>;

/// A file being read.
pub(super) struct OpenTable {
    /// The column of each request; none for an optional one that is absent.
    pub(super) columns: Vec<Option<String>>,
    /// Their types. Of JSON Lines, those of the first batch.
    pub(super) types: Vec<Option<DataType>>,
    pub(super) batches: RecordBatches,
}

/// Opens a file of any format but JSON Lines.
pub(super) fn open(format: TableFormat, path: &Path, requests: &[ColumnRequest]) -> Result<OpenTable> {
    match format {
        TableFormat::Parquet => parquet(path, requests),
        TableFormat::ArrowFile => arrow_file(path, requests),
        TableFormat::ArrowStream => arrow_stream(path, requests),
        TableFormat::Csv => csv_table(path, b',', requests),
        TableFormat::Tsv => csv_table(path, b'\t', requests),
        TableFormat::JsonLines => {
            super::json_lines::open_first(path, &[path.to_path_buf()], requests).map(|(_, table)| table)
        }
    }
}

/// The requested columns of a schema.
struct Selection {
    columns: Vec<Option<String>>,
    types: Vec<Option<DataType>>,
    /// Their places in the schema, ascending, without repetition. Of columns with the same name the first counts.
    places: Vec<usize>,
}

impl Selection {
    fn new(path: &Path, schema: &Schema, requests: &[ColumnRequest]) -> Result<Self> {
        let mut selection = Selection { columns: Vec::new(), types: Vec::new(), places: Vec::new() };
        for request in requests {
            let name = request.find(|name| schema.index_of(name).is_ok());
            if name.is_none() && request.required {
                return Err(request.absent(path, &list_columns(schema.fields().iter().map(|field| field.name()))));
            }
            let place = name.as_ref().and_then(|name| schema.index_of(name).ok());
            selection.types.push(place.map(|place| schema.field(place).data_type().clone()));
            selection.places.extend(place);
            selection.columns.push(name);
        }
        selection.places.sort_unstable();
        selection.places.dedup();
        Ok(selection)
    }

    fn table(
        self,
        path: &Path,
        batches: impl Iterator<Item = std::result::Result<RecordBatch, ArrowError>> + 'static,
    ) -> OpenTable {
        let (path, mut rows) = (path.to_path_buf(), 0);
        let batches = batches.map(move |batch| {
            let batch = batch.map_err(|e| {
                let got = format!("a damaged part after row {rows} ({e})");
                Error::file(&path, "a readable table", got, "correct that row, or write the file again")
            })?;
            rows += batch.num_rows();
            Ok(batch)
        });
        OpenTable { columns: self.columns, types: self.types, batches: Box::new(batches) }
    }
}

/// A table in memory, given as batches of [`BATCH_ROWS`].
pub(super) fn in_memory(path: &Path, batch: RecordBatch, requests: &[ColumnRequest]) -> Result<OpenTable> {
    let selection = Selection::new(path, &batch.schema(), requests)?;
    Ok(selection.table(path, std::iter::once(Ok(batch))))
}

fn parquet(path: &Path, requests: &[ColumnRequest]) -> Result<OpenTable> {
    let file = seekable(path)?;
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::default()).and_then(in_microseconds);
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.map_err(|e| damaged(path, e))?);
    let selection = Selection::new(path, builder.schema(), requests)?;
    let projection = ProjectionMask::roots(builder.parquet_schema(), selection.places.iter().copied());
    let builder = builder.with_projection(projection).with_batch_size(BATCH_ROWS);
    Ok(selection.table(path, builder.build().map_err(|e| damaged(path, e))?))
}

fn arrow_file(path: &Path, requests: &[ColumnRequest]) -> Result<OpenTable> {
    let reader = |places| FileReader::try_new_buffered(seekable(path)?, places).map_err(|e| damaged(path, e));
    let selection = Selection::new(path, &reader(None)?.schema(), requests)?;
    let reader = reader(Some(selection.places.clone()))?;
    Ok(selection.table(path, reader))
}

fn arrow_stream(path: &Path, requests: &[ColumnRequest]) -> Result<OpenTable> {
    let reader = |places| StreamReader::try_new_buffered(decompressed(path)?, places).map_err(|e| damaged(path, e));
    let selection = Selection::new(path, &reader(None)?.schema(), requests)?;
    let reader = reader(Some(selection.places.clone()))?;
    Ok(selection.table(path, reader))
}

/// Reads every column as text: `007` in a catalog is a name, not a number.
fn csv_table(path: &Path, delimiter: u8, requests: &[ColumnRequest]) -> Result<OpenTable> {
    let format = csv::reader::Format::default().with_header(true).with_delimiter(delimiter);
    let (found, _) = format.infer_schema(decompressed(path)?, Some(0)).map_err(|e| damaged(path, e))?;
    let name = |field: &Field| field.name().trim_start_matches('\u{feff}').to_owned();
    let fields: Vec<Field> = found.fields().iter().map(|f| Field::new(name(f), DataType::Utf8, true)).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let selection = Selection::new(path, &schema, requests)?;
    let builder = csv::ReaderBuilder::new(schema).with_format(format).with_batch_size(BATCH_ROWS);
    let reader = builder.with_projection(selection.places.clone()).build(decompressed(path)?);
    Ok(selection.table(path, reader.map_err(|e| damaged(path, e))?))
}
