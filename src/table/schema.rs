//! The columns of a table, without reading its rows.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::reader::{FileReader, StreamReader};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};

use super::compression::{decompressed, seekable};
use super::dialect::CsvDialect;
use super::foreign::foreign;
use super::limits::MAX_ROW_BYTES;
use super::{TableFiles, TableFormat, csv_file, damaged};
use crate::error::{Error, Result};

/// Number of JSON lines that are read for the names of the columns.
const LINES: usize = 1_000;

/// Names and types of the columns of the first file. JSON columns have no type; they are taken from the first lines,
/// without columns that contain objects.
pub(crate) fn columns_of(files: &TableFiles, dialect: CsvDialect) -> Result<Vec<(String, Option<DataType>)>> {
    let Some(path) = files.files.first() else { return Ok(Vec::new()) };
    let Some(schema) = schema_of(path, files.format, dialect)? else { return json_columns(path) };
    Ok(schema.fields().iter().map(|field| (field.name().clone(), Some(field.data_type().clone()))).collect())
}

/// Names of the columns of the first file. For JSON Lines, the columns of the first row.
///
/// # Errors
/// [`Error::File`] and [`Error::Io`] for a file that cannot be read.
pub(crate) fn column_names(files: &TableFiles) -> Result<Vec<String>> {
    let Some(path) = files.files.first() else { return Ok(Vec::new()) };
    if let Some(schema) = schema_of(path, files.format, files.dialect)? {
        return Ok(schema.fields().iter().map(|field| field.name().clone()).collect());
    }
    let mut line = String::new();
    let bytes = decompressed(path)?.take(MAX_ROW_BYTES as u64);
    BufReader::new(bytes).read_line(&mut line).map_err(|e| Error::io("read", path, e))?;
    let row: Map<String, Value> = serde_json::from_str(&line).map_err(|e| damaged(path, e))?;
    Ok(row.into_iter().map(|(key, _)| key).collect())
}

/// The schema at the start of a file. JSON files have none.
fn schema_of(path: &Path, format: TableFormat, dialect: CsvDialect) -> Result<Option<SchemaRef>> {
    let of_csv = |delimiter: u8| -> Result<SchemaRef> {
        let names = csv_file::header(path, delimiter, dialect)?;
        let fields: Vec<Field> = names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
        Ok(Arc::new(Schema::new(fields)))
    };
    Ok(Some(match format {
        TableFormat::Parquet => {
            let file = seekable(path)?;
            foreign(path, || ParquetRecordBatchReaderBuilder::try_new(file))?.schema().clone()
        }
        TableFormat::ArrowFile => {
            let file = seekable(path)?;
            foreign(path, || FileReader::try_new_buffered(file, None))?.schema()
        }
        TableFormat::ArrowStream => {
            let bytes = decompressed(path)?;
            foreign(path, || StreamReader::try_new_buffered(bytes, None))?.schema()
        }
        TableFormat::Csv => of_csv(b',')?,
        TableFormat::Tsv => of_csv(b'\t')?,
        TableFormat::JsonLines => return Ok(None),
    }))
}

fn json_columns(path: &Path) -> Result<Vec<(String, Option<DataType>)>> {
    let mut found: Map<String, Value> = Map::new();
    let mut reader = BufReader::new(decompressed(path)?);
    let mut line = String::new();
    for _ in 0..LINES {
        line.clear();
        if (&mut reader).take(MAX_ROW_BYTES as u64).read_line(&mut line).map_err(|e| damaged(path, e))? == 0 {
            break;
        }
        // Errors in a line are reported when the rows are read.
        let Ok(object) = serde_json::from_str::<Map<String, Value>>(&line) else { continue };
        for (name, value) in object {
            let is_nested = has_object(&value) || found.get(&name) == Some(&Value::Bool(false));
            found.insert(name, Value::Bool(!is_nested));
        }
    }
    Ok(found.into_iter().filter(|(_, fits)| *fits == Value::Bool(true)).map(|(name, _)| (name, None)).collect())
}

fn has_object(value: &Value) -> bool {
    match value {
        Value::Object(_) => true,
        Value::Array(values) => values.iter().any(has_object),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{find_tables, samples};
    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use std::sync::Arc;

    #[test]
    fn every_format_names_its_columns() {
        let folder = tempfile::tempdir().unwrap();
        let columns: Vec<(&str, ArrayRef)> =
            vec![("id", Arc::new(Int64Array::from(vec![1]))), ("title", Arc::new(StringArray::from(vec!["Pen"])))];
        let mut paths = samples::binary_tables(folder.path(), &[RecordBatch::try_from_iter(columns).unwrap()]);
        paths.extend(samples::compressed(folder.path(), "a.csv", b"\xef\xbb\xbfid,title\n1,Pen\n"));
        let json = b"{\"id\": 1, \"more\": {\"a\": 1}}\n{\"title\": [\"Pen\"], \"more\": null}\n";
        paths.extend(samples::compressed(folder.path(), "a.jsonl", json));
        for path in paths {
            let found = columns_of(&find_tables(&path, "a table").unwrap(), CsvDialect::default()).unwrap();
            let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["id", "title"], "{}", path.display());
        }
    }
}
