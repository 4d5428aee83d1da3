//! Batches of unfinished answers.

use super::subset::Subset;
use crate::error::{Error, Result};

/// A batch of unfinished answers, one per row.
#[derive(Debug, Clone, Copy)]
pub struct PartialAnswers<'a> {
    /// The tokens so far `(rows, length)`, prompts included.
    pub tokens: &'a [i64],
    /// Number of rows; the rows (beams) of a prompt are adjacent.
    pub rows: usize,
    /// Length of the prompts in tokens.
    pub prompt: usize,
    /// The allowed items, one subset per prompt. Empty to allow all items for all prompts.
    pub subsets: &'a [Option<&'a Subset>],
    /// The maximum number of answers with the same first code, one per prompt; `None` for no limit. Empty for no limits.
    pub per_first_code: &'a [Option<u32>],
}

impl<'a> PartialAnswers<'a> {
    pub(super) fn length(&self) -> usize {
        self.tokens.len() / self.rows.max(1)
    }

    pub(super) fn row(&self, row: usize) -> &'a [i64] {
        &self.tokens[row * self.length()..(row + 1) * self.length()]
    }

    pub(super) fn subset(&self, row: usize) -> Option<&'a Subset> {
        if self.subsets.is_empty() { None } else { self.subsets[row / (self.rows / self.subsets.len())] }
    }

    pub(super) fn check(&self) -> Result<()> {
        let (rows, prompts) = (self.rows, self.subsets.len());
        if rows == 0 || !self.tokens.len().is_multiple_of(rows) {
            let got = format!("{} for {rows} rows", self.tokens.len());
            return Err(Error::mismatch("tokens so far", "the same number per row", got, "pass a matrix"));
        }
        if prompts > 0 && !rows.is_multiple_of(prompts) {
            let expected = format!("a number that divides the {rows} rows (batch x beams)");
            return Err(Error::mismatch(
                "subsets",
                expected,
                prompts,
                "pass one subset (or None) per prompt of the batch",
            ));
        }
        let prompts = self.per_first_code.len();
        if prompts > 0 && !rows.is_multiple_of(prompts) {
            let (what, help) = ("limits per first code", "pass one limit (or None) per prompt of the batch");
            let expected = format!("a number that divides the {rows} rows (batch x beams)");
            return Err(Error::mismatch(what, expected, prompts, help));
        }
        Ok(())
    }
}
