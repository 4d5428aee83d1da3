//! Partition columns of Hive and Spark, whose values are in the names of a file's folders.

use std::path::Path;

use arrow::datatypes::DataType;

use super::column_request::{ColumnRequest, list_columns};
use super::folder::Partition;
use super::open_table::OpenTable;
use crate::error::Result;

/// The requests for the file itself. Partition columns can be absent from it.
pub(super) fn left_to_file(requests: &[ColumnRequest], partitions: &[Partition]) -> Vec<ColumnRequest> {
    let relaxed = |request: &ColumnRequest| ColumnRequest {
        required: request.required && answer(request, partitions).is_none(),
        ..request.clone()
    };
    requests.iter().map(relaxed).collect()
}

/// Adds partition columns that the file does not have, for each request. A column of the file itself takes precedence.
pub(super) fn complete(
    file: &Path,
    requests: &[ColumnRequest],
    partitions: Vec<Partition>,
    table: &mut OpenTable,
) -> Result<Vec<Option<Partition>>> {
    let mut constants = vec![None; requests.len()];
    for (at, request) in requests.iter().enumerate() {
        if table.columns[at].is_some() {
            continue;
        }
        match answer(request, &partitions) {
            Some(partition) => {
                table.columns[at] = Some(partition.0.clone());
                table.types[at] = Some(DataType::Utf8);
                constants[at] = Some(partition.clone());
            }
            None if request.required => {
                return Err(request.absent(file, &list_columns(table.columns.iter().flatten())));
            }
            None => {}
        }
    }
    Ok(constants)
}

fn answer<'a>(request: &ColumnRequest, partitions: &'a [Partition]) -> Option<&'a Partition> {
    let name = request.find(|name| partitions.iter().any(|(column, _)| column == name))?;
    partitions.iter().find(|(column, _)| *column == name)
}
