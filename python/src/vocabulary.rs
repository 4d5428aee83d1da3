//! `catalex._native.vocabulary_tokens`.

use catalex::semantic_id::TokenFormat;
use catalex::vocabulary::Vocabulary;
use pyo3::prelude::*;

use crate::errors::to_py;

/// All tokens of codebooks of these sizes, level by level.
#[pyfunction]
pub(crate) fn vocabulary_tokens(codebook_sizes: Vec<usize>, token_format: &str) -> PyResult<Vec<String>> {
    let format: TokenFormat = token_format.parse().map_err(to_py)?;
    catalex::tokenizer::check_codebook_sizes(&codebook_sizes).map_err(to_py)?;
    Ok(Vocabulary::new(&codebook_sizes, format).tokens().collect())
}
