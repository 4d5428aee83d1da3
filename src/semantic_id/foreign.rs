//! Token tables in Arrow batches of other programs.

use std::path::Path;
use std::sync::Arc;

use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use super::table_io::{CODES, ERROR, ID, REMAKE, SEMANTIC_ID, code_field, of_described};
use super::{TableMetadata, TokenTable, table_metadata};
use crate::error::{Error, Result};

/// Casts the batches of other programs to the types of the file's columns: they use other string and list types, and some
/// write wider integers. A column that cannot be cast is left, and refused later.
fn of_own_types(batches: &[RecordBatch], levels: usize) -> std::result::Result<Vec<RecordBatch>, ArrowError> {
    let wanted = |name: &str, there: &DataType| match name {
        ID if matches!(there, DataType::Utf8View | DataType::LargeUtf8 | DataType::Dictionary(..)) => DataType::Utf8,
        ID if there.is_integer() => DataType::Int64,
        CODES => DataType::FixedSizeList(code_field(), levels as i32),
        SEMANTIC_ID => DataType::Utf8,
        ERROR => DataType::Float32,
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

/// A table from Arrow batches of any program; `like` replaces missing metadata.
pub(super) fn of_foreign(
    path: &Path,
    schema: &Arc<Schema>,
    batches: &[RecordBatch],
    like: Option<&TableMetadata>,
) -> Result<TokenTable> {
    let metadata = like.map_or_else(|| table_metadata::read(path, schema.metadata()), |like| Ok(like.clone()))?;
    let batches = of_own_types(batches, metadata.codebook_sizes.len())
        .map_err(|e| Error::artifact(path, "a token table", e, REMAKE))?;
    let schema = batches.first().map_or_else(|| schema.clone(), RecordBatch::schema);
    of_described(path, &schema, &batches, metadata)
}
