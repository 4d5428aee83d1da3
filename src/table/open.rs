//! Opening one file of a table as a stream of record batches that hold the requested columns.

use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::column_request::{ColumnRequest, list_columns};
use super::compression::{decompressed, seekable};
use super::dialect::CsvDialect;
use super::foreign::{foreign, foreign_batches};
use super::notes::TableNotes;
use super::{TableFormat, csv_file};
use crate::error::Result;

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
pub(super) fn open(
    format: TableFormat,
    path: &Path,
    dialect: CsvDialect,
    requests: &[ColumnRequest],
    notes: &TableNotes,
) -> Result<OpenTable> {
    match format {
        TableFormat::Parquet => parquet(path, requests, notes),
        TableFormat::ArrowFile => arrow_file(path, requests, notes),
        TableFormat::ArrowStream => arrow_stream(path, requests, notes),
        TableFormat::Csv => csv_file::open(path, b',', dialect, requests, notes),
        TableFormat::Tsv => csv_file::open(path, b'\t', dialect, requests, notes),
        TableFormat::JsonLines => {
            super::json_lines::open_first(path, &[path.to_path_buf()], requests).map(|(_, table)| table)
        }
    }
}

/// The requested columns of a schema.
pub(super) struct Selection {
    pub(super) columns: Vec<Option<String>>,
    pub(super) types: Vec<Option<DataType>>,
    /// Their places in the schema, ascending, without repetition. Of columns with the same name the first counts.
    pub(super) places: Vec<usize>,
}

impl Selection {
    pub(super) fn new(path: &Path, schema: &Schema, requests: &[ColumnRequest], notes: &TableNotes) -> Result<Self> {
        let mut selection = Selection { columns: Vec::new(), types: Vec::new(), places: Vec::new() };
        for request in requests {
            let name = request.find(|name| schema.index_of(name).is_ok());
            if name.is_none() && request.required {
                return Err(request.absent(path, &list_columns(schema.fields().iter().map(|field| field.name()))));
            }
            if let Some(name) = &name
                && schema.fields().iter().filter(|field| field.name() == name).count() > 1
            {
                notes.add(format!("{}: several columns are named {name:?}; the first is read", path.display()));
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
        OpenTable { columns: self.columns, types: self.types, batches: foreign_batches(path, batches) }
    }
}

/// A table in memory, given as batches of [`BATCH_ROWS`].
pub(super) fn in_memory(path: &Path, batch: RecordBatch, requests: &[ColumnRequest]) -> Result<OpenTable> {
    let selection = Selection::new(path, &batch.schema(), requests, &TableNotes::default())?;
    Ok(selection.table(path, std::iter::once(Ok(batch))))
}

fn parquet(path: &Path, requests: &[ColumnRequest], notes: &TableNotes) -> Result<OpenTable> {
    let file = seekable(path)?;
    let builder = foreign(path, || ParquetRecordBatchReaderBuilder::try_new(file))?;
    let selection = Selection::new(path, builder.schema(), requests, notes)?;
    let projection = ProjectionMask::roots(builder.parquet_schema(), selection.places.iter().copied());
    let builder = builder.with_projection(projection).with_batch_size(BATCH_ROWS);
    Ok(selection.table(path, foreign(path, || builder.build())?))
}

fn arrow_file(path: &Path, requests: &[ColumnRequest], notes: &TableNotes) -> Result<OpenTable> {
    let reader = |places| {
        let file = seekable(path)?;
        foreign(path, || FileReader::try_new_buffered(file, places))
    };
    let selection = Selection::new(path, &reader(None)?.schema(), requests, notes)?;
    let reader = reader(Some(selection.places.clone()))?;
    Ok(selection.table(path, reader))
}

fn arrow_stream(path: &Path, requests: &[ColumnRequest], notes: &TableNotes) -> Result<OpenTable> {
    let reader = |places| {
        let bytes = decompressed(path)?;
        foreign(path, || StreamReader::try_new_buffered(bytes, places))
    };
    let selection = Selection::new(path, &reader(None)?.schema(), requests, notes)?;
    let reader = reader(Some(selection.places.clone()))?;
    Ok(selection.table(path, reader))
}
