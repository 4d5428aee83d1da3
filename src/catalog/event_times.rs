//! The times of events: numbers unchanged, dates in seconds. All rows of a table must have the same kind of time.

use std::path::PathBuf;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, TimeUnit, TimestampMicrosecondType};

use super::event_columns::{EventColumn, cell, plain};
use crate::error::{Error, Result};

/// Length of a date without a time of day: `2024-01-31`.
const DAY_LENGTH: usize = 10;

/// Units for the time since 1970. A column whose numbers all lie between the years 1973 and 2286 in one of these units
/// has that unit.
const UNITS: [(&str, f64); 4] =
    [("seconds", 1e8), ("milliseconds", 1e11), ("microseconds", 1e14), ("nanoseconds", 1e17)];
/// The ratio of the latest to the earliest time of a unit.
const UNIT_SPAN: f64 = 100.0;

/// The kind of time in a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimeKind {
    Number,
    Date,
    /// A date with its offset from UTC.
    ZonedDate,
}

impl TimeKind {
    fn name(self) -> &'static str {
        match self {
            TimeKind::Number => "a number",
            TimeKind::Date => "a date without a time zone",
            TimeKind::ZonedDate => "a date with a time zone",
        }
    }
}

/// A row and its content, for error messages.
#[derive(Debug, Clone)]
struct FirstSeen {
    file: PathBuf,
    row: u64,
    cell: String,
}

/// Reads the time column of a table batch by batch.
#[derive(Debug, Default)]
pub(super) struct EventTimes {
    /// The kind of time, which is the same in all rows, and the first row.
    kind: Option<(TimeKind, FirstSeen)>,
    /// The first number of each unit.
    units: [Option<FirstSeen>; UNITS.len()],
    /// Whether a number is outside the ranges of all units. The numbers then have another unit, such as step numbers.
    own_unit: bool,
}

impl EventTimes {
    /// The times of a batch.
    ///
    /// # Errors
    /// [`Error::Column`] for a column that holds neither numbers nor dates; [`Error::Row`] for a cell that is neither,
    /// or that has another kind or unit than the rows before.
    pub(super) fn read(&mut self, place: &EventColumn, column: &ArrayRef) -> Result<Vec<f64>> {
        let wrong = |got: String| place.type_error("numbers or dates", got);
        let column = &plain(column).map_err(wrong)?;
        let cast = |to: &DataType| cast(column, to).map_err(|e| wrong(e.to_string()));
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
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
        let mut times = Vec::with_capacity(column.len());
        for row in 0..column.len() {
            let number = numbers.as_ref().filter(|numbers| numbers.is_valid(row));
            let number = number.map(|numbers| numbers.as_primitive::<Float64Type>().value(row));
            let date = dates.as_ref().filter(|dates| number.is_none() && dates.is_valid(row));
            let date = date.map(|dates| dates.as_primitive::<TimestampMicrosecondType>().value(row) as f64 / 1e6);
            let Some(time) = number.or(date).filter(|time| time.is_finite()) else {
                let expected = match numbers {
                    None if column.is_valid(row) => "a date between the years -290307 and 294246",
                    _ => "a number or a date",
                };
                return Err(place.row_error(row, expected, cell(column, row)));
            };
            let kind = if number.is_some() { TimeKind::Number } else { date_kind(column, row) };
            self.check_kind(kind, place, column, row)?;
            if kind == TimeKind::Number {
                self.check_unit(time, place, column, row)?;
            }
            // Convert negative zero to zero, because equal times are also compared by their bits.
            times.push(time + 0.0);
        }
        Ok(times)
    }

    fn check_kind(&mut self, kind: TimeKind, place: &EventColumn, column: &ArrayRef, row: usize) -> Result<()> {
        match &self.kind {
            Some((known, _)) if *known == kind => Ok(()),
            Some((known, first)) => {
                let got = format!("{}, {}", kind.name(), cell(column, row));
                Err(mixed(place, row, known.name(), first, got))
            }
            None => {
                self.kind = Some((kind, FirstSeen::new(place, column, row)));
                Ok(())
            }
        }
    }

    /// Times since 1970 in different units would be sorted incorrectly.
    fn check_unit(&mut self, time: f64, place: &EventColumn, column: &ArrayRef, row: usize) -> Result<()> {
        // Zero and negative numbers represent unknown times.
        if self.own_unit || time <= 0.0 {
            return Ok(());
        }
        let Some(unit) = UNITS.iter().position(|&(_, from)| (from..from * UNIT_SPAN).contains(&time)) else {
            self.own_unit = true;
            return Ok(());
        };
        if self.units[unit].is_none() {
            self.units[unit] = Some(FirstSeen::new(place, column, row));
        }
        Ok(())
    }

    /// Checks the numbers of all rows together.
    ///
    /// # Errors
    /// [`Error::Row`] if numbers since 1970 have different units.
    pub(super) fn finish(&self, column: &str) -> Result<()> {
        let seen = self.units.iter().zip(UNITS).filter_map(|(first, (unit, _))| Some((first.as_ref()?, unit)));
        let seen: Vec<(&FirstSeen, &str)> = seen.collect();
        let (false, [(first, unit), (second, other), ..]) = (self.own_unit, &seen[..]) else { return Ok(()) };
        Err(Error::Row {
            path: second.file.clone(),
            row: second.row,
            column: column.to_owned(),
            expected: format!(
                "one unit of time in the column: {unit} since 1970, as {} in row {}",
                first.cell, first.row
            ),
            got: format!("{other}, {}", second.cell),
            help: "write all times of the column in the same unit".into(),
        })
    }
}

impl FirstSeen {
    fn new(place: &EventColumn, column: &ArrayRef, row: usize) -> Self {
        FirstSeen { file: place.file.to_path_buf(), row: place.row_number(row), cell: cell(column, row) }
    }
}

fn mixed(place: &EventColumn, row: usize, kind: &str, first: &FirstSeen, got: String) -> Error {
    let elsewhere = match first.file == place.file {
        true => String::new(),
        false => format!(" of {}", first.file.display()),
    };
    Error::Row {
        path: place.file.to_path_buf(),
        row: place.row_number(row),
        column: place.column.to_owned(),
        expected: format!("{kind}, as {} in row {}{elsewhere}", first.cell, first.row),
        got,
        help: "write all times of the column in the same form".into(),
    }
}

/// The kind of a date: with or without an offset from UTC.
fn date_kind(column: &ArrayRef, row: usize) -> TimeKind {
    let zoned = match column.data_type() {
        DataType::Timestamp(_, zone) => zone.is_some(),
        DataType::Utf8 => names_zone(column.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => names_zone(column.as_string::<i64>().value(row)),
        DataType::Utf8View => names_zone(column.as_string_view().value(row)),
        _ => false,
    };
    if zoned { TimeKind::ZonedDate } else { TimeKind::Date }
}

fn names_zone(date: &str) -> bool {
    date.trim().get(DAY_LENGTH..).is_some_and(|time| time.contains(['Z', 'z', '+', '-']))
}
