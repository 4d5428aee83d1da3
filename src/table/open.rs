//! Opening one file of a table as a stream of record batches that hold the requested columns.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::arrow_file::{check_file, check_stream};
use super::column_request::ColumnRequest;
use super::compression::{decompressed, seekable};
use super::dialect::CsvDialect;
use super::foreign::{foreign, foreign_batches};
use super::int96_check::check_int96;
use super::notes::TableNotes;
use super::open_table::OpenTable;
use super::parquet_pages::check_pages;
use super::parquet_types::{has_int96, in_microseconds, in_views};
use super::selection::Selection;
use super::{TableFormat, csv_file};
use crate::error::{Error, Result};

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

fn opened(
    selection: Selection,
    path: &Path,
    batches: impl Iterator<Item = std::result::Result<RecordBatch, ArrowError>> + 'static,
) -> OpenTable {
    OpenTable { columns: selection.columns, types: selection.types, batches: foreign_batches(path, batches) }
}

/// A table in memory.
pub(super) fn in_memory(path: &Path, batch: RecordBatch, requests: &[ColumnRequest]) -> Result<OpenTable> {
    let selection = Selection::new(path, &batch.schema(), requests, &TableNotes::default())?;
    Ok(opened(selection, path, std::iter::once(Ok(batch))))
}

fn parquet(path: &Path, requests: &[ColumnRequest], notes: &TableNotes) -> Result<OpenTable> {
    let file = seekable(path)?;
    let load = || ArrowReaderMetadata::load(&file, ArrowReaderOptions::default()).and_then(in_microseconds);
    let metadata = foreign(path, load)?;
    let selection = Selection::new(path, metadata.schema(), requests, notes)?;
    let file = Arc::new(file);
    let pages = check_pages(path, &file, metadata.metadata(), Some(&selection.places))?;
    let copy = || file.try_clone().map_err(|e| Error::io("read", path, e));
    if has_int96(&metadata) {
        check_int96(path, copy()?, &selection.places)?;
    }
    let file = copy()?;
    let metadata = foreign(path, || in_views(metadata, &pages.long_values))?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
    let projection = ProjectionMask::roots(builder.parquet_schema(), selection.places.iter().copied());
    let builder = builder.with_projection(projection).with_batch_size(pages.batch_rows());
    Ok(opened(selection, path, foreign(path, || builder.build())?))
}

fn arrow_file(path: &Path, requests: &[ColumnRequest], notes: &TableNotes) -> Result<OpenTable> {
    let mut file = seekable(path)?;
    foreign(path, || check_file(&mut file))?;
    let reader = |places| {
        let file = seekable(path)?;
        foreign(path, || FileReader::try_new_buffered(file, places))
    };
    let selection = Selection::new(path, &reader(None)?.schema(), requests, notes)?;
    let reader = reader(Some(selection.places.clone()))?;
    Ok(opened(selection, path, reader))
}

fn arrow_stream(path: &Path, requests: &[ColumnRequest], notes: &TableNotes) -> Result<OpenTable> {
    let bytes = decompressed(path)?;
    foreign(path, || check_stream(bytes))?;
    let reader = |places| {
        let bytes = decompressed(path)?;
        foreign(path, || StreamReader::try_new_buffered(bytes, places))
    };
    let selection = Selection::new(path, &reader(None)?.schema(), requests, notes)?;
    let reader = reader(Some(selection.places.clone()))?;
    Ok(opened(selection, path, reader))
}
