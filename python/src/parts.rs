//! `catalex._native.quantize`, `make_room` and `resolve_part`: a catalog in parts, for engines that run on a cluster.

use catalex::Error;
use catalex::semantic_id::{CatalogPart, QuantizedItems, make_room as room, resolve_part as resolved};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1};
use pyo3::prelude::*;

use crate::arrays::{Matrix, to_numpy};
use crate::features::{Features, ids, unique, whole};
use crate::tokenizer::Tokenizer;
use crate::work;

/// Codes, latents and squared errors.
type Rows<'py> = (Bound<'py, PyArray2<u16>>, Bound<'py, PyArray2<f32>>, Bound<'py, PyArray1<f32>>);
/// Codes, squared errors, and which rows moved.
type Moved<'py> = (Bound<'py, PyArray2<u16>>, Bound<'py, PyArray1<f32>>, Bound<'py, PyArray1<bool>>);

/// Codes `(n, levels)` as the quantizer gives them, latents `(n, latent_dim)` and squared errors of features.
#[pyfunction]
pub(crate) fn quantize<'py>(py: Python<'py>, model: &Tokenizer, features: &Features) -> PyResult<Rows<'py>> {
    let (model, source) = (model.inner.clone(), features.inner.clone());
    let QuantizedItems { codes, latents, errors, .. } =
        work::long(py, move |_| QuantizedItems::of(&*whole(&*source)?, &model))?;
    Ok((to_numpy(py, codes)?, to_numpy(py, latents)?, errors.into_pyarray(py)))
}

/// New codes for the items of overfull prefixes, of which `counts (p,)` are under each of `prefixes (p, levels - 1)`.
#[pyfunction]
pub(crate) fn make_room<'py>(
    py: Python<'py>,
    model: &Tokenizer,
    latents: &Bound<'py, PyArray2<f32>>,
    codes: &Bound<'py, PyArray2<u16>>,
    item_ids: &Bound<'py, PyAny>,
    prefixes: &Bound<'py, PyArray2<u16>>,
    counts: PyReadonlyArray1<'py, i64>,
) -> PyResult<Bound<'py, PyArray2<u16>>> {
    let (latents, codes, prefixes) = (Matrix::of(latents), Matrix::of(codes), Matrix::of(prefixes));
    let (item_ids, counts) = (ids(item_ids)?, counts.as_array().to_vec());
    let model = model.inner.clone();
    let made = work::long(py, move |progress| {
        unique(&item_ids)?;
        let part = CatalogPart { latents: latents.view(), codes: codes.view(), item_ids: &item_ids };
        room(part, prefixes.view(), &counts, model.quantizer(), progress)
    })?;
    to_numpy(py, made)
}

/// Codes of their own for all items of some prefixes that are not overfull.
#[pyfunction]
pub(crate) fn resolve_part<'py>(
    py: Python<'py>,
    model: &Tokenizer,
    latents: &Bound<'py, PyArray2<f32>>,
    codes: &Bound<'py, PyArray2<u16>>,
    places: &Bound<'py, PyArray2<u16>>,
    errors: PyReadonlyArray1<'py, f32>,
    item_ids: &Bound<'py, PyAny>,
) -> PyResult<Moved<'py>> {
    let (latents, codes, places) = (Matrix::of(latents), Matrix::of(codes), Matrix::of(places));
    let (item_ids, errors) = (ids(item_ids)?, errors.as_array().to_vec());
    let model = model.inner.clone();
    let (codes, errors, moved) = work::long(py, move |progress| {
        unique(&item_ids)?;
        let (codes, places) = (codes.view(), places.view());
        if codes.dim() != places.dim() {
            let (expected, got) = (format!("shape {:?}", codes.dim()), format!("shape {:?}", places.dim()));
            return Err(Error::mismatch("places", expected, got, "give one an item"));
        }
        let part = CatalogPart { latents: latents.view(), codes, item_ids: &item_ids };
        resolved(part, places, &errors, model.quantizer(), progress)
    })?;
    Ok((to_numpy(py, codes)?, errors.into_pyarray(py), moved.into_pyarray(py)))
}
