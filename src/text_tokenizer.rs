//! Third-party tokenizers of language models and text encoders (`tokenizer.json`).
//!
//! The `tokenizers` library panics on some damaged files, and a normalizer can lengthen a text exponentially. This
//! module turns panics into errors, and refuses a file if its steps can lengthen a text without bound.

use base64::Engine;
use serde::Deserialize;
use serde_json::Value;
use tokenizers::{AddedToken, Encoding, Tokenizer};

use crate::guard;

/// Maximum factor by which a step of a tokenizer can lengthen a text. Published tokenizers stay below 100.
const MAX_GROWTH: f64 = 4_096.0;

/// Runs a function of the `tokenizers` library and returns its panic as an error.
///
/// # Errors
/// The reason, as a phrase.
pub(crate) fn guarded<T>(run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    guard::guarded(run).unwrap_or_else(|panic| Err(format!("a damaged tokenizer ({panic})")))
}

/// A parsed `tokenizer.json`.
#[derive(Debug, Clone)]
pub(crate) struct TextTokenizer(Tokenizer);

/// The steps that can change the length of a text.
#[derive(Deserialize)]
struct TextSteps {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    decoder: Value,
}

/// Parses the text of a `tokenizer.json`. Run the tokenizer in [`guarded`].
///
/// # Errors
/// The reason, as a phrase without the file name.
pub(crate) fn parse(text: &str) -> Result<Tokenizer, String> {
    let steps: TextSteps = serde_json::from_str(text).map_err(|e| e.to_string())?;
    for (name, step) in
        [("normalizer", &steps.normalizer), ("pre_tokenizer", &steps.pre_tokenizer), ("decoder", &steps.decoder)]
    {
        let growth = growth(step).map_err(|e| format!("{name}: {e}"))?;
        if growth > MAX_GROWTH {
            return Err(format!("a {name} that makes a text up to {growth:.0} times longer"));
        }
    }
    guarded(|| text.parse().map_err(|e: tokenizers::Error| e.to_string()))
}

impl TextTokenizer {
    /// As [`parse`], without the padding and truncation settings that some files contain.
    ///
    /// # Errors
    /// As [`parse`].
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut tokenizer = parse(text)?;
        tokenizer.with_padding(None).with_truncation(None).map_err(|e| e.to_string())?;
        Ok(TextTokenizer(tokenizer))
    }

    /// Encodes a text without special tokens.
    ///
    /// # Errors
    /// The reason, as a phrase.
    pub(crate) fn encode(&self, text: &str) -> Result<Encoding, String> {
        guarded(|| self.0.encode(text, false).map_err(|e| e.to_string()))
    }

    /// Decodes token ids, special tokens included.
    ///
    /// # Errors
    /// The reason, as a phrase.
    pub(crate) fn decode(&self, ids: &[u32]) -> Result<String, String> {
        guarded(|| self.0.decode(ids, false).map_err(|e| e.to_string()))
    }

    /// The id of a token.
    pub(crate) fn token_to_id(&self, token: &str) -> Option<u32> {
        self.0.token_to_id(token)
    }

    /// Adds tokens, as transformers does when it loads a tokenizer.
    ///
    /// # Errors
    /// The reason, as a phrase.
    pub(crate) fn add_tokens(&mut self, tokens: &[AddedToken]) -> Result<(), String> {
        guarded(|| {
            self.0.add_tokens(tokens);
            Ok(())
        })
    }
}

/// The maximum factor by which a step, with its nested steps, can lengthen a text.
fn growth(step: &Value) -> Result<f64, String> {
    let inside: Vec<&Value> = match step {
        Value::Array(steps) => steps.iter().collect(),
        Value::Object(keys) => keys.values().collect(),
        _ => return Ok(1.0),
    };
    let own = match step["type"].as_str() {
        Some("Replace") => replacement_growth(step)?,
        Some("Precompiled") => charsmap_growth(step)?,
        _ => 1.0,
    };
    inside.into_iter().try_fold(own, |product, step| Ok(product * growth(step)?))
}

fn replacement_growth(step: &Value) -> Result<f64, String> {
    let content = step["content"].as_str().unwrap_or_default().len() as f64;
    let pattern = |kind: &str| step["pattern"][kind].as_str();
    match (pattern("String"), pattern("Regex")) {
        (Some(""), _) | (_, Some("")) => Err("a Replace with an empty pattern".into()),
        (Some(text), _) => Ok((content / text.len() as f64).max(1.0)),
        // A match can be empty, before every character.
        _ => Ok(content + 1.0),
    }
}

/// A precompiled table of SentencePiece: the size of a trie, the trie, and the replacement texts, each terminated by a
/// zero byte.
fn charsmap_growth(step: &Value) -> Result<f64, String> {
    let Some(text) = step["precompiled_charsmap"].as_str() else { return Ok(1.0) };
    let damaged = || "a damaged precompiled_charsmap".to_owned();
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| damaged())?;
    let (head, rest) = bytes.split_first_chunk::<4>().ok_or_else(damaged)?;
    let texts = rest.get(u32::from_le_bytes(*head) as usize..).ok_or_else(damaged)?;
    Ok(texts.split(|&byte| byte == 0).map(<[u8]>::len).max().unwrap_or(0).max(1) as f64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(normalizer: &Value) -> Result<TextTokenizer, String> {
        let tokenizer = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": normalizer,
            "pre_tokenizer": null, "post_processor": null, "decoder": null,
            "model": {"type": "WordLevel", "unk_token": "u", "vocab": {"u": 0, "a": 1}},
        });
        TextTokenizer::parse(&tokenizer.to_string())
    }

    fn replace(pattern: &Value, content: &str) -> Value {
        json!({"type": "Replace", "pattern": pattern, "content": content})
    }

    #[test]
    fn steps_that_lengthen_a_text_without_bound_are_refused() {
        let doubling = replace(&json!({"String": "a"}), "aa");
        let chain = json!({"type": "Sequence", "normalizers": vec![doubling.clone(); 40]});
        let charsmap = |text: &str| json!({"type": "Precompiled", "precompiled_charsmap": text});
        let cases = [
            (replace(&json!({"String": ""}), "x"), "empty pattern"),
            (replace(&json!({"Regex": ""}), "x"), "empty pattern"),
            (replace(&json!({"String": "a"}), &"a".repeat(5_000)), "5000 times longer"),
            (replace(&json!({"Regex": "x*"}), &"a".repeat(5_000)), "5001 times longer"),
            (chain, "times longer"),
            (charsmap("AAA"), "damaged precompiled_charsmap"),
            (charsmap("/////w=="), "damaged precompiled_charsmap"),
        ];
        for (normalizer, says) in cases {
            let message = of(&normalizer).unwrap_err();
            assert!(message.contains(says), "{message}");
        }
        let sound = json!({"type": "Sequence", "normalizers": [doubling, replace(&json!({"Regex": " {2,}"}), "▁")]});
        assert!(of(&sound).unwrap().encode("a b  c").is_ok());
    }

    #[test]
    fn a_damaged_table_never_panics() {
        for byte in 0..=255u8 {
            for length in [0usize, 4, 5, 8, 16, 64] {
                let mut bytes = ((length as u32).to_le_bytes()).to_vec();
                bytes.extend(vec![byte; length]);
                bytes.extend([byte, b'x', 0]);
                let text = base64::engine::general_purpose::STANDARD.encode(bytes);
                if let Ok(tokenizer) = of(&json!({"type": "Precompiled", "precompiled_charsmap": text})) {
                    let _ = tokenizer.encode("aé\u{fdfa} 他");
                }
            }
        }
    }

    #[test]
    fn a_panic_is_returned_as_an_error() {
        let message = guarded::<()>(|| panic!("no {}", "word")).unwrap_err();
        assert!(message.contains("no word"), "{message}");
    }
}
