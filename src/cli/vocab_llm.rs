//! Flags of `catalex vocab` for a language model's own files: start values, a resized checkpoint, GGUF.

use std::path::{Path, PathBuf};

use anyhow::Result;
use catalex::catalog::{CatalogSpec, TextSpec};
use catalex::error::Error;
use catalex::index::Index;
use catalex::tokenizer::Tokenizer;
use catalex::vocabulary::{StartMethod, StartValues, VocabularyOptions};
use clap::Args;

/// Seed of every verb's draws.
const SEED: u64 = 42;

#[derive(Debug, Args)]
pub(super) struct LlmOptions {
    /// Hugging Face model folder: write start values of its new embedding rows.
    #[arg(long, value_name = "HF_DIR")]
    llm: Option<PathBuf>,
    /// How new rows start: mean, grounded (in the items' texts) or structured (in the codebooks, too)
    /// [default: structured]
    #[arg(long, value_name = "METHOD")]
    start_values: Option<StartMethod>,
    /// Catalog with the items' texts, for start values.
    #[arg(long, value_name = "CATALOG")]
    catalog: Option<PathBuf>,
    /// Column of the catalog's item ids [default: item_id or id]
    #[arg(long, value_name = "COLUMN")]
    id: Option<String>,
    /// The catalog's columns of text, joined in this order.
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',')]
    text: Vec<String>,
    /// Model that gave the codes, or its index [default: that of TOKENS, where this is an index]
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Seed of the draws [default: 42]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Tensor of the language model's input rows, where it is not found.
    #[arg(long, value_name = "NAME")]
    embedding_tensor: Option<String>,
    /// Write a copy of the language model with the new rows, too.
    #[arg(long)]
    write_model: bool,
    /// GGUF file of the same language model: write a copy with the new tokens and rows.
    #[arg(long, value_name = "FILE")]
    gguf: Option<PathBuf>,
}

impl LlmOptions {
    fn method(&self) -> StartMethod {
        self.start_values.unwrap_or(StartMethod::Structured)
    }

    /// The model that gave the codes, where it is needed.
    pub(super) fn model(&self, tokens: &Path) -> Result<Option<Tokenizer>> {
        if self.llm.is_none() || self.method() != StartMethod::Structured {
            return Ok(None);
        }
        match &self.model {
            Some(path) => super::sources::model(path).map(Some),
            None if Index::is_index(tokens) => super::sources::model(tokens).map(Some),
            None => Ok(None),
        }
    }

    /// What the library is to make.
    pub(super) fn start_values<'a>(
        &self,
        vocabulary: &VocabularyOptions,
        model: Option<&'a Tokenizer>,
    ) -> Result<Option<StartValues<'a>>> {
        let Some(llm) = &self.llm else {
            let asked = [
                ("start-values", self.start_values.is_some()),
                ("catalog", self.catalog.is_some()),
                ("id", self.id.is_some()),
                ("text", !self.text.is_empty()),
                ("model", self.model.is_some()),
                ("seed", self.seed.is_some()),
                ("embedding-tensor", self.embedding_tensor.is_some()),
                ("write-model", self.write_model),
                ("gguf", self.gguf.is_some()),
            ];
            return match asked.into_iter().find(|(_, given)| *given) {
                Some((flag, _)) => Err(together(flag, "llm", "name the language model's folder, too").into()),
                None => Ok(None),
            };
        };
        if vocabulary.tokenizer.is_none() {
            let help = "name the folder of its tokenizer, which often is the same";
            return Err(together("llm", "tokenizer", help).into());
        }
        if self.catalog.is_some() && self.text.is_empty() {
            return Err(together("catalog", "text", "name its columns of text").into());
        }
        Ok(Some(StartValues {
            llm: llm.clone(),
            embedding_tensor: self.embedding_tensor.clone(),
            method: self.method(),
            catalog: self.catalog.clone().map(|path| CatalogSpec {
                path,
                id: self.id.clone(),
                text: TextSpec::Joined(self.text.clone()),
                ..CatalogSpec::default()
            }),
            codebooks: model.map(|model| (model.hash(), model.codebooks())),
            seed: self.seed.unwrap_or(SEED),
            write_model: self.write_model,
            pad_to_multiple_of: vocabulary.pad_to_multiple_of,
            gguf: self.gguf.clone(),
        }))
    }
}

fn together(flag: &str, other: &str, help: &str) -> Error {
    Error::config(flag, format!("together with --{other}"), "it alone", help)
}
