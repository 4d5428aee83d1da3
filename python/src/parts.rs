//! `catalex._native.quantize`, `make_room` and `resolve_part`: tokenization of a catalog in parts, for cluster engines.

use catalex::semantic_id::{CatalogPart, Occupied, QuantizedItems, make_room as room, resolve_part as resolved};
use catalex::tokenizer::Tokenizer;
use catalex::{Error, ItemIds};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1};
use pyo3::prelude::*;

use crate::arrays::{NumpyMatrix, to_numpy};
use crate::errors::to_py;
use crate::features::{PyFeatures, ids, unique, whole};
use crate::tokenizer::PyTokenizer;
use crate::work;

/// Codes, latents and squared errors.
type QuantizedRows<'py> = (Bound<'py, PyArray2<u16>>, Bound<'py, PyArray2<f32>>, Bound<'py, PyArray1<f32>>);
/// Codes, squared errors, and whether each row's code was changed.
type ResolvedCodes<'py> = (Bound<'py, PyArray2<u16>>, Bound<'py, PyArray1<f32>>, Bound<'py, PyArray1<bool>>);

/// Some items: latents `(n, latent_dim)`, codes `(n, levels)` and ids.
#[derive(FromPyObject)]
pub(crate) struct PyPart<'py>(Bound<'py, PyArray2<f32>>, Bound<'py, PyArray2<u16>>, Bound<'py, PyAny>);

impl PyPart<'_> {
    fn owned(&self) -> PyResult<(NumpyMatrix<f32>, NumpyMatrix<u16>, ItemIds)> {
        Ok((NumpyMatrix::of(&self.0), NumpyMatrix::of(&self.1), ids(&self.2)?))
    }
}

/// The taken codes `(n, levels)`; empty if not given.
fn occupied(taken: Option<&Bound<'_, PyArray2<u16>>>, model: &Tokenizer) -> catalex::Result<Occupied> {
    let sizes = &model.config().codebook_sizes;
    taken.map_or_else(|| Occupied::new(sizes), |taken| Occupied::of_codes(NumpyMatrix::of(taken).view(), sizes))
}

/// The quantizer's codes `(n, levels)`, latents `(n, latent_dim)` and squared errors of features.
#[pyfunction]
pub(crate) fn quantize<'py>(
    py: Python<'py>,
    model: &PyTokenizer,
    features: &PyFeatures,
) -> PyResult<QuantizedRows<'py>> {
    let (model, source) = (model.inner.clone(), features.inner.clone());
    let QuantizedItems { codes, latents, errors, .. } =
        work::long(py, move |_| QuantizedItems::of(&*whole(&*source)?, &model))?;
    Ok((to_numpy(py, codes)?, to_numpy(py, latents)?, errors.into_pyarray(py)))
}

/// New codes for the items of overfull prefixes; `counts (p,)` items are under each of `prefixes (p, levels - 1)`. No
/// item gets one of the codes `taken (t, levels)`.
#[pyfunction]
#[pyo3(signature = (model, part, prefixes, counts, taken=None))]
pub(crate) fn make_room<'py>(
    py: Python<'py>,
    model: &PyTokenizer,
    part: PyPart<'py>,
    prefixes: &Bound<'py, PyArray2<u16>>,
    counts: PyReadonlyArray1<'py, i64>,
    taken: Option<&Bound<'py, PyArray2<u16>>>,
) -> PyResult<Bound<'py, PyArray2<u16>>> {
    let (latents, codes, item_ids) = part.owned()?;
    let (prefixes, counts) = (NumpyMatrix::of(prefixes), counts.as_array().to_vec());
    let model = model.inner.clone();
    let occupied = occupied(taken, &model).map_err(to_py)?;
    let made = work::long(py, move |progress| {
        unique(&item_ids)?;
        let part = CatalogPart { latents: latents.view(), codes: codes.view(), item_ids: &item_ids };
        room(part, prefixes.view(), &counts, model.quantizer(), &occupied, progress)
    })?;
    to_numpy(py, made)
}

/// Unique codes for all items of some prefixes that are not overfull. No item gets one of the codes
/// `taken (t, levels)`.
#[pyfunction]
#[pyo3(signature = (model, part, places, errors, taken=None))]
pub(crate) fn resolve_part<'py>(
    py: Python<'py>,
    model: &PyTokenizer,
    part: PyPart<'py>,
    places: &Bound<'py, PyArray2<u16>>,
    errors: PyReadonlyArray1<'py, f32>,
    taken: Option<&Bound<'py, PyArray2<u16>>>,
) -> PyResult<ResolvedCodes<'py>> {
    let (latents, codes, item_ids) = part.owned()?;
    let (places, errors) = (NumpyMatrix::of(places), errors.as_array().to_vec());
    let model = model.inner.clone();
    let occupied = occupied(taken, &model).map_err(to_py)?;
    let (codes, errors, moved) = work::long(py, move |progress| {
        unique(&item_ids)?;
        let (codes, places) = (codes.view(), places.view());
        if codes.dim() != places.dim() {
            let (expected, got) = (format!("shape {:?}", codes.dim()), format!("shape {:?}", places.dim()));
            return Err(Error::mismatch("places", expected, got, "pass one per item"));
        }
        let part = CatalogPart { latents: latents.view(), codes, item_ids: &item_ids };
        resolved(part, places, &errors, model.quantizer(), &occupied, progress)
    })?;
    Ok((to_numpy(py, codes)?, errors.into_pyarray(py), moved.into_pyarray(py)))
}
