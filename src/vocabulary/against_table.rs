//! Checks a vocabulary folder against a token table.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use super::description::VocabularyDescription;
use super::files::{INDEX_FILE, lc_rec_index};
use super::{FORMAT_VERSION, TOKENIZER_FOLDER, TokenIds, VOCABULARY_FILE, Vocabulary};
use crate::artifact::{open_regular, read_regular};
use crate::error::{Error, Result};
use crate::semantic_id::TokenTable;
use crate::text_tokenizer::TextTokenizer;

/// Advice for a folder that does not match.
const HELP: &str = "write the folder again with `catalex vocab`";

/// Checks a vocabulary folder against the token table that it was written for: the description, the list of tokens, the
/// tokens of every item, and the ids of the tokens in the extended tokenizer. Memory use is independent of the number
/// of items.
///
/// # Errors
/// [`Error::Artifact`] names the first file and value that differ; [`Error::Missing`] and [`Error::Io`].
pub fn check_vocabulary(folder: &Path, table: &TokenTable) -> Result<()> {
    let metadata = &table.metadata;
    let path = folder.join(VOCABULARY_FILE);
    let bytes = read(&path)?;
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|e| Error::artifact(&path, "a vocabulary", e, HELP))?;
    let expected = [
        ("format_version", FORMAT_VERSION.into()),
        ("model_hash", metadata.model_hash.as_str().into()),
        ("codebook_sizes", metadata.codebook_sizes.clone().into()),
        ("token_format", metadata.token_format.to_string().into()),
    ];
    for (key, expected) in expected {
        let expected: serde_json::Value = expected;
        if value[key] != expected {
            return Err(Error::artifact(&path, format!("{expected} as {key}"), &value[key], HELP));
        }
    }
    let markers = ["begin_token", "end_token"].into_iter().filter_map(|key| value[key].as_str().map(str::to_owned));
    let vocabulary = Vocabulary::new(&metadata.codebook_sizes, metadata.token_format.clone());
    let words: Vec<String> = vocabulary.tokens().chain(markers).collect();
    let list = folder.join("new_tokens.json");
    let listed: Vec<String> = serde_json::from_slice(&read(&list)?)
        .map_err(|e| Error::artifact(&list, "a list of the new tokens", e, HELP))?;
    if listed != words {
        let at = (0..).find(|&at| listed.get(at) != words.get(at)).unwrap_or_default();
        let (expected, got) = (words.get(at), listed.get(at));
        return Err(Error::artifact(&list, format!("{expected:?} at position {at}"), format!("{got:?}"), HELP));
    }
    items(&folder.join(INDEX_FILE), table)?;
    check_description(folder)?;
    if value["tokenizer"].is_null() { Ok(()) } else { tokenizer(folder, &words) }
}

/// Checks the description of a vocabulary folder without a token table: its format version, and that its keys are
/// consistent.
///
/// # Errors
/// As [`check_vocabulary`].
pub fn check_description(folder: &Path) -> Result<()> {
    let path = folder.join(VOCABULARY_FILE);
    let description = VocabularyDescription::read(&path, HELP)?;
    if description.tokenizer.is_some() {
        return TokenIds::of_description(&path, &description).map(drop);
    }
    match description.contradiction() {
        Some((key, expected, got)) => Err(Error::artifact(&path, format!("{expected} as {key}"), got, HELP)),
        None => Ok(()),
    }
}

/// Compares the tokens of every item, byte by byte.
fn items(path: &Path, table: &TokenTable) -> Result<()> {
    let file = open_regular(path).map_err(|e| Error::io("read", path, e))?;
    let mut compared = Compared { file: BufReader::new(file), buffer: Vec::new(), at: 0 };
    let whole = lc_rec_index(&mut compared, table).and_then(|()| compared.end());
    match whole {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => {
            let got = format!("different content after byte {}", compared.at);
            Err(Error::artifact(path, "the tokens of the items of the token table", got, HELP))
        }
        Err(e) => Err(Error::io("read", path, e)),
    }
}

/// A writer that compares its input with an existing file. Different input is an error of kind `InvalidData`.
struct Compared {
    file: BufReader<File>,
    buffer: Vec<u8>,
    at: u64,
}

impl Compared {
    fn end(&mut self) -> io::Result<()> {
        if self.file.read(&mut [0])? == 0 { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}

impl Write for Compared {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.buffer.resize(buf.len(), 0);
        match self.file.read_exact(&mut self.buffer) {
            Err(e) if e.kind() != io::ErrorKind::UnexpectedEof => return Err(e),
            Ok(()) if self.buffer == buf => self.at += buf.len() as u64,
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Checks the ids of the new tokens in the extended tokenizer against `vocabulary.json`.
fn tokenizer(folder: &Path, words: &[String]) -> Result<()> {
    let ids = TokenIds::read(folder)?;
    let path = folder.join(TOKENIZER_FOLDER).join("tokenizer.json");
    let text = String::from_utf8(read(&path)?).map_err(|e| Error::artifact(&path, "UTF-8", e, HELP))?;
    let tokenizer = TextTokenizer::parse(&text).map_err(|e| Error::artifact(&path, "a tokenizer", e, HELP))?;
    for (word, id) in words.iter().zip(ids.first_id..) {
        let got = tokenizer.token_to_id(word);
        if got != Some(id) {
            return Err(Error::artifact(&path, format!("{word:?} with the id {id}"), format!("{got:?}"), HELP));
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    read_regular(path).map_err(|e| Error::io("read", path, e))
}
