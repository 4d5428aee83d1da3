//! Columns of interactions: users and items as text, times and ratings as numbers.

use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type, TimeUnit, TimestampMicrosecondType};

use crate::error::{Error, Result};
use crate::item_ids::{IdFault, ItemIds};

/// A column in a batch of rows, for error messages.
pub(super) struct EventColumn<'a> {
    pub(super) file: &'a Path,
    pub(super) column: &'a str,
    /// Row of the batch's first row within the file.
    pub(super) first_row: u64,
}

/// A column of ids as text. What a catalog's id column may be, this may be too.
pub(super) fn ids(place: &EventColumn, column: &ArrayRef) -> Result<StringArray> {
    match ItemIds::from_arrow(column) {
        Ok(ids) => Ok(StringArray::from_iter_values((0..ids.len()).map(|row| ids.text(row)))),
        Err(IdFault::Null(row) | IdFault::Duplicate(_, row, _)) => Err(place.row_error(row, "an id", "none".into())),
        Err(IdFault::Unusable(row, got)) => Err(place.row_error(row, "an integer or a string that is not empty", got)),
        Err(IdFault::Type(found)) => Err(place.type_error("integers or strings", found.to_string())),
    }
}

/// A column of times: numbers as they are, dates in seconds.
pub(super) fn times(place: &EventColumn, column: &ArrayRef) -> Result<Vec<f64>> {
    let wrong = |got: String| place.type_error("numbers or dates", got);
    let cast = |to: &DataType| cast(column, to).map_err(|e| wrong(e.to_string()));
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let seconds =
        |column: &ArrayRef, row: usize| column.as_primitive::<TimestampMicrosecondType>().value(row) as f64 / 1e6;
    let (numbers, dates) = match column.data_type() {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => (None, Some(cast(&micros)?)),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            // A cell that is not a number, or not a date, becomes null.
            let numbers = cast(&DataType::Float64)?;
            let dates = if numbers.null_count() > 0 { Some(cast(&micros)?) } else { None };
            (Some(numbers), dates)
        }
        other if other.is_numeric() => (Some(cast(&DataType::Float64)?), None),
        other => return Err(wrong(other.to_string())),
    };
    let time = |row: usize| {
        let number = numbers.as_ref().filter(|numbers| numbers.is_valid(row));
        let number = number.map(|numbers| numbers.as_primitive::<Float64Type>().value(row));
        let date = || dates.as_ref().filter(|dates| dates.is_valid(row)).map(|dates| seconds(dates, row));
        let time = number.or_else(date).filter(|time| time.is_finite());
        time.ok_or_else(|| place.row_error(row, "a number or a date", text(column, row)))
    };
    (0..column.len()).map(time).collect()
}

/// A column of ratings.
pub(super) fn ratings(place: &EventColumn, column: &ArrayRef) -> Result<Vec<f32>> {
    let wrong = |got: String| place.type_error("numbers", got);
    let data_type = column.data_type();
    if !(data_type.is_numeric() || matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)) {
        return Err(wrong(data_type.to_string()));
    }
    let numbers = cast(column, &DataType::Float32).map_err(|e| wrong(e.to_string()))?;
    let numbers = numbers.as_primitive::<Float32Type>();
    let rating = |row: usize| Some(numbers.value(row)).filter(|rating| numbers.is_valid(row) && rating.is_finite());
    let checked = |row| rating(row).ok_or_else(|| place.row_error(row, "a number", text(column, row)));
    (0..column.len()).map(checked).collect()
}

/// A cell for an error message.
fn text(column: &ArrayRef, row: usize) -> String {
    let text = cast(&column.slice(row, 1), &DataType::Utf8).ok().filter(|text| text.is_valid(0));
    text.map_or("null".into(), |text| format!("{:?}", text.as_string::<i32>().value(0)))
}

impl EventColumn<'_> {
    fn type_error(&self, expected: &str, got: String) -> Error {
        Error::Column {
            path: self.file.to_path_buf(),
            column: self.column.to_owned(),
            expected: expected.into(),
            got,
            help: "choose another column".into(),
        }
    }

    fn row_error(&self, row: usize, expected: &str, got: String) -> Error {
        Error::Row {
            path: self.file.to_path_buf(),
            row: self.first_row + row as u64 + 1,
            column: self.column.to_owned(),
            expected: expected.into(),
            got,
            help: "correct or remove the row".into(),
        }
    }
}
