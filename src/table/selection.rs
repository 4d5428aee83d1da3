//! The requested columns of a schema.

use std::path::Path;

use arrow::datatypes::{DataType, Schema};

use super::column_request::{ColumnRequest, list_columns};
use super::notes::TableNotes;
use crate::error::Result;

/// The requested columns, located in a schema.
pub(super) struct Selection {
    pub(super) columns: Vec<Option<String>>,
    pub(super) types: Vec<Option<DataType>>,
    /// Their indices in the schema, ascending, without repetition. Of several columns with the same name, the first is
    /// used.
    pub(super) places: Vec<usize>,
}

impl Selection {
    pub(super) fn new(path: &Path, schema: &Schema, requests: &[ColumnRequest], notes: &TableNotes) -> Result<Self> {
        let mut selection = Selection { columns: Vec::new(), types: Vec::new(), places: Vec::new() };
        for request in requests {
            let name = request.find(|name| schema.index_of(name).is_ok());
            if name.is_none() && request.required {
                return Err(request.absent(path, &list_columns(schema.fields().iter().map(|field| field.name()))));
            }
            if let Some(name) = &name
                && schema.fields().iter().filter(|field| field.name() == name).count() > 1
            {
                notes.add(format!("{}: several columns are named {name:?}; the first is read", path.display()));
            }
            let place = name.as_ref().and_then(|name| schema.index_of(name).ok());
            selection.types.push(place.map(|place| schema.field(place).data_type().clone()));
            selection.places.extend(place);
            selection.columns.push(name);
        }
        selection.places.sort_unstable();
        selection.places.dedup();
        Ok(selection)
    }
}
