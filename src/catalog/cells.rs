//! Cells of text columns of any Arrow type.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

/// Accepted types of a text column, for error messages.
pub(super) const TEXT_TYPES: &str = "strings, numbers, booleans, or lists of these";

pub(super) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean | DataType::Null => true,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => true,
        DataType::Dictionary(_, value) => is_text(value),
        other => other.is_numeric() || list_of(other).is_some_and(is_text),
    }
}

/// Whether a column holds vectors: lists of floats.
pub(super) fn is_vector(data_type: &DataType) -> bool {
    list_of(data_type).is_some_and(DataType::is_floating)
}

/// The element type of a list.
pub(super) fn list_of(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::List(inner) | DataType::LargeList(inner) | DataType::FixedSizeList(inner, _) => {
            Some(inner.data_type())
        }
        _ => None,
    }
}

/// The texts of each row before cleaning: one for a single value, none for null, one per element of a list. Nested lists are
/// flattened.
pub(crate) fn texts(column: &ArrayRef) -> Result<Vec<Vec<String>>, ArrowError> {
    flattened(column, &|values| {
        let nulls = values.logical_null_count();
        let values = cast(values, &DataType::Utf8)?;
        // Hive, Impala and old versions of Spark write strings as binary values. Invalid UTF-8 becomes null.
        if values.null_count() > nulls {
            return Err(ArrowError::CastError("bytes that are not text in UTF-8".into()));
        }
        Ok(values.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect())
    })
}

pub(super) type Leaves<'a, T> = &'a dyn Fn(&ArrayRef) -> Result<Vec<Option<T>>, ArrowError>;

/// The values of each row, with lists of any depth flattened.
pub(super) fn flattened<T>(column: &ArrayRef, leaves: Leaves<T>) -> Result<Vec<Vec<T>>, ArrowError> {
    if list_of(column.data_type()).is_none() {
        return Ok(leaves(column)?.into_iter().map(|value| value.into_iter().collect()).collect());
    }
    let inner = match column.data_type() {
        DataType::List(inner) | DataType::LargeList(inner) | DataType::FixedSizeList(inner, _) => inner.clone(),
        _ => return Ok(Vec::new()),
    };
    let lists = cast(column, &DataType::LargeList(inner))?;
    let lists = lists.as_list::<i64>();
    let mut values: Vec<Option<Vec<T>>> = flattened(lists.values(), leaves)?.into_iter().map(Some).collect();
    let rows = lists.offsets().windows(2).enumerate().map(|(row, ends)| {
        let stretch = ends[0] as usize..ends[1] as usize;
        let parts = values[stretch].iter_mut().filter_map(Option::take).flatten();
        if lists.is_null(row) { Vec::new() } else { parts.collect() }
    });
    Ok(rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, ListBuilder, StringBuilder};
    use std::sync::Arc;

    #[test]
    fn nested_paths_are_flattened() {
        let mut column = ListBuilder::new(ListBuilder::new(StringBuilder::new()));
        column.values().append_value([Some("Office"), None, Some("Ink")]);
        column.values().append_value([Some("Sale")]);
        column.append(true);
        column.append(false);
        column.append(true);
        let column: ArrayRef = Arc::new(column.finish());
        assert!(is_text(column.data_type()));
        assert_eq!(texts(&column).unwrap(), [vec!["Office", "Ink", "Sale"], vec![], vec![]]);
        // The offsets of a slice do not start at zero.
        assert_eq!(texts(&column.slice(1, 2)).unwrap(), [vec![""; 0], vec![]]);
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None]));
        assert_eq!(texts(&numbers).unwrap(), [vec!["7"], vec![]]);
    }
}
