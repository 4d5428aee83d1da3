//! `catalex._native.time_codes`, which exists only with the feature `benchmarks`.

use numpy::PyReadonlyArray2;
use pyo3::prelude::*;

use crate::arrays::view;
use crate::tokenizer::PyTokenizer;
use crate::work;

/// Seconds that the Rust call takes for the codes of rows `(n, dim)`.
#[pyfunction]
pub(crate) fn time_codes(py: Python<'_>, model: &PyTokenizer, x: PyReadonlyArray2<'_, f32>) -> PyResult<f64> {
    let x = view(&x);
    work::short(py, || {
        let began = std::time::Instant::now();
        model.inner.codes(x, None)?;
        Ok(began.elapsed().as_secs_f64())
    })
}
