//! The names of all columns of a table.

use std::io::{BufRead, BufReader};
use std::path::Path;

use arrow::csv;
use arrow::datatypes::Schema;
use arrow::ipc::reader::{FileReader, StreamReader};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};

use super::compression::{decompressed, seekable};
use super::files::TableFiles;
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
            names(ParquetRecordBatchReaderBuilder::try_new(seekable(path)?).map_err(|e| damaged(path, e))?.schema())
        }
        TableFormat::ArrowFile => {
            names(&FileReader::try_new_buffered(seekable(path)?, None).map_err(|e| damaged(path, e))?.schema())
        }
        TableFormat::ArrowStream => {
            names(&StreamReader::try_new_buffered(decompressed(path)?, None).map_err(|e| damaged(path, e))?.schema())
        }
        TableFormat::Csv => header(path, b',')?,
        TableFormat::Tsv => header(path, b'\t')?,
        TableFormat::JsonLines => {
            let mut line = String::new();
            let read = BufReader::new(decompressed(path)?).read_line(&mut line);
            read.map_err(|e| Error::io("read", path, e))?;
            let row: Map<String, Value> = serde_json::from_str(&line).map_err(|e| damaged(path, e))?;
            row.into_iter().map(|(key, _)| key).collect()
        }
    })
}

fn header(path: &Path, delimiter: u8) -> Result<Vec<String>> {
    let format = csv::reader::Format::default().with_header(true).with_delimiter(delimiter);
    let (schema, _) = format.infer_schema(decompressed(path)?, Some(0)).map_err(|e| damaged(path, e))?;
    Ok(schema.fields().iter().map(|field| field.name().trim_start_matches('\u{feff}').to_owned()).collect())
}
