//! `catalex._native.Decoder`, which `catalex.LogitsProcessor` calls at every step.

use std::sync::Arc;

use catalex::constraint::{After, Decoding, Logit, LogitsMut, PartialAnswers, Rules, Start, Subset, Tails, Trie};
use numpy::{Element, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::errors::{mismatch, to_py};
use crate::subset::PySubset;
use crate::token_ids::without_tokens;
use crate::trie::{PyTrie, checked};
use crate::work;

/// The result of [`PyDecoder::allowed`]: per row whether other tokens are allowed, and flat indices of allowed tokens.
/// The last array has the maximum number of these tokens per row, or -1 for no limit.
type AllowedTokens<'py> = (Bound<'py, PyArray1<bool>>, Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i64>>);

/// Unfinished answers: token ids `(rows, length)`, length of the prompts, and one subset and one
/// maximum number of answers per first code for each prompt.
#[derive(FromPyObject)]
pub(crate) struct PyAnswers<'py>(
    PyReadonlyArray2<'py, i64>,
    usize,
    Option<Vec<Option<Py<PySubset>>>>,
    Option<Vec<Option<u32>>>,
);

/// The keys, the starts, the stride and the maximum number of children of [`catalex::constraint::TrieArrays`].
type Arrays<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i32>>, usize, usize);

/// The last tokens of requests `(requests, width)`, whether their answers have begun, their rows of logits, and their
/// subsets.
#[derive(FromPyObject)]
pub(crate) struct PyTails<'py>(
    PyReadonlyArray2<'py, i64>,
    PyReadonlyArray1<'py, bool>,
    PyReadonlyArray1<'py, i64>,
    Option<Vec<Option<Py<PySubset>>>>,
);

/// A trie with the rules for its IDs in answers.
#[pyclass(frozen, module = "catalex._native", name = "Decoder")]
#[derive(Debug)]
pub(crate) struct PyDecoder {
    trie: Arc<Trie>,
    rules: Rules,
}

#[pymethods]
impl PyDecoder {
    #[new]
    fn new(trie: &PyTrie, start: &str, after: &str, eos: Vec<u32>) -> PyResult<Self> {
        let unknown = |key: &str, expected: &str, got: &str| {
            to_py(catalex::Error::config(key, expected, format!("{got:?}"), "choose one of them"))
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

    /// Masks a matrix of logits (float32, float64, or 16-bit floats as int16) in place, or into `out`. `lowest` is minus
    /// infinity as int16.
    #[pyo3(signature = (answers, scores, out=None, lowest=i16::MIN))]
    fn mask(
        &self,
        py: Python<'_>,
        answers: PyAnswers<'_>,
        scores: &Bound<'_, PyAny>,
        out: Option<&Bound<'_, PyAny>>,
        lowest: i16,
    ) -> PyResult<()> {
        if let Ok(scores) = scores.cast::<PyArray2<f32>>() {
            self.mask_of(py, &answers, scores, out, f32::NEG_INFINITY)
        } else if let Ok(scores) = scores.cast::<PyArray2<f64>>() {
            self.mask_of(py, &answers, scores, out, f64::NEG_INFINITY)
        } else if let Ok(scores) = scores.cast::<PyArray2<i16>>() {
            self.mask_of(py, &answers, scores, out, lowest)
        } else {
            Err(mismatch("scores", "a matrix of floats", scores.get_type(), "pass the model's logits (rows, tokens)"))
        }
    }

    /// Per row whether all tokens other than codes and markers are allowed, and the flat indices `row * logits + token`
    /// of the other allowed tokens.
    fn allowed<'py>(&self, py: Python<'py>, answers: PyAnswers<'py>, logits: usize) -> PyResult<AllowedTokens<'py>> {
        let decoding = self.decoding()?;
        let subsets = self.subsets(&answers)?;
        let subsets: Vec<Option<&Subset>> = subsets.iter().map(Option::as_deref).collect();
        let answers = answers.partial(&subsets)?;
        let (others, indices) = work::short(py, || decoding.allowed(answers, logits))?;
        let quotas = decoding.quotas(&answers).into_iter().map(|quota| quota.map_or(-1, |quota| quota as i64));
        let quotas: Vec<i64> = quotas.collect();
        Ok((PyArray1::from_vec(py, others), PyArray1::from_vec(py, indices), PyArray1::from_vec(py, quotas)))
    }

    /// Masks the rows of separate requests in a matrix of logits, in place. Types as in `mask`.
    #[pyo3(signature = (tails, scores, lowest=i16::MIN))]
    fn mask_rows(&self, py: Python<'_>, tails: PyTails<'_>, scores: &Bound<'_, PyAny>, lowest: i16) -> PyResult<()> {
        if let Ok(scores) = scores.cast::<PyArray2<f32>>() {
            self.mask_rows_of(py, &tails, scores, f32::NEG_INFINITY)
        } else if let Ok(scores) = scores.cast::<PyArray2<f64>>() {
            self.mask_rows_of(py, &tails, scores, f64::NEG_INFINITY)
        } else if let Ok(scores) = scores.cast::<PyArray2<i16>>() {
            self.mask_rows_of(py, &tails, scores, lowest)
        } else {
            Err(mismatch("scores", "a matrix of floats", scores.get_type(), "pass the model's logits (rows, tokens)"))
        }
    }

    /// The trie as arrays for accelerators.
    fn arrays<'py>(&self, py: Python<'py>) -> PyResult<Arrays<'py>> {
        let arrays = work::pooled(py, || self.trie.arrays())?
            .ok_or_else(|| mismatch("trie", "less than 2^31 prefixes", "more", "mask the logits on the CPU"))?;
        let (keys, starts) = (PyArray1::from_vec(py, arrays.keys), PyArray1::from_vec(py, arrays.starts));
        Ok((keys, starts, arrays.stride, arrays.max_children))
    }

    /// Per transition of `arrays`, whether it leads to an item of the subset.
    fn reachable<'py>(&self, py: Python<'py>, subset: &PySubset) -> PyResult<Bound<'py, PyArray1<bool>>> {
        let subset = checked(&self.trie, subset)?;
        Ok(PyArray1::from_vec(py, work::pooled(py, || self.trie.reachable(&subset))?))
    }
}

impl PyDecoder {
    fn decoding(&self) -> PyResult<Decoding<'_>> {
        Decoding::new(self.trie.by_tokens().ok_or_else(without_tokens)?, &self.rules).map_err(to_py)
    }

    fn mask_rows_of<T: Element + Copy + Send + Sync>(
        &self,
        py: Python<'_>,
        tails: &PyTails<'_>,
        scores: &Bound<'_, PyArray2<T>>,
        lowest: T,
    ) -> PyResult<()> {
        let uneven = || mismatch("scores and token ids", "contiguous, writable arrays", "others", "copy them first");
        let decoding = self.decoding()?;
        let subsets = subsets_of(&self.trie, tails.3.as_deref())?;
        let subsets: Vec<Option<&Subset>> = subsets.iter().map(Option::as_deref).collect();
        let logits = scores.shape()[1];
        let tails = Tails {
            tokens: tails.0.as_slice().map_err(|_| uneven())?,
            width: tails.0.shape()[1],
            begun: tails.1.as_slice().map_err(|_| uneven())?,
            rows: tails.2.as_slice().map_err(|_| uneven())?,
            subsets: &subsets,
        };
        let mut scores = scores.try_readwrite().map_err(|_| uneven())?;
        let scores = scores.as_slice_mut().map_err(|_| uneven())?;
        work::short(py, || decoding.mask_rows(tails, scores, logits, lowest))
    }

    fn subsets(&self, answers: &PyAnswers<'_>) -> PyResult<Vec<Option<Arc<Subset>>>> {
        subsets_of(&self.trie, answers.2.as_deref())
    }

    fn mask_of<T: Element + Logit>(
        &self,
        py: Python<'_>,
        answers: &PyAnswers<'_>,
        scores: &Bound<'_, PyArray2<T>>,
        out: Option<&Bound<'_, PyAny>>,
        lowest: T,
    ) -> PyResult<()> {
        let decoding = self.decoding()?;
        let rows = answers.0.shape()[0];
        if scores.shape()[0] != rows {
            let (expected, got) = (format!("{rows} rows, as many as the token ids"), scores.shape()[0]);
            return Err(mismatch("scores", &expected, got, "pass logits and token ids of the same batch"));
        }
        let uneven = || mismatch("scores", "a contiguous, writable matrix", "another", "copy it first");
        if !scores.is_c_contiguous() {
            return Err(uneven());
        }
        let subsets = self.subsets(answers)?;
        let subsets: Vec<Option<&Subset>> = subsets.iter().map(Option::as_deref).collect();
        let answers = answers.partial(&subsets)?;
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

/// Subsets, which must belong to this trie.
fn subsets_of(trie: &Arc<Trie>, subsets: Option<&[Option<Py<PySubset>>]>) -> PyResult<Vec<Option<Arc<Subset>>>> {
    let subsets = subsets.unwrap_or_default().iter();
    subsets.map(|subset| subset.as_ref().map(|subset| checked(trie, subset.get())).transpose()).collect()
}

impl PyAnswers<'_> {
    fn partial<'a>(&'a self, subsets: &'a [Option<&'a Subset>]) -> PyResult<PartialAnswers<'a>> {
        let uneven = || mismatch("token ids", "a contiguous matrix", "another", "copy it first");
        if !self.0.is_c_contiguous() {
            return Err(uneven());
        }
        let tokens = self.0.as_slice().map_err(|_| uneven())?;
        let per_first_code = self.3.as_deref().unwrap_or_default();
        Ok(PartialAnswers { tokens, rows: self.0.shape()[0], prompt: self.1, subsets, per_first_code })
    }
}
