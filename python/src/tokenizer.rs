//! `catalex._native.Tokenizer`: the frozen model.

use std::path::PathBuf;
use std::sync::Arc;

use catalex::artifact::Overwrite;
use catalex::index::{Index, MODEL, resolve_index};
use catalex::semantic_id::{TokenFormat, TokenTable as Table};
use catalex::tokenizer::Tokenizer as Inner;
use catalex::{Error, ErrorKind};
use ndarray::{Array2, ArrayView2, s};
use numpy::{PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::arrays::{to_numpy, view};
use crate::errors::{model_error, to_py};
use crate::features::PyFeatures;
use crate::token_table::PyTokenTable;
use crate::work;

/// A trained model that assigns codes to items.
#[pyclass(frozen, module = "catalex._native", name = "Tokenizer")]
#[derive(Debug)]
pub(crate) struct PyTokenizer {
    pub(crate) inner: Arc<Inner>,
}

#[pymethods]
impl PyTokenizer {
    /// Reads the folder of a model, or the one of an index.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let read = py.detach(|| {
            // Prevents the removal of a store's generation until it has been read.
            let held = resolve_index(&path)?;
            let path =
                if Index::is_index(&held) { Index::open_for(&held, &[MODEL])?.path(MODEL) } else { held.to_path_buf() };
            Inner::load(&path)
        });
        let inner = read.map_err(|e| match e.kind() {
            ErrorKind::Environment => to_py(e),
            _ => model_error(&e),
        })?;
        Ok(PyTokenizer { inner: Arc::new(inner) })
    }

    /// A model of the bytes that `to_bytes` returned.
    #[staticmethod]
    fn of_bytes(config: &[u8], weights: &[u8]) -> PyResult<Self> {
        Ok(PyTokenizer { inner: Arc::new(Inner::of_bytes(config, weights).map_err(|e| model_error(&e))?) })
    }

    /// The contents of `config.json` and `model.safetensors`.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let (config, weights) = self.inner.to_bytes().map_err(to_py)?;
        Ok((PyBytes::new(py, &config), PyBytes::new(py, &weights)))
    }

    /// Writes the model's folder.
    #[pyo3(signature = (path, *, force=false))]
    fn save(&self, py: Python<'_>, path: PathBuf, force: bool) -> PyResult<()> {
        let overwrite = if force { Overwrite::Replace } else { Overwrite::Refuse };
        py.detach(|| self.inner.save(&path, overwrite)).map_err(to_py)
    }

    /// Name and vector length of each modality.
    #[getter]
    fn modalities(&self) -> Vec<(String, usize)> {
        self.inner.config().modalities.iter().map(|m| (m.name.clone(), m.dim)).collect()
    }

    /// Total vector length over all modalities.
    #[getter]
    fn dim(&self) -> usize {
        self.inner.config().dim()
    }

    /// Dimension of the latents.
    #[getter]
    fn latent_dim(&self) -> usize {
        self.inner.config().latent_dim
    }

    /// Codes per level.
    #[getter]
    fn codebook_sizes(&self) -> Vec<usize> {
        self.inner.config().codebook_sizes.clone()
    }

    /// SHA-256 of the weights.
    #[getter]
    fn hash(&self) -> String {
        self.inner.hash().to_owned()
    }

    /// `config.json` as text.
    #[getter]
    fn config_json(&self) -> PyResult<String> {
        serde_json::to_string(self.inner.config())
            .map_err(|e| to_py(Error::mismatch("config", "a JSON value", e, "please report this")))
    }

    /// One codebook `(size, latent_dim)` per level.
    #[getter]
    fn codebooks<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyArray2<f32>>>> {
        self.inner.codebooks().iter().map(|book| to_numpy(py, book.clone())).collect()
    }

    /// Codes `(n, levels)` of rows `(n, dim)`.
    #[pyo3(signature = (x, present=None))]
    fn encode<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArray2<'py, f32>,
        present: Option<PyReadonlyArray2<'py, bool>>,
    ) -> PyResult<Bound<'py, PyArray2<u16>>> {
        let (x, present) = (view(&x), present.as_ref().map(|present| view(present)));
        let mut codes = Array2::zeros((x.nrows(), self.inner.config().levels()));
        work::by_rows(py, x.nrows(), |rows| {
            let part = present.map(|present| present.slice_move(s![rows.clone(), ..]));
            let found = self.inner.codes(x.slice(s![rows.clone(), ..]), part).map_err(|e| at_row(e, x))?;
            codes.slice_mut(s![rows, ..]).assign(&found);
            Ok(())
        })?;
        to_numpy(py, codes)
    }

    /// Latents `(n, latent_dim)` of rows `(n, dim)`: what the codes approximate.
    #[pyo3(signature = (x, present=None))]
    fn latents<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArray2<'py, f32>,
        present: Option<PyReadonlyArray2<'py, bool>>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let (x, present) = (view(&x), present.as_ref().map(|present| view(present)));
        let mut latents = Array2::zeros((x.nrows(), self.inner.config().latent_dim));
        work::by_rows(py, x.nrows(), |rows| {
            let part = present.map(|present| present.slice_move(s![rows.clone(), ..]));
            let found = self.inner.encode(x.slice(s![rows.clone(), ..]), part).map_err(|e| at_row(e, x))?;
            latents.slice_mut(s![rows, ..]).assign(&found.latents);
            Ok(())
        })?;
        to_numpy(py, latents)
    }

    /// Reconstructed rows `(n, dim)` of codes `(n, levels)`.
    fn decode<'py>(&self, py: Python<'py>, codes: PyReadonlyArray2<'py, u16>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let codes = view(&codes);
        let mut rows_of_codes = Array2::zeros((codes.nrows(), self.inner.config().dim()));
        work::by_rows(py, codes.nrows(), |rows| {
            let found = self.inner.decode(codes.slice(s![rows.clone(), ..]))?;
            rows_of_codes.slice_mut(s![rows, ..]).assign(&found);
            Ok(())
        })?;
        to_numpy(py, rows_of_codes)
    }

    /// The token table of features. Items of a previous table keep their IDs and come first.
    #[pyo3(signature = (features, token_format, collisions, previous=None))]
    fn tokenize(
        &self,
        py: Python<'_>,
        features: &PyFeatures,
        token_format: &str,
        collisions: &str,
        previous: Option<&PyTokenTable>,
    ) -> PyResult<PyTokenTable> {
        let token_format: TokenFormat = token_format.parse().map_err(to_py)?;
        let collisions = collisions.parse().map_err(to_py)?;
        let (model, source) = (self.inner.clone(), features.inner.clone());
        let previous = previous.map(|previous| previous.inner.clone());
        let table = work::long(py, move |progress| match previous {
            None => Table::of_features(&*source, &model, token_format, collisions, progress),
            Some(previous) => Ok((*previous).clone().extended(&*source, &model, progress)?.0),
        })?;
        Ok(PyTokenTable::new(table))
    }
}

/// The error of a chunk, with the row and column in the whole matrix of a number that is not finite.
fn at_row(error: Error, x: ArrayView2<f32>) -> Error {
    match (&error, x.indexed_iter().find(|(_, v)| !v.is_finite())) {
        (Error::Data { .. }, Some(((row, column), value))) => Error::data(
            format!("X[{row}, {column}]"),
            "finite numbers",
            value,
            "drop the item, or mark the modality as missing with `present`",
        ),
        _ => error,
    }
}

/// The semantic IDs of codes `(n, levels)`, or of prefixes.
#[pyfunction]
pub(crate) fn semantic_ids(
    py: Python<'_>,
    codes: PyReadonlyArray2<'_, u16>,
    token_format: &str,
) -> PyResult<Vec<String>> {
    let format: TokenFormat = token_format.parse().map_err(to_py)?;
    let codes = view(&codes);
    Ok(py.detach(|| codes.rows().into_iter().map(|row| format.semantic_id(&row.to_vec())).collect()))
}

/// The codes of semantic IDs, or of prefixes of equal length, for codebooks of these sizes.
#[pyfunction]
pub(crate) fn parse_ids<'py>(
    py: Python<'py>,
    ids: Vec<String>,
    codebook_sizes: Vec<usize>,
    token_format: &str,
) -> PyResult<Bound<'py, PyArray2<u16>>> {
    let format: TokenFormat = token_format.parse().map_err(to_py)?;
    let rows = ids.iter().map(|id| format.parse(id, &codebook_sizes)).collect::<Result<Vec<_>, _>>().map_err(to_py)?;
    let levels = rows.first().map_or(codebook_sizes.len(), Vec::len);
    let uneven = |e: &dyn std::fmt::Display| {
        to_py(Error::mismatch("semantic IDs", "the same number of codes in each", e, "correct them"))
    };
    if let Some(other) = rows.iter().find(|row| row.len() != levels) {
        return Err(uneven(&format!("{levels} and {}", other.len())));
    }
    let codes = Array2::from_shape_vec((rows.len(), levels), rows.concat()).map_err(|e| uneven(&e))?;
    to_numpy(py, codes)
}
