//! Stores and their generations: `catalex._native.publish`, `rollback`, `history` and `verify`.

use std::path::PathBuf;

use catalex::index::{self, Index, ResolvedIndex};
use catalex::pipeline;
use pyo3::prelude::*;

use crate::errors::to_py;
use crate::pipeline::{job, json_text, spec_of};
use crate::work;

/// Prevents the removal of a store's generation while this object exists.
#[pyclass(frozen, module = "catalex._native", name = "Hold")]
#[derive(Debug)]
pub(crate) struct PyHold {
    _index: ResolvedIndex,
}

/// The folder of an index, or of the current generation of a store, and an object that prevents its removal.
#[pyfunction]
pub(crate) fn resolve_index(py: Python<'_>, path: PathBuf) -> PyResult<(PathBuf, PyHold)> {
    let index = work::short(py, || index::resolve_index(&path))?;
    Ok((index.to_path_buf(), PyHold { _index: index }))
}

/// Whether a path is an index or a store.
#[pyfunction]
pub(crate) fn is_index(path: PathBuf) -> bool {
    Index::is_index(&path)
}

/// Publishes an index to a store.
#[pyfunction]
pub(crate) fn publish(py: Python<'_>, spec: &str, listener: &Bound<'_, PyAny>) -> PyResult<String> {
    job(py, spec, listener, |spec: pipeline::PublishSpec, _| pipeline::publish(&spec))
}

/// Makes another generation of a store the current one.
#[pyfunction]
pub(crate) fn rollback(py: Python<'_>, spec: &str) -> PyResult<String> {
    let spec: pipeline::RollbackSpec = spec_of(spec).map_err(to_py)?;
    work::short(py, || json_text(&pipeline::rollback(&spec)?))
}

/// Lists the generations of a store.
#[pyfunction]
pub(crate) fn history(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    work::short(py, || json_text(&pipeline::history(&path)?))
}

/// Checks an index, a store or a file.
#[pyfunction]
pub(crate) fn verify(py: Python<'_>, spec: &str, listener: &Bound<'_, PyAny>) -> PyResult<String> {
    job(py, spec, listener, |spec: pipeline::VerifySpec, progress| pipeline::verify(&spec, progress))
}
