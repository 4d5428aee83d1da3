//! The token lists, LC-Rec's index and the description of a vocabulary folder.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::hugging_face::ExtendedTokenizer;
use super::new_words::NewWords;
use super::{FORMAT_VERSION, TOKENIZER_FOLDER, VOCABULARY_FILE, Vocabulary, VocabularyOptions};
use crate::artifact::seal;
use crate::error::{Error, Result};
use crate::semantic_id::TokenTable;

/// The file with the tokens of each item.
pub(super) const INDEX_FILE: &str = "index.json";

pub(super) fn write(
    folder: &Path,
    vocabulary: &Vocabulary,
    new: &NewWords,
    table: &TokenTable,
    options: &VocabularyOptions,
    extended: Option<&ExtendedTokenizer>,
) -> Result<()> {
    let words = &new.words;
    write_with(&folder.join("new_tokens.json"), |out| {
        serde_json::to_writer_pretty(&mut *out, words)?;
        writeln!(out)
    })?;
    write_with(&folder.join("new_tokens.txt"), |out| words.iter().try_for_each(|word| writeln!(out, "{word}")))?;
    // LLaMA-Factory splits the list at commas.
    if !words.iter().any(|word| word.contains(',')) {
        write_with(&folder.join("llamafactory.yaml"), |out| llama_factory(out, words))?;
    }
    write_index_json(&folder.join(INDEX_FILE), table)?;
    let description = description(vocabulary, new, table, options, extended);
    write_with(&folder.join(VOCABULARY_FILE), |out| out.write_all(&seal::to_json(&description)?))
}

/// Writes LC-Rec's `index.json`, the only file of a vocabulary folder that depends on the items.
///
/// # Errors
/// [`Error::Io`].
pub fn write_index_json(path: &Path, table: &TokenTable) -> Result<()> {
    write_with(path, |out| lc_rec_index(out, table))
}

/// The settings with which LLaMA-Factory adds the tokens to a tokenizer itself. A JSON string is valid YAML.
fn llama_factory(out: &mut dyn Write, words: &[String]) -> io::Result<()> {
    writeln!(out, "add_tokens: {}\nresize_vocab: true", json!(words.join(",")))
}

/// LC-Rec's index: `{"item id": ["<a_1>", "<b_2>", ...], ...}`, one item per line, in the order of the table.
pub(super) fn lc_rec_index(out: &mut dyn Write, table: &TokenTable) -> io::Result<()> {
    let format = &table.metadata.token_format;
    for (row, codes) in table.codes.rows().into_iter().enumerate() {
        let tokens: Vec<String> = codes.iter().enumerate().map(|(level, &code)| format.token(level, code)).collect();
        write!(out, "{}{}: {}", if row == 0 { "{\n" } else { ",\n" }, json!(table.item_ids.text(row)), json!(tokens))?;
    }
    writeln!(out, "\n}}")
}

fn description(
    vocabulary: &Vocabulary,
    new: &NewWords,
    table: &TokenTable,
    options: &VocabularyOptions,
    extended: Option<&ExtendedTokenizer>,
) -> Value {
    let metadata = &table.metadata;
    let levels = metadata.codebook_sizes.len();
    let mut description = json!({
        "format_version": FORMAT_VERSION,
        "model_hash": metadata.model_hash,
        "levels": levels,
        "codebook_sizes": metadata.codebook_sizes,
        "token_format": metadata.token_format,
        "tokens": vocabulary.len(),
        "offsets": (0..levels).map(|level| vocabulary.offset(level)).collect::<Vec<_>>(),
        "begin_token": new.begin,
        "end_token": new.end,
        "add_tokens_list": new.words,
        "tokenizer": null,
    });
    if let Some(extended) = extended {
        description["tokenizer"] = tokenizer(new, options, extended);
    }
    description
}

fn tokenizer(new: &NewWords, options: &VocabularyOptions, extended: &ExtendedTokenizer) -> Value {
    let ids = &extended.ids;
    let all = ids.first_id..ids.vocabulary_size;
    let by_token: Map<String, Value> =
        new.words.iter().zip(all.clone()).map(|(word, id)| (word.clone(), id.into())).collect();
    // The matrix never shrinks, so it has at least the model's own rows.
    let rows = u64::from(ids.vocabulary_size).max(extended.model_rows.unwrap_or(0));
    let padded = rows.next_multiple_of(u64::from(options.pad_to_multiple_of.unwrap_or(1)));
    json!({
        "folder": TOKENIZER_FOLDER,
        "first_id": ids.first_id,
        "last_id": ids.vocabulary_size - 1,
        "first_ids": (0..ids.codebook_sizes.len()).map(|level| ids.first_of_level(level)).collect::<Vec<_>>(),
        "begin_id": ids.begin,
        "end_id": ids.end,
        "vocabulary_size": ids.vocabulary_size,
        "model_rows": extended.model_rows,
        "pad_to_multiple_of": options.pad_to_multiple_of,
        "embedding_rows": padded,
        "spaces_between_tokens": extended.spaces,
        "sentencepiece_model": extended.model.as_ref().map(|(name, _)| name),
        "sentencepiece_extended": extended.model.as_ref().is_some_and(|(_, extended)| *extended),
        "token_ids": by_token,
        "trainable_token_indices": all.collect::<Vec<_>>(),
    })
}

fn write_with(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let fail = |e| Error::io("write", path, e);
    let mut out = BufWriter::new(File::create(path).map_err(fail)?);
    content(&mut out).map_err(fail)?;
    out.flush().map_err(fail)
}
