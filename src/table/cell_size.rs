//! Limits the size of cells, so that a single cell cannot exhaust the memory.

use std::ops::Range;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;

use super::limits::{BATCH_BYTES, MAX_CELL_BYTES, mib};
use crate::error::{Error, Result};

/// Checks that no cell of a column of a batch is larger than [`MAX_CELL_BYTES`].
pub(super) fn check_cells(file: &Path, column: &str, cells: &ArrayRef, first_row: u64) -> Result<()> {
    let Some(length) = lengths(cells) else { return Ok(()) };
    let cell = (0..cells.len()).find(|&row| cells.is_valid(row) && length(row) > MAX_CELL_BYTES);
    cell.map_or(Ok(()), |row| {
        Err(Error::Row {
            path: file.to_path_buf(),
            row: first_row + row as u64 + 1,
            column: column.to_owned(),
            expected: format!("a cell of at most {}", mib(MAX_CELL_BYTES)),
            got: mib(length(row)),
            help: "shorten the values of this column, or leave it out".into(),
        })
    })
}

/// Number of rows at the start of a batch whose cells have at most [`BATCH_BYTES`] together, at least 1. A batch can
/// have larger cells in total if rows share a long value: it takes memory for each row only when the cells are copied.
pub(super) fn rows_at_once(batch: &RecordBatch) -> usize {
    let columns: Vec<_> = batch.columns().iter().filter_map(|cells| Some((cells, lengths(cells)?))).collect();
    let mut total = 0usize;
    let too_many = |row: &usize| {
        for (cells, length) in &columns {
            total = total.saturating_add(if cells.is_valid(*row) { length(*row) } else { 0 });
        }
        total > BATCH_BYTES
    };
    (0..batch.num_rows()).find(too_many).unwrap_or(batch.num_rows()).max(1)
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
        DataType::FixedSizeBinary(length) => {
            let length = *length as usize;
            Some(Box::new(move |_| length))
        }
        DataType::List(_) => {
            let lists = cells.as_list::<i32>();
            let ends = lists.value_offsets();
            of_list(lists.values(), move |row| ends[row] as usize..ends[row + 1] as usize)
        }
        DataType::LargeList(_) => {
            let lists = cells.as_list::<i64>();
            let ends = lists.value_offsets();
            of_list(lists.values(), move |row| ends[row] as usize..ends[row + 1] as usize)
        }
        DataType::FixedSizeList(_, length) => {
            let length = *length as usize;
            of_list(cells.as_fixed_size_list().values(), move |row| row * length..(row + 1) * length)
        }
        DataType::Struct(_) => {
            let fields = cells.as_struct().columns().iter();
            let fields: Vec<_> = fields.filter_map(|field| Some((field, lengths(field)?))).collect();
            let of_row = move |row: usize| {
                fields.iter().map(|(field, length)| if field.is_valid(row) { length(row) } else { 0 }).sum()
            };
            Some(Box::new(of_row))
        }
        _ => None,
    }
}

/// Number of bytes of the list in each row. `range` returns the range of its values.
fn of_list<'a>(values: &'a ArrayRef, range: impl Fn(usize) -> Range<usize> + 'a) -> Option<Lengths<'a>> {
    let of_value = lengths(values)?;
    Some(Box::new(move |row| range(row).filter(|&at| values.is_valid(at)).map(&of_value).sum()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{DictionaryArray, FixedSizeListArray, Int32Array, ListArray, StringArray, StructArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Field;
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
    }

    #[test]
    fn rows_that_share_a_long_value_are_split_into_small_batches() {
        let at_once = |cells: ArrayRef| rows_at_once(&RecordBatch::try_from_iter([("t", cells)]).unwrap());
        let values = || Arc::new(StringArray::from(vec!["x".repeat(20 << 20)]));
        let dictionary = || -> ArrayRef { Arc::new(DictionaryArray::new(Int32Array::from(vec![0; 4_000]), values())) };
        assert_eq!(at_once(dictionary()), 3);
        let field = || Arc::new(Field::new("item", dictionary().data_type().clone(), true));
        let pairs = FixedSizeListArray::new(field(), 2, dictionary(), None);
        assert_eq!(at_once(Arc::new(pairs)), 1);
        let lists = ListArray::new(field(), OffsetBuffer::from_lengths([1, 0, 1, 0, 1, 1]), dictionary(), None);
        assert_eq!(at_once(Arc::new(lists)), 5);
        let fields = StructArray::from(vec![(field(), dictionary()), (field(), dictionary())]);
        assert_eq!(at_once(Arc::new(fields)), 1);
        assert_eq!(at_once(Arc::new(Int32Array::from(vec![0; 4_000]))), 4_000);
        assert_eq!(at_once(Arc::new(StringArray::from(vec!["x"; 4_000]))), 4_000);
    }
}
