//! Checks that times of Parquet's old type INT96 fit into 64-bit microseconds. In the parquet crate, other times wrap
//! around.

use std::path::Path;

use parquet::basic::Type;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{Int96, Int96Type};
use parquet::file::reader::{ChunkReader, FileReader, SerializedFileReader};

use super::damaged;
use crate::error::{Error, Result};
use crate::guard::guarded;

/// Number of rows that are decoded at once.
const ROWS: usize = 1 << 16;
/// The Julian day of 1970-01-01.
const EPOCH: i64 = 2_440_588;
const DAY_MICROS: i64 = 86_400_000_000;

/// Checks the columns of type INT96 among the top-level columns with these indices.
///
/// # Errors
/// [`Error::Row`] for the first time that is out of range; [`Error::File`] for a damaged file.
pub(super) fn check_int96<R: ChunkReader + 'static>(path: &Path, file: R, columns: &[usize]) -> Result<()> {
    guarded(|| check(path, file, columns)).unwrap_or_else(|panicked| Err(damaged(path, panicked)))
}

fn check<R: ChunkReader + 'static>(path: &Path, file: R, columns: &[usize]) -> Result<()> {
    let reader = SerializedFileReader::new(file).map_err(|e| damaged(path, e))?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let is_checked = |&leaf: &usize| {
        let column = schema.column(leaf);
        let is_flat = column.max_rep_level() == 0;
        is_flat && column.physical_type() == Type::INT96 && columns.contains(&schema.get_column_root_idx(leaf))
    };
    for leaf in (0..schema.num_columns()).filter(is_checked) {
        let mut first = 0;
        for group in 0..reader.num_row_groups() {
            let group = reader.get_row_group(group).map_err(|e| damaged(path, e))?;
            let column = group.get_column_reader(leaf).map_err(|e| damaged(path, e))?;
            let mut column = get_typed_column_reader::<Int96Type>(column);
            loop {
                let (mut levels, mut times) = (Vec::new(), Vec::new());
                let read = column.read_records(ROWS, Some(&mut levels), None, &mut times);
                let (rows, _, _) = read.map_err(|e| damaged(path, e))?;
                if let Some(at) = times.iter().position(|time| micros(time).is_none()) {
                    let row = first + row_of(&levels, at, schema.column(leaf).max_def_level()) as u64;
                    let name = schema.column(leaf).name().to_owned();
                    return Err(outside(path, row + 1, name, &times[at]));
                }
                first += rows as u64;
                if rows == 0 {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Days since 1970-01-01, and nanoseconds since the start of that day.
fn parts(time: &Int96) -> (i64, i64) {
    let words = time.data();
    let nanoseconds = (u64::from(words[1]) << 32 | u64::from(words[0])) as i64;
    (i64::from(words[2] as i32) - EPOCH, nanoseconds)
}

/// Microseconds since 1970-01-01, or `None` if they do not fit into 64 bits.
fn micros(time: &Int96) -> Option<i64> {
    let (days, nanoseconds) = parts(time);
    days.checked_mul(DAY_MICROS)?.checked_add(nanoseconds / 1_000)
}

/// The row of the value at position `at`. Rows without a value have a definition level below `defined`.
fn row_of(levels: &[i16], at: usize, defined: i16) -> usize {
    let mut rows = levels.iter().enumerate().filter(|&(_, &level)| level == defined).map(|(row, _)| row);
    if levels.is_empty() { at } else { rows.nth(at).unwrap_or(at) }
}

fn outside(path: &Path, row: u64, column: String, time: &Int96) -> Error {
    let (days, nanoseconds) = parts(time);
    Error::Row {
        path: path.to_path_buf(),
        row,
        column,
        expected: "a time between the years -290307 and 294246".into(),
        got: format!("{days} days and {nanoseconds} nanoseconds after 1970-01-01"),
        help: "correct or remove the row".into(),
    }
}
