//! Streaming columns of a catalog with the types that its files give them.

use std::path::Path;
use std::sync::Arc;

use arrow::array::ArrayRef;

use super::CatalogSpec;
use super::column_errors::id_error;
use super::pictures::{CatalogFiles, find_catalog};
use super::roles::ID_NAMES;
use crate::error::{Error, Result};
use crate::item_ids::ItemIds;
use crate::table::{ColumnRequest, TableFormat, TableReader, damaged};

/// An iterator over some columns of a catalog. The type of a column can differ between batches.
pub(crate) struct AttributeReader {
    table: TableReader,
    untyped: bool,
}

/// Consecutive items of a catalog with the requested columns.
pub(crate) struct AttributeBatch {
    /// The file.
    pub(crate) file: Arc<Path>,
    /// 0-based row of the first item, within the file.
    pub(crate) first_row: u64,
    /// The items' ids.
    pub(crate) item_ids: ItemIds,
    /// The requested columns, in the order of the request.
    pub(crate) columns: Vec<ArrayRef>,
}

impl AttributeReader {
    /// Opens the catalog of a spec, with its id column and these columns.
    ///
    /// # Errors
    /// [`Error::File`] for a folder of images, and for a file that cannot be read; [`Error::Column`] for an absent
    /// column.
    pub(crate) fn open(spec: &CatalogSpec, columns: &[&str]) -> Result<Self> {
        let files = match find_catalog(&spec.path)? {
            CatalogFiles::Tables(files) => files.with_dialect(spec.csv),
            CatalogFiles::Pictures(..) => {
                let help = "omit --attributes, or pass a table with a column of image paths";
                return Err(Error::file(&spec.path, "a table with the attributes", "a folder of images", help));
            }
        };
        let untyped = matches!(files.format, TableFormat::Csv | TableFormat::Tsv | TableFormat::JsonLines);
        let id = ColumnRequest::named_or(spec.id.as_deref(), &ID_NAMES).of_ids();
        let others = columns.iter().map(|&column| ColumnRequest::required(column));
        let table = TableReader::open(&spec.path, files, std::iter::once(id).chain(others).collect())?;
        Ok(AttributeReader { table, untyped })
    }

    /// Whether the files have no types (CSV, JSON Lines), so that types are inferred from texts.
    pub(crate) fn untyped(&self) -> bool {
        self.untyped
    }
}

impl Iterator for AttributeReader {
    type Item = Result<AttributeBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match self.table.next()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        let missing = || damaged(&batch.file, "a batch without a requested column");
        let mut columns = batch.columns.iter();
        let Some(Some((name, ids))) = columns.next() else { return Some(Err(missing())) };
        let item_ids = match ItemIds::from_arrow(ids) {
            Ok(item_ids) => item_ids,
            Err(fault) => return Some(Err(id_error(&batch, name, fault))),
        };
        let columns: Option<Vec<ArrayRef>> =
            columns.map(|column| column.as_ref().map(|(_, column)| column.clone())).collect();
        Some(columns.ok_or_else(missing).map(|columns| AttributeBatch {
            file: batch.file.clone(),
            first_row: batch.first_row,
            item_ids,
            columns,
        }))
    }
}
