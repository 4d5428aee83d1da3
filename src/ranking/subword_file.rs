//! Reading and writing subword vocabularies: JSON objects with a seal.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::SubwordVocabulary;
use super::subwords::MAX_PIECES;
use crate::artifact::{Overwrite, read_description, seal, sha256, write_file};
use crate::error::{Error, Result};
use crate::tokenizer::{MAX_CODEBOOK_SIZE, MAX_LEVELS};

/// The kind of the file, in the file.
pub(crate) const SUBWORD_VOCABULARY: &str = "subword-vocabulary";
const FORMAT_VERSION: u32 = 1;
const EXPECTED: &str = "a subword vocabulary";
const HELP: &str = "restore it from a copy; a newly trained vocabulary has other ids";

/// The content of a file. Unknown keys are ignored.
#[derive(Serialize, Deserialize)]
struct SubwordFile {
    format_version: u32,
    kind: String,
    model_hash: String,
    codebook_sizes: Vec<usize>,
    requested: usize,
    pieces: usize,
    merges: Vec<[u32; 2]>,
}

impl SubwordVocabulary {
    /// Writes the vocabulary as JSON, and returns the SHA-256 of the file.
    ///
    /// # Errors
    /// As [`crate::artifact::AtomicFile`].
    pub fn write(&self, path: &Path, overwrite: Overwrite) -> Result<String> {
        let content = SubwordFile {
            format_version: FORMAT_VERSION,
            kind: SUBWORD_VOCABULARY.into(),
            model_hash: self.model_hash.clone(),
            codebook_sizes: self.codebook_sizes.clone(),
            requested: self.requested,
            pieces: self.pieces(),
            merges: self.merges.clone(),
        };
        let bytes = seal::to_json(&content).map_err(|e| Error::io("write", path, e))?;
        write_file(path, &bytes, overwrite)?;
        Ok(sha256(&bytes))
    }

    /// Reads a vocabulary, checks it, and returns it with the SHA-256 of the file.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Artifact`] for another file, another version or a changed file.
    pub fn read(path: &Path) -> Result<(Self, String)> {
        let wrong = |expected: String, got: String| Error::artifact(path, expected, got, HELP);
        let bytes = read_description(path).map_err(|e| Error::io("read", path, e))?;
        let value = seal::of_json(path, &bytes, EXPECTED, HELP, |_| true)?;
        let kind = value["kind"].as_str().unwrap_or("none");
        if kind != SUBWORD_VOCABULARY {
            return Err(wrong(format!("kind {SUBWORD_VOCABULARY}"), kind.into()));
        }
        let read: SubwordFile = serde_json::from_value(value).map_err(|e| wrong(EXPECTED.into(), e.to_string()))?;
        if read.format_version != FORMAT_VERSION {
            return Err(wrong(format!("format version {FORMAT_VERSION}"), read.format_version.to_string()));
        }
        let sizes = &read.codebook_sizes;
        if sizes.is_empty()
            || sizes.len() > MAX_LEVELS
            || sizes.iter().any(|&size| size == 0 || size > MAX_CODEBOOK_SIZE)
        {
            let expected = format!("1 to {MAX_LEVELS} codebooks of 1 to {MAX_CODEBOOK_SIZE} codes");
            return Err(wrong(expected, format!("{sizes:?}")));
        }
        let pieces = sizes.iter().sum::<usize>() + read.merges.len();
        if pieces != read.pieces || pieces > MAX_PIECES {
            return Err(wrong(format!("{pieces} pieces, those of its codes and merges"), read.pieces.to_string()));
        }
        let vocabulary = Self::new(read.model_hash, read.codebook_sizes, read.requested, read.merges);
        vocabulary.map(|vocabulary| (vocabulary, sha256(&bytes))).map_err(|(expected, got)| wrong(expected, got))
    }
}
