//! The content of `vocabulary.json`. Some keys are redundant, for the convenience of readers.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::FORMAT_VERSION;
use crate::artifact::{read_description, seal};
use crate::error::{Error, Result};
use crate::semantic_id::TokenFormat;

/// The keys of `vocabulary.json` that are read. Unknown keys are ignored, and redundant keys can be absent.
#[derive(Deserialize)]
pub(super) struct VocabularyDescription {
    pub(super) format_version: u32,
    pub(super) codebook_sizes: Vec<usize>,
    pub(super) tokenizer: Option<TokenizerIds>,
    levels: Option<usize>,
    tokens: Option<usize>,
    offsets: Option<Vec<usize>>,
    token_format: Option<String>,
    begin_token: Option<String>,
    end_token: Option<String>,
    add_tokens_list: Option<Vec<String>>,
}

#[derive(Deserialize)]
pub(super) struct TokenizerIds {
    pub(super) first_id: u32,
    pub(super) vocabulary_size: u32,
    #[serde(default)]
    pub(super) begin_id: Option<u32>,
    #[serde(default)]
    pub(super) end_id: Option<u32>,
    last_id: Option<u32>,
    first_ids: Option<Vec<u32>>,
    embedding_rows: Option<u64>,
    token_ids: Option<Map<String, Value>>,
    trainable_token_indices: Option<Vec<u32>>,
}

impl VocabularyDescription {
    /// Reads a description and checks its seal and its format version.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Artifact`] for another format version and for damaged content.
    pub(super) fn read(path: &Path, help: &str) -> Result<Self> {
        let wrong = |expected: &str, got: &dyn std::fmt::Display| Error::artifact(path, expected, got, help);
        let bytes = read_description(path).map_err(|e| Error::io("read", path, e))?;
        // Folders of earlier versions have no seal.
        let read = seal::of_json(path, &bytes, "a vocabulary", help, |_| false)?;
        let read: Self = serde_json::from_value(read).map_err(|e| wrong("a vocabulary", &e))?;
        if read.format_version != FORMAT_VERSION {
            return Err(wrong(&format!("format version {FORMAT_VERSION}"), &read.format_version));
        }
        Ok(read)
    }

    /// The first key that contradicts the others: its name, the expected value, and its value. The sizes of the
    /// codebooks and the ids must be in range.
    pub(super) fn contradiction(&self) -> Option<(String, String, String)> {
        let sizes = &self.codebook_sizes;
        let codes: usize = sizes.iter().sum();
        let offsets: Vec<usize> = (0..sizes.len()).map(|level| sizes[..level].iter().sum()).collect();
        let words = self.add_tokens_list.as_deref();
        let mut all = vec![
            compare("levels", Some(&sizes.len()), self.levels.as_ref()),
            compare("tokens", Some(&codes), self.tokens.as_ref()),
            compare("offsets", Some(&offsets), self.offsets.as_ref()),
            words.and_then(|words| self.wrong_word(words, codes)),
        ];
        if let Some(ids) = &self.tokenizer {
            let first_ids: Vec<u32> = offsets.iter().map(|offset| ids.first_id + *offset as u32).collect();
            let end = ids.vocabulary_size;
            let rows = ids.embedding_rows.map(|rows| rows.max(u64::from(end)));
            let indices = |given: &Vec<u32>| given.iter().copied().eq(ids.first_id..end);
            let wrong_indices = ids.trainable_token_indices.as_ref().is_some_and(|given| !indices(given));
            all.extend([
                compare("tokenizer.last_id", end.checked_sub(1).as_ref(), ids.last_id.as_ref()),
                compare("tokenizer.first_ids", Some(&first_ids), ids.first_ids.as_ref()),
                compare("tokenizer.embedding_rows", rows.as_ref(), ids.embedding_rows.as_ref()),
                wrong_indices.then(|| {
                    let range = format!("{} to {}", ids.first_id, end.saturating_sub(1));
                    ("tokenizer.trainable_token_indices".into(), range, "others".into())
                }),
                ids.token_ids.as_ref().and_then(|by_token| ids.wrong_id(by_token, words)),
            ]);
        }
        all.into_iter().flatten().next()
    }

    /// The first listed token that does not match its code or marker.
    fn wrong_word(&self, words: &[String], codes: usize) -> Option<(String, String, String)> {
        let markers: Vec<&String> = self.begin_token.iter().chain(&self.end_token).collect();
        let (count, given) = (codes + markers.len(), words.len());
        if let Some(wrong) = compare("add_tokens_list", Some(&count), Some(&given)) {
            return Some(wrong);
        }
        let listed = words[codes..].iter().collect::<Vec<_>>();
        if let Some(wrong) = compare("add_tokens_list", Some(&markers), Some(&listed)) {
            return Some(wrong);
        }
        let format: TokenFormat = self.token_format.as_ref()?.parse().ok()?;
        let pairs =
            self.codebook_sizes.iter().enumerate().flat_map(|(level, &size)| (0..size).map(move |code| (level, code)));
        let mut compared = pairs.zip(words).map(|((level, code), word)| (format.token(level, code as u16), word));
        compared.find_map(|(expected, word)| compare("add_tokens_list", Some(&expected), Some(word)))
    }
}

impl TokenizerIds {
    /// The first token whose id does not match the first id.
    fn wrong_id(&self, by_token: &Map<String, Value>, words: Option<&[String]>) -> Option<(String, String, String)> {
        let key = |word: &str| format!("tokenizer.token_ids[{word:?}]");
        let count = (self.vocabulary_size - self.first_id) as usize;
        if let Some(wrong) = compare("tokenizer.token_ids", Some(&count), Some(&by_token.len())) {
            return Some(wrong);
        }
        // Without the list, the ids are in the order of the tokens.
        let ids = by_token.iter().enumerate().map(|(at, (word, id))| {
            let word = words.and_then(|words| words.get(at)).unwrap_or(word);
            (word, if words.is_some() { by_token.get(word) } else { Some(id) })
        });
        ids.zip(self.first_id..).find_map(|((word, id), expected)| {
            let id = id.and_then(Value::as_u64);
            (id != Some(u64::from(expected)))
                .then(|| (key(word), expected.to_string(), id.map_or("none".into(), |id| id.to_string())))
        })
    }
}

/// Returns a key whose value differs from the expected one. An absent value is accepted.
fn compare<T: PartialEq + std::fmt::Debug>(
    key: &str,
    expected: Option<&T>,
    got: Option<&T>,
) -> Option<(String, String, String)> {
    let (expected, got) = (expected?, got?);
    (expected != got).then(|| (key.to_owned(), format!("{expected:?}"), format!("{got:?}")))
}
