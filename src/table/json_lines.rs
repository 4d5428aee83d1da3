//! JSON Lines as Arrow batches.
//!
//! Every line is parsed once, and only requested values are kept. Keys need not occur in every object, so the first batch
//! determines the columns. If it has no value of a requested column, the files are scanned until they have one. So an
//! unknown column is reported before any row is returned, and a column whose first value comes late is still read.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema};
use serde::de::DeserializeSeed;
use serde_json::de::{Deserializer, StrRead};

use super::column_request::{ColumnRequest, list_columns};
use super::compression::{Bytes, decompressed};
use super::json_columns::{JsonColumnKind, array, id_array};
use super::json_row::{KeySurvey, RequestedValues, SurveyedKeys};
use super::json_value::{JsonValue, mended};
use super::limits::{BATCH_BYTES, MAX_ROW_BYTES, mib};
use super::open_table::{BATCH_ROWS, OpenTable};
use super::text_check::{Utf8Reader, read_error};
use crate::error::{Error, Result};

/// The columns that are read from all files of a table.
#[derive(Debug)]
pub(super) struct JsonPlan {
    /// Every accepted name of every request, once.
    names: Vec<String>,
    /// The name of each request, as resolved; none for an optional column that the table does not have.
    columns: Vec<Option<String>>,
    /// Columns that are null in every row.
    null: Vec<String>,
    /// Names of id columns.
    ids: Vec<String>,
}

/// One row: a value for each of the plan's names.
type JsonRow = Vec<Option<JsonValue>>;

/// Opens the first file of a table and determines the columns that are read from all files.
pub(super) fn open_first(
    path: &Path,
    files: &[PathBuf],
    requests: &[ColumnRequest],
) -> Result<(Arc<JsonPlan>, OpenTable)> {
    let mut names: Vec<String> = Vec::new();
    for name in requests.iter().flat_map(|request| &request.names) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let mut lines = JsonLineReader::open(&files[0])?;
    let first = lines.rows(&names)?;
    let index = |name: &str| names.iter().position(|known| known == name);
    let has_value = |name: &str| index(name).is_some_and(|at| first.iter().any(|row| value(row, at).is_some()));
    let mut columns: Vec<Option<String>> = requests.iter().map(|request| request.find(has_value)).collect();
    let mut null = Vec::new();
    if columns.iter().any(Option::is_none) {
        let survey = survey(files, requests, &names)?;
        for (request, column) in requests.iter().zip(&mut columns).filter(|(_, column)| column.is_none()) {
            *column = request.find(|name| survey.has_value(name));
            if column.is_none() {
                // A column that has only nulls exists.
                *column = request.find(|name| survey.has(name));
                null.extend(column.clone().filter(|_| request.required));
            }
            if request.required && column.is_none() {
                return Err(request.absent(path, &list_columns(&survey.keys)));
            }
        }
    }
    let ids = requests.iter().filter(|request| request.of_ids).flat_map(|request| request.names.clone()).collect();
    let plan = Arc::new(JsonPlan { names, columns, null, ids });
    let table = plan.table(&files[0], lines, Some(first))?;
    Ok((plan, table))
}

/// Opens a further file of a table.
pub(super) fn open_next(plan: &Arc<JsonPlan>, file: &Path) -> Result<OpenTable> {
    plan.table(file, JsonLineReader::open(file)?, None)
}

impl JsonPlan {
    fn table(
        self: &Arc<Self>,
        file: &Path,
        mut lines: JsonLineReader,
        first: Option<Vec<JsonRow>>,
    ) -> Result<OpenTable> {
        let first = match first {
            Some(rows) => rows,
            None => lines.rows(&self.names)?,
        };
        let (mut rows_before, mut next) = (first.len(), Some(self.batch(file, &first, 0)?));
        drop(first);
        let types = {
            let schema = next.as_ref().map(RecordBatch::schema).unwrap_or_else(|| Arc::new(Schema::empty()));
            let of =
                |name: &String| schema.field_with_name(name).map_or(DataType::Null, |field| field.data_type().clone());
            self.columns.iter().map(|column| column.as_ref().map(of)).collect()
        };
        let (plan, path) = (self.clone(), file.to_path_buf());
        let batches = std::iter::from_fn(move || {
            if let Some(batch) = next.take() {
                return Some(Ok(batch));
            }
            match lines.rows(&plan.names) {
                Ok(rows) if rows.is_empty() => None,
                Ok(rows) => {
                    let batch = plan.batch(&path, &rows, rows_before);
                    rows_before += rows.len();
                    Some(batch)
                }
                Err(error) => Some(Err(error)),
            }
        });
        Ok(OpenTable { columns: self.columns.clone(), types, batches: Box::new(batches) })
    }

    fn batch(&self, file: &Path, rows: &[JsonRow], rows_before: usize) -> Result<RecordBatch> {
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        for (at, name) in self.names.iter().enumerate() {
            if !self.columns.iter().flatten().any(|column| column == name) {
                continue;
            }
            // A column that is null in this batch can have values in another.
            let least = if self.null.contains(name) { JsonColumnKind::Nulls } else { JsonColumnKind::Texts };
            let kind = match JsonColumnKind::Nulls.widened(rows.iter().map(|row| row[at].as_ref())) {
                JsonColumnKind::Nulls => least,
                kind => kind,
            };
            let values = rows.iter().map(|row| row[at].as_ref());
            let column = if self.ids.contains(name) && kind != JsonColumnKind::Nulls {
                id_array(values).map_err(|(row, got)| Error::Row {
                    path: file.to_path_buf(),
                    row: (rows_before + row) as u64 + 1,
                    column: name.clone(),
                    expected: "an integer or a string".into(),
                    got,
                    help: "write the ids as integers or strings, or choose another column".into(),
                })?
            } else {
                array(kind, values)
            };
            fields.push(Field::new(name, column.data_type().clone(), true));
            arrays.push(column);
        }
        let schema = Arc::new(Schema::new(fields));
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        RecordBatch::try_new_with_options(schema, arrays, &options).map_err(|e| super::damaged(file, e))
    }
}

fn value(row: &JsonRow, at: usize) -> Option<&JsonValue> {
    row[at].as_ref().filter(|value| **value != JsonValue::Null)
}

/// Scans the files until every requested column has a value, or until the last file ends.
fn survey(files: &[PathBuf], requests: &[ColumnRequest], names: &[String]) -> Result<KeySurvey> {
    let mut survey = KeySurvey::default();
    let complete = |survey: &KeySurvey| {
        let found = |request: &ColumnRequest| request.names.iter().any(|name| survey.has_value(name));
        requests.iter().all(found)
    };
    for file in files {
        let mut lines = JsonLineReader::open(file)?;
        while lines.row(|parser| SurveyedKeys { requested: names, survey: &mut survey }.deserialize(parser))?.is_some()
        {
            if complete(&survey) {
                return Ok(survey);
            }
        }
    }
    Ok(survey)
}

/// The lines of a file; blank ones are skipped.
struct JsonLineReader {
    path: PathBuf,
    bytes: BufReader<Utf8Reader<Bytes>>,
    buffer: Vec<u8>,
    line: u64,
}

impl JsonLineReader {
    fn open(path: &Path) -> Result<Self> {
        let bytes = BufReader::with_capacity(1 << 16, Utf8Reader::new(decompressed(path)?));
        Ok(JsonLineReader { path: path.to_path_buf(), bytes, buffer: Vec::new(), line: 0 })
    }

    /// The rows of the next batch; none at the end of the file.
    fn rows(&mut self, names: &[String]) -> Result<Vec<JsonRow>> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        while rows.len() < BATCH_ROWS && bytes < BATCH_BYTES {
            let row = self.row(|parser| RequestedValues { names }.deserialize(parser))?;
            let Some(row) = row else { break };
            bytes += row.iter().flatten().map(JsonValue::bytes).sum::<usize>();
            rows.push(row);
        }
        Ok(rows)
    }

    /// Parses the next object.
    fn row<T>(
        &mut self,
        mut parse: impl FnMut(&mut Deserializer<StrRead<'_>>) -> serde_json::Result<T>,
    ) -> Result<Option<T>> {
        let mut parse = |text: &str| {
            let mut parser = Deserializer::from_str(text);
            parse(&mut parser).and_then(|row| parser.end().map(|()| row))
        };
        loop {
            self.buffer.clear();
            self.line += 1;
            let mut line = (&mut self.bytes).take(MAX_ROW_BYTES as u64 + 1);
            let read = line.read_until(b'\n', &mut self.buffer).map_err(|e| read_error(&self.path, &e))?;
            if read == 0 {
                return Ok(None);
            }
            if read > MAX_ROW_BYTES {
                return Err(self.wrong(&format!("more than {}", mib(MAX_ROW_BYTES))));
            }
            let text = std::str::from_utf8(&self.buffer).map_err(|e| self.wrong(&e))?;
            if text.trim().is_empty() {
                continue;
            }
            let text = text.trim_start_matches('\u{feff}');
            let parsed = parse(text).or_else(|e| mended(text).map_or(Err(e), |mended| parse(&mended)));
            return parsed.map(Some).map_err(|e| self.wrong(&e));
        }
    }

    fn wrong(&self, got: &dyn std::fmt::Display) -> Error {
        let help = "correct that line; write a JSON array of objects as one object per line";
        Error::file(&self.path, format!("a JSON object in line {}", self.line), got, help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn columns(names: &[&str]) -> Vec<ColumnRequest> {
        names.iter().map(|name| ColumnRequest::required(name)).collect()
    }

    fn read(content: &str, requests: &[ColumnRequest]) -> Result<Vec<RecordBatch>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        fs::write(&path, content).unwrap();
        open_first(&path, std::slice::from_ref(&path), requests)?.1.batches.collect()
    }

    #[test]
    fn only_requested_columns_are_decoded() {
        // 20,000 different keys, which as columns of a table would take seconds and hundreds of megabytes.
        let keys = |row: usize| (0..10).map(|key| format!(",\"k{row}_{key}\":[{{\"x\":1}}]")).collect::<String>();
        let lines: String = (0..2_000).map(|row| format!("{{\"id\":{row}{}}}\n", keys(row))).collect();
        let batches = read(&lines, &columns(&["id"])).unwrap();
        assert_eq!(batches.len(), 1);
        assert_eq!((batches[0].num_columns(), batches[0].num_rows()), (1, 2_000));
    }

    #[test]
    fn a_column_that_occurs_late_is_found() {
        let rows = |n: usize| "{\"id\":1,\"n\":null}\n".repeat(n);
        let late = rows(5_000) + "{\"id\":\"x\",\"t\":\"pen\"}\n";
        let batches = read(&late, &columns(&["id", "t", "n"])).unwrap();
        let types = |batch: &RecordBatch| batch.columns().iter().map(|c| c.data_type().clone()).collect::<Vec<_>>();
        // The last batch has a string among its ids.
        assert_eq!(types(&batches[0]), [DataType::Int64, DataType::Utf8, DataType::Null]);
        assert_eq!(types(&batches[1]), [DataType::Utf8, DataType::Utf8, DataType::Null]);
        let error = read(&late, &columns(&["title"])).unwrap_err().to_string();
        assert!(error.contains("a.jsonl, column \"title\": expected one of: id, n, t"), "{error}");
    }

    #[test]
    fn an_optional_column_can_have_its_first_value_late() {
        let time = [ColumnRequest::required("id"), ColumnRequest::optional(None, &["timestamp", "time"])];
        let rows = "{\"id\":1}\n".repeat(BATCH_ROWS);
        assert_eq!(read(&rows, &time).unwrap()[0].num_columns(), 1);
        let batches = read(&(rows.clone() + "{\"id\":2,\"time\":3}"), &time).unwrap();
        let nulls: Vec<usize> = batches.iter().map(|batch| batch.column(1).null_count()).collect();
        assert_eq!(nulls, [BATCH_ROWS, 0]);
        // A column of nulls under one accepted name does not hide the values under another.
        let batches = read(&(rows.replace('}', ",\"timestamp\":null}") + "{\"id\":2,\"time\":3}"), &time).unwrap();
        assert_eq!(batches[1].schema().field(1).name(), "time");
    }

    #[test]
    fn errors_name_file_and_line() {
        let says = |content: &str| read(content, &columns(&["id"])).unwrap_err().to_string();
        let error = says("{\"id\": 1}\n\n{\"id\": 2, \"x\": [}\n");
        assert!(error.contains("a.jsonl: expected a JSON object in line 3"), "{error}");
        assert!(says("[{\"id\": 1}]").contains("one object per line"));
        assert!(says("{\"id\": 1} {\"id\": 2}").contains("trailing characters"));
        assert!(says("{\"id\": \"\u{0}\"}").contains("control character"));
    }
}
