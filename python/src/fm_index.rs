//! `catalex.FmIndex` and `catalex.Occurrences`.

use std::path::PathBuf;
use std::sync::Arc;

use catalex::artifact::Overwrite;
use catalex::constraint::{Document, FmIndex as Inner, Occurrences as Found};
use numpy::PyArray1;
use pyo3::prelude::*;

use crate::errors::{mismatch, to_py};
use crate::work;

/// The continuations of a fragment: tokens, their counts, and the number of occurrences at the end of an item.
type PyContinuations<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<u32>>, u32);

/// An index of all fragments of all items' identifiers.
#[pyclass(frozen, module = "catalex", name = "FmIndex")]
#[derive(Debug)]
pub(crate) struct PyFmIndex {
    inner: Arc<Inner>,
}

/// The occurrences of a fragment; valid only for the index that returned them.
#[pyclass(frozen, module = "catalex", name = "Occurrences")]
#[derive(Debug)]
pub(crate) struct PyOccurrences {
    found: Found,
    index: Arc<Inner>,
}

#[pymethods]
impl PyFmIndex {
    /// Builds the index of items; an item is a list of facets, a facet a list of token ids.
    #[staticmethod]
    fn from_documents(py: Python<'_>, documents: Vec<Vec<Vec<u32>>>) -> PyResult<Self> {
        let made = work::short(py, || Inner::new(documents.into_iter().map(|facets| Document { facets })));
        Ok(PyFmIndex { inner: Arc::new(made?) })
    }

    /// Maps a file that `save` wrote into memory and verifies it.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        Ok(PyFmIndex { inner: Arc::new(py.detach(|| Inner::load(&path)).map_err(to_py)?) })
    }

    /// Writes it to a file.
    #[pyo3(signature = (path, *, force=false))]
    fn save(&self, py: Python<'_>, path: PathBuf, force: bool) -> PyResult<()> {
        let overwrite = if force { Overwrite::Replace } else { Overwrite::Refuse };
        py.detach(|| self.inner.save(&path, overwrite)).map_err(to_py)
    }

    /// Number of facets per item.
    #[getter]
    fn facets(&self) -> usize {
        self.inner.facets()
    }

    /// Size in bytes.
    #[getter]
    fn nbytes(&self) -> usize {
        self.inner.size()
    }

    /// The occurrences of a fragment in any identifier.
    fn range(&self, tokens: Vec<u32>) -> PyOccurrences {
        self.found(self.inner.range(&tokens))
    }

    /// The number of occurrences of a fragment.
    fn count(&self, tokens: Vec<u32>) -> usize {
        self.inner.count(&tokens)
    }

    /// Every position of every item.
    fn anywhere(&self) -> PyOccurrences {
        self.found(self.inner.anywhere())
    }

    /// The start of every item.
    fn beginnings(&self) -> PyOccurrences {
        self.found(self.inner.beginnings())
    }

    /// The occurrences of a fragment extended by one token.
    fn extend(&self, found: &PyOccurrences, token: u32) -> PyResult<PyOccurrences> {
        Ok(self.found(self.inner.extend(self.of_this(found)?, token)))
    }

    /// The following tokens, ascending; their counts; the number of occurrences at the end of an item.
    fn continuations<'py>(&self, py: Python<'py>, found: &PyOccurrences) -> PyResult<PyContinuations<'py>> {
        let next = self.inner.continuations(self.of_this(found)?);
        Ok((PyArray1::from_vec(py, next.tokens), PyArray1::from_vec(py, next.counts), next.ends))
    }

    /// Item, facet and offset in the facet of the occurrences; at most `limit` of them.
    #[pyo3(signature = (found, limit=None))]
    fn locate(
        &self,
        py: Python<'_>,
        found: &PyOccurrences,
        limit: Option<usize>,
    ) -> PyResult<Vec<(usize, usize, usize)>> {
        let found = self.of_this(found)?;
        let positions = |limit| self.inner.locate(found).take(limit).map(|at| (at.item, at.facet, at.offset)).collect();
        Ok(py.detach(|| positions(limit.unwrap_or(usize::MAX))))
    }

    /// The items that contain the fragment, ascending, without duplicates.
    fn items(&self, py: Python<'_>, found: &PyOccurrences) -> PyResult<Vec<usize>> {
        let found = self.of_this(found)?;
        Ok(py.detach(|| self.inner.items(found)))
    }

    /// The facets of an item as token ids.
    fn document(&self, item: usize) -> PyResult<Vec<Vec<u32>>> {
        let document = self.inner.document(item).ok_or_else(|| {
            let help = "items are numbered in the order of the documents";
            mismatch("item of an index", &format!("items below {}", self.inner.len()), item, help)
        })?;
        Ok(document.facets)
    }

    fn __len__(&self) -> usize {
        self.inner.len()
    }

    fn __repr__(&self) -> String {
        let (items, facets, size) = (self.inner.len(), self.inner.facets(), self.inner.size());
        format!("FmIndex({items} items, {facets} facets, {size} bytes)")
    }
}

impl PyFmIndex {
    fn found(&self, found: Found) -> PyOccurrences {
        PyOccurrences { found, index: self.inner.clone() }
    }

    /// The occurrences, if this index returned them.
    fn of_this(&self, occurrences: &PyOccurrences) -> PyResult<Found> {
        if Arc::ptr_eq(&self.inner, &occurrences.index) {
            return Ok(occurrences.found);
        }
        let help = "use them with the index that returned them";
        Err(mismatch("occurrences", "those of this index", "those of another", help))
    }
}

#[pymethods]
impl PyOccurrences {
    /// Length of the fragment in tokens.
    #[getter]
    fn length(&self) -> usize {
        self.found.length()
    }

    fn __len__(&self) -> usize {
        self.found.count()
    }

    fn __repr__(&self) -> String {
        format!("Occurrences({} of a fragment of {} tokens)", self.found.count(), self.found.length())
    }
}
