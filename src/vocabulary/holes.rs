//! Fills ids without a token, for formats that number tokens by their position.

use std::collections::{HashMap, HashSet};

use serde_json::json;

use super::folder::unusable;
use super::json_edit::{Entries, JsonPlace, append};
use super::sentencepiece::{PieceKind, SentencePiece};
use super::source::Source;
use crate::error::{Error, Result};

/// Maximum number of ids that are filled.
const MAX_FILLED: u64 = 1_000_000;

/// The text of `tokenizer.json` with a word for every id below the highest one. Unchanged if no id is missing. The
/// `tokenizers` library numbers added tokens from the size of the model's vocabulary.
pub(super) fn without_holes(source: &Source) -> Result<Option<String>> {
    let Some(json) = &source.json else { return Ok(None) };
    let Some(ids) = &json.model_ids else { return Ok(None) };
    let end = ids.iter().max().map_or(0, |id| id.saturating_add(1));
    let missing = end - ids.len() as u64;
    if missing == 0 {
        return Ok(None);
    }
    if missing > MAX_FILLED {
        let (expected, got) = (format!("at most {MAX_FILLED} ids without a token"), format!("{missing} of {end}"));
        return Err(Error::file(&json.path, expected, got, "use a tokenizer with fewer unused ids"));
    }
    let names = TokenNames::new(source);
    let pairs = (0..end).filter(|id| !ids.contains(id)).map(|id| {
        let name = names.by_id.get(&id).map_or_else(|| names.unused(id), |word| (*word).to_owned());
        (name, json!(id))
    });
    let filled = append(&json.text, JsonPlace::Path(&["model", "vocab"]), &Entries::Object(pairs.collect()));
    filled.map(Some).map_err(|e| unusable(&json.path, e))
}

/// Pieces for the ids between the model's last id and the first new id: tokens outside the tokenizer's model, such as
/// T5's `<extra_id_0>`. The kinds of these pieces never match text, so the encoding of text does not change.
pub(super) fn pieces_before(source: &Source, first_id: u32) -> Result<Vec<SentencePiece>> {
    let Some(model) = &source.model else { return Ok(vec![]) };
    let pieces = model.pieces.len() as u64;
    let gap = u64::from(first_id).saturating_sub(pieces);
    if gap > MAX_FILLED {
        let got = format!("{pieces} pieces, {gap} fewer than the tokenizer's ids");
        let help = "remove the SentencePiece model from the folder, or use a tokenizer without such a gap";
        return Err(Error::file(&model.path, format!("at most {MAX_FILLED} ids without a piece"), got, help));
    }
    let known: HashSet<&str> = model.pieces.iter().map(|piece| piece.text.as_str()).collect();
    let names = TokenNames::new(source);
    let fill = |id: u64| match names.by_id.get(&id).filter(|word| !known.contains(**word)) {
        Some(word) => SentencePiece { text: (*word).to_owned(), kind: PieceKind::Control },
        None => SentencePiece { text: names.unused(id), kind: PieceKind::Unused },
    };
    Ok((pieces..u64::from(first_id)).map(fill).collect())
}

/// The tokens of a tokenizer by id.
struct TokenNames<'a> {
    words: HashMap<&'a str, u64>,
    by_id: HashMap<u64, &'a str>,
}

impl<'a> TokenNames<'a> {
    fn new(source: &'a Source) -> Self {
        let words = source.words();
        // If several tokens have the same id, the first in alphabetical order.
        let mut sorted: Vec<(&str, u64)> = words.iter().map(|(&word, &id)| (word, id)).collect();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        TokenNames { words, by_id: sorted.into_iter().map(|(word, id)| (id, word)).collect() }
    }

    /// An unused name for an id without a token.
    fn unused(&self, id: u64) -> String {
        let mut name = format!("<catalex_unused_{id}>");
        while self.words.contains_key(name.as_str()) {
            name.push('_');
        }
        name
    }
}
