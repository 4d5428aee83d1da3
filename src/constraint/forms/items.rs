//! Item lists for serving engines and recommenders: the item dictionary of xLLM, `info.txt` of MiniOneRec.

use std::io::{self, Write};

use crate::error::{Error, Result};
use crate::item_ids::ItemIds;
use crate::semantic_id::TokenTable;
use crate::vocabulary::TokenIds;

/// Tokens per ID in xLLM's dictionary: `REC_TOKEN_SIZE` in xllm/core/common/types.h (commit 87e8d6e), a constant.
const XLLM_TOKENS: usize = 3;
/// Maximum length in bytes of an item id in xLLM's extended dictionary.
const MAX_XLLM_ID_BYTES: usize = 1 << 20;

/// Checks that xLLM's dictionary can hold a table.
pub(super) fn check_xllm(table: &TokenTable) -> Result<()> {
    let levels = table.codes.ncols();
    if levels != XLLM_TOKENS {
        let help = "train with --levels 3 for xLLM, or omit this form";
        return Err(Error::data("xLLM's item dictionary", "IDs of 3 tokens", format!("IDs of {levels}"), help));
    }
    Ok(())
}

/// Writes xLLM's item dictionary (`RecVocabDict`): one packed little-endian record per item.
///
/// The record of an integer id is the id as `int64` and three `int32` token ids. A string id has an extended record: the
/// row as `int64`, the id with a `uint32` length prefix, an empty type with its length prefix, and the token ids.
pub(super) fn write_xllm(
    out: &mut dyn Write,
    table: &TokenTable,
    ids: &TokenIds,
    rows: impl Iterator<Item = usize>,
) -> io::Result<()> {
    for row in rows {
        match &table.item_ids {
            ItemIds::Integers(items) => out.write_all(&items[row].to_le_bytes())?,
            ItemIds::Strings(items) => {
                let item = items[row].as_bytes();
                if item.len() > MAX_XLLM_ID_BYTES {
                    let reason =
                        format!("the id of row {} has {} bytes, xLLM reads at most 1 MiB", row + 1, item.len());
                    return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
                }
                out.write_all(&(row as i64).to_le_bytes())?;
                out.write_all(&(item.len() as u32).to_le_bytes())?;
                out.write_all(item)?;
                out.write_all(&0u32.to_le_bytes())?;
            }
        }
        for (level, &code) in table.codes.row(row).iter().enumerate() {
            // Vocabularies are far smaller than 2^31 tokens.
            out.write_all(&(ids.id(level, code) as i32).to_le_bytes())?;
        }
    }
    Ok(())
}

/// Writes MiniOneRec's `info.txt`: one line per item with semantic ID, title and item id, separated by tabs. `titles` are
/// by row, without tabs and line breaks.
pub(super) fn write_minionerec(
    out: &mut dyn Write,
    table: &TokenTable,
    titles: &[String],
    rows: impl Iterator<Item = usize>,
) -> io::Result<()> {
    for row in rows {
        writeln!(out, "{}\t{}\t{}", table.semantic_id(row), titles[row], table.item_ids.text(row))?;
    }
    Ok(())
}

/// Checks that item ids contain no separators of `info.txt`.
pub(super) fn check_minionerec(table: &TokenTable) -> Result<()> {
    let ItemIds::Strings(items) = &table.item_ids else { return Ok(()) };
    match items.iter().find(|item| item.contains(['\t', '\n', '\r'])) {
        None => Ok(()),
        Some(item) => Err(Error::Item {
            item: item.escape_debug().to_string(),
            expected: "an id without tabs and line breaks, which separate the fields of info.txt".into(),
            got: "one with them".into(),
            help: "choose other ids, or omit the form minionerec".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic_id::{Collisions, TableMetadata, TokenFormat};

    fn table(item_ids: ItemIds) -> TokenTable {
        TokenTable {
            members: None,
            item_ids,
            codes: ndarray::array![[1, 0, 2], [0, 1, 0]],
            residual_error: vec![0.0; 2],
            reassigned: vec![false; 2],
            metadata: TableMetadata {
                model_hash: "abc".into(),
                codebook_sizes: vec![2, 2, 3],
                token_format: TokenFormat::default(),
                policy: Collisions::Resolve,
                collisions: None,
            },
        }
    }

    fn xllm(item_ids: ItemIds) -> Vec<u8> {
        let ids =
            TokenIds { first_id: 100, codebook_sizes: vec![2, 2, 3], begin: None, end: None, vocabulary_size: 107 };
        let mut out = Vec::new();
        write_xllm(&mut out, &table(item_ids), &ids, [1, 0].into_iter()).unwrap();
        out
    }

    #[test]
    fn xllm_records_are_packed() {
        let mut expected = Vec::new();
        for (item, tokens) in [(-1i64, [100i32, 103, 104]), (7, [101, 102, 106])] {
            expected.extend(item.to_le_bytes());
            tokens.iter().for_each(|token| expected.extend(token.to_le_bytes()));
        }
        assert_eq!(xllm(ItemIds::Integers(vec![7, -1])), expected);
        let extended = xllm(ItemIds::Strings(vec!["x".into(), "é".into()]));
        let second = [&1i64.to_le_bytes()[..], &[2, 0, 0, 0], "é".as_bytes(), &[0; 4], &100i32.to_le_bytes()].concat();
        assert_eq!(extended[..second.len()], second);
        assert_eq!(extended.len(), 2 * (8 + 4 + 4 + 12) + 3);
    }

    #[test]
    fn info_has_a_line_per_item() {
        let table = table(ItemIds::Strings(vec!["x".into(), "y".into()]));
        let mut out = Vec::new();
        write_minionerec(&mut out, &table, &["A pen".into(), String::new()], 0..2).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "<a_1><b_0><c_2>\tA pen\tx\n<a_0><b_1><c_0>\t\ty\n");
        assert!(check_minionerec(&table).is_ok());
    }

    #[test]
    fn tables_that_a_form_cannot_hold_are_refused() {
        let tabbed = table(ItemIds::Strings(vec!["x".into(), "a\tb".into()]));
        assert!(check_minionerec(&tabbed).unwrap_err().to_string().contains(r"a\tb"));
        let mut four = table(ItemIds::row_numbers(2));
        four.codes = ndarray::Array2::zeros((2, 4));
        assert!(check_xllm(&four).unwrap_err().to_string().contains("IDs of 4"));
    }
}
