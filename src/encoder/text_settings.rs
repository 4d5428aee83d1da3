//! The settings of a text encoder's tokens: length, padding, prompt.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use tokenizers::{PaddingDirection, Tokenizer};

use super::folder::read_json;
use crate::error::{Error, Result};

/// Maximum length where the model's folder declares none.
const DEFAULT_LENGTH: usize = 512;
/// Larger values mean "no limit"; some tokenizers write 1e30.
const NO_LIMIT: f64 = 1e7;

/// How texts are tokenized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TextSettings {
    pub(super) max_length: usize,
    /// Whether every text is padded to the maximum length.
    pub(super) always_full: bool,
    /// Whether padding comes before the text, and whether long texts are truncated at the start.
    pub(super) pad_left: bool,
    pub(super) cut_left: bool,
    pub(super) pad_id: u32,
    pub(super) lower_case: bool,
    /// Prefix of every text.
    pub(super) prompt: String,
}

#[derive(Deserialize, Default)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
    do_lower_case: Option<bool>,
}

#[derive(Deserialize, Default)]
struct TokenizerConfig {
    model_max_length: Option<f64>,
    padding_side: Option<String>,
    truncation_side: Option<String>,
    pad_token: Option<Value>,
}

#[derive(Deserialize, Default)]
struct ModelConfig {
    model_type: Option<String>,
    max_position_embeddings: Option<i64>,
    pad_token_id: Option<u32>,
    text_config: Option<TextConfig>,
}

#[derive(Deserialize)]
struct TextConfig {
    max_position_embeddings: Option<i64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PromptConfig {
    prompts: BTreeMap<String, Option<String>>,
    default_prompt_name: Option<String>,
}

impl TextSettings {
    /// Reads the settings of a folder, whose transformer may be in a subfolder. `prompt` replaces the folder's prompt.
    pub(super) fn read(folder: &Path, transformer: &Path, tokenizer: &Tokenizer, prompt: Option<&str>) -> Result<Self> {
        let of = |name: &str| inside(folder, transformer, name);
        let sentence = read_json::<SentenceConfig>(&of("sentence_bert_config.json"))?.unwrap_or_default();
        let tokens = read_json::<TokenizerConfig>(&of("tokenizer_config.json"))?.unwrap_or_default();
        let model = read_json::<ModelConfig>(&of("config.json"))?.unwrap_or_default();
        let left = |side: &Option<String>| side.as_deref().map(|side| side == "left");
        let own = tokenizer.get_padding();
        let own_left = || own.is_some_and(|own| matches!(own.direction, PaddingDirection::Left));
        let pad_token = match &tokens.pad_token {
            Some(Value::String(token)) => Some(token.as_str()),
            Some(Value::Object(token)) => token.get("content").and_then(Value::as_str),
            _ => None,
        };
        let pad_id = pad_token.and_then(|token| tokenizer.token_to_id(token)).or(own.map(|own| own.pad_id));
        Ok(TextSettings {
            max_length: max_length(&sentence, &tokens, &model),
            // SigLIP pools the last position, even if it is padding, and was trained on full length.
            always_full: model.model_type.as_deref().is_some_and(|kind| kind.starts_with("siglip")),
            pad_left: left(&tokens.padding_side).unwrap_or_else(own_left),
            cut_left: left(&tokens.truncation_side).unwrap_or(false),
            pad_id: pad_id.or(model.pad_token_id).unwrap_or(0),
            lower_case: sentence.do_lower_case.unwrap_or(false),
            prompt: prompt.map_or_else(|| own_prompt(folder), |prompt| Ok(prompt.to_owned()))?,
        })
    }
}

/// A file in the transformer's subfolder or in the folder itself.
pub(super) fn inside(folder: &Path, transformer: &Path, name: &str) -> PathBuf {
    let deep = folder.join(transformer).join(name);
    if deep.is_file() { deep } else { folder.join(name) }
}

/// The length declared for sentence-transformers, otherwise the smaller one of tokenizer and model.
fn max_length(sentence: &SentenceConfig, tokens: &TokenizerConfig, model: &ModelConfig) -> usize {
    if let Some(length) = sentence.max_seq_length.filter(|&length| length > 0) {
        return length;
    }
    let positions =
        model.max_position_embeddings.or(model.text_config.as_ref().and_then(|c| c.max_position_embeddings));
    // RoBERTa-like models count positions from the id after the padding token's.
    let offset_kinds = ["roberta", "camembert", "mpnet", "longformer"];
    let offset = match model.model_type.as_deref() {
        Some(kind) if offset_kinds.iter().any(|known| kind.contains(known)) => model.pad_token_id.unwrap_or(1) + 1,
        _ => 0,
    };
    let positions = positions.and_then(|n| usize::try_from(n - i64::from(offset)).ok()).filter(|&n| n > 0);
    let tokens =
        tokens.model_max_length.filter(|length| (1.0..NO_LIMIT).contains(length)).map(|length| length as usize);
    positions.into_iter().chain(tokens).min().unwrap_or(DEFAULT_LENGTH)
}

/// The default prompt of the folder.
fn own_prompt(folder: &Path) -> Result<String> {
    let path = folder.join("config_sentence_transformers.json");
    let config = read_json::<PromptConfig>(&path)?.unwrap_or_default();
    let Some(name) = config.default_prompt_name else { return Ok(String::new()) };
    match config.prompts.get(&name) {
        Some(prompt) => Ok(prompt.clone().unwrap_or_default()),
        None => {
            let known = config.prompts.keys().cloned().collect::<Vec<_>>().join(", ");
            let expected = format!("default_prompt_name among its prompts: {known}");
            Err(Error::file(&path, expected, name, "pass the prompt with --prompt"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(sentence: &str, tokens: &str, model: &str) -> usize {
        let read = |json: &str| serde_json::from_str::<Value>(json).unwrap();
        max_length(
            &serde_json::from_value(read(sentence)).unwrap(),
            &serde_json::from_value(read(tokens)).unwrap(),
            &serde_json::from_value(read(model)).unwrap(),
        )
    }

    #[test]
    fn the_smallest_declared_length_counts() {
        let model = r#"{"max_position_embeddings": 512}"#;
        assert_eq!(length(r#"{"max_seq_length": 256}"#, r#"{"model_max_length": 512}"#, model), 256);
        assert_eq!(length(r#"{"max_seq_length": null}"#, r#"{"model_max_length": 128}"#, model), 128);
        assert_eq!(length("{}", r#"{"model_max_length": 1e30}"#, model), 512);
        assert_eq!(length("{}", "{}", "{}"), DEFAULT_LENGTH);
        let roberta = r#"{"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}"#;
        assert_eq!(length("{}", "{}", roberta), 512);
        assert_eq!(length("{}", "{}", r#"{"text_config": {"max_position_embeddings": 77}}"#), 77);
        assert_eq!(length("{}", r#"{"model_max_length": 20}"#, r#"{"max_position_embeddings": -1}"#), 20);
    }

    #[test]
    fn the_default_prompt_is_looked_up_by_name() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(own_prompt(folder.path()).unwrap(), "");
        let write = |json: &str| std::fs::write(folder.path().join("config_sentence_transformers.json"), json).unwrap();
        write(r#"{"prompts": {"query": "query: ", "item": "item: "}, "default_prompt_name": "item"}"#);
        assert_eq!(own_prompt(folder.path()).unwrap(), "item: ");
        write(r#"{"prompts": {"query": "query: ", "document": null}, "default_prompt_name": null}"#);
        assert_eq!(own_prompt(folder.path()).unwrap(), "");
        write(r#"{"prompts": {"query": "query: "}, "default_prompt_name": "item"}"#);
        assert!(own_prompt(folder.path()).unwrap_err().to_string().contains("--prompt"));
    }
}
