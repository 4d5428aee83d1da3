//! JSON Lines as Arrow batches.
//!
//! Shops write one field now as a text, now as a list, now as an empty text. A first pass over the file settles what
//! each column is for all rows; a second reads them.

use std::io::{BufRead, BufReader, Lines, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, ListBuilder, NullArray, RecordBatch, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde_json::{Map, Value};

use super::files::bytes;
use super::open::{BATCH, Batches};
use crate::error::{Error, Result};

/// What the values of a column are, from the narrowest to the widest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Nothing,
    Integers,
    Texts,
    Lists,
    /// Objects: such a column cannot be read as text.
    Objects,
}

impl Kind {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Kind::Nothing,
            Value::Number(n) if n.is_i64() => Kind::Integers,
            Value::Array(parts) if parts.iter().any(Value::is_object) => Kind::Objects,
            Value::Array(_) => Kind::Lists,
            Value::Object(_) => Kind::Objects,
            _ => Kind::Texts,
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Kind::Nothing => DataType::Null,
            Kind::Integers => DataType::Int64,
            Kind::Texts => DataType::Utf8,
            Kind::Lists => DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))),
            Kind::Objects => DataType::Struct(arrow::datatypes::Fields::empty()),
        }
    }
}

/// Opens files as one table, each read twice.
pub(super) fn open(files: &[PathBuf]) -> Result<(SchemaRef, Batches)> {
    let mut columns: Vec<(String, Kind)> = Vec::new();
    for object in objects(files.to_vec()) {
        for (name, value) in object? {
            let kind = Kind::of(&value);
            match columns.iter_mut().find(|(known, _)| *known == name) {
                Some((_, widest)) => *widest = kind.max(*widest),
                None => columns.push((name, kind)),
            }
        }
    }
    let fields: Vec<Field> = columns.iter().map(|(name, kind)| Field::new(name, kind.data_type(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let mut objects = objects(files.to_vec());
    let of_schema = schema.clone();
    let batches: Batches = Box::new(std::iter::from_fn(move || {
        let read: Result<Vec<Map<String, Value>>> = objects.by_ref().take(BATCH).collect();
        match read {
            Ok(rows) if rows.is_empty() => None,
            Ok(rows) => Some(batch(&rows, &columns, &of_schema)),
            Err(e) => Some(Err(arrow::error::ArrowError::JsonError(e.to_string()))),
        }
    }));
    Ok((schema, batches))
}

/// The objects of all files, one file after the other.
fn objects(files: Vec<PathBuf>) -> impl Iterator<Item = Result<Map<String, Value>>> {
    files.into_iter().flat_map(|file| match Objects::open(&file) {
        Ok(objects) => Box::new(objects) as Box<dyn Iterator<Item = _>>,
        Err(e) => Box::new(std::iter::once(Err(e))),
    })
}

fn batch(
    rows: &[Map<String, Value>],
    columns: &[(String, Kind)],
    schema: &SchemaRef,
) -> std::result::Result<RecordBatch, arrow::error::ArrowError> {
    let arrays = columns.iter().map(|(name, kind)| -> ArrayRef {
        let values = rows.iter().map(|row| row.get(name).filter(|value| !value.is_null()));
        match kind {
            Kind::Nothing => Arc::new(NullArray::new(rows.len())),
            Kind::Integers => Arc::new(values.map(|v| v.and_then(Value::as_i64)).collect::<Int64Array>()),
            Kind::Texts => Arc::new(values.map(|v| v.map(scalar)).collect::<StringArray>()),
            Kind::Lists => {
                let mut lists = ListBuilder::new(StringBuilder::new());
                for value in values {
                    lists.append_option(value.map(|value| parts(value).into_iter().map(Some)));
                }
                Arc::new(lists.finish())
            }
            Kind::Objects => Arc::new(arrow::array::StructArray::new_empty_fields(rows.len(), None)),
        }
    });
    RecordBatch::try_new(schema.clone(), arrays.collect())
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The texts of a value, nested lists flattened.
fn parts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().flat_map(parts).collect(),
        Value::Null => Vec::new(),
        other => vec![scalar(other)],
    }
}

/// The file's objects, a line each; empty lines are passed over.
struct Objects {
    path: PathBuf,
    lines: Lines<BufReader<Box<dyn Read + Send>>>,
    line: u64,
}

impl Objects {
    fn open(path: &Path) -> Result<Self> {
        Ok(Objects { path: path.to_path_buf(), lines: BufReader::new(bytes(path)?).lines(), line: 0 })
    }

    fn parse(&self, line: std::io::Result<String>) -> Result<Map<String, Value>> {
        let wrong = |got: String| {
            let help = "mend that line; a JSON array of objects has to be written one object a line";
            Error::file(&self.path, format!("a JSON object in line {}", self.line), got, help)
        };
        let line = line.map_err(|e| wrong(e.to_string()))?;
        match serde_json::from_str(line.trim_start_matches('\u{feff}')) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(other) => Err(wrong(other.to_string().chars().take(40).collect())),
            Err(e) => Err(wrong(e.to_string())),
        }
    }
}

impl Iterator for Objects {
    type Item = Result<Map<String, Value>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = self.lines.next()?;
            self.line += 1;
            if !line.as_ref().is_ok_and(|text| text.trim().is_empty()) {
                return Some(self.parse(line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::cells;
    use std::fs;

    #[test]
    fn a_column_is_what_its_widest_value_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let lines = ["{\"id\": 7, \"d\": \"\", \"n\": 1}", "", "{\"id\": 8, \"d\": [\"x\", [\"y\", 2]], \"n\": 1.5}"];
        fs::write(&path, lines.join("\n")).unwrap();
        let (_, mut batches) = open(&[path]).unwrap();
        let batch = batches.next().unwrap().unwrap();
        assert_eq!(*batch.column(0).data_type(), DataType::Int64);
        assert_eq!(cells::texts(batch.column(1)).unwrap(), [vec![""], vec!["x", "y", "2"]]);
        assert_eq!(cells::texts(batch.column(2)).unwrap(), [["1"], ["1.5"]]);
        assert!(batches.next().is_none());
    }

    #[test]
    fn parts_settle_their_columns_together() {
        let folder = tempfile::tempdir().unwrap();
        let parts = ["a.jsonl", "b.jsonl"].map(|name| folder.path().join(name));
        fs::write(&parts[0], "{\"id\": 7}\n").unwrap();
        fs::write(&parts[1], "{\"id\": \"8a\"}\n").unwrap();
        let (schema, batches) = open(&parts).unwrap();
        assert_eq!(*schema.field(0).data_type(), DataType::Utf8);
        assert_eq!(batches.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 2);
    }
}
