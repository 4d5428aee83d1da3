//! Extension of a Hugging Face tokenizer folder by new tokens.
//!
//! Tokens are appended after the highest id in use, because recommenders hard-code the ids of ordinary words. Files are
//! edited as text or bytes, so that everything else in them stays unchanged.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::folder::{check_file, unusable};
use super::holes::{pieces_before, without_holes};
use super::json_edit::{Entries, JsonPlace, append};
use super::json_tokenizer::TOKENIZER;
use super::new_words::NewWords;
use super::record::{RECORD, TokenizerRecord};
use super::sentencepiece::{PieceKind, SentencePiece};
use super::source::{ADDED, CONFIG, DECODER, Source};
use super::verify::verify;
use super::{TokenIds, Vocabulary, VocabularyOptions};
use crate::artifact::copy_file;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::semantic_id::TokenTable;
use crate::text_tokenizer::TextTokenizer;

/// File name endings of weights, which are not copied.
const WEIGHT_ENDINGS: [&str; 17] = [
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".gguf",
    ".ggml",
    ".onnx",
    ".onnx_data",
    ".onnx.data",
    ".h5",
    ".msgpack",
    ".tflite",
    ".npz",
    ".mlmodel",
    ".index.json",
    ".lock",
];
/// The folder of additional chat templates.
const TEMPLATES: &str = "chat_templates";

/// The result of an extension.
pub(super) struct ExtendedTokenizer {
    pub(super) ids: TokenIds,
    /// Embedding rows of the model according to its `config.json`.
    pub(super) model_rows: Option<u64>,
    /// Number of tokens directly before the new ones that are in no file, but that loading adds.
    pub(super) added_on_loading: u32,
    /// Name of the SentencePiece model, and whether it was extended.
    pub(super) model: Option<(String, bool)>,
    /// Whether decoding inserts spaces between tokens.
    pub(super) spaces: bool,
}

/// Checks the options for a vocabulary before its model is trained.
///
/// # Errors
/// [`Error::Config`] for options that contradict each other; [`Error::Missing`] for a tokenizer folder without a
/// tokenizer; [`Error::File`] for one that cannot be read, was extended before, or contains some of the tokens.
pub fn check_options(options: &VocabularyOptions, vocabulary: &Vocabulary) -> Result<()> {
    let new = options.words(vocabulary)?;
    let Some(folder) = &options.tokenizer else { return Ok(()) };
    let source = Source::read(folder)?;
    if source.record.is_some() {
        return Err(Error::file(
            folder,
            "a tokenizer that was not extended",
            "one that contains the tokens of an index",
            "pass the tokenizer as it was before it was extended",
        ));
    }
    first_id(&source, &new)?;
    check_free(&source, &new)
}

/// Writes an extended copy of the folder `source` into the folder `out`, and verifies it on every item of the table.
pub(super) fn extend(
    source: &Path,
    out: &Path,
    new: &NewWords,
    table: &TokenTable,
    trained: Option<&TokenTable>,
    progress: &dyn Progress,
) -> Result<ExtendedTokenizer> {
    let mut source = Source::read(source)?;
    if let (None, Some(before)) = (&source.record, trained) {
        // A training program may save a tokenizer without the record.
        source.record = Some(TokenizerRecord::new(&before.metadata, new, held_first_id(&source, new)?, 0));
    }
    let first_id = first_id(&source, new)?;
    let wanted = TokenizerRecord::new(&table.metadata, new, first_id, source.outside.len());
    let mut changed: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    match &source.record {
        Some(record) => {
            let held = trained.map_or(&table.metadata, |before| &before.metadata);
            record.check(&source.folder, &TokenizerRecord::new(held, new, first_id, 0))?;
            check_held(&source, new, first_id)?;
            if trained.is_some() {
                changed.insert(RECORD, record.of_model(&table.metadata.model_hash).bytes());
            }
        }
        None => {
            check_free(&source, new)?;
            if let Some(json) = &source.json {
                let filled = without_holes(&source)?;
                let text = filled.as_deref().unwrap_or(&json.text);
                let edited = append(text, JsonPlace::Key("added_tokens"), &json_entries(&source, new, first_id));
                changed.insert(TOKENIZER, edited.map_err(|e| unusable(&json.path, e))?.into_bytes());
            }
            edit_companions(&source, new, first_id, &mut changed)?;
            changed.insert(RECORD, wanted.bytes());
        }
    }
    let model = source.model.as_ref().map(|model| {
        let name = model.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (name, source.extends_model())
    });
    if let (Some(model), Some((name, true)), None) = (&source.model, &model, &source.record) {
        let pieces = pieces_before(&source, first_id)?
            .into_iter()
            .chain(new.words.iter().map(|word| SentencePiece { text: word.clone(), kind: PieceKind::UserDefined }));
        changed.insert(name, model.with(pieces));
    }
    copy(&source.folder, out, &changed)?;

    let (begin, end) = new.markers();
    let id = |index: usize| first_id + index as u32;
    let ids = TokenIds {
        first_id,
        codebook_sizes: table.metadata.codebook_sizes.clone(),
        begin: begin.map(id),
        end: end.map(id),
        vocabulary_size: id(new.words.len()),
    };
    let mut spaces = false;
    if let Some(json) = &source.json {
        let extended = match changed.get(TOKENIZER) {
            Some(text) => {
                let text = std::str::from_utf8(text).map_err(|e| unusable(&json.path, e))?;
                &TextTokenizer::parse(text).map_err(|e| unusable(&json.path, e))?
            }
            None => &json.tokenizer,
        };
        spaces = verify(&source, extended, new, &ids, table, progress)?;
    }
    let added_on_loading = source.record.as_ref().unwrap_or(&wanted).added_on_loading.unwrap_or(0);
    Ok(ExtendedTokenizer { ids, model_rows: source.model_rows, added_on_loading, model, spaces })
}

/// Id of the first new token, checked so that all ids fit.
fn first_id(source: &Source, new: &NewWords) -> Result<u32> {
    let next = source.record.as_ref().map_or_else(|| source.next_id(), |record| u64::from(record.first_id));
    // SentencePiece uses signed ids.
    let most = if source.extends_model() { i32::MAX as u64 } else { u64::from(u32::MAX) };
    let last = next.saturating_add(new.words.len() as u64);
    u32::try_from(next).ok().filter(|_| last <= most).ok_or_else(|| {
        Error::mismatch(
            format!("ids of {}", source.path().display()),
            format!("at most {most} after {} new tokens", new.words.len()),
            format!("{next} before"),
            "a token id has 32 bits: use a tokenizer with smaller ids, or a model with fewer codes",
        )
    })
}

/// Id of the first code in a tokenizer that has the tokens.
fn held_first_id(source: &Source, new: &NewWords) -> Result<u32> {
    let first = new.words.first().map_or("", String::as_str);
    let id = source.words().get(first).and_then(|&id| u32::try_from(id).ok());
    id.ok_or_else(|| {
        Error::file(
            source.path(),
            format!("the tokenizer of a language model that was trained with the tokens of --from, such as {first:?}"),
            "one without this token",
            "pass the tokenizer that was saved with the fine-tuned model",
        )
    })
}

/// Refuses a tokenizer that already contains one of the tokens.
fn check_free(source: &Source, new: &NewWords) -> Result<()> {
    let mut words = source.words();
    // A piece of the SentencePiece model would collide with a new piece of the same text.
    for (piece, index) in source.model.iter().flat_map(|model| model.pieces.iter().zip(0..)) {
        words.entry(&piece.text).or_insert(index);
    }
    let taken = |word: &String| words.get(word.as_str()).map(|id| (word.clone(), *id));
    let taken: Vec<(String, u64)> = new.words.iter().filter_map(taken).collect();
    match taken.first() {
        None => Ok(()),
        Some((word, id)) => Err(Error::file(
            source.path(),
            "a tokenizer without the index's tokens",
            format!("{word:?} with id {id}, and {} more of them, without a record of their origin", taken.len() - 1),
            "pass the tokenizer as it was before it was extended, or choose another --token-format",
        )),
    }
}

/// Checks that an extended tokenizer has the tokens at the recorded ids.
fn check_held(source: &Source, new: &NewWords, first_id: u32) -> Result<()> {
    let words = source.words();
    let differs = |(word, id): (&String, u64)| (words.get(word.as_str()) != Some(&id)).then(|| (word.clone(), id));
    match new.words.iter().zip(u64::from(first_id)..).find_map(differs) {
        None => Ok(()),
        Some((word, id)) => Err(Error::file(
            source.path(),
            format!("{word:?} with id {id}, as recorded in {RECORD}"),
            words.get(word.as_str()).map_or("no such token".into(), |id| format!("the id {id}")),
            "pass the tokenizer as it was before it was extended",
        )),
    }
}

/// The new elements of `added_tokens`: first the tokens that only companion files list, then the new tokens.
fn json_entries(source: &Source, new: &NewWords, first_id: u32) -> Entries {
    let entry = |id: u64, token: Map<String, Value>| {
        let mut entry = Map::from_iter([("id".to_owned(), json!(id))]);
        entry.extend(token);
        Value::Object(entry)
    };
    let listed = source.beside_json().into_iter().map(|listed| {
        let mut token = added_token(&listed.word);
        token.extend(listed.more.clone());
        entry(listed.id, token)
    });
    let ours = new.words.iter().zip(u64::from(first_id)..).map(|(word, id)| entry(id, added_token(word)));
    Entries::List(listed.chain(ours).collect())
}

/// An added token in the format of `tokenizers`. It is not normalized, so that a lowercasing tokenizer finds `<A_1>`.
fn added_token(word: &str) -> Map<String, Value> {
    let no = ["single_word", "lstrip", "rstrip", "normalized", "special"].map(|key| (key.to_owned(), json!(false)));
    Map::from_iter([("content".to_owned(), json!(word))].into_iter().chain(no))
}

/// Adds the tokens to `tokenizer_config.json` and `added_tokens.json`.
fn edit_companions(
    source: &Source,
    new: &NewWords,
    first_id: u32,
    changed: &mut BTreeMap<&str, Vec<u8>>,
) -> Result<()> {
    let ours = || new.words.iter().zip(u64::from(first_id)..);
    // With a SentencePiece model only, transformers recognizes in a text only the tokens that are listed here.
    if let Some(config) = source.config.as_ref().filter(|text| text.contains(DECODER) || source.json.is_none()) {
        let outside = source.outside.iter().map(|token| (token.id.to_string(), token.more.clone().into()));
        let pairs = outside.chain(ours().map(|(word, id)| (id.to_string(), added_token(word).into())));
        let edited = append(config, JsonPlace::Key(DECODER), &Entries::Object(pairs.collect()));
        changed.insert(CONFIG, edited.map_err(|e| unusable(&source.folder.join(CONFIG), e))?.into_bytes());
    }
    if let Some(added) = &source.added {
        let outside = source.outside.iter().map(|token| (token.word.clone(), json!(token.id)));
        let pairs = outside.chain(ours().map(|(word, id)| (word.clone(), json!(id))));
        let edited = append(added, JsonPlace::Whole, &Entries::Object(pairs.collect()));
        changed.insert(ADDED, edited.map_err(|e| unusable(&source.folder.join(ADDED), e))?.into_bytes());
    }
    Ok(())
}

/// Copies the files of a folder except weights, with the changed contents where they were changed.
fn copy(from: &Path, to: &Path, changed: &BTreeMap<&str, Vec<u8>>) -> Result<()> {
    for (name, bytes) in changed {
        let path = to.join(name);
        fs::write(&path, bytes).map_err(|e| Error::io("write", &path, e))?;
    }
    for (name, path) in files(from)? {
        let text = name.to_string_lossy();
        let weights = WEIGHT_ENDINGS.iter().any(|ending| text.ends_with(ending)) || text.starts_with('.');
        if path.is_dir() {
            if text == TEMPLATES {
                let inside = to.join(TEMPLATES);
                fs::create_dir(&inside).map_err(|e| Error::io("create", &inside, e))?;
                for (name, template) in files(&path)? {
                    check_file(from, &template)?;
                    copy_file(&template, &inside.join(name))?;
                }
            }
        } else if !weights && !changed.contains_key(&*text) {
            check_file(from, &path)?;
            copy_file(&path, &to.join(&name))?;
        }
    }
    Ok(())
}

fn files(folder: &Path) -> Result<BTreeMap<OsString, std::path::PathBuf>> {
    let fail = |e| Error::io("read", folder, e);
    let entries = fs::read_dir(folder).map_err(fail)?;
    entries.map(|entry| entry.map(|e| (e.file_name(), e.path())).map_err(fail)).collect()
}
