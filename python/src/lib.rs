//! The native half of the Python package `catalex`: what the frozen tokenizer and the index offer, without libtorch.

use pyo3::prelude::*;

/// `catalex._native`
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
