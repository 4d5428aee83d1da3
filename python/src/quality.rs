//! `catalex._native.evaluate` and `catalex._native.resolve`.

use catalex::features::FeatureSource;
use catalex::progress::Progress;
use catalex::quality::{Figures, LabelFigures};
use catalex::semantic_id::{UnresolvedItems, resolve as resolved};
use catalex::tokenizer::{Offsets, Quantizer};
use catalex::{Error, ItemIds};
use numpy::{IntoPyArray, PyArray1, PyArray2};
use pyo3::prelude::*;

use crate::arrays::{NumpyMatrix, to_numpy};
use crate::errors::mismatch;
use crate::features::{PyFeatures, ids, unique};
use crate::token_table::PyTokenTable;
use crate::tokenizer::PyTokenizer;
use crate::work;

/// The measures of a table, as JSON.
#[pyfunction]
#[pyo3(signature = (table, model=None, features=None, labels=None, label="label"))]
pub(crate) fn evaluate(
    py: Python<'_>,
    table: &PyTokenTable,
    model: Option<&PyTokenizer>,
    features: Option<&PyFeatures>,
    labels: Option<Vec<String>>,
    label: &str,
) -> PyResult<String> {
    let (table, label) = (table.inner.clone(), label.to_owned());
    let source = match (model, features) {
        (Some(model), Some(features)) => Some((model.inner.clone(), features.inner.clone())),
        (None, None) => None,
        _ => {
            let help = "pass both for the measures that compare codes with vectors, or neither";
            return Err(mismatch("features", "together with model", "one of the two", help));
        }
    };
    work::long(py, move |progress: &dyn Progress| {
        let source = source.as_ref().map(|(model, features)| (&**model, &**features as &dyn FeatureSource));
        let mut figures = Figures::of_table(&table, source, progress)?;
        if let Some(labels) = labels {
            figures.labels = Some(LabelFigures::measure(&table, &label, &labels)?);
        }
        serde_json::to_string(&figures).map_err(|e| Error::mismatch("figures", "numbers", e, "please report this"))
    })
}

/// Codes, squared errors, changed rows, and the report as JSON.
type ResolvedTable<'py> = (Bound<'py, PyArray2<u16>>, Bound<'py, PyArray1<f32>>, Bound<'py, PyArray1<bool>>, String);

/// Makes codes `(n, levels)` unique, given their latents `(n, dim)` and codebooks.
#[pyfunction]
#[pyo3(signature = (latents, codes, codebooks, item_ids=None, model=None))]
pub(crate) fn resolve<'py>(
    py: Python<'py>,
    latents: &Bound<'py, PyArray2<f32>>,
    codes: &Bound<'py, PyArray2<u16>>,
    codebooks: Vec<Bound<'py, PyArray2<f32>>>,
    item_ids: Option<&Bound<'py, PyAny>>,
    model: Option<&PyTokenizer>,
) -> PyResult<ResolvedTable<'py>> {
    let (latents, codes) = (NumpyMatrix::of(latents), NumpyMatrix::of(codes));
    let n = codes.view().nrows();
    let item_ids = item_ids.map_or_else(|| Ok(ItemIds::row_numbers(n)), ids)?;
    let books: Vec<_> = codebooks.iter().map(|book| NumpyMatrix::of(book).view().to_owned()).collect();
    let quantizer = match model {
        Some(model) => model.inner.quantizer().clone(),
        None => {
            let sizes: Vec<usize> = books.iter().map(|book| book.nrows()).collect();
            Quantizer::new(books, Offsets::zero(sizes))
        }
    };
    let assignment = work::long(py, move |progress| {
        let (latents, codes) = (latents.view(), codes.view());
        check(&latents, &codes, &quantizer)?;
        unique(&item_ids)?;
        let errors: Vec<f32> =
            (&latents - &quantizer.decode(codes)).rows().into_iter().map(|row| row.dot(&row)).collect();
        let items = UnresolvedItems { latents: &latents, codes, errors: &errors, item_ids: &item_ids };
        resolved(&items, &quantizer, progress)
    })?;
    Ok((
        to_numpy(py, assignment.codes)?,
        assignment.errors.into_pyarray(py),
        assignment.reassigned.into_pyarray(py),
        serde_json::json!(assignment.report).to_string(),
    ))
}

/// Checks what the library assumes of its own models.
fn check(
    latents: &ndarray::ArrayView2<f32>,
    codes: &ndarray::ArrayView2<u16>,
    quantizer: &Quantizer,
) -> catalex::Result<()> {
    let books = quantizer.codebooks();
    let fits = |what: &str, expected: String, got: String, help: &str| {
        if expected == got { Ok(()) } else { Err(Error::mismatch(what, expected, got, help)) }
    };
    let shape = |a: usize, b: usize| format!("shape ({a}, {b})");
    let help = "pass one codebook per level and one latent per item";
    fits("codes", shape(codes.nrows(), books.len()), shape(codes.nrows(), codes.ncols()), help)?;
    for book in books {
        let wanted = shape(codes.nrows(), book.ncols());
        fits("latents", wanted, shape(latents.nrows(), latents.ncols()), help)?;
    }
    for (level, book) in books.iter().enumerate() {
        if let Some(code) = codes.column(level).iter().find(|&&code| usize::from(code) >= book.nrows()) {
            let expected = format!("below {}", book.nrows());
            return Err(Error::mismatch(
                format!("codes of level {level}"),
                expected,
                code,
                "pass the codebooks of these codes",
            ));
        }
    }
    match latents.indexed_iter().find(|(_, v)| !v.is_finite()) {
        Some(((row, column), value)) => {
            Err(Error::data(format!("latents[{row}, {column}]"), "finite numbers", value, "correct or drop the item"))
        }
        None => Ok(()),
    }
}
