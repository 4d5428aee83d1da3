//! `catalex._native.Decoder`: what `catalex.LogitsProcessor` calls once a step.

use std::sync::Arc;

use catalex::constraint::{After, Decoding, LogitsMut, PartialAnswers, Rules, Start, Trie as Inner};
use numpy::{Element, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::errors::{mismatch, to_py};
use crate::subset::PySubset;
use crate::trie::{PyTrie, checked, without_tokens};
use crate::work;

/// What [`Decoder::allowed`] answers.
type Allowed<'py> = (Bound<'py, PyArray1<bool>>, Bound<'py, PyArray1<i64>>);

/// A trie and the rules for its IDs.
#[pyclass(frozen, module = "catalex._native", name = "Decoder")]
#[derive(Debug)]
pub(crate) struct PyDecoder {
    trie: Arc<Inner>,
    rules: Rules,
}

#[pymethods]
impl PyDecoder {
    #[new]
    fn new(trie: &PyTrie, start: &str, after: &str, eos: Vec<u32>) -> PyResult<Self> {
        let unknown = |key: &str, expected: &str, got: &str| {
            to_py(catalex::Error::config(key, expected, format!("{got:?}"), "choose among them"))
        };
        let start = match start {
            "always" => Start::Always,
            "free" => Start::Free,
            other => return Err(unknown("start", "always or free", other)),
        };
        let after = match after {
            "any" => After::Any,
            "eos" => After::Eos,
            "id" => After::Id,
            other => return Err(unknown("after", "any, eos or id", other)),
        };
        let decoder = PyDecoder { trie: trie.inner.clone(), rules: Rules { start, after, eos } };
        decoder.decoding()?;
        Ok(decoder)
    }

    /// Masks a matrix of scores (float32, float64, or 16-bit floats as int16) in place, or into `out`. `lowest` is minus
    /// infinity for int16.
    #[pyo3(signature = (said, prompt, subsets, scores, out=None, lowest=i16::MIN))]
    #[allow(clippy::too_many_arguments, reason = "they are Python's")]
    fn mask(
        &self,
        py: Python<'_>,
        said: PyReadonlyArray2<'_, i64>,
        prompt: usize,
        subsets: Option<Vec<Option<Py<PySubset>>>>,
        scores: &Bound<'_, PyAny>,
        out: Option<&Bound<'_, PyAny>>,
        lowest: i16,
    ) -> PyResult<()> {
        if let Ok(scores) = scores.cast::<PyArray2<f32>>() {
            self.mask_of(py, &said, prompt, subsets, scores, out, f32::NEG_INFINITY)
        } else if let Ok(scores) = scores.cast::<PyArray2<f64>>() {
            self.mask_of(py, &said, prompt, subsets, scores, out, f64::NEG_INFINITY)
        } else if let Ok(scores) = scores.cast::<PyArray2<i16>>() {
            self.mask_of(py, &said, prompt, subsets, scores, out, lowest)
        } else {
            Err(mismatch("scores", "a matrix of floats", scores.get_type(), "give the model's logits (rows, tokens)"))
        }
    }

    /// For each row whether all words may come that are neither codes nor markers, and the places `row * logits + token`
    /// of the others that may.
    fn allowed<'py>(
        &self,
        py: Python<'py>,
        said: PyReadonlyArray2<'_, i64>,
        prompt: usize,
        subsets: Option<Vec<Option<Py<PySubset>>>>,
        logits: usize,
    ) -> PyResult<Allowed<'py>> {
        let decoding = self.decoding()?;
        let (rows, said) = (said.shape()[0], contiguous(&said)?);
        let subsets = self.subsets(subsets.as_deref().unwrap_or_default())?;
        let answers = PartialAnswers { said, rows, prompt, subsets: &subsets };
        let (others, places) = work::short(py, || decoding.allowed(answers, logits))?;
        Ok((PyArray1::from_vec(py, others), PyArray1::from_vec(py, places)))
    }
}

impl PyDecoder {
    fn decoding(&self) -> PyResult<Decoding<'_>> {
        Decoding::new(self.trie.by_tokens().ok_or_else(without_tokens)?, &self.rules).map_err(to_py)
    }

    fn subsets<'s>(
        &self,
        subsets: &'s [Option<Py<PySubset>>],
    ) -> PyResult<Vec<Option<&'s catalex::constraint::Subset>>> {
        subsets
            .iter()
            .map(|subset| subset.as_ref().map(|subset| checked(&self.trie, subset.get())).transpose())
            .collect()
    }

    #[allow(clippy::too_many_arguments, reason = "those of `mask`")]
    fn mask_of<T: Element + Copy + Send + Sync>(
        &self,
        py: Python<'_>,
        said: &PyReadonlyArray2<'_, i64>,
        prompt: usize,
        subsets: Option<Vec<Option<Py<PySubset>>>>,
        scores: &Bound<'_, PyArray2<T>>,
        out: Option<&Bound<'_, PyAny>>,
        lowest: T,
    ) -> PyResult<()> {
        let decoding = self.decoding()?;
        let rows = said.shape()[0];
        if scores.shape()[0] != rows {
            let (expected, got) = (format!("{rows} rows, as of the tokens so far"), scores.shape()[0]);
            return Err(mismatch("scores", &expected, got, "give both of one batch"));
        }
        let said = contiguous(said)?;
        let uneven = || mismatch("scores", "a contiguous matrix that can be written to", "another", "copy it first");
        if !scores.is_c_contiguous() {
            return Err(uneven());
        }
        let subsets = self.subsets(subsets.as_deref().unwrap_or_default())?;
        let answers = PartialAnswers { said, rows, prompt, subsets: &subsets };
        match out {
            None => {
                let mut scores = scores.try_readwrite().map_err(|_| uneven())?;
                let scores = scores.as_slice_mut().map_err(|_| uneven())?;
                work::short(py, || decoding.mask(answers, LogitsMut::InPlace(scores), lowest))
            }
            Some(out) => {
                let from = scores.try_readonly().map_err(|_| uneven())?;
                let out = out.cast::<PyArray2<T>>()?;
                if !out.is_c_contiguous() {
                    return Err(uneven());
                }
                let mut to = out.try_readwrite().map_err(|_| uneven())?;
                let (from, to) = (from.as_slice().map_err(|_| uneven())?, to.as_slice_mut().map_err(|_| uneven())?);
                work::short(py, || decoding.mask(answers, LogitsMut::Copied(from, to), lowest))
            }
        }
    }
}

fn contiguous<'a>(said: &'a PyReadonlyArray2<'_, i64>) -> PyResult<&'a [i64]> {
    let uneven = || mismatch("tokens so far", "a contiguous matrix", "another", "copy it first");
    if said.is_c_contiguous() { said.as_slice().map_err(|_| uneven()) } else { Err(uneven()) }
}
