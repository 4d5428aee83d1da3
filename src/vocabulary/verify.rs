//! An extended tokenizer, put to use before it is handed over.

use tokenizers::Tokenizer;

use super::options::NewWords;
use super::source::{Source, unusable};
use super::token_ids::TokenIds;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::semantic_id::TokenTable;

/// Places in which an ID (`@`) stands in prompts and answers.
const CONTEXTS: [&str; 7] =
    ["Buy @, please.", " @", "The user chose\n@\nand then (@).", "“@”", "他买了@。", "x@y", "@@"];
/// Most items that are tried in every place; all are tried bare.
const SAMPLE: usize = 1000;
/// Text that has nothing to do with semantic IDs, in many scripts and with signs like those of token formats.
const ORDINARY: &str = include_str!("ordinary_text.txt");

/// Checks every word's id, ordinary text against the tokenizer as it was, and every item's ID in encoding and
/// decoding. Returns whether decoding puts spaces between tokens, as WordPiece's does.
pub(super) fn verify(
    source: &Source,
    extended: &Tokenizer,
    new: &NewWords,
    ids: &TokenIds,
    table: &TokenTable,
    progress: &dyn Progress,
) -> Result<bool> {
    for (word, id) in new.words.iter().zip(ids.first_id..) {
        let got = extended.token_to_id(word);
        if got != Some(id) {
            let got = format!("ids with gaps, so that {word:?} would have {got:?} in place of {id}");
            let help = "take a tokenizer whose ids run from 0 without a gap";
            return Err(Error::file(source.path(), "a tokenizer that can be extended", got, help));
        }
    }
    // One that was extended before is all there is of it.
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
    let step = rows.div_ceil(SAMPLE).max(1);
    let mut spaces = false;
    progress.begin("verify", Some(rows as u64), "IDs");
    for row in 0..rows {
        spaces |= item(source, extended, ids, table, row, row % step == 0)?;
        progress.advance(1);
    }
    progress.end();
    Ok(spaces)
}

fn ordinary_text(source: &Source, original: &Tokenizer, extended: &Tokenizer) -> Result<()> {
    for line in ORDINARY.lines() {
        let (before, after) = (encode(source, original, line)?, encode(source, extended, line)?);
        if before != after {
            return Err(Error::mismatch(
                "ordinary text",
                format!("{line:?} to be encoded as before, as {} ids", before.len()),
                format!("{} ids, other ones", after.len()),
                "choose another --token-format or marker; what it makes stands in ordinary text",
            ));
        }
    }
    Ok(())
}

/// Tries one item's ID; whether its decoded tokens have spaces between them.
fn item(
    source: &Source,
    extended: &Tokenizer,
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
    let decoded = extended.decode(&encoded, false).map_err(|e| unusable(source.path(), e))?;
    let spaces = decoded != semantic_id;
    if spaces && decoded.replace(' ', "") != semantic_id {
        return Err(wrong(&semantic_id, "to come back when decoded".into(), format!("{decoded:?}")));
    }
    for context in CONTEXTS.iter().filter(|_| everywhere) {
        let text = context.replace('@', &semantic_id);
        let encoded = encode(source, extended, &text)?;
        let whole = encoded.windows(expected.len()).filter(|window| *window == expected).count();
        let ours = encoded.iter().filter(|&&id| ids.code_of(id).is_some()).count();
        let times = context.matches('@').count();
        if (whole, ours) != (times, times * expected.len()) {
            return Err(wrong(&text, format!("to hold {expected:?}, {times} times"), format!("{encoded:?}")));
        }
    }
    Ok(spaces)
}

fn encode(source: &Source, tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>> {
    let encoding = tokenizer.encode(text, false).map_err(|e| unusable(source.path(), e))?;
    Ok(encoding.get_ids().to_vec())
}
