//! The attributes of a trie's items.

use std::sync::{Arc, PoisonError};

use catalex::ItemIds;
use pyo3::prelude::*;

use crate::attributes::PyAttributes;
use crate::errors::mismatch;
use crate::trie::PyTrie;
use crate::work;

impl PyTrie {
    /// Checks that attributes are those of the items of the trie, in the order of the token table. Attributes without
    /// ids must have as many rows; for a trie without ids, nothing is checked.
    pub(crate) fn check_attributes(&self, py: Python<'_>, attributes: &PyAttributes) -> PyResult<()> {
        let Some(items) = &self.items else { return Ok(()) };
        let checked = || self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if checked().upgrade().is_some_and(|known| Arc::ptr_eq(&known, &attributes.inner)) {
            return Ok(());
        }
        let (expected, got) = (&items.ids, attributes.ids());
        let help = "pass the attributes of the trie's index, or rows in the order of its token table";
        let wrong = |expected: String, got: String| Err(mismatch("attributes of the trie", &expected, got, help));
        if got.map_or(attributes.len(), ItemIds::len) != expected.len() {
            return wrong(format!("{} items", expected.len()), attributes.len().to_string());
        }
        if let Some(got) = got {
            let other = |row: &usize| expected.text(*row) != got.text(*row);
            let other = work::pooled(py, || if expected == got { None } else { (0..got.len()).find(other) })?;
            if let Some(row) = other {
                return wrong(format!("item {:?} in row {row}", expected.text(row)), format!("{:?}", got.text(row)));
            }
        }
        *checked() = Arc::downgrade(&attributes.inner);
        Ok(())
    }
}
