//! The errors for columns of a catalog that cannot be read.

use std::path::Path;

use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::cells;
use crate::error::Error;
use crate::item_ids::IdFault;
use crate::table::TableBatch;

pub(super) fn id_error(batch: &TableBatch, column: &str, fault: IdFault) -> Error {
    match fault {
        IdFault::Null(row) | IdFault::Duplicate(_, row, _) => Error::Row {
            path: batch.file.to_path_buf(),
            row: batch.first_row + row as u64 + 1,
            column: column.to_owned(),
            expected: "an item id".into(),
            got: "null".into(),
            help: "give every item an id".into(),
        },
        IdFault::Unusable(row, got) => Error::Row {
            path: batch.file.to_path_buf(),
            row: batch.first_row + row as u64 + 1,
            column: column.to_owned(),
            expected: "an integer or a string that is not empty".into(),
            got,
            help: "correct the id, or choose another column with --id".into(),
        },
        IdFault::Type(found) => {
            type_error(&batch.file, column, "integers or strings", &found, "choose another column with --id")
        }
    }
}

pub(super) fn not_text(batch: &TableBatch, column: &str, got: ArrowError) -> Error {
    Error::Column {
        path: batch.file.to_path_buf(),
        column: column.to_owned(),
        expected: cells::TEXT_TYPES.into(),
        got: format!("{got} in or after row {}", batch.first_row + 1),
        help: "choose another column".into(),
    }
}

pub(super) fn type_error(file: &Path, column: &str, expected: &str, got: &DataType, help: &str) -> Error {
    let (path, column, got) = (file.to_path_buf(), column.to_owned(), got.to_string());
    Error::Column { path, column, expected: expected.into(), got, help: help.into() }
}
