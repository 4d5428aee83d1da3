//! Checks the files and columns of a feature table before any vector is read.

use std::path::Path;

use arrow::datatypes::{Schema, SchemaRef};

use super::{FOREIGN_IDS, FORMAT_VERSION, ID, VERSION_KEY, columns};
use crate::error::{Error, Result};
use crate::table::{TableFiles, TableFormat, find_tables, list_columns};

/// The expected kind of features file, for error messages.
const EXPECTED: &str =
    "features: a Parquet or Arrow table, a folder or a pattern of these, or a .npy or safetensors matrix";

/// The columns to read. All files of a table must have them.
pub(super) struct VectorColumns {
    pub(super) vectors: Vec<String>,
    pub(super) id: Option<String>,
}

/// The files of a table of features; CSV and JSON Lines are refused.
pub(super) fn find_features(path: &Path) -> Result<TableFiles> {
    let not_features = |got: String| {
        let help = "features are read from Parquet, Arrow IPC, .npy and .safetensors; `catalex embed` makes them from a catalog";
        Error::file(path, "a Parquet, Arrow, .npy or .safetensors file", got, help)
    };
    let found = if path.is_file() {
        let format = TableFormat::detect(path)?.ok_or_else(|| not_features("an unknown format".into()))?;
        TableFiles::one(format, path)
    } else {
        find_tables(path, EXPECTED)?
    };
    match found.format {
        TableFormat::Parquet | TableFormat::ArrowFile | TableFormat::ArrowStream => Ok(found),
        other => Err(not_features(format!("a {other} table"))),
    }
}

/// Tables of other programs have no version. In a catalex table with another version, columns can have another meaning.
pub(super) fn check_version(file: &Path, schema: &Schema) -> Result<()> {
    match schema.metadata().get(VERSION_KEY) {
        Some(version) if version != FORMAT_VERSION => {
            let expected = format!("format version {FORMAT_VERSION}");
            Err(Error::artifact(file, expected, version, "read it with the catalex that wrote it"))
        }
        _ => Ok(()),
    }
}

pub(super) fn find_id(schema: &Schema, id: Option<&str>) -> Option<String> {
    let mut names = id.into_iter().chain([ID]).chain(FOREIGN_IDS);
    names.find(|name| schema.field_with_name(name).is_ok()).map(str::to_owned)
}

pub(super) fn select_vectors(file: &Path, schema: &SchemaRef, only: Option<&str>) -> Result<Vec<String>> {
    let vectors = vectors(file, schema)?;
    match only {
        None => Ok(vectors),
        Some(column) if vectors.iter().any(|name| name == column) => Ok(vec![column.to_owned()]),
        Some(column) => Err(Error::Column {
            path: file.to_path_buf(),
            column: column.to_owned(),
            expected: "a column of float lists".into(),
            got: columns_of(schema),
            help: format!("name one of: {}", list_columns(&vectors)),
        }),
    }
}

/// Checks that another file has the same columns as the first one.
pub(super) fn check_same_columns(
    file: &Path,
    schema: &Schema,
    first: &VectorColumns,
    id: Option<String>,
) -> Result<()> {
    let error = |column: &str, expected: &str, got: String| Error::Column {
        path: file.to_path_buf(),
        column: column.to_owned(),
        expected: expected.into(),
        got,
        help: "write all files of the table with the same columns".into(),
    };
    for name in &first.vectors {
        let found = schema.field_with_name(name).map(|field| field.data_type()).ok();
        if !found.is_some_and(columns::is_vector) {
            let got = found.map_or("no such column".into(), ToString::to_string);
            return Err(error(name, "a column of float lists, as in the first file", got));
        }
    }
    match (&first.id, id) {
        (None, Some(id)) => Err(error(&id, "no id column, as in the first file", "one".into())),
        (Some(id), found) if found.as_ref() != Some(id) => {
            Err(error(id, "the ids, as in the first file", found.unwrap_or_else(|| "no such column".into())))
        }
        _ => Ok(()),
    }
}

/// The columns that hold vectors; at least one.
pub(super) fn vectors(path: &Path, schema: &SchemaRef) -> Result<Vec<String>> {
    let vectors: Vec<String> =
        schema.fields().iter().filter(|f| columns::is_vector(f.data_type())).map(|f| f.name().clone()).collect();
    if vectors.is_empty() {
        let help = "embed the catalog first with `catalex embed`, or name a table that holds vectors";
        return Err(Error::file(path, "a column of float lists", columns_of(schema), help));
    }
    Ok(vectors)
}

/// The existing columns with their types, for error messages.
fn columns_of(schema: &SchemaRef) -> String {
    format!("columns {}", list_columns(schema.fields().iter().map(|f| format!("{} ({})", f.name(), f.data_type()))))
}
