//! The names of all columns of a table.

use std::io::{BufRead, BufReader, Read};

use arrow::datatypes::Schema;
use arrow::ipc::reader::{FileReader, StreamReader};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};

use super::compression::{decompressed, seekable};
use super::csv_file::header;
use super::files::TableFiles;
use super::foreign::foreign;
use super::limits::MAX_ROW_BYTES;
use super::{TableFormat, damaged};
use crate::error::{Error, Result};

/// The columns of a table's first file; of JSON Lines, those of the first row.
///
/// # Errors
/// [`Error::File`] and [`Error::Io`] for a file that cannot be read.
pub(crate) fn column_names(files: &TableFiles) -> Result<Vec<String>> {
    let Some(path) = files.files.first() else { return Ok(Vec::new()) };
    let names = |schema: &Schema| schema.fields().iter().map(|field| field.name().clone()).collect();
    Ok(match files.format {
        TableFormat::Parquet => {
            let file = seekable(path)?;
            names(foreign(path, || ParquetRecordBatchReaderBuilder::try_new(file))?.schema())
        }
        TableFormat::ArrowFile => {
            let file = seekable(path)?;
            names(&foreign(path, || FileReader::try_new_buffered(file, None))?.schema())
        }
        TableFormat::ArrowStream => {
            let bytes = decompressed(path)?;
            names(&foreign(path, || StreamReader::try_new_buffered(bytes, None))?.schema())
        }
        TableFormat::Csv => header(path, b',', files.dialect)?,
        TableFormat::Tsv => header(path, b'\t', files.dialect)?,
        TableFormat::JsonLines => {
            let mut line = String::new();
            let bytes = decompressed(path)?.take(MAX_ROW_BYTES as u64);
            BufReader::new(bytes).read_line(&mut line).map_err(|e| Error::io("read", path, e))?;
            let row: Map<String, Value> = serde_json::from_str(&line).map_err(|e| damaged(path, e))?;
            row.into_iter().map(|(key, _)| key).collect()
        }
    })
}
