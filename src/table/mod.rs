//! Reads tables from files, for catalogs, interactions and features.
//!
//! This module finds the files of a path (a file, a folder or a pattern), detects format and compression, and reads
//! only the columns that a caller requests. [`TableReader`] streams all files of a table in order. [`TableParts`] reads
//! single parts of formats with random access: row groups of Parquet, record batches of Arrow IPC.

mod arrow_file;
mod cell_size;
mod column_request;
mod compression;
mod csv_check;
mod csv_file;
mod dialect;
mod files;
mod folder;
mod foreign;
mod format;
#[cfg(test)]
mod growth_tests;
mod gzip;
mod int96_check;
mod json_columns;
mod json_lines;
mod json_row;
mod json_value;
mod limits;
mod notes;
mod open;
mod open_table;
mod own;
mod page_header;
mod parquet_pages;
mod parquet_types;
mod partitioned;
mod parts;
mod reader;
#[cfg(test)]
pub(crate) mod samples;
mod schema;
mod sealed;
mod selection;
#[cfg(test)]
mod tests;
mod text_check;

pub(crate) use column_request::{ColumnRequest, list_columns};
pub(crate) use compression::decompressed_text;
pub use dialect::{CsvCharacter, CsvDialect};
pub(crate) use files::{TableFiles, files_of_pattern, find_tables, tables_of_folder, visible_files};
pub(crate) use folder::TableFolder;
pub(crate) use format::{TABLE_EXTENSIONS, TableFormat, base_extension, has_table_extension};
pub(crate) use notes::TableNotes;
pub(crate) use own::{OwnColumn, OwnTable};
pub(crate) use parquet_pages::check_pages;
pub(crate) use parts::TableParts;
pub(crate) use reader::{TableBatch, TableReader};
pub(crate) use schema::{column_names, columns_of};
pub(crate) use sealed::check_parquet;

use std::path::Path;

use crate::error::Error;

/// The error for a table that cannot be decoded.
pub(crate) fn damaged(path: &Path, reason: impl ToString) -> Error {
    let got = format!("a damaged file ({})", reason.to_string());
    Error::file(path, "a readable table", got, "write or copy it again")
}
