//! `catalex.FacetTokenizer` and `catalex.trans_rec`.

use std::path::PathBuf;

use catalex::vocabulary::{FacetTokenizer as Inner, trans_rec as written};
use pyo3::prelude::*;

use crate::errors::to_py;

/// The tokenizer of a language model, for identifiers with several facets.
#[pyclass(frozen, module = "catalex", name = "FacetTokenizer")]
#[derive(Debug)]
pub(crate) struct PyFacetTokenizer {
    inner: Inner,
}

#[pymethods]
impl PyFacetTokenizer {
    /// Reads `tokenizer.json` of a Hugging Face folder.
    #[staticmethod]
    fn load(py: Python<'_>, folder: PathBuf) -> PyResult<Self> {
        Ok(PyFacetTokenizer { inner: py.detach(|| Inner::load(&folder)).map_err(to_py)? })
    }

    /// The id of a token, such as the end-of-text token.
    fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_id(token)
    }

    /// The token ids of each facet within the concatenated text, without special tokens.
    fn tokenize(&self, py: Python<'_>, facets: Vec<String>) -> PyResult<Vec<Vec<u32>>> {
        py.detach(|| self.inner.tokenize(&facets)).map_err(to_py)
    }
}

/// The facets number, attributes and title of an item, in TransRec's format.
#[pyfunction]
pub(crate) fn trans_rec(id: &str, attributes: Vec<String>, title: &str) -> [String; 3] {
    let attributes: Vec<&str> = attributes.iter().map(String::as_str).collect();
    written(id, &attributes, title)
}
