//! The columns of a catalog, and their allowed types.

use std::path::Path;

use arrow::datatypes::DataType;

use super::column_errors::type_error;
use super::{CatalogSpec, cells, image_cells};
use crate::error::Result;
use crate::table::ColumnRequest;

/// Names of the id column if none is given.
pub(super) const ID_NAMES: [&str; 2] = ["item_id", "id"];

/// The role of a requested column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnRole {
    Id,
    Text,
    Image,
}

/// The columns to read: id, texts, fields, images. [`roles`] has the same order.
pub(super) fn requests(spec: &CatalogSpec) -> Vec<ColumnRequest> {
    let id = ColumnRequest::named_or(spec.id.as_deref(), &ID_NAMES).of_ids();
    let fields = spec.fields.iter().chain(&spec.images).map(String::as_str);
    let others = spec.text.columns().into_iter().chain(fields).map(ColumnRequest::required);
    std::iter::once(id).chain(others).collect()
}

/// The role of each requested column.
pub(super) fn roles(spec: &CatalogSpec) -> Vec<ColumnRole> {
    let texts = vec![ColumnRole::Text; spec.text.columns().len() + spec.fields.len()];
    [vec![ColumnRole::Id], texts, vec![ColumnRole::Image; spec.images.len()]].concat()
}

/// Checks the type of a column. The type of ids is checked when they are read.
pub(super) fn check(file: &Path, role: ColumnRole, name: &str, data_type: &DataType) -> Result<()> {
    let (fits, expected) = match role {
        ColumnRole::Id => return Ok(()),
        ColumnRole::Text => (cells::is_text(data_type), cells::TEXT_TYPES),
        ColumnRole::Image => (image_cells::is_image(data_type), image_cells::IMAGE_TYPES),
    };
    if fits { Ok(()) } else { Err(type_error(file, name, expected, data_type, "choose another column")) }
}
