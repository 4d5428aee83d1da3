//! `catalex.json` in the folder of an extended tokenizer: the model whose tokens were added.
//!
//! Tokenizers ignore the file. With it, a second run recognizes a tokenizer that is already extended and refuses one with
//! the tokens of another model.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::FORMAT_VERSION;
use super::folder::read_file;
use super::new_words::NewWords;
use crate::error::{Error, Result};
use crate::semantic_id::{TableMetadata, TokenFormat};

/// The file's name.
pub(super) const RECORD: &str = "catalex.json";

/// The tokens that a tokenizer was extended by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TokenizerRecord {
    format_version: u32,
    model_hash: String,
    codebook_sizes: Vec<usize>,
    token_format: TokenFormat,
    begin_token: Option<String>,
    end_token: Option<String>,
    pub(super) first_id: u32,
    /// Number of tokens directly before the first id that no file of the original tokenizer contained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) added_on_loading: Option<u32>,
}

impl TokenizerRecord {
    pub(super) fn new(metadata: &TableMetadata, new: &NewWords, first_id: u32, outside: usize) -> Self {
        TokenizerRecord {
            format_version: FORMAT_VERSION,
            model_hash: metadata.model_hash.clone(),
            codebook_sizes: metadata.codebook_sizes.clone(),
            token_format: metadata.token_format.clone(),
            begin_token: new.begin.clone(),
            end_token: new.end.clone(),
            first_id,
            added_on_loading: u32::try_from(outside).ok().filter(|&outside| outside > 0),
        }
    }

    /// The record of a folder that catalex has extended.
    pub(super) fn find(folder: &Path) -> Result<Option<TokenizerRecord>> {
        let path = folder.join(RECORD);
        let Some(bytes) = read_file(folder, RECORD)? else { return Ok(None) };
        let record: TokenizerRecord = serde_json::from_slice(&bytes).map_err(|e| damaged(&path, e))?;
        if record.format_version != FORMAT_VERSION {
            return Err(damaged(&path, format!("format version {}", record.format_version)));
        }
        Ok(Some(record))
    }

    /// The same tokens, with the meaning that another model gives them.
    pub(super) fn of_model(&self, model_hash: &str) -> Self {
        TokenizerRecord { model_hash: model_hash.into(), ..self.clone() }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        // Strings and numbers can always be serialized.
        let mut json = serde_json::to_vec_pretty(self).unwrap_or_default();
        json.push(b'\n');
        json
    }

    /// Checks that the folder was extended by the wanted tokens.
    pub(super) fn check(&self, folder: &Path, wanted: &TokenizerRecord) -> Result<()> {
        let marker = |token: &Option<String>| token.as_deref().unwrap_or("none").to_owned();
        let parts = |r: &TokenizerRecord| {
            [
                ("the model with hash", r.model_hash.clone()),
                ("codebooks of", format!("{:?}", r.codebook_sizes)),
                ("the token format", r.token_format.to_string()),
                ("the begin marker", marker(&r.begin_token)),
                ("the end marker", marker(&r.end_token)),
            ]
        };
        for ((what, got), (_, expected)) in parts(self).into_iter().zip(parts(wanted)) {
            if got != expected {
                return Err(Error::file(
                    folder,
                    format!("a tokenizer that was not extended, or by {what} {expected}"),
                    format!("one extended by {what} {got}"),
                    "pass the tokenizer as it was before it was extended",
                ));
            }
        }
        Ok(())
    }
}

fn damaged(path: &Path, got: impl ToString) -> Error {
    let expected = format!("the record of an extended tokenizer, format version {FORMAT_VERSION}");
    Error::artifact(path, expected, got, "pass the tokenizer as it was before it was extended")
}
