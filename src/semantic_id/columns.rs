//! The columns of a token table's file.

use std::sync::Arc;

use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

pub(super) const ID: &str = "item_id";
pub(super) const CODES: &str = "codes";
pub(super) const SEMANTIC_ID: &str = "semantic_id";
pub(super) const ERROR: &str = "residual_error";
pub(super) const REASSIGNED: &str = "reassigned";
pub(super) const MEMBER: &str = "member";
pub(super) const CLASS: &str = "must_differ";

pub(super) fn code_field() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::UInt16, false))
}

/// Casts the batches of other programs to the types of the file's columns: they use other string and list types, and
/// some write wider integers. A column that cannot be cast remains unchanged and is refused later.
pub(super) fn of_own_types(
    batches: &[RecordBatch],
    levels: usize,
) -> std::result::Result<Vec<RecordBatch>, ArrowError> {
    let wanted = |name: &str, there: &DataType| match name {
        ID if matches!(there, DataType::Utf8View | DataType::LargeUtf8 | DataType::Dictionary(..)) => DataType::Utf8,
        ID if there.is_integer() => DataType::Int64,
        CODES => DataType::FixedSizeList(code_field(), levels as i32),
        SEMANTIC_ID => DataType::Utf8,
        ERROR => DataType::Float32,
        MEMBER => DataType::UInt16,
        CLASS => DataType::Utf8,
        _ => there.clone(),
    };
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    batches
        .iter()
        .map(|batch| {
            let there = batch.schema();
            let columns = there.fields().iter().zip(batch.columns()).map(|(field, column)| {
                let cast = cast_with_options(column, &wanted(field.name(), column.data_type()), &strict);
                let column = cast.unwrap_or_else(|_| column.clone());
                (Field::new(field.name(), column.data_type().clone(), true), column)
            });
            let (fields, columns): (Vec<_>, Vec<_>) = columns.unzip();
            RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        })
        .collect()
}
