//! The configuration of a checkpoint, and the vocabulary size in it.

use std::path::Path;

use serde_json::Value;

use crate::artifact::{read_description, read_text};
use crate::error::{Error, Result};

pub(super) const COPY_AGAIN: &str = "copy or download the checkpoint again";
const FILE: &str = "config.json";
const KEY: &str = "vocab_size";
/// Keys under which the configuration of a multimodal model has that of its language model.
const LANGUAGE_MODELS: [&str; 3] = ["text_config", "llm_config", "language_config"];

/// Reads the configuration of a Hugging Face model.
///
/// # Errors
/// [`Error::Missing`] if there is no `config.json`; [`Error::File`] if it is not a JSON object.
pub(super) fn read_config(folder: &Path) -> Result<Value> {
    let path = folder.join(FILE);
    if !path.is_file() {
        return Err(Error::Missing {
            path,
            expected: "the configuration of a Hugging Face model".into(),
            help: "pass the model's folder, with config.json and model.safetensors".into(),
        });
    }
    let config = read_json(&path)?;
    if !config.is_object() {
        return Err(Error::file(&path, "a JSON object", "another JSON value", COPY_AGAIN));
    }
    Ok(config)
}

/// The text of a folder's `config.json` with the vocabulary size `total`. Everything else is unchanged. `rows` is the
/// number of rows of the embeddings. If the file omits the size, it is added; multimodal models omit it if their
/// language model has the default size.
///
/// # Errors
/// [`Error::File`] for a size that is not a number, or differs from the rows of the embeddings.
pub(super) fn resized_config(folder: &Path, config: &Value, rows: usize, total: usize) -> Result<String> {
    let path = folder.join(FILE);
    let text = read_text(&path).map_err(|e| Error::io("read", &path, e))?;
    resized(&text, config, rows, total).map_err(|got| {
        let expected = format!("a vocab_size of {rows}, the number of rows of the embeddings");
        Error::file(&path, expected, got, "pass the model with the config.json that belongs to its weights")
    })
}

pub(super) fn read_json(path: &Path) -> Result<Value> {
    let bytes = read_description(path).map_err(|e| Error::io("read", path, e))?;
    serde_json::from_slice(&bytes).map_err(|e| Error::file(path, "JSON", e, COPY_AGAIN))
}

fn resized(text: &str, config: &Value, rows: usize, total: usize) -> std::result::Result<String, String> {
    // The vocabularies of an image or audio encoder have other sizes.
    let stated = [&config[KEY], &config["text_config"][KEY]].into_iter().filter_map(Value::as_u64);
    let old: Vec<u64> = stated.chain([rows as u64]).collect();
    let text = replaced(text, &old, total);
    if serde_json::from_str(&text).is_ok_and(|config| has_size(&config, total)) {
        return Ok(text);
    }
    let mut config = config.clone();
    let part = LANGUAGE_MODELS.into_iter().find(|&part| config[part].is_object());
    let model = match part {
        Some(part) => &mut config[part],
        None => &mut config,
    };
    if !model[KEY].is_null() {
        return Err(model[KEY].to_string());
    }
    model[KEY] = total.into();
    serde_json::to_string_pretty(&config).map(|text| text + "\n").map_err(|e| e.to_string())
}

/// Replaces the value of every `vocab_size` that equals one of the old sizes.
fn replaced(text: &str, old: &[u64], total: usize) -> String {
    const QUOTED: &str = "\"vocab_size\"";
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(at) = rest.find(QUOTED) {
        let after = &rest[at + QUOTED.len()..];
        let gap = after.len() - after.trim_start_matches([' ', ':', '\t', '\n', '\r']).len();
        let digits = after[gap..].chars().take_while(char::is_ascii_digit).count();
        out += &rest[..at + QUOTED.len() + gap];
        let number = &after[gap..gap + digits];
        match number.parse().is_ok_and(|number: u64| old.contains(&number)) {
            true => out += &total.to_string(),
            false => out += number,
        }
        rest = &after[gap + digits..];
    }
    out + rest
}

/// Whether a `vocab_size` anywhere in the configuration has this value.
fn has_size(config: &Value, size: usize) -> bool {
    config.as_object().is_some_and(|keys| {
        keys.iter().any(|(key, value)| (key == KEY && value.as_u64() == Some(size as u64)) || has_size(value, size))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vocab_size_is_replaced_or_added() {
        let cases = [
            ("{\"a\": 1e-05, \"vocab_size\": 100}", Ok("{\"a\": 1e-05, \"vocab_size\": 120}")),
            // A size below the number of padded rows of the embeddings.
            ("{\"vocab_size\":90}", Ok("{\"vocab_size\":120}")),
            (
                "{\"audio\": {\"vocab_size\": 7}, \"llm_config\": {\"vocab_size\": 100}}",
                Ok("{\"audio\": {\"vocab_size\": 7}, \"llm_config\": {\"vocab_size\": 120}}"),
            ),
            // Gemma 3 omits the default size of its language model.
            ("{\"text_config\": {}}", Ok("{\n  \"text_config\": {\n    \"vocab_size\": 120\n  }\n}\n")),
            ("{\"vocab_size\": null}", Ok("{\n  \"vocab_size\": 120\n}\n")),
            ("{}", Ok("{\n  \"vocab_size\": 120\n}\n")),
            ("{\"vocab_size\": -100}", Err("-100")),
            ("{\"vocab_size\": \"100\"}", Err("\"100\"")),
            ("{\"vocab_size\": 100.0}", Err("100.0")),
            ("{\"text_config\": {\"vocab_size\": []}}", Err("[]")),
            ("{\"llm_config\": {\"vocab_size\": 99}}", Err("99")),
        ];
        for (text, expected) in cases {
            let got = resized(text, &serde_json::from_str(text).unwrap(), 100, 120);
            assert_eq!(got.as_deref().map_err(String::as_str), expected, "{text}");
        }
    }
}
