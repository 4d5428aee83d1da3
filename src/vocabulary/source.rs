//! Reading of a Hugging Face tokenizer folder: its tokens and their ids.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use tokenizers::Tokenizer;

use super::record::TokenizerRecord;
use super::sentencepiece::{self, PieceKind};
use crate::error::{Error, Result};

pub(super) const TOKENIZER: &str = "tokenizer.json";
pub(super) const CONFIG: &str = "tokenizer_config.json";
pub(super) const ADDED: &str = "added_tokens.json";
/// Key of `tokenizer_config.json`: the added tokens by id.
pub(super) const DECODER: &str = "added_tokens_decoder";
/// Prefixes of class names whose ids differ from the indices in their SentencePiece model: these classes shift the ids,
/// have a second list of ids, or number own tokens after the last piece, which new pieces would move.
const RENUMBERING: [&str; 12] = [
    "XLMRoberta",
    "Camembert",
    "Barthez",
    "MBart",
    "Nllb",
    "M2M100",
    "Marian",
    "SeamlessM4T",
    "Speech2Text",
    "XGLM",
    "Deberta",
    "T5",
];

/// A tokenizer folder.
pub(super) struct Source {
    pub(super) folder: PathBuf,
    pub(super) json: Option<JsonTokenizer>,
    pub(super) model: Option<sentencepiece::SentencePieceModel>,
    /// Text of `tokenizer_config.json` and `added_tokens.json`.
    pub(super) config: Option<String>,
    pub(super) added: Option<String>,
    /// Tokens that these two files list.
    listed: Vec<ListedToken>,
    /// The record of an earlier extension by catalex.
    pub(super) record: Option<TokenizerRecord>,
    /// Rows of the model's embedding matrix according to its `config.json`.
    pub(super) model_rows: Option<u64>,
}

/// A token that a companion file of `tokenizer.json` lists.
pub(super) struct ListedToken {
    pub(super) id: u64,
    pub(super) word: String,
    /// Its entry in `tokenizer_config.json`.
    pub(super) more: Map<String, Value>,
}

/// `tokenizer.json`, as text and parsed.
pub(super) struct JsonTokenizer {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) tokenizer: Tokenizer,
    words: HashMap<String, u64>,
}

/// The parts of `tokenizer.json` that are read separately.
#[derive(Deserialize)]
struct TokenizerOutline {
    #[serde(default)]
    added_tokens: Vec<AddedTokenId>,
    model: ModelOutline,
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

impl Source {
    /// Reads a folder.
    pub(super) fn read(folder: &Path) -> Result<Source> {
        let json = JsonTokenizer::find(folder)?;
        let model = sentencepiece::SentencePieceModel::find(folder)?;
        if json.is_none() && model.is_none() {
            return Err(Error::Missing {
                path: folder.join(TOKENIZER),
                expected: format!(
                    "the tokenizer of a Hugging Face folder, or one of {}",
                    sentencepiece::NAMES.join(", ")
                ),
                help: "pass a folder with one of them; AutoTokenizer's save_pretrained writes the first".into(),
            });
        }
        let (config, added) = (text(folder, CONFIG)?, text(folder, ADDED)?);
        let mut source = Source {
            listed: Vec::new(),
            record: TokenizerRecord::find(folder)?,
            model_rows: model_rows(folder)?,
            folder: folder.to_path_buf(),
            json,
            model,
            config,
            added,
        };
        source.listed = source.listed_tokens()?;
        source.refuse_renumbering()?;
        Ok(source)
    }

    /// The path for errors.
    pub(super) fn path(&self) -> &Path {
        let model = self.model.as_ref().map(|model| &model.path);
        self.json.as_ref().map(|json| &json.path).or(model).unwrap_or(&self.folder)
    }

    /// Every token with its id.
    pub(super) fn words(&self) -> HashMap<&str, u64> {
        let mut words = HashMap::new();
        if let Some(model) = self.model.as_ref().filter(|_| self.json.is_none()) {
            words.extend(model.pieces.iter().zip(0..).map(|(piece, id)| (piece.text.as_str(), id)));
        }
        words.extend(self.listed.iter().map(|token| (token.word.as_str(), token.id)));
        words.extend(self.json.iter().flat_map(|json| json.words.iter().map(|(word, &id)| (word.as_str(), id))));
        words
    }

    /// The highest id in use plus one.
    pub(super) fn next_id(&self) -> u64 {
        let pieces = self.model.as_ref().filter(|_| self.extends_model()).map_or(0, |model| model.pieces.len() as u64);
        self.words().into_values().max().map_or(0, |id| id.saturating_add(1)).max(pieces)
    }

    /// Tokens of the companion files with ids above all of `tokenizer.json`, which loading adds to it.
    pub(super) fn listed_after_json(&self) -> Vec<&ListedToken> {
        let Some(json) = &self.json else { return vec![] };
        let next = json.words.values().max().map_or(0, |id| id.saturating_add(1));
        let mut after: Vec<&ListedToken> = self.listed.iter().filter(|token| token.id >= next).collect();
        after.sort_by_key(|token| token.id);
        after.dedup_by_key(|token| token.id);
        after
    }

    /// Whether indices in the SentencePiece model are the tokenizer's ids, so that new pieces get the tokens' ids.
    pub(super) fn extends_model(&self) -> bool {
        let Some(model) = &self.model else { return false };
        let Some(json) = &self.json else { return true };
        let mut normal = model.pieces.iter().zip(0u64..).filter(|(piece, _)| piece.kind == PieceKind::Normal);
        normal.all(|(piece, id)| json.words.get(&piece.text) == Some(&id))
    }

    /// Refuses a lone SentencePiece model whose class renumbers the pieces, because it cannot be extended by pieces.
    fn refuse_renumbering(&self) -> Result<()> {
        let (Some(model), None, Some(config)) = (&self.model, &self.json, &self.config) else { return Ok(()) };
        let config: Value = serde_json::from_str(config).map_err(|e| unusable(&self.folder.join(CONFIG), e))?;
        let class = config["tokenizer_class"].as_str().unwrap_or_default();
        match RENUMBERING.iter().any(|name| class.starts_with(name)) {
            false => Ok(()),
            true => Err(Error::file(
                &model.path,
                "a model whose pieces are numbered by index, or tokenizer.json beside it",
                format!("a model of a {class}, which gives pieces other ids or has ids after the last piece"),
                "load it with AutoTokenizer and save it with save_pretrained, which writes tokenizer.json",
            )),
        }
    }

    fn listed_tokens(&self) -> Result<Vec<ListedToken>> {
        let mut listed = Vec::new();
        if let Some(config) = &self.config {
            let path = self.folder.join(CONFIG);
            let mut config: Value = serde_json::from_str(config).map_err(|e| unusable(&path, e))?;
            if let Some(Value::Object(known)) = config.get_mut(DECODER).map(Value::take) {
                for (id, token) in known {
                    let word = token["content"].as_str().unwrap_or_default().to_owned();
                    let id = id.parse().map_err(|_| unusable(&path, format!("{DECODER} with the id {id:?}")))?;
                    let Value::Object(more) = token else {
                        return Err(unusable(&path, format!("{DECODER} with {id}")));
                    };
                    listed.push(ListedToken { id, word, more });
                }
            }
        }
        if let Some(added) = &self.added {
            let path = self.folder.join(ADDED);
            let known: HashMap<String, u64> = serde_json::from_str(added).map_err(|e| unusable(&path, e))?;
            let mut known: Vec<(String, u64)> = known.into_iter().collect();
            known.sort();
            listed.extend(known.into_iter().map(|(word, id)| ListedToken { id, word, more: Map::new() }));
        }
        Ok(listed)
    }
}

impl JsonTokenizer {
    fn find(folder: &Path) -> Result<Option<JsonTokenizer>> {
        let path = folder.join(TOKENIZER);
        let Some(text) = text(folder, TOKENIZER)? else { return Ok(None) };
        let outline: TokenizerOutline = serde_json::from_str(&text).map_err(|e| unusable(&path, e))?;
        let mut words = match outline.model.vocab {
            VocabOutline::Ids(words) => words,
            VocabOutline::Pieces(pieces) => pieces.into_iter().zip(0..).map(|((piece, _), id)| (piece, id)).collect(),
        };
        words.extend(outline.added_tokens.into_iter().map(|token| (token.content, token.id)));
        let tokenizer = load(&text).map_err(|e| unusable(&path, e))?;
        Ok(Some(JsonTokenizer { path, text, tokenizer, words }))
    }
}

/// Parses a tokenizer, without the padding and truncation of its last use that some files keep.
pub(super) fn load(text: &str) -> tokenizers::Result<Tokenizer> {
    let mut tokenizer: Tokenizer = text.parse()?;
    tokenizer.with_padding(None).with_truncation(None)?;
    Ok(tokenizer)
}

/// `vocab_size` in the model's `config.json`, if present; for a multimodal model, of its text part.
fn model_rows(folder: &Path) -> Result<Option<u64>> {
    let Some(config) = text(folder, "config.json")? else { return Ok(None) };
    let config: Value = serde_json::from_str(&config).map_err(|e| unusable(&folder.join("config.json"), e))?;
    Ok(config["vocab_size"].as_u64().or_else(|| config["text_config"]["vocab_size"].as_u64()))
}

fn text(folder: &Path, name: &str) -> Result<Option<String>> {
    let path = folder.join(name);
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
    String::from_utf8(bytes).map(Some).map_err(|e| unusable(&path, e))
}

pub(super) fn unusable(path: &Path, reason: impl ToString) -> Error {
    Error::file(path, "part of a Hugging Face tokenizer", reason, "save it again with AutoTokenizer's save_pretrained")
}
