//! `catalex._native.write_vocabulary` and `catalex._native.vocabulary_tokens`.

use std::path::PathBuf;

use catalex::artifact::Overwrite;
use catalex::catalog::{CatalogSpec, TextSpec};
use catalex::semantic_id::TokenFormat;
use catalex::vocabulary::{StartMethod, StartValues, Vocabulary, VocabularyOptions, write_vocabulary as written};
use pyo3::prelude::*;

use crate::errors::to_py;
use crate::token_table::PyTokenTable;
use crate::tokenizer::PyTokenizer;
use crate::work;

/// All tokens of codebooks of these sizes, level by level.
#[pyfunction]
pub(crate) fn vocabulary_tokens(codebook_sizes: Vec<usize>, token_format: &str) -> PyResult<Vec<String>> {
    let format: TokenFormat = token_format.parse().map_err(to_py)?;
    catalex::tokenizer::check_codebook_sizes(&codebook_sizes).map_err(to_py)?;
    Ok(Vocabulary::new(&codebook_sizes, format).tokens().collect())
}

/// The options for a language model whose embeddings are extended.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct LlmOptions {
    llm: PathBuf,
    start_values: String,
    catalog: Option<PathBuf>,
    id: Option<String>,
    text: Vec<String>,
    seed: u64,
    embedding_tensor: Option<String>,
    write_model: bool,
    gguf: Option<PathBuf>,
}

/// The options of a vocabulary folder.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct VocabularyDict {
    tokenizer: Option<PathBuf>,
    begin_token: Option<String>,
    end_token: Option<String>,
    pad_to_multiple_of: Option<u32>,
    llm: Option<LlmOptions>,
}

/// Writes a vocabulary folder.
#[pyfunction]
pub(crate) fn write_vocabulary(
    py: Python<'_>,
    table: &PyTokenTable,
    folder: PathBuf,
    options: VocabularyDict,
    model: Option<&PyTokenizer>,
    force: bool,
) -> PyResult<()> {
    let VocabularyDict { tokenizer, begin_token, end_token, pad_to_multiple_of, llm } = options;
    let (table, model) = (table.inner.clone(), model.map(|model| model.inner.clone()));
    let overwrite = if force { Overwrite::Replace } else { Overwrite::Refuse };
    let method = llm.as_ref().map(|llm| llm.start_values.parse::<StartMethod>()).transpose().map_err(to_py)?;
    work::long(py, move |progress| {
        let start_values = llm.zip(method).map(|(llm, method)| StartValues {
            llm: llm.llm,
            embedding_tensor: llm.embedding_tensor,
            method,
            catalog: llm.catalog.map(|path| CatalogSpec {
                path,
                id: llm.id,
                text: TextSpec::Joined(llm.text),
                ..CatalogSpec::default()
            }),
            codebooks: model
                .as_ref()
                .filter(|_| method == StartMethod::Structured)
                .map(|model| (model.hash(), model.codebooks())),
            seed: llm.seed,
            write_model: llm.write_model,
            pad_to_multiple_of,
            gguf: llm.gguf,
        });
        let options = VocabularyOptions { tokenizer, begin_token, end_token, pad_to_multiple_of, start_values };
        written(&folder, &table, &options, overwrite, progress)
    })
}
