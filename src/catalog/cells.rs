//! Cells of text and picture columns, whatever Arrow type they have.

use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use super::ImageSource;

/// What a text column may be, for error messages.
pub(super) const TEXT_TYPES: &str = "strings, lists of strings, numbers or booleans";
/// What a picture column may be.
pub(super) const IMAGE_TYPES: &str = "strings (paths) or binary (the pictures' bytes)";

pub(super) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(f) | DataType::LargeList(f) | DataType::FixedSizeList(f, _) => is_scalar_text(f.data_type()),
        other => is_scalar_text(other),
    }
}

fn is_scalar_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean | DataType::Null => true,
        DataType::Dictionary(_, value) => is_scalar_text(value),
        other => other.is_numeric(),
    }
}

pub(super) fn is_image(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => true,
        DataType::Dictionary(_, value) => is_image(value),
        _ => false,
    }
}

/// Each row's text before cleaning: a list's parts are joined by commas, null is empty.
pub(super) fn texts(column: &ArrayRef) -> Result<Vec<String>, arrow::error::ArrowError> {
    let strings = |values: &ArrayRef| cast(values, &DataType::Utf8);
    let is_list =
        matches!(column.data_type(), DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..));
    if !is_list {
        let column = strings(column)?;
        return Ok(column.as_string::<i32>().iter().map(|text| text.unwrap_or_default().to_owned()).collect());
    }
    let inner = arrow::datatypes::Field::new("item", DataType::Utf8, true);
    let lists = cast(column, &DataType::LargeList(inner.into()))?;
    let lists = lists.as_list::<i64>();
    let join = |row: usize| {
        let parts = lists.value(row);
        parts.as_string::<i32>().iter().flatten().filter(|p| !p.trim().is_empty()).collect::<Vec<_>>().join(", ")
    };
    Ok((0..lists.len()).map(|row| if lists.is_null(row) { String::new() } else { join(row) }).collect())
}

/// Each row's picture; null and an empty path are none.
pub(super) fn images(column: &ArrayRef, folder: &Path) -> Result<Vec<Option<ImageSource>>, arrow::error::ArrowError> {
    let is_binary = matches!(column.data_type(), DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
    if is_binary {
        let bytes = cast(column, &DataType::LargeBinary)?;
        return Ok(bytes.as_binary::<i64>().iter().map(|b| b.map(|b| ImageSource::Bytes(b.to_vec()))).collect());
    }
    let paths = cast(column, &DataType::Utf8)?;
    let source = |path: &str| (!path.trim().is_empty()).then(|| ImageSource::Path(folder.join(path.trim())));
    Ok(paths.as_string::<i32>().iter().map(|path| path.and_then(source)).collect())
}
