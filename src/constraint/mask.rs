//! Scores of tokens that may not come next, put out of the question.

use rayon::prelude::*;

use super::decoding::{Decoding, Next};
use super::subset::Subset;
use crate::error::{Error, Result};

/// Answers being written: one a row.
#[derive(Debug, Clone, Copy)]
pub struct PartialAnswers<'a> {
    /// `(rows, length)`: the tokens so far, prompts among them.
    pub said: &'a [i64],
    /// Number of rows; those of one user stand together.
    pub rows: usize,
    /// Length of the prompts.
    pub prompt: usize,
    /// The items that may be said, one a user: as many rows each. All items to all users where there is none.
    pub subsets: &'a [Option<&'a Subset>],
}

impl<'a> PartialAnswers<'a> {
    fn length(&self) -> usize {
        self.said.len() / self.rows.max(1)
    }

    fn row(&self, row: usize) -> &'a [i64] {
        &self.said[row * self.length()..(row + 1) * self.length()]
    }

    fn subset(&self, row: usize) -> Option<&'a Subset> {
        if self.subsets.is_empty() { None } else { self.subsets[row / (self.rows / self.subsets.len())] }
    }

    fn check(&self) -> Result<()> {
        let (rows, users) = (self.rows, self.subsets.len());
        if rows == 0 || !self.said.len().is_multiple_of(rows) {
            let got = format!("{} for {rows} rows", self.said.len());
            return Err(Error::mismatch("tokens so far", "equally many a row", got, "give a matrix of rows"));
        }
        if users > 0 && !rows.is_multiple_of(users) {
            let expected = format!("a number that divides the {rows} rows (batch x beams)");
            return Err(Error::mismatch("subsets", expected, users, "give one subset, or None, a prompt of the batch"));
        }
        Ok(())
    }
}

/// Where scores come from and go to.
#[derive(Debug)]
pub enum LogitsMut<'a, T> {
    /// They are changed in place.
    InPlace(&'a mut [T]),
    /// They are written to memory of the same shape, whatever that holds.
    Copied(&'a [T], &'a mut [T]),
}

impl Decoding<'_> {
    /// Masks `(rows, logits)` scores: `lowest`, minus infinity, for every token that may not come next. Rows are done in
    /// parallel.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where shapes do not fit, or the model has fewer logits than the vocabulary has ids;
    /// [`Error::Data`] where nothing may be said at the first token: a prompt ends in the middle of an ID that no item
    /// has, or a subset is empty.
    pub fn mask<T: Copy + Send + Sync>(&self, answers: PartialAnswers, scores: LogitsMut<T>, lowest: T) -> Result<()> {
        answers.check()?;
        let cells = match &scores {
            LogitsMut::InPlace(scores) => scores.len(),
            LogitsMut::Copied(from, to) if from.len() == to.len() => to.len(),
            LogitsMut::Copied(..) => 0,
        };
        let (rows, logits) = (answers.rows, cells / answers.rows);
        self.check_logits(logits)?;
        let work = |row: usize, from: Option<&[T]>, to: &mut [T], (next, kept): &mut (Next, Vec<T>)| -> Option<usize> {
            self.next(answers.row(row), answers.prompt, answers.subset(row), next);
            self.apply(next, from, to, lowest, kept);
            (!next.others && next.tokens.is_empty()).then_some(row)
        };
        let state = || (Next::default(), Vec::new());
        let silent: Option<usize> = match scores {
            LogitsMut::InPlace(scores) => scores[..rows * logits]
                .par_chunks_mut(logits)
                .enumerate()
                .map_init(state, |state, (row, to)| work(row, None, to, state))
                .filter_map(|row| row)
                .min(),
            LogitsMut::Copied(from, to) => to[..rows * logits]
                .par_chunks_mut(logits)
                .zip(from.par_chunks(logits))
                .enumerate()
                .map_init(state, |state, (row, (to, from))| work(row, Some(from), to, state))
                .filter_map(|row| row)
                .min(),
        };
        self.check_silent(&answers, silent)
    }

    /// What [`Decoding::mask`] leaves, as a list: for each row whether all tokens that are neither codes nor markers may
    /// come, and the places `row * logits + token` of the others that may. For scores on another device.
    ///
    /// # Errors
    /// As [`Decoding::mask`].
    pub fn allowed(&self, answers: PartialAnswers, logits: usize) -> Result<(Vec<bool>, Vec<i64>)> {
        answers.check()?;
        self.check_logits(logits)?;
        let of_rows: Vec<Next> = (0..answers.rows)
            .into_par_iter()
            .map(|row| {
                let mut next = Next::default();
                self.next(answers.row(row), answers.prompt, answers.subset(row), &mut next);
                next
            })
            .collect();
        self.check_silent(&answers, of_rows.iter().position(|next| !next.others && next.tokens.is_empty()))?;
        let places = of_rows
            .iter()
            .enumerate()
            .flat_map(|(row, next)| next.tokens.iter().map(move |&token| (row * logits) as i64 + i64::from(token)));
        Ok((of_rows.iter().map(|next| next.others).collect(), places.collect()))
    }

    /// One row.
    fn apply<T: Copy>(&self, next: &Next, from: Option<&[T]>, to: &mut [T], lowest: T, kept: &mut Vec<T>) {
        kept.clear();
        let source = from.unwrap_or(to);
        kept.extend(next.tokens.iter().map(|&token| source[token as usize]));
        if next.others {
            if let Some(from) = from {
                to.copy_from_slice(from);
            }
            let ids = self.trie().tokens();
            to[ids.first_id as usize..ids.first_id as usize + ids.codes()].fill(lowest);
            ids.begin.iter().chain(&ids.end).for_each(|&marker| to[marker as usize] = lowest);
        } else {
            to.fill(lowest);
        }
        next.tokens.iter().zip(kept).for_each(|(&token, &mut score)| to[token as usize] = score);
    }

    fn check_logits(&self, logits: usize) -> Result<()> {
        let ids = self.trie().tokens();
        let highest = self.eos().iter().copied().max().map_or(0, |eos| eos + 1).max(ids.vocabulary_size);
        if logits < highest as usize {
            return Err(Error::mismatch(
                "scores of the language model",
                format!("at least {highest} a row, one for each token id in use"),
                logits,
                "grow the model's embeddings to its extended tokenizer: resize_token_embeddings",
            ));
        }
        Ok(())
    }

    /// Later on only beams of no probability have nothing to say.
    fn check_silent(&self, answers: &PartialAnswers, silent: Option<usize>) -> Result<()> {
        match silent.filter(|_| answers.length() == answers.prompt) {
            None => Ok(()),
            Some(row) => Err(Error::data(
                format!("row {row} of the batch"),
                "a token that leads to an item",
                "none: its prompt ends inside an ID that no item has, or its subset is empty",
                "end the prompt elsewhere, or give a subset with items",
            )),
        }
    }
}
