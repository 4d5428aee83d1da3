//! `catalex.Subset`.

use std::sync::Arc;

use pyo3::prelude::*;

/// A subset of a trie's items, created by `Trie.subset`; valid for that trie only.
#[pyclass(frozen, module = "catalex", name = "Subset")]
#[derive(Debug)]
pub(crate) struct PySubset {
    pub(crate) inner: catalex::constraint::Subset,
    pub(crate) trie: Arc<catalex::constraint::Trie>,
}

#[pymethods]
impl PySubset {
    fn __len__(&self) -> usize {
        self.inner.len()
    }

    fn __repr__(&self) -> String {
        format!("Subset({} of {} items)", self.inner.len(), self.trie.len())
    }
}
