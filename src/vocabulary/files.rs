//! The plain files of a vocabulary folder.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::json;

use super::{FORMAT_VERSION, TOKENIZER_FOLDER, TokenIds, VOCABULARY_FILE, Vocabulary};
use crate::error::{Error, Result};
use crate::semantic_id::TokenTable;

pub(super) fn write(folder: &Path, vocabulary: &Vocabulary, table: &TokenTable, ids: Option<TokenIds>) -> Result<()> {
    let tokens: Vec<String> = vocabulary.tokens().collect();
    write_with(&folder.join("new_tokens.json"), |out| {
        serde_json::to_writer_pretty(&mut *out, &tokens)?;
        writeln!(out)
    })?;
    write_with(&folder.join("new_tokens.txt"), |out| tokens.iter().try_for_each(|token| writeln!(out, "{token}")))?;
    write_with(&folder.join("index.json"), |out| lc_rec_index(out, table))?;
    write_with(&folder.join(VOCABULARY_FILE), |out| {
        serde_json::to_writer_pretty(&mut *out, &description(vocabulary, table, ids))?;
        writeln!(out)
    })
}

/// LC-Rec's index: `{"item id": ["<a_1>", "<b_2>", ...], ...}`, an item a line, in the table's order.
fn lc_rec_index(out: &mut dyn Write, table: &TokenTable) -> io::Result<()> {
    let format = &table.metadata.token_format;
    for (row, codes) in table.codes.rows().into_iter().enumerate() {
        let tokens: Vec<String> = codes.iter().enumerate().map(|(level, &code)| format.token(level, code)).collect();
        write!(out, "{}{}: {}", if row == 0 { "{\n" } else { ",\n" }, json!(table.item_ids.text(row)), json!(tokens))?;
    }
    writeln!(out, "\n}}")
}

fn description(vocabulary: &Vocabulary, table: &TokenTable, ids: Option<TokenIds>) -> serde_json::Value {
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
        "tokenizer": null,
    });
    if let Some(ids) = ids {
        let by_token: serde_json::Map<String, serde_json::Value> =
            vocabulary.tokens().zip(ids.first_id..).map(|(token, id)| (token, id.into())).collect();
        description["tokenizer"] = json!({
            "folder": TOKENIZER_FOLDER,
            "first_id": ids.first_id,
            "last_id": ids.vocabulary_size - 1,
            "vocabulary_size": ids.vocabulary_size,
            "token_ids": by_token,
        });
    }
    description
}

fn write_with(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let fail = |e| Error::io("write", path, e);
    let mut out = BufWriter::new(File::create(path).map_err(fail)?);
    content(&mut out).map_err(fail)?;
    out.flush().map_err(fail)
}
