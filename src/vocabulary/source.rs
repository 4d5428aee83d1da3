//! Reading of a Hugging Face tokenizer folder: its tokens and their ids.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::folder::{read_text, unusable};
use super::json_tokenizer::{JsonTokenizer, TOKENIZER, other_id};
use super::record::TokenizerRecord;
use super::sentencepiece::{self, PieceKind};
use super::special_tokens::{SpecialToken, SpecialTokenFiles};
use crate::error::{Error, Result};

pub(super) const CONFIG: &str = "tokenizer_config.json";
pub(super) const ADDED: &str = "added_tokens.json";
const SPECIAL: &str = "special_tokens_map.json";
const MODEL: &str = "config.json";
/// Key of `tokenizer_config.json`: the added tokens by id.
pub(super) const DECODER: &str = "added_tokens_decoder";
/// Prefixes of class names whose ids differ from the indices in their SentencePiece model: these classes shift the ids,
/// have a second list of ids, or number their own tokens after the last piece, which new pieces would move.
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
    /// Special tokens that loading adds, with their ids.
    pub(super) outside: Vec<ListedToken>,
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
        let (config, added) = (read_text(folder, CONFIG)?, read_text(folder, ADDED)?);
        let mut source = Source {
            listed: Vec::new(),
            outside: Vec::new(),
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
        source.add_as_loading_does()?;
        Ok(source)
    }

    /// Adds these tokens in the order of loading.
    fn add_as_loading_does(&mut self) -> Result<()> {
        let special = self.special_tokens()?;
        let known = self.words();
        let special: Vec<SpecialToken> =
            special.into_iter().filter(|token| !known.contains_key(token.word.as_str())).collect();
        let next = self.next_id();
        let Some(json) = &mut self.json else {
            self.outside = special.into_iter().zip(next..).map(|(token, id)| token.listed(id)).collect();
            return Ok(());
        };
        let mut listed: Vec<&ListedToken> =
            self.listed.iter().filter(|token| !json.words.contains_key(&token.word)).collect();
        listed.sort_by_key(|token| token.id);
        listed.dedup_by_key(|token| token.id);
        let added: Vec<AddedToken> = listed.iter().map(|token| AddedToken::from(token.word.as_str(), false)).collect();
        let fail = |e: String| unusable(&json.path, e);
        json.tokenizer.add_tokens(&added).map_err(fail)?;
        let id_of = |json: &JsonTokenizer, word: &str| json.tokenizer.token_to_id(word).map_or(u64::MAX, u64::from);
        let used: HashSet<u64> = json.words.values().copied().collect();
        for token in listed {
            let id = id_of(json, &token.word);
            if id != token.id {
                return Err(other_id(&json.path, &token.word, token.id, id));
            }
        }
        let added: Vec<AddedToken> = special.iter().map(|token| AddedToken::from(token.word.as_str(), true)).collect();
        json.tokenizer.add_tokens(&added).map_err(|e| unusable(&json.path, e))?;
        for token in special {
            let id = id_of(json, &token.word);
            if used.contains(&id) {
                let got =
                    format!("ids with gaps, so that loading would give {:?} the id {id} of another token", token.word);
                return Err(unusable(&json.path, got));
            }
            self.outside.push(token.listed(id));
        }
        Ok(())
    }

    /// The special tokens that the configuration names.
    fn special_tokens(&self) -> Result<Vec<SpecialToken>> {
        let parsed = |name: &str, text: Option<&String>| -> Result<Option<Value>> {
            text.map(|text| serde_json::from_str(text).map_err(|e| unusable(&self.folder.join(name), e))).transpose()
        };
        let config = parsed(CONFIG, self.config.as_ref())?;
        let map = parsed(SPECIAL, read_text(&self.folder, SPECIAL)?.as_ref())?;
        let model = parsed(MODEL, read_text(&self.folder, MODEL)?.as_ref())?;
        let class = |file: &Option<Value>, key: &str| Some(file.as_ref()?[key].as_str()?.to_owned());
        let named = class(&config, "tokenizer_class").or_else(|| class(&model, "tokenizer_class"));
        let class = named.or_else(|| class(&model, "model_type")).unwrap_or_default();
        // A byte-level Llama tokenizer is loaded without the class.
        let on_bytes = self.json.as_ref().is_some_and(|json| json.text.contains("\"ByteLevel\""));
        let has_list = config.as_ref().is_some_and(|config| config.get(DECODER).is_some());
        let files = SpecialTokenFiles {
            config: config.as_ref(),
            map: map.as_ref().filter(|_| !has_list),
            padding: self.json.as_ref().and_then(|json| json.padding.as_deref()),
            class: if on_bytes && class.to_lowercase().starts_with("llama") { "" } else { &class },
        };
        Ok(files.tokens())
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
        words.extend(self.listed.iter().chain(&self.outside).map(|token| (token.word.as_str(), token.id)));
        words.extend(self.json.iter().flat_map(|json| json.words.iter().map(|(word, &id)| (word.as_str(), id))));
        words
    }

    /// The highest id in use plus one.
    pub(super) fn next_id(&self) -> u64 {
        let pieces = self.model.as_ref().filter(|_| self.extends_model()).map_or(0, |model| model.pieces.len() as u64);
        self.words().into_values().max().map_or(0, |id| id.saturating_add(1)).max(pieces)
    }

    /// Tokens that are not in `tokenizer.json` and that loading adds to it.
    pub(super) fn beside_json(&self) -> Vec<&ListedToken> {
        let Some(json) = &self.json else { return vec![] };
        let all = self.listed.iter().chain(&self.outside);
        let mut after: Vec<&ListedToken> = all.filter(|token| !json.words.contains_key(&token.word)).collect();
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
                "a model whose pieces are numbered by index, or a tokenizer.json next to it",
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

impl SpecialToken {
    fn listed(self, id: u64) -> ListedToken {
        ListedToken { id, word: self.word, more: self.more }
    }
}

/// `vocab_size` in the model's `config.json`, if present; for a multimodal model, of its text part.
fn model_rows(folder: &Path) -> Result<Option<u64>> {
    let Some(config) = read_text(folder, MODEL)? else { return Ok(None) };
    let config: Value = serde_json::from_str(&config).map_err(|e| unusable(&folder.join(MODEL), e))?;
    Ok(config["vocab_size"].as_u64().or_else(|| config["text_config"]["vocab_size"].as_u64()))
}
