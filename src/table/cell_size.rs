//! Limits the size of cells, so that a single cell cannot exhaust the memory.

use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;

use super::limits::{MAX_BATCH_BYTES, MAX_CELL_BYTES, mib};
use crate::error::{Error, Result};

/// Checks the cells of a column in a batch: each has at most [`MAX_CELL_BYTES`]. Dictionary-encoded cells, which can
/// repeat a large value, have at most [`MAX_BATCH_BYTES`] in total.
pub(super) fn check_cells(file: &Path, column: &str, cells: &ArrayRef, first_row: u64) -> Result<()> {
    let Some(length) = lengths(cells) else { return Ok(()) };
    let mut total = 0_usize;
    for row in (0..cells.len()).filter(|&row| cells.is_valid(row)) {
        let bytes = length(row);
        total = total.saturating_add(bytes);
        let most = if bytes > MAX_CELL_BYTES { MAX_CELL_BYTES } else { MAX_BATCH_BYTES };
        if bytes > MAX_CELL_BYTES || total > MAX_BATCH_BYTES {
            let (what, got) = match bytes > MAX_CELL_BYTES {
                true => ("a cell", bytes),
                false => ("4,096 cells", total),
            };
            return Err(Error::Row {
                path: file.to_path_buf(),
                row: first_row + row as u64 + 1,
                column: column.to_owned(),
                expected: format!("{what} of at most {}", mib(most)),
                got: mib(got),
                help: "shorten the values of this column, or do not select it".into(),
            });
        }
    }
    Ok(())
}

type Lengths<'a> = Box<dyn Fn(usize) -> usize + 'a>;

/// Number of bytes of the cell in each row. `None` for columns with small cells.
fn lengths(cells: &ArrayRef) -> Option<Lengths<'_>> {
    macro_rules! of {
        ($array:expr) => {{
            let array = $array;
            Some(Box::new(move |row| array.value(row).len()))
        }};
    }
    match cells.data_type() {
        DataType::Utf8 => of!(cells.as_string::<i32>()),
        DataType::LargeUtf8 => of!(cells.as_string::<i64>()),
        DataType::Utf8View => of!(cells.as_string_view()),
        DataType::Binary => of!(cells.as_binary::<i32>()),
        DataType::LargeBinary => of!(cells.as_binary::<i64>()),
        DataType::BinaryView => of!(cells.as_binary_view()),
        DataType::Dictionary(..) => {
            let dictionary = cells.as_any_dictionary();
            if dictionary.values().is_empty() {
                return None;
            }
            let (keys, of_value) = (dictionary.normalized_keys(), lengths(dictionary.values())?);
            Some(Box::new(move |row| of_value(keys[row])))
        }
        DataType::List(_) => {
            let (lists, ends) = (cells.as_list::<i32>(), cells.as_list::<i32>().value_offsets());
            let of_value = lengths(lists.values())?;
            Some(Box::new(move |row| {
                (ends[row] as usize..ends[row + 1] as usize)
                    .filter(|&at| lists.values().is_valid(at))
                    .map(&of_value)
                    .sum()
            }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{DictionaryArray, Int32Array, StringArray};
    use std::sync::Arc;

    fn check(cells: ArrayRef) -> Result<(), String> {
        check_cells(Path::new("a.parquet"), "t", &cells, 10).map_err(|e| e.to_string())
    }

    #[test]
    fn large_cells_are_refused_with_their_row() {
        let small = Some("x");
        let large = "x".repeat(MAX_CELL_BYTES + 1);
        assert_eq!(check(Arc::new(StringArray::from(vec![small, None]))), Ok(()));
        let error = check(Arc::new(StringArray::from(vec![small, Some(&large)]))).unwrap_err();
        assert!(error.contains("row 12, column \"t\": expected a cell of at most 64 MiB"), "{error}");
        // A dictionary of one value of 60 MiB takes little memory until its rows are copied.
        let repeated = |rows: usize| -> ArrayRef {
            let keys = Int32Array::from(vec![0; rows]);
            Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(vec![&large[..60 << 20]]))))
        };
        assert_eq!(check(repeated(2)), Ok(()));
        assert!(check(repeated(4_000)).unwrap_err().contains("of at most 1024 MiB"));
    }
}
