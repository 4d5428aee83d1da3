//! `catalex.TokenIds`.

use std::path::PathBuf;

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;

use crate::errors::{mismatch, to_py};

/// The token ids of the codes in a language model: consecutive, level by level.
#[pyclass(frozen, eq, module = "catalex", name = "TokenIds")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PyTokenIds {
    pub(crate) inner: catalex::vocabulary::TokenIds,
}

#[pymethods]
impl PyTokenIds {
    /// Token ids that are known without a vocabulary folder.
    #[new]
    #[pyo3(signature = (first_id, codebook_sizes, *, begin=None, end=None, vocabulary_size=None))]
    fn new(
        first_id: u32,
        codebook_sizes: Vec<usize>,
        begin: Option<u32>,
        end: Option<u32>,
        vocabulary_size: Option<u32>,
    ) -> PyResult<Self> {
        let codes = codebook_sizes.iter().try_fold(u64::from(first_id), |sum, &size| sum.checked_add(size as u64));
        let marked = begin.max(end).map_or(0, |marker| u64::from(marker) + 1);
        let least = codes.map_or(u64::MAX, |codes| codes.max(marked));
        let outside = |marker: Option<u32>| {
            marker.is_none_or(|id| id < first_id || codes.is_none_or(|codes| u64::from(id) >= codes))
        };
        let size = vocabulary_size.map_or(Some(least), |size| (u64::from(size) >= least).then_some(u64::from(size)));
        match size.and_then(|size| u32::try_from(size).ok()) {
            Some(vocabulary_size) if outside(begin) && outside(end) && !codebook_sizes.is_empty() => Ok(PyTokenIds {
                inner: catalex::vocabulary::TokenIds { first_id, codebook_sizes, begin, end, vocabulary_size },
            }),
            _ => Err(mismatch(
                "token ids",
                "codebooks, markers outside the ids of codes, and a vocabulary size above all ids",
                format!("first id {first_id}, codebooks of {codebook_sizes:?}, markers {begin:?} and {end:?}"),
                "read them from the folder that `catalex vocab` wrote: TokenIds.read",
            )),
        }
    }

    /// Reads the token ids of a folder that `catalex vocab --tokenizer` wrote.
    #[staticmethod]
    fn read(folder: PathBuf) -> PyResult<Self> {
        Ok(PyTokenIds { inner: catalex::vocabulary::TokenIds::read(&folder).map_err(to_py)? })
    }

    /// Id of code 0 of the first level.
    #[getter]
    fn first_id(&self) -> u32 {
        self.inner.first_id
    }

    /// Codes per level.
    #[getter]
    fn codebook_sizes(&self) -> Vec<usize> {
        self.inner.codebook_sizes.clone()
    }

    /// Id of the marker before a semantic ID.
    #[getter]
    fn begin(&self) -> Option<u32> {
        self.inner.begin
    }

    /// Id of the marker after a semantic ID.
    #[getter]
    fn end(&self) -> Option<u32> {
        self.inner.end
    }

    /// The highest id in use plus one.
    #[getter]
    fn vocabulary_size(&self) -> u32 {
        self.inner.vocabulary_size
    }

    /// Id of a code.
    fn id(&self, level: usize, code: u16) -> PyResult<u32> {
        match self.inner.codebook_sizes.get(level) {
            Some(&size) if usize::from(code) < size => Ok(self.inner.id(level, code)),
            _ => Err(PyIndexError::new_err(format!("there is no code {code} at level {level}"))),
        }
    }

    /// Level and code of an id; `None` for other tokens.
    fn code_of(&self, id: u32) -> Option<(usize, u16)> {
        self.inner.code_of(id)
    }

    fn __repr__(&self) -> String {
        let ids = &self.inner;
        format!("TokenIds(first_id={}, codebook_sizes={:?})", ids.first_id, ids.codebook_sizes)
    }
}

/// The error for a trie without token ids.
pub(crate) fn without_tokens() -> PyErr {
    let help = "pass its vocabulary: Trie.from_table(path, vocabulary), or TokenIds to from_codes";
    mismatch("trie", "token ids of a language model", "a trie without them", help)
}
