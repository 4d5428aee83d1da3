//! The columns of a table, without reading its rows.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};

use super::arrow_file::{file_schema, stream_schema};
use super::compression::{decompressed, seekable};
use super::dialect::CsvDialect;
use super::foreign::foreign;
use super::limits::MAX_ROW_BYTES;
use super::{TableFiles, TableFormat, csv_file, damaged};
use crate::error::{Error, Result};

/// Number of JSON lines from which [`column_names`] takes the names.
const LINES: usize = 1_000;
/// Maximum number of columns that [`columns_of`] returns.
const MAX_COLUMNS: usize = 10_000;

/// Names and types of the columns of the first file. For JSON Lines, the keys in all files, without types; keys with
/// objects as values are left out.
///
/// # Errors
/// [`Error::File`] and [`Error::Io`] for a file that cannot be read, and for a table with more than 10,000 columns.
pub(crate) fn columns_of(files: &TableFiles, dialect: CsvDialect) -> Result<Vec<(String, Option<DataType>)>> {
    let Some(path) = files.files.first() else { return Ok(Vec::new()) };
    let Some(schema) = schema_of(path, files.format, dialect)? else { return json_columns(&files.files) };
    if schema.fields().len() > MAX_COLUMNS {
        return Err(too_many(path, "columns"));
    }
    Ok(schema.fields().iter().map(|field| (field.name().clone(), Some(field.data_type().clone()))).collect())
}

/// Names of the columns of the first file. For JSON Lines, the keys in its first 1,000 lines.
///
/// # Errors
/// [`Error::File`] and [`Error::Io`] for a file that cannot be read.
pub(crate) fn column_names(files: &TableFiles) -> Result<Vec<String>> {
    let Some(path) = files.files.first() else { return Ok(Vec::new()) };
    if let Some(schema) = schema_of(path, files.format, files.dialect)? {
        return Ok(schema.fields().iter().map(|field| field.name().clone()).collect());
    }
    let mut names = Vec::new();
    json_rows(path, LINES, |row| {
        let new = row.into_iter().map(|(name, _)| name).filter(|name| !names.contains(name)).collect::<Vec<_>>();
        names.extend(new);
        Ok(())
    })?;
    Ok(names)
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
            let mut file = seekable(path)?;
            Arc::new(foreign(path, || file_schema(&mut file))?)
        }
        TableFormat::ArrowStream => {
            let bytes = decompressed(path)?;
            Arc::new(foreign(path, || stream_schema(bytes))?)
        }
        TableFormat::Csv => of_csv(b',')?,
        TableFormat::Tsv => of_csv(b'\t')?,
        TableFormat::JsonLines => return Ok(None),
    }))
}

fn json_columns(files: &[PathBuf]) -> Result<Vec<(String, Option<DataType>)>> {
    let mut found: Map<String, Value> = Map::new();
    for path in files {
        json_rows(path, usize::MAX, |row| {
            for (name, value) in row {
                let is_nested = has_object(&value) || found.get(&name) == Some(&Value::Bool(false));
                found.insert(name, Value::Bool(!is_nested));
            }
            if found.len() <= MAX_COLUMNS {
                return Ok(());
            }
            Err(too_many(path, "different keys"))
        })?;
    }
    Ok(found.into_iter().filter(|(_, fits)| *fits == Value::Bool(true)).map(|(name, _)| (name, None)).collect())
}

fn too_many(path: &Path, what: &str) -> Error {
    Error::file(path, format!("at most {MAX_COLUMNS} {what}"), "more", "name the columns to read with --text")
}

/// Calls `visit` with the objects in the first `lines` lines of a file. Skips invalid lines, which are reported when
/// the rows are read.
fn json_rows(path: &Path, lines: usize, mut visit: impl FnMut(Map<String, Value>) -> Result<()>) -> Result<()> {
    let mut reader = BufReader::new(decompressed(path)?);
    let mut line = String::new();
    for _ in 0..lines {
        line.clear();
        if (&mut reader).take(MAX_ROW_BYTES as u64).read_line(&mut line).map_err(|e| damaged(path, e))? == 0 {
            break;
        }
        if let Ok(row) = serde_json::from_str(line.trim_start_matches('\u{feff}')) {
            visit(row)?;
        }
    }
    Ok(())
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
    use arrow::array::{ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray};
    use arrow::datatypes::Int32Type;
    use arrow::ipc::CompressionType;
    use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
    use std::sync::Arc;

    #[test]
    fn columns_are_found_in_every_format() {
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

    #[test]
    fn all_json_rows_determine_the_columns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let rows = "{\"id\": 1, \"x\": null}\n".repeat(5_000);
        std::fs::write(&path, rows + "{\"id\": \"b\", \"late\": \"Pen\", \"x\": {\"a\": 1}}\n").unwrap();
        let files = find_tables(&path, "a table").unwrap();
        let names: Vec<String> =
            columns_of(&files, CsvDialect::default()).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["id", "late"]);
        assert_eq!(column_names(&files).unwrap(), ["id", "x"]);
        let many: String = (0..=MAX_COLUMNS).map(|key| format!("{{\"k{key}\": 1}}\n")).collect();
        std::fs::write(&path, many).unwrap();
        let error = columns_of(&files, CsvDialect::default()).unwrap_err().to_string();
        assert!(error.contains("--text"), "{error}");
        let wide: Vec<String> = (0..=MAX_COLUMNS).map(|at| format!("c{at}")).collect();
        let path = folder.path().join("wide.csv");
        std::fs::write(&path, wide.join(",") + "\n").unwrap();
        let error = columns_of(&find_tables(&path, "a table").unwrap(), CsvDialect::default()).unwrap_err().to_string();
        assert!(error.contains("--text"), "{error}");
    }

    #[test]
    fn a_dictionary_with_a_huge_declared_size_is_not_decoded_for_the_schema() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.arrow");
        let column: ArrayRef =
            Arc::new(["x".repeat(100_000).as_str()].into_iter().collect::<DictionaryArray<Int32Type>>());
        let batch = RecordBatch::try_from_iter([("t", column)]).unwrap();
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME)).unwrap();
        let mut file = FileWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
        file.write(&batch).unwrap();
        let mut bytes = file.into_inner().unwrap();
        let at = bytes.windows(8).position(|window| window == 100_000i64.to_le_bytes()).unwrap();
        bytes[at..at + 8].copy_from_slice(&(1i64 << 42).to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
        let files = find_tables(&path, "a table").unwrap();
        assert_eq!(column_names(&files).unwrap(), ["t"]);
    }
}
