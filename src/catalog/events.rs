//! The events of a file of interactions, one by one.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type, SchemaRef, TimeUnit, TimestampMicrosecondType};

use super::files::{TABLES, bytes, extension, form};
use super::interactions::InteractionSpec;
use super::open::open;
use crate::error::{Error, Result};

/// Names under which columns are found when none is given.
const USER_NAMES: [&str; 2] = ["user_id", "user"];
const ITEM_NAMES: [&str; 2] = ["item_id", "item"];
const TIME_NAMES: [&str; 2] = ["timestamp", "time"];
const RATING_NAMES: [&str; 1] = ["rating"];

/// What is known of the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) times: bool,
    pub(super) ratings: bool,
}

/// Takes an event: user, item, time, rating.
type Take<'a> = &'a mut dyn FnMut(&str, &str, f64, f32);

/// Hands every event of a file on.
pub(super) fn read(spec: &InteractionSpec, event: Take<'_>) -> Result<Known> {
    if is_table(&spec.path)? { table(spec, event) } else { lines(&spec.path, event) }
}

fn is_table(path: &Path) -> Result<bool> {
    if !path.is_file() {
        return Err(Error::Missing {
            path: path.to_path_buf(),
            expected: "interactions: Parquet, Arrow, CSV or JSONL, or text with a line a user".into(),
            help: "check the path".into(),
        });
    }
    let mut head = Vec::new();
    bytes(path)?.take(6).read_to_end(&mut head).map_err(|e| Error::io("read", path, e))?;
    if head.is_empty() {
        let help = "check how it was written";
        return Err(Error::file(path, "interactions of users with items", "an empty file", help));
    }
    match extension(path).unwrap_or_default().as_str() {
        _ if head.starts_with(b"PAR1") || head == b"ARROW1" => Ok(true),
        "txt" => Ok(false),
        // A table of another extension must not be taken for lines: its numbers would pass for items.
        other if TABLES.contains(&other) => Ok(true),
        _ => {
            let help = "give it the extension of its format: .parquet, .arrow, .csv, .tsv, .jsonl, or .txt for lines";
            Err(Error::file(path, "a table of events, or lines \"user item item ...\"", "something else", help))
        }
    }
}

fn lines(path: &Path, event: Take<'_>) -> Result<Known> {
    for (number, line) in BufReader::new(bytes(path)?).lines().enumerate() {
        let wrong = |got: String| {
            let help = "write a user and the items of its history, oldest first, with spaces between";
            Error::file(path, format!("a user and items in line {}", number + 1), got, help)
        };
        let line = line.map_err(|e| wrong(e.to_string()))?;
        let mut words = line.trim_start_matches('\u{feff}').split_whitespace();
        let Some(user) = words.next() else { continue };
        let mut items = words.peekable();
        if items.peek().is_none() {
            return Err(wrong(format!("{user:?} alone")));
        }
        items.for_each(|item| event(user, item, 0.0, 0.0));
    }
    Ok(Known { times: false, ratings: false })
}

fn table(spec: &InteractionSpec, event: Take<'_>) -> Result<Known> {
    let table = open(form(&spec.path)?, &spec.path)?;
    let user = column(spec, &spec.user, &USER_NAMES, &table.schema)?;
    let item = column(spec, &spec.item, &ITEM_NAMES, &table.schema)?;
    let is_there = |name: &&str| table.schema.field_with_name(name).is_ok();
    let optional = |named: &Option<String>, usual: &[&str]| match named {
        None if !usual.iter().any(is_there) => Ok(None),
        named => column(spec, named, usual, &table.schema).map(Some),
    };
    let time = optional(&spec.time, &TIME_NAMES)?;
    let rating = if spec.rated { optional(&spec.rating, &RATING_NAMES)? } else { None };
    let mut rows = 0;
    for batch in table.batches {
        let batch = batch.map_err(|e| {
            let got = format!("a damaged part after row {rows} ({e})");
            Error::file(&spec.path, "a readable table", got, "mend that row, or write the file again")
        })?;
        let users = names(spec, &batch, &user, rows)?;
        let items = names(spec, &batch, &item, rows)?;
        let times = time.as_ref().map(|time| times(spec, &batch, time, rows)).transpose()?;
        let ratings = rating.as_ref().map(|rating| ratings(spec, &batch, rating, rows)).transpose()?;
        let (users, items) = (users.as_string::<i32>(), items.as_string::<i32>());
        for row in 0..batch.num_rows() {
            let time = times.as_ref().map_or(0.0, |times| times[row]);
            event(users.value(row), items.value(row), time, ratings.as_ref().map_or(0.0, |ratings| ratings[row]));
        }
        rows += batch.num_rows();
    }
    Ok(Known { times: time.is_some(), ratings: rating.is_some() })
}

fn column(spec: &InteractionSpec, named: &Option<String>, usual: &[&str], schema: &SchemaRef) -> Result<String> {
    let wanted: Vec<&str> = named.as_deref().map_or(usual.to_vec(), |name| vec![name]);
    if let Some(name) = wanted.iter().find(|name| schema.field_with_name(name).is_ok()) {
        return Ok((*name).to_owned());
    }
    let there: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let (expected, help) = (format!("one of: {}", there.join(", ")), "name one that is there");
    Err(column_error(spec, wanted[0], expected, "no such column", help))
}

fn column_error(spec: &InteractionSpec, name: &str, expected: String, got: impl ToString, help: &str) -> Error {
    let (path, column, got) = (spec.path.clone(), name.to_owned(), got.to_string());
    Error::Column { path, column, expected, got, help: help.into() }
}

fn row_error(spec: &InteractionSpec, row: usize, name: &str, expected: &str, got: String) -> Error {
    Error::Row {
        path: spec.path.clone(),
        row: row as u64 + 1,
        column: name.into(),
        expected: expected.into(),
        got,
        help: "mend or drop the row".into(),
    }
}

/// A column of ids as text.
fn names(spec: &InteractionSpec, batch: &RecordBatch, name: &str, first: usize) -> Result<ArrayRef> {
    let column = batch.column_by_name(name).cloned().unwrap_or_else(|| arrow::array::new_empty_array(&DataType::Utf8));
    let is_name = match column.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => true,
        other => other.is_integer(),
    };
    let wrong = |got: String| column_error(spec, name, "integers or strings".into(), got, "name another column");
    if !is_name {
        return Err(wrong(column.data_type().to_string()));
    }
    let names = cast(&column, &DataType::Utf8).map_err(|e| wrong(e.to_string()))?;
    let texts = names.as_string::<i32>();
    match (0..texts.len()).find(|&row| texts.is_null(row) || texts.value(row).is_empty()) {
        Some(row) => Err(row_error(spec, first + row, name, "an id", "none".into())),
        None => Ok(names),
    }
}

/// A column of times: numbers as they are, dates as seconds.
fn times(spec: &InteractionSpec, batch: &RecordBatch, name: &str, first: usize) -> Result<Vec<f64>> {
    let expected = "numbers or dates";
    let wrong = |got: String| column_error(spec, name, expected.into(), got, "name another column");
    let column = batch.column_by_name(name).cloned().unwrap_or_else(|| arrow::array::new_empty_array(&DataType::Utf8));
    let data_type = column.data_type().clone();
    let cast = |to: &DataType| cast(&column, to).map_err(|e| wrong(e.to_string()));
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let seconds =
        |column: &ArrayRef, row: usize| column.as_primitive::<TimestampMicrosecondType>().value(row) as f64 / 1e6;
    let (numbers, dates) = match &data_type {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => (None, Some(cast(&micros)?)),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            // A cell that is no number, or no date, is null.
            let numbers = cast(&DataType::Float64)?;
            let dates = if numbers.null_count() > 0 { Some(cast(&micros)?) } else { None };
            (Some(numbers), dates)
        }
        other if other.is_numeric() => (Some(cast(&DataType::Float64)?), None),
        other => return Err(wrong(other.to_string())),
    };
    (0..column.len())
        .map(|row| {
            let number = numbers.as_ref().filter(|numbers| numbers.is_valid(row));
            let number = number.map(|numbers| numbers.as_primitive::<Float64Type>().value(row));
            let date = || dates.as_ref().filter(|dates| dates.is_valid(row)).map(|dates| seconds(dates, row));
            number.or_else(date).filter(|time| time.is_finite()).ok_or_else(|| {
                let text = cast(&DataType::Utf8).ok().filter(|text| text.is_valid(row));
                let got = text.map_or("null".into(), |text| format!("{:?}", text.as_string::<i32>().value(row)));
                row_error(spec, first + row, name, "a number or a date", got)
            })
        })
        .collect()
}

/// A column of ratings.
fn ratings(spec: &InteractionSpec, batch: &RecordBatch, name: &str, first: usize) -> Result<Vec<f32>> {
    let wrong = |got: String| column_error(spec, name, "numbers".into(), got, "name another column");
    let column = batch.column_by_name(name).cloned().unwrap_or_else(|| arrow::array::new_empty_array(&DataType::Utf8));
    let data_type = column.data_type();
    if !(data_type.is_numeric() || matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)) {
        return Err(wrong(data_type.to_string()));
    }
    let numbers = cast(&column, &DataType::Float32).map_err(|e| wrong(e.to_string()))?;
    let texts = cast(&column, &DataType::Utf8).map_err(|e| wrong(e.to_string()))?;
    let (numbers, texts) = (numbers.as_primitive::<Float32Type>(), texts.as_string::<i32>());
    let rating = |row: usize| Some(numbers.value(row)).filter(|rating| numbers.is_valid(row) && rating.is_finite());
    let got = |row: usize| if texts.is_valid(row) { format!("{:?}", texts.value(row)) } else { "null".into() };
    let checked = |row| rating(row).ok_or_else(|| row_error(spec, first + row, name, "a number", got(row)));
    (0..column.len()).map(checked).collect()
}
