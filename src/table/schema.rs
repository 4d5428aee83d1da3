//! The columns of a table, without reading its rows.

use std::io::{BufRead, BufReader};
use std::path::Path;

use arrow::datatypes::{DataType, Schema};
use arrow::ipc::reader::{FileReader, StreamReader};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};

use super::compression::{decompressed, seekable};
use super::dialect::CsvDialect;
use super::foreign::foreign;
use super::{TableFiles, TableFormat, csv_file, damaged};
use crate::error::Result;

/// Lines of JSON that are read for the names of the columns.
const LINES: usize = 1_000;

/// Names of the columns of the first file. The type is that of the file; JSON has none, and its columns are those of the
/// first lines whose values are no objects.
pub(crate) fn columns_of(files: &TableFiles, dialect: CsvDialect) -> Result<Vec<(String, Option<DataType>)>> {
    let Some(path) = files.files.first() else { return Ok(Vec::new()) };
    let path = path.as_path();
    let of_schema = |schema: &Schema| {
        schema.fields().iter().map(|field| (field.name().clone(), Some(field.data_type().clone()))).collect()
    };
    let csv = |delimiter: u8| -> Result<Vec<(String, Option<DataType>)>> {
        let names = csv_file::header(path, delimiter, dialect)?;
        Ok(names.into_iter().map(|name| (name, Some(DataType::Utf8))).collect())
    };
    match files.format {
        TableFormat::Parquet => {
            let file = seekable(path)?;
            let builder = foreign(path, || ParquetRecordBatchReaderBuilder::try_new(file))?;
            Ok(of_schema(builder.schema()))
        }
        TableFormat::ArrowFile => {
            let file = seekable(path)?;
            let reader = foreign(path, || FileReader::try_new_buffered(file, None))?;
            Ok(of_schema(&reader.schema()))
        }
        TableFormat::ArrowStream => {
            let file = BufReader::new(decompressed(path)?);
            Ok(of_schema(&foreign(path, || StreamReader::try_new(file, None))?.schema()))
        }
        TableFormat::Csv => csv(b','),
        TableFormat::Tsv => csv(b'\t'),
        TableFormat::JsonLines => json_columns(path),
    }
}

fn json_columns(path: &Path) -> Result<Vec<(String, Option<DataType>)>> {
    let mut found: Map<String, Value> = Map::new();
    for line in BufReader::new(decompressed(path)?).lines().take(LINES) {
        let line = line.map_err(|e| damaged(path, e))?;
        // What is wrong with a line is said when the rows are read.
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
