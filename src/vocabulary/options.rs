//! The options of a vocabulary folder.

use std::path::PathBuf;

use super::Vocabulary;
use super::new_words::NewWords;
use super::start_values::StartValues;
use crate::error::{Error, Result};

/// The contents of a vocabulary folder besides the token lists.
#[derive(Debug, Clone, Default)]
pub struct VocabularyOptions<'a> {
    /// Hugging Face folder of the tokenizer to extend.
    pub tokenizer: Option<PathBuf>,
    /// Marker before a semantic ID, such as `<|sid_begin|>`.
    pub begin_token: Option<String>,
    /// Marker after a semantic ID, such as `<|sid_end|>`.
    pub end_token: Option<String>,
    /// Round the number of embedding rows up to a multiple of this, for faster matrix products on some hardware.
    pub pad_to_multiple_of: Option<u32>,
    /// Start values of the new embedding rows of a language model with that tokenizer.
    pub start_values: Option<StartValues<'a>>,
}

impl VocabularyOptions<'_> {
    /// Checks the options, and that no new token contains another one.
    pub(super) fn words(&self, vocabulary: &Vocabulary) -> Result<NewWords> {
        if self.pad_to_multiple_of == Some(0) {
            return Err(Error::config("pad-to-multiple-of", "1 or more", "0", "omit it to disable padding"));
        }
        if self.pad_to_multiple_of.is_some() && self.tokenizer.is_none() {
            let (expected, help) = ("a value for --tokenizer as well", "pass the tokenizer to extend");
            return Err(Error::config("pad-to-multiple-of", expected, "none", help));
        }
        let mut words: Vec<String> = vocabulary.tokens().collect();
        let codes = words.len();
        for (key, marker) in [("begin-token", &self.begin_token), ("end-token", &self.end_token)] {
            let Some(marker) = marker else { continue };
            let refuse = |reason: String| {
                Err(Error::config(
                    key,
                    "a marker such as <|sid_begin|>",
                    format!("{marker:?}: {reason}"),
                    "choose another",
                ))
            };
            if marker.is_empty() {
                return refuse("it is empty".into());
            }
            if marker.chars().any(|c| c.is_whitespace() || c.is_control()) {
                return refuse("a token cannot contain white space".into());
            }
            if let Some(word) = words.iter().find(|word| word.contains(marker.as_str()) || marker.contains(*word)) {
                return refuse(format!("it is ambiguous with the token {word:?}"));
            }
            words.push(marker.clone());
        }
        Ok(NewWords { words, codes, begin: self.begin_token.clone(), end: self.end_token.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic_id::TokenFormat;

    fn words(begin: &str, end: &str) -> Result<Vec<String>> {
        let options = VocabularyOptions {
            begin_token: Some(begin.into()),
            end_token: Some(end.into()),
            ..VocabularyOptions::default()
        };
        options.words(&Vocabulary::new(&[2, 1], TokenFormat::default())).map(|new| new.words)
    }

    #[test]
    fn markers_come_after_the_codes() {
        assert_eq!(words("<|begin|>", "<|end|>").unwrap(), ["<a_0>", "<a_1>", "<b_0>", "<|begin|>", "<|end|>"]);
    }

    #[test]
    fn ambiguous_markers_are_refused() {
        let refused = [
            ("", "x", "empty"),
            ("<a b>", "x", "white space"),
            ("<a_1>", "x", "\"<a_1>\""),
            ("a_", "x", "\"<a_0>\""),
            ("<<b_0>>", "x", "\"<b_0>\""),
            ("<|id|>", "<|id|>", "\"<|id|>\""),
        ];
        for (begin, end, says) in refused {
            let message = words(begin, end).unwrap_err().to_string();
            assert!(message.contains(says), "{message}");
        }
    }
}
