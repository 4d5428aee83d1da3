//! `catalex._native.ranking_features`, `prefix_ids` and `SubwordVocabulary`: semantic IDs as features of ranking models.

use std::path::PathBuf;

use catalex::Error;
use catalex::pipeline::{self, RankingSpec};
use catalex::ranking::{PrefixIds, SubwordVocabulary as Inner};
use ndarray::Array2;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;

use crate::arrays::{to_numpy, view};
use crate::pipeline::job;
use crate::work;

/// Writes ranking features of a token table, and returns what `catalex features --json` prints.
#[pyfunction]
pub(crate) fn ranking_features(py: Python<'_>, spec: &str, listener: &Bound<'_, PyAny>) -> PyResult<String> {
    job(py, spec, listener, |spec: RankingSpec, progress| pipeline::ranking_features(&spec, progress))
}

/// The ids `(n, levels)` of all prefixes of codes `(n, levels)`.
#[pyfunction]
#[pyo3(signature = (codes, codebook_sizes, table_size=None))]
pub(crate) fn prefix_ids<'py>(
    py: Python<'py>,
    codes: PyReadonlyArray2<'_, u16>,
    codebook_sizes: Vec<usize>,
    table_size: Option<u64>,
) -> PyResult<Bound<'py, PyArray2<i64>>> {
    let codes = view(&codes);
    let ids = work::short(py, || {
        check_codes(codes, &codebook_sizes)?;
        let prefixes = PrefixIds::new(&codebook_sizes, table_size)?;
        let ids: Vec<i64> =
            codes.rows().into_iter().flat_map(|row| prefixes.ids(&row.to_vec()).collect::<Vec<_>>()).collect();
        Array2::from_shape_vec(codes.dim(), ids)
            .map_err(|e| Error::mismatch("prefix ids", "one per code", e, "please report this"))
    })?;
    to_numpy(py, ids)
}

/// Codes within their codebooks.
fn check_codes(codes: ndarray::ArrayView2<u16>, codebook_sizes: &[usize]) -> catalex::Result<()> {
    let (expected, got) = (codebook_sizes.len(), codes.ncols());
    if expected != got {
        return Err(Error::mismatch("levels of the codes", expected, got, "pass one code per level"));
    }
    for (level, &size) in codebook_sizes.iter().enumerate() {
        if let Some((row, code)) = codes.column(level).iter().enumerate().find(|(_, code)| usize::from(**code) >= size)
        {
            let what = format!("codes[{row}, {level}]");
            return Err(Error::mismatch(what, format!("a code below {size}"), code, "pass the model's codebook sizes"));
        }
    }
    Ok(())
}

/// A subword vocabulary of semantic IDs.
#[pyclass(frozen, module = "catalex._native", name = "SubwordVocabulary")]
#[derive(Debug)]
pub(crate) struct PySubwordVocabulary {
    inner: Inner,
}

#[pymethods]
impl PySubwordVocabulary {
    /// Reads and checks a vocabulary.
    #[staticmethod]
    fn read(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        work::short(py, || Inner::read(&path)).map(|(inner, _)| PySubwordVocabulary { inner })
    }

    /// Codes per level.
    #[getter]
    fn codebook_sizes(&self) -> Vec<usize> {
        self.inner.codebook_sizes().to_vec()
    }

    /// Hash of the model whose IDs it was trained on.
    #[getter]
    fn model_hash(&self) -> &str {
        self.inner.model_hash()
    }

    /// The pieces of codes `(n, levels)`, and the start of each row and the end of the last one in them `(n + 1,)`.
    #[allow(clippy::type_complexity, reason = "two arrays")]
    fn segment<'py>(
        &self,
        py: Python<'py>,
        codes: PyReadonlyArray2<'_, u16>,
    ) -> PyResult<(Bound<'py, PyArray1<i32>>, Bound<'py, PyArray1<i64>>)> {
        let codes = view(&codes);
        let (pieces, offsets) = work::short(py, || {
            check_codes(codes, self.inner.codebook_sizes())?;
            let (mut pieces, mut offsets) = (Vec::new(), vec![0i64]);
            for row in codes.rows() {
                self.inner.segment(&row.to_vec(), &mut pieces);
                offsets.push(pieces.len() as i64);
            }
            Ok((pieces, offsets))
        })?;
        Ok((pieces.into_pyarray(py), offsets.into_pyarray(py)))
    }

    fn __len__(&self) -> usize {
        self.inner.pieces()
    }
}
