//! Columns of interactions: users and items as text, ratings as numbers. Times are in `event_times.rs`.

use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type};

use crate::error::{Error, Result, quoted};
use crate::item_ids::{IdFault, ItemIds};

/// A column in a batch of rows, for error messages.
pub(super) struct EventColumn<'a> {
    pub(super) file: &'a Path,
    pub(super) column: &'a str,
    /// Row of the batch's first row within the file.
    pub(super) first_row: u64,
}

/// Converts a column of ids to text. It can have any type that a catalog's id column can have.
pub(super) fn ids(place: &EventColumn, column: &ArrayRef) -> Result<StringArray> {
    match ItemIds::from_arrow(column) {
        Ok(ids) => Ok(StringArray::from_iter_values((0..ids.len()).map(|row| ids.text(row)))),
        Err(IdFault::Null(row) | IdFault::Duplicate(_, row, _)) => Err(place.row_error(row, "an id", "none".into())),
        Err(IdFault::Unusable(row, got)) => Err(place.row_error(row, "an integer or a string that is not empty", got)),
        Err(IdFault::Type(found)) => Err(place.type_error("integers or strings", found.to_string())),
    }
}

/// A column of ratings.
pub(super) fn ratings(place: &EventColumn, column: &ArrayRef) -> Result<Vec<f32>> {
    let wrong = |got: String| place.type_error("numbers", got);
    let column = &plain(column).map_err(wrong)?;
    let data_type = column.data_type();
    if !(data_type.is_numeric() || matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)) {
        return Err(wrong(data_type.to_string()));
    }
    let numbers = cast(column, &DataType::Float32).map_err(|e| wrong(e.to_string()))?;
    let numbers = numbers.as_primitive::<Float32Type>();
    let rating = |row: usize| Some(numbers.value(row)).filter(|rating| numbers.is_valid(row) && rating.is_finite());
    let checked = |row| rating(row).ok_or_else(|| place.row_error(row, "a number", cell(column, row)));
    (0..column.len()).map(checked).collect()
}

/// A column without a dictionary: its values, row by row.
pub(super) fn plain(column: &ArrayRef) -> Result<ArrayRef, String> {
    match column.data_type() {
        DataType::Dictionary(_, value) => cast(column, value).map_err(|e| e.to_string()),
        _ => Ok(column.clone()),
    }
}

/// A cell for an error message. A date that is out of range for a calendar is shown as the stored number.
pub(super) fn cell(column: &ArrayRef, row: usize) -> String {
    let cell = column.slice(row, 1);
    let text = |cell: &ArrayRef| cast(cell, &DataType::Utf8).ok().filter(|text| text.is_valid(0));
    let number = || text(&cast(&cell, &DataType::Int64).ok()?);
    text(&cell).or_else(number).map_or("null".into(), |text| quoted(text.as_string::<i32>().value(0)))
}

impl EventColumn<'_> {
    /// 1-based row within the file.
    pub(super) fn row_number(&self, row: usize) -> u64 {
        self.first_row + row as u64 + 1
    }

    pub(super) fn type_error(&self, expected: &str, got: String) -> Error {
        Error::Column {
            path: self.file.to_path_buf(),
            column: self.column.to_owned(),
            expected: expected.into(),
            got,
            help: "choose another column".into(),
        }
    }

    pub(super) fn row_error(&self, row: usize, expected: &str, got: String) -> Error {
        Error::Row {
            path: self.file.to_path_buf(),
            row: self.row_number(row),
            column: self.column.to_owned(),
            expected: expected.into(),
            got,
            help: "correct or remove the row".into(),
        }
    }
}
