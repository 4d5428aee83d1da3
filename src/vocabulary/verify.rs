//! Verification of an extended tokenizer.

use super::folder::unusable;
use super::new_words::NewWords;
use super::source::Source;
use super::token_ids::TokenIds;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::semantic_id::TokenTable;
use crate::text_tokenizer::TextTokenizer;

/// Contexts in which an ID (`@`) occurs in prompts and answers.
const CONTEXTS: [&str; 7] =
    ["Buy @, please.", " @", "The user chose\n@\nand then (@).", "“@”", "他买了@。", "x@y", "@@"];
/// Maximum number of items that are tested in every context; all items are tested without one.
const MAX_SAMPLE: usize = 1000;
/// Text without semantic IDs, in many scripts and with characters that token formats use.
const ORDINARY: &str = include_str!("ordinary_text.txt");

/// Checks the id of every new token, the encoding of ordinary text against the original tokenizer, and the encoding and
/// decoding of every item's ID. Returns whether decoding inserts spaces between tokens, as WordPiece does.
pub(super) fn verify(
    source: &Source,
    extended: &TextTokenizer,
    new: &NewWords,
    ids: &TokenIds,
    table: &TokenTable,
    progress: &dyn Progress,
) -> Result<bool> {
    for (word, id) in new.words.iter().zip(ids.first_id..) {
        let got = extended.token_to_id(word);
        if got != Some(id) {
            let got = format!("a tokenizer that gives {word:?} the id {got:?} instead of {id}");
            let help = "load it with AutoTokenizer, and save it with save_pretrained";
            return Err(Error::file(source.path(), "a tokenizer that can be extended", got, help));
        }
    }
    // If the tokenizer was already extended before, its original is not available.
    if let Some(original) = source.json.as_ref().filter(|_| source.record.is_none()) {
        ordinary_text(source, &original.tokenizer, extended)?;
    }
    for word in &new.words[new.codes..] {
        let encoded = encode(source, extended, &format!("a {word}, b"))?;
        let id = extended.token_to_id(word).unwrap_or_default();
        if encoded.iter().filter(|&&got| got == id).count() != 1 {
            let help = "choose another marker";
            return Err(Error::mismatch(
                format!("marker {word:?}"),
                format!("the id {id}"),
                format!("{encoded:?}"),
                help,
            ));
        }
    }
    let rows = table.codes.nrows();
    let step = rows.div_ceil(MAX_SAMPLE).max(1);
    let mut spaces = false;
    progress.begin("verify", Some(rows as u64), "IDs");
    for row in 0..rows {
        spaces |= item(source, extended, ids, table, row, row % step == 0)?;
        progress.advance(1);
    }
    progress.end();
    Ok(spaces)
}

fn ordinary_text(source: &Source, original: &TextTokenizer, extended: &TextTokenizer) -> Result<()> {
    for line in ORDINARY.lines() {
        let (before, after) = (encode(source, original, line)?, encode(source, extended, line)?);
        if before != after {
            return Err(Error::mismatch(
                "ordinary text",
                format!("{line:?} to be encoded as before, as {} ids", before.len()),
                format!("{} different ids", after.len()),
                "choose another --token-format or marker; its tokens occur in ordinary text",
            ));
        }
    }
    Ok(())
}

/// Tests the ID of one item. Returns whether decoding inserts spaces.
fn item(
    source: &Source,
    extended: &TextTokenizer,
    ids: &TokenIds,
    table: &TokenTable,
    row: usize,
    everywhere: bool,
) -> Result<bool> {
    let semantic_id = table.semantic_id(row);
    let codes = table.codes.row(row);
    let expected: Vec<u32> = codes.iter().enumerate().map(|(level, &code)| ids.id(level, code)).collect();
    let wrong = |text: &str, expected: String, got: String| Error::Item {
        item: table.item_ids.text(row),
        expected: format!("{text:?} {expected} by the extended tokenizer"),
        got,
        help: "choose another --token-format; this tokenizer does not keep these tokens whole".into(),
    };
    let encoded = encode(source, extended, &semantic_id)?;
    if encoded != expected {
        return Err(wrong(&semantic_id, format!("to be encoded as {expected:?}"), format!("{encoded:?}")));
    }
    let decoded = extended.decode(&encoded).map_err(|e| unusable(source.path(), e))?;
    let spaces = decoded != semantic_id;
    if spaces && decoded.replace(' ', "") != semantic_id {
        return Err(wrong(&semantic_id, "to be restored by decoding".into(), format!("{decoded:?}")));
    }
    for context in CONTEXTS.iter().filter(|_| everywhere) {
        let text = context.replace('@', &semantic_id);
        let encoded = encode(source, extended, &text)?;
        let whole = encoded.windows(expected.len()).filter(|window| *window == expected).count();
        let ours = encoded.iter().filter(|&&id| ids.code_of(id).is_some()).count();
        let times = context.matches('@').count();
        if (whole, ours) != (times, times * expected.len()) {
            return Err(wrong(&text, format!("to contain {expected:?}, {times} times"), format!("{encoded:?}")));
        }
    }
    Ok(spaces)
}

fn encode(source: &Source, tokenizer: &TextTokenizer, text: &str) -> Result<Vec<u32>> {
    let encoding = tokenizer.encode(text).map_err(|e| unusable(source.path(), e))?;
    Ok(encoding.get_ids().to_vec())
}
