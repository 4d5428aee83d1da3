//! Rows of items by their ids.

use std::collections::HashMap;
use std::sync::OnceLock;

use catalex::ItemIds;
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::errors::{mismatch, to_py};

/// The ids of items, and the row of each id, which is computed on first use.
#[derive(Debug)]
pub(crate) struct ItemRows {
    pub(crate) ids: ItemIds,
    rows: OnceLock<RowById>,
}

#[derive(Debug)]
enum RowById {
    Integers(HashMap<i64, u32>),
    Strings(HashMap<String, u32>),
}

impl ItemRows {
    pub(crate) fn new(ids: ItemIds) -> Self {
        ItemRows { ids, rows: OnceLock::new() }
    }

    fn rows(&self) -> &RowById {
        self.rows.get_or_init(|| match &self.ids {
            ItemIds::Integers(ids) => RowById::Integers(ids.iter().copied().zip(0..).collect()),
            ItemIds::Strings(ids) => RowById::Strings(ids.iter().cloned().zip(0..).collect()),
        })
    }

    /// The row of an id, given as text.
    pub(crate) fn row(&self, id: &str) -> Option<u32> {
        match self.rows() {
            RowById::Integers(rows) => rows.get(&id.parse().ok()?).copied(),
            RowById::Strings(rows) => rows.get(id).copied(),
        }
    }

    /// The rows of some ids. An integer equals the string of its digits.
    pub(crate) fn find(&self, items: &Bound<'_, PyAny>) -> PyResult<Vec<u32>> {
        self.each(items)?.into_iter().map(|(row, item)| row.map_or_else(|| Err(unknown(&item)), Ok)).collect()
    }

    /// As [`ItemRows::find`], without the ids that are no items.
    pub(crate) fn find_known(&self, items: &Bound<'_, PyAny>) -> PyResult<Vec<u32>> {
        Ok(self.each(items)?.into_iter().filter_map(|(row, _)| row).collect())
    }

    /// The row of each id, and the text of an id that is no item.
    fn each(&self, items: &Bound<'_, PyAny>) -> PyResult<Vec<(Option<u32>, String)>> {
        if items.is_instance_of::<PyString>() {
            return Err(mismatch("items", "a collection of ids", "a single string", "pass a list: [id]"));
        }
        let rows = self.rows();
        let told = |row: Option<&u32>, text: &dyn Fn() -> PyResult<String>| match row {
            Some(row) => Ok((Some(*row), String::new())),
            None => text().map(|text| (None, text)),
        };
        if let (RowById::Integers(rows), Ok(items)) = (rows, items.extract::<PyReadonlyArray1<'_, i64>>()) {
            return items.as_array().iter().map(|id| told(rows.get(id), &|| Ok(id.to_string()))).collect();
        }
        let row = |item: Bound<'_, PyAny>| {
            let row = match rows {
                RowById::Integers(rows) => match item.extract::<i64>() {
                    Ok(id) => rows.get(&id),
                    Err(_) => item.str()?.to_str()?.parse().ok().and_then(|id: i64| rows.get(&id)),
                },
                RowById::Strings(rows) => rows.get(item.str()?.to_str()?),
            };
            told(row, &|| Ok(item.str()?.to_string()))
        };
        items.try_iter()?.map(|item| row(item?)).collect()
    }
}

fn unknown(id: &str) -> PyErr {
    to_py(catalex::Error::Item {
        item: id.to_owned(),
        expected: "an item of the token table".into(),
        got: "none".into(),
        help: "check the id; it must be an id of the catalog".into(),
    })
}
