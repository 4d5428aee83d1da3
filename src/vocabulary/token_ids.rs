//! The token ids of an extended tokenizer, read from `vocabulary.json`.

use std::path::Path;

use super::VOCABULARY_FILE;
use super::description::VocabularyDescription;
use crate::error::{Error, Result};

/// Advice for a damaged vocabulary.
const HELP: &str = "create the vocabulary again with `catalex vocab`";

/// The ids of codes and markers in an extended tokenizer.
///
/// Codes have consecutive ids, level by level. Markers come after them, so that they never renumber a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenIds {
    /// Id of code 0 of the first level: the highest id of the original tokenizer plus one.
    pub first_id: u32,
    /// Codes per level.
    pub codebook_sizes: Vec<usize>,
    /// Id of the marker before a semantic ID.
    pub begin: Option<u32>,
    /// Id of the marker after a semantic ID.
    pub end: Option<u32>,
    /// The highest id in use plus one: the minimum number of embedding rows.
    pub vocabulary_size: u32,
}

impl TokenIds {
    /// Number of codes over all levels.
    pub fn codes(&self) -> usize {
        self.codebook_sizes.iter().sum()
    }

    /// Id of code 0 of a level. For the level after the last, the id after the last code.
    pub fn first_of_level(&self, level: usize) -> u32 {
        self.first_id + self.codebook_sizes.iter().take(level).sum::<usize>() as u32
    }

    /// Id of a code, which must be in the codebook of its level.
    pub fn id(&self, level: usize, code: u16) -> u32 {
        self.first_of_level(level) + u32::from(code)
    }

    /// Level and code of an id; `None` for other tokens.
    pub fn code_of(&self, id: u32) -> Option<(usize, u16)> {
        let mut index = id.checked_sub(self.first_id)? as usize;
        for (level, &size) in self.codebook_sizes.iter().enumerate() {
            if index < size {
                return u16::try_from(index).ok().map(|code| (level, code));
            }
            index -= size;
        }
        None
    }

    /// Reads the token ids of a vocabulary folder with an extended tokenizer.
    ///
    /// # Errors
    /// [`Error::Missing`] without a vocabulary, or without a tokenizer in it; [`Error::Artifact`] for a damaged one or
    /// another format version.
    pub fn read(vocabulary_folder: &Path) -> Result<Self> {
        let path = vocabulary_folder.join(VOCABULARY_FILE);
        let missing = |expected: &str, help: &str| Error::Missing {
            path: path.clone(),
            expected: expected.into(),
            help: help.into(),
        };
        if !path.is_file() {
            return Err(missing("the vocabulary that `catalex vocab` writes", "pass the folder that it wrote"));
        }
        Self::of_description(&path, &VocabularyDescription::read(&path, HELP)?)
    }

    /// The token ids of a description, which was read from `path`.
    ///
    /// # Errors
    /// [`Error::Artifact`] for a vocabulary without a tokenizer, and for contradictory keys.
    pub(super) fn of_description(path: &Path, description: &VocabularyDescription) -> Result<Self> {
        let damaged = |expected: &str, got: String| Error::artifact(path, expected, got, HELP);
        let Some(ids) = &description.tokenizer else {
            let help = "write it again with `catalex vocab --tokenizer`";
            let got = "a vocabulary that was written without a tokenizer";
            return Err(Error::artifact(path, "token ids", got, help));
        };
        let found = TokenIds {
            first_id: ids.first_id,
            codebook_sizes: description.codebook_sizes.clone(),
            begin: ids.begin_id,
            end: ids.end_id,
            vocabulary_size: ids.vocabulary_size,
        };
        found.check().map_err(|(expected, got)| damaged(&expected, got))?;
        if let Some((key, expected, got)) = description.contradiction() {
            return Err(damaged(&format!("{expected} as {key}, to match the other keys"), got));
        }
        Ok(found)
    }

    /// Checks that all ids are below the size of the vocabulary, and that markers are not codes.
    ///
    /// # Errors
    /// The expected and the actual value.
    pub(crate) fn check(&self) -> std::result::Result<(), (String, String)> {
        let sizes = &self.codebook_sizes;
        let end = u64::from(self.vocabulary_size);
        let last = sizes.iter().try_fold(u64::from(self.first_id), |sum, &size| sum.checked_add(size as u64));
        let last = last.filter(|&last| last <= end && !sizes.is_empty());
        let outside = |id: u32| u64::from(id) >= end || last.is_none_or(|last| u64::from(id) < last);
        let twice = self.begin.is_some() && self.begin == self.end;
        if last.is_none() || twice || self.begin.is_some_and(outside) || self.end.is_some_and(outside) {
            let markers = format!("markers {:?} and {:?}", self.begin, self.end);
            let got = format!("first id {}, codebooks of {sizes:?}, {markers}", self.first_id);
            return Err((format!("token ids below {end}"), got));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(description: &serde_json::Value) -> Result<TokenIds> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(VOCABULARY_FILE), description.to_string()).unwrap();
        TokenIds::read(folder.path())
    }

    #[test]
    fn a_vocabulary_is_read_and_checked() {
        let good = json!({
            "format_version": 1, "codebook_sizes": [2, 3], "later": true,
            "tokenizer": {"first_id": 10, "vocabulary_size": 17, "begin_id": 15, "end_id": 16},
        });
        let ids = read(&good).unwrap();
        assert_eq!((ids.first_of_level(0), ids.first_of_level(1), ids.first_of_level(2)), (10, 12, 15));
        assert_eq!((ids.begin, ids.end, ids.codes()), (Some(15), Some(16), 5));

        let changes: [(&str, serde_json::Value, &str); 6] = [
            ("/format_version", json!(2), "format version 1"),
            ("/tokenizer", json!(null), "--tokenizer"),
            ("/codebook_sizes", json!([2, 30]), "below 17"),
            ("/codebook_sizes", json!([]), "below 17"),
            ("/tokenizer/begin_id", json!(12), "below 17"),
            ("/tokenizer/first_id", json!("ten"), "a vocabulary"),
        ];
        for (place, value, says) in changes {
            let mut bad = good.clone();
            *bad.pointer_mut(place).unwrap() = value;
            let message = read(&bad).unwrap_err().to_string();
            assert!(message.contains(says), "{message}");
        }
        let redundant = json!({
            "format_version": 1, "codebook_sizes": [1, 2], "levels": 2, "tokens": 3, "offsets": [0, 1],
            "token_format": "<{level}_{code}>", "begin_token": "<s>", "end_token": null,
            "add_tokens_list": ["<a_0>", "<b_0>", "<b_1>", "<s>"],
            "tokenizer": {"first_id": 10, "last_id": 13, "first_ids": [10, 11], "vocabulary_size": 14, "begin_id": 13,
                "embedding_rows": 64, "trainable_token_indices": [10, 11, 12, 13],
                "token_ids": {"<a_0>": 10, "<b_0>": 11, "<b_1>": 12, "<s>": 13}},
        });
        assert_eq!(read(&redundant).unwrap().first_id, 10);
        let changes: [(&str, serde_json::Value, &str); 14] = [
            ("/levels", json!(3), "2 as levels"),
            ("/tokens", json!(4), "3 as tokens"),
            ("/offsets/1", json!(2), "offsets"),
            ("/add_tokens_list/1", json!("<b_2>"), "<b_0>"),
            ("/add_tokens_list/3", json!("<t>"), "<s>"),
            ("/begin_token", json!(null), "add_tokens_list"),
            ("/token_format", json!("[{level}_{code}]"), "[a_0]"),
            ("/tokenizer/first_id", json!(9), "to match the other keys"),
            ("/tokenizer/last_id", json!(12), "13 as tokenizer.last_id"),
            ("/tokenizer/first_ids/0", json!(9), "tokenizer.first_ids"),
            ("/tokenizer/embedding_rows", json!(13), "14 as tokenizer.embedding_rows"),
            ("/tokenizer/trainable_token_indices/2", json!(13), "trainable_token_indices"),
            ("/tokenizer/token_ids/<b_1>", json!(11), "12 as tokenizer.token_ids[\"<b_1>\"]"),
            ("/tokenizer/token_ids", json!({"<a_0>": 10}), "tokenizer.token_ids"),
        ];
        for (place, value, says) in changes {
            let mut bad = redundant.clone();
            *bad.pointer_mut(place).unwrap() = value;
            let message = read(&bad).unwrap_err().to_string();
            assert!(message.contains(says), "{place}: {message}");
        }
        let nothing = TokenIds::read(Path::new("nowhere")).unwrap_err().to_string();
        assert!(nothing.contains("vocabulary.json does not exist"), "{nothing}");
    }

    proptest! {
        #[test]
        fn every_id_belongs_to_one_code(first_id in 0u32..100_000, sizes in prop::collection::vec(1usize..300, 1..8)) {
            let end = first_id + sizes.iter().sum::<usize>() as u32;
            let ids = TokenIds { first_id, codebook_sizes: sizes, begin: None, end: None, vocabulary_size: end };
            let mut next = first_id;
            for (level, &size) in ids.codebook_sizes.iter().enumerate() {
                for code in 0..size as u16 {
                    prop_assert_eq!(ids.id(level, code), next);
                    prop_assert_eq!(ids.code_of(next), Some((level, code)));
                    next += 1;
                }
            }
            prop_assert_eq!(ids.code_of(next), None);
            prop_assert_eq!(first_id.checked_sub(1).and_then(|id| ids.code_of(id)), None);
        }
    }
}
