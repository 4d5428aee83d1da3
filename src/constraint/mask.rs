//! Masking of the logits of tokens that are not allowed next.

use rayon::prelude::*;

use super::decoding::{Decoding, Next};
use super::diversity::{Logit, keep_best};
use super::partial_answers::PartialAnswers;
use crate::error::{Error, Result};

/// The logits to mask.
#[derive(Debug)]
pub enum LogitsMut<'a, T> {
    /// Masked in place.
    InPlace(&'a mut [T]),
    /// Masked while they are copied from the first to the second slice, of the same shape.
    Copied(&'a [T], &'a mut [T]),
}

impl Decoding<'_> {
    /// Masks logits `(rows, logits)`: sets `lowest` (minus infinity) for every token that is not allowed next. Rows are
    /// processed in parallel.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where shapes do not match, or the model has fewer logits than the vocabulary has ids;
    /// [`Error::Data`] where no first token is allowed: a prompt ends inside an ID that no item has, or a subset is
    /// empty.
    pub fn mask<T: Logit>(&self, answers: PartialAnswers, scores: LogitsMut<T>, lowest: T) -> Result<()> {
        answers.check()?;
        let cells = match &scores {
            LogitsMut::InPlace(scores) => scores.len(),
            LogitsMut::Copied(from, to) if from.len() == to.len() => to.len(),
            LogitsMut::Copied(..) => 0,
        };
        let (rows, logits) = (answers.rows, cells / answers.rows);
        self.check_logits(logits)?;
        let quotas = self.quotas(&answers);
        let work = |row: usize, from: Option<&[T]>, to: &mut [T], (next, kept): &mut (Next, Vec<T>)| -> Option<usize> {
            self.next(answers.row(row), answers.prompt, answers.subset(row), next);
            if let Some(quota) = quotas[row] {
                let source = from.unwrap_or(to);
                keep_best(&mut next.tokens, quota, |token| source[token as usize]);
            }
            self.apply(next, from, to, lowest, kept);
            (!next.others && next.tokens.is_empty()).then_some(row)
        };
        let state = || (Next::default(), Vec::new());
        let dead_end: Option<usize> = match scores {
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
        self.check_dead_end(&answers, dead_end)
    }

    /// The tokens that [`Decoding::mask`] leaves, for logits on another device: per row whether all tokens other than
    /// codes and markers are allowed, and the flat indices `row * logits + token` of the further allowed tokens.
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
        self.check_dead_end(&answers, of_rows.iter().position(|next| !next.others && next.tokens.is_empty()))?;
        let indices = of_rows
            .iter()
            .enumerate()
            .flat_map(|(row, next)| next.tokens.iter().map(move |&token| (row * logits) as i64 + i64::from(token)));
        Ok((of_rows.iter().map(|next| next.others).collect(), indices.collect()))
    }

    /// Masks one row.
    pub(super) fn apply<T: Copy>(&self, next: &Next, from: Option<&[T]>, to: &mut [T], lowest: T, kept: &mut Vec<T>) {
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

    pub(super) fn check_logits(&self, logits: usize) -> Result<()> {
        let ids = self.trie().tokens();
        let highest = self.eos().iter().copied().max().map_or(0, |eos| eos + 1).max(ids.vocabulary_size);
        if logits < highest as usize {
            return Err(Error::mismatch(
                "logits of the language model",
                format!("at least {highest} per row, one for each token id in use"),
                logits,
                "resize the model's embeddings to its extended tokenizer: resize_token_embeddings",
            ));
        }
        Ok(())
    }

    /// Refuses a row without an allowed first token. Later, only beams of probability zero have no allowed token.
    fn check_dead_end(&self, answers: &PartialAnswers, dead_end: Option<usize>) -> Result<()> {
        match dead_end.filter(|_| answers.length() == answers.prompt) {
            None => Ok(()),
            Some(row) => Err(Error::data(
                format!("row {row} of the batch"),
                "an allowed token",
                "none: its prompt ends inside an ID that no item has, or its subset is empty",
                "change the end of the prompt, or pass a subset with items",
            )),
        }
    }
}
