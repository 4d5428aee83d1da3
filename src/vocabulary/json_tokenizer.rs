//! `tokenizer.json`.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::folder::{read_text, unusable};
use crate::error::{Error, Result};
use crate::text_tokenizer::TextTokenizer;

pub(super) const TOKENIZER: &str = "tokenizer.json";

/// `tokenizer.json`, as text and parsed.
pub(super) struct JsonTokenizer {
    pub(super) path: PathBuf,
    pub(super) text: String,
    /// The tokenizer with all tokens that loading adds.
    pub(super) tokenizer: TextTokenizer,
    pub(super) words: HashMap<String, u64>,
    /// Ids of the model's words, without added tokens. `None` for a list, whose ids have no gaps.
    pub(super) model_ids: Option<HashSet<u64>>,
    /// The padding token that the file stores.
    pub(super) padding: Option<String>,
}

/// The parts of `tokenizer.json` that are read separately.
#[derive(Deserialize)]
struct TokenizerOutline {
    #[serde(default)]
    added_tokens: Vec<AddedTokenId>,
    #[serde(default)]
    padding: Option<PaddingOutline>,
    model: ModelOutline,
}

#[derive(Deserialize)]
struct PaddingOutline {
    #[serde(default)]
    pad_token: Option<String>,
}

#[derive(Deserialize)]
struct AddedTokenId {
    id: u64,
    content: String,
}

#[derive(Deserialize)]
struct ModelOutline {
    vocab: VocabOutline,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum VocabOutline {
    Ids(HashMap<String, u64>),
    /// Unigram: pieces with scores; the index is the id.
    Pieces(Vec<(String, f64)>),
}

impl JsonTokenizer {
    pub(super) fn find(folder: &Path) -> Result<Option<JsonTokenizer>> {
        let path = folder.join(TOKENIZER);
        let Some(text) = read_text(folder, TOKENIZER)? else { return Ok(None) };
        let outline: TokenizerOutline = serde_json::from_str(&text).map_err(|e| unusable(&path, e))?;
        let (mut words, model_ids) = match outline.model.vocab {
            VocabOutline::Ids(words) => {
                let ids = words.values().copied().collect();
                (words, Some(ids))
            }
            VocabOutline::Pieces(pieces) => {
                (pieces.into_iter().zip(0..).map(|((piece, _), id)| (piece, id)).collect(), None)
            }
        };
        let tokenizer = TextTokenizer::parse(&text).map_err(|e| unusable(&path, e))?;
        for token in outline.added_tokens {
            // The library numbers added tokens itself and ignores the ids in the file.
            match tokenizer.token_to_id(&token.content).map(u64::from) {
                Some(id) if id != token.id => return Err(other_id(&path, &token.content, token.id, id)),
                _ => words.insert(token.content, token.id),
            };
        }
        let padding = outline.padding.and_then(|padding| padding.pad_token);
        Ok(Some(JsonTokenizer { path, text, tokenizer, words, model_ids, padding }))
    }
}

/// The error for a token whose id differs from that in the file.
pub(super) fn other_id(path: &Path, word: &str, said: u64, got: u64) -> Error {
    Error::file(
        path,
        "a tokenizer whose added tokens have consecutive ids",
        format!("ids with gaps: {word:?} is listed with id {said}, but gets {got} when it is loaded"),
        "load it with AutoTokenizer, check the ids, and save it with save_pretrained",
    )
}
