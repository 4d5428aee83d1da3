//! The tokens that a language model can generate next, at any position of its answer.
//!
//! Decoding is stateless: the last tokens of an answer determine the position inside an ID. Beams can therefore be
//! reordered, dropped and copied, and an answer can contain any number of IDs and text between them.

use super::subset::Subset;
use super::tokens::TokenTrie;
use super::trie::Prefix;
use crate::error::{Error, Result};

/// The allowed start of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The answer starts with an ID.
    Always,
    /// Any token; a started ID must be a valid one.
    Free,
}

/// The allowed continuation after a complete ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Any token; a started ID must be a valid one.
    Any,
    /// The end of the answer.
    Eos,
    /// Another ID, or the end of the answer if `eos` is given.
    Id,
}

/// The format of answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The allowed start of the answer.
    pub start: Start,
    /// The allowed continuation after an ID.
    pub after: After,
    /// Tokens that end an answer.
    pub eos: Vec<u32>,
}

/// The tokens that are allowed next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Next {
    /// Whether all tokens other than codes and markers are allowed.
    pub others: bool,
    /// Other allowed tokens.
    pub tokens: Vec<u32>,
}

/// The position of an answer relative to IDs.
#[derive(Debug, PartialEq, Eq)]
enum AnswerState {
    /// Inside an ID; `None` for a prefix of no item.
    Inside(Option<Prefix>),
    /// After all codes of an ID, before its end marker.
    Unclosed,
    /// After a complete ID.
    Ended,
    /// At the first token.
    Beginning,
    /// In other text.
    Outside,
}

/// A trie with the rules for its IDs in answers.
#[derive(Debug, Clone, Copy)]
pub struct Decoding<'a> {
    trie: TokenTrie<'a>,
    rules: &'a Rules,
}

impl<'a> Decoding<'a> {
    /// Constrains answers to a trie by these rules.
    ///
    /// # Errors
    /// [`Error::Config`] where an ID must end the answer and `eos` is empty.
    pub fn new(trie: TokenTrie<'a>, rules: &'a Rules) -> Result<Self> {
        if rules.after == After::Eos && rules.eos.is_empty() {
            let help = "pass the end-of-text token of the language model";
            return Err(Error::config("after", "eos together with an eos_token_id", "no eos_token_id", help));
        }
        Ok(Decoding { trie, rules })
    }

    /// The trie.
    pub fn trie(&self) -> TokenTrie<'a> {
        self.trie
    }

    /// Tokens that end an answer.
    pub(super) fn eos(&self) -> &'a [u32] {
        &self.rules.eos
    }

    /// Whether an answer that starts with an ID has ended with its last token.
    pub(super) fn has_ended(&self, last: u32) -> bool {
        self.rules.start == Start::Always && self.rules.eos.contains(&last)
    }

    /// The tokens that are allowed after `tokens`, the first `prompt` of which are the prompt. An unfinished ID in the
    /// prompt is completed; a finished one is ignored. No token is allowed inside an ID that no item has.
    pub fn next(&self, tokens: &[i64], prompt: usize, subset: Option<&Subset>, next: &mut Next) {
        next.tokens.clear();
        next.others = false;
        let ids = self.trie.tokens();
        match self.state(tokens, prompt) {
            AnswerState::Inside(Some(prefix)) => self.extend(prefix, subset, next),
            AnswerState::Inside(None) => {}
            AnswerState::Unclosed => next.tokens.extend(ids.end),
            AnswerState::Beginning if self.rules.start == Start::Always => self.begin(subset, next),
            AnswerState::Ended if self.rules.after != After::Any => {
                if self.rules.after == After::Id {
                    self.begin(subset, next);
                }
                next.tokens.extend(&self.rules.eos);
            }
            AnswerState::Ended | AnswerState::Beginning | AnswerState::Outside => {
                next.others = true;
                self.begin(subset, next);
            }
        }
    }

    /// Allows the tokens that start an ID.
    fn begin(&self, subset: Option<&Subset>, next: &mut Next) {
        match self.trie.tokens().begin {
            None => self.extend(Prefix::EMPTY, subset, next),
            Some(marker) if subset.is_none_or(|subset| !subset.is_empty()) => next.tokens.push(marker),
            Some(_) => {}
        }
    }

    /// Allows the tokens that continue a prefix.
    fn extend(&self, prefix: Prefix, subset: Option<&Subset>, next: &mut Next) {
        match subset {
            None => next.tokens.extend(self.trie.allowed(prefix)),
            Some(subset) => next.tokens.extend(self.trie.allowed_in(prefix, subset)),
        }
    }

    /// The first code of the ID that the answer is inside of, if there is one.
    pub(super) fn first_code(&self, tokens: &[i64], prompt: usize) -> Option<u16> {
        let AnswerState::Inside(Some(prefix)) = self.state(tokens, prompt) else { return None };
        let first = tokens.len().checked_sub(prefix.depth()).filter(|_| prefix.depth() > 0)?;
        let token = u32::try_from(tokens[first]).ok()?;
        self.trie.tokens().code_of(token).map(|(_, code)| code)
    }

    /// The position after `tokens`.
    fn state(&self, tokens: &[i64], prompt: usize) -> AnswerState {
        let ids = self.trie.tokens();
        let elsewhere = if tokens.len() > prompt { AnswerState::Outside } else { AnswerState::Beginning };
        let Some(last) = tokens.last().and_then(|&token| u32::try_from(token).ok()) else { return elsewhere };
        if ids.begin == Some(last) {
            return AnswerState::Inside(Some(Prefix::EMPTY));
        }
        if ids.end == Some(last) {
            return if tokens.len() > prompt { AnswerState::Ended } else { AnswerState::Beginning };
        }
        // The last tokens must be codes of the first level, the second level, and so on.
        let Some((level, _)) = ids.code_of(last) else { return elsewhere };
        let Some(first) = tokens.len().checked_sub(level + 1) else { return elsewhere };
        let mut prefix = Some(Prefix::EMPTY);
        for (depth, &token) in tokens[first..].iter().enumerate() {
            match u32::try_from(token).ok().and_then(|token| ids.code_of(token)) {
                Some((level, code)) if level == depth => {
                    prefix = prefix.and_then(|prefix| self.trie.trie().child(prefix, code));
                }
                _ => return elsewhere,
            }
        }
        if level + 1 < self.trie.trie().levels() {
            return AnswerState::Inside(prefix);
        }
        match (tokens.len() > prompt, ids.end) {
            (false, _) => AnswerState::Beginning,
            (true, Some(_)) => AnswerState::Unclosed,
            (true, None) => AnswerState::Ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraint::Trie;
    use crate::vocabulary::TokenIds;
    use ndarray::array;

    const EOS: u32 = 2;

    fn trie(markers: bool) -> Trie {
        let tokens = TokenIds {
            first_id: 100,
            codebook_sizes: vec![10, 20],
            begin: markers.then_some(130),
            end: markers.then_some(131),
            vocabulary_size: 132,
        };
        Trie::new(array![[1u16, 2], [1, 7], [9, 0]].view()).unwrap().with_tokens(tokens).unwrap()
    }

    fn next(markers: bool, start: Start, after: After, tokens: &[i64], prompt: usize) -> (bool, Vec<u32>) {
        let (trie, rules) = (trie(markers), Rules { start, after, eos: vec![EOS] });
        let mut next = Next::default();
        Decoding::new(trie.by_tokens().unwrap(), &rules).unwrap().next(tokens, prompt, None, &mut next);
        (next.others, next.tokens)
    }

    #[test]
    fn ids_are_completed_and_followed_by_what_the_rules_allow() {
        let of = |after, tokens: &[i64]| next(false, Start::Always, after, tokens, 2);
        for after in [After::Any, After::Eos, After::Id] {
            assert_eq!(of(after, &[5, 6]), (false, vec![101, 109]));
            assert_eq!(of(after, &[5, 6, 101]), (false, vec![112, 117]));
            // A prefix of no item.
            assert_eq!(of(after, &[5, 6, 102]), (false, vec![]));
        }
        let whole = [5, 6, 101, 117];
        assert_eq!(of(After::Any, &whole), (true, vec![101, 109]));
        assert_eq!(of(After::Eos, &whole), (false, vec![EOS]));
        assert_eq!(of(After::Id, &whole), (false, vec![101, 109, EOS]));
        assert_eq!(of(After::Any, &[5, 6, 101, 117, 7]), (true, vec![101, 109]));
        assert_eq!(of(After::Any, &[5, 6, 101, 117, 7, 109]), (false, vec![110]));
    }

    #[test]
    fn markers_enclose_ids() {
        let of = |after, tokens: &[i64]| next(true, Start::Always, after, tokens, 1);
        assert_eq!(of(After::Eos, &[5]), (false, vec![130]));
        assert_eq!(of(After::Eos, &[5, 130]), (false, vec![101, 109]));
        assert_eq!(of(After::Eos, &[5, 130, 101, 112]), (false, vec![131]));
        assert_eq!(of(After::Eos, &[5, 130, 101, 112, 131]), (false, vec![EOS]));
        assert_eq!(of(After::Id, &[5, 130, 101, 112, 131]), (false, vec![130, EOS]));
        assert_eq!(of(After::Any, &[5, 130, 101, 112, 131]), (true, vec![130]));
    }

    #[test]
    fn prompts_may_end_at_any_position() {
        let always = |tokens: &[i64]| next(false, Start::Always, After::Eos, tokens, tokens.len());
        let free = |tokens: &[i64]| next(false, Start::Free, After::Eos, tokens, tokens.len());
        // Empty, with a complete ID, with a code of the second level only.
        for prompt in [&[][..], &[101, 112], &[112]] {
            assert_eq!(always(prompt), (false, vec![101, 109]));
            assert_eq!(free(prompt), (true, vec![101, 109]));
        }
        assert_eq!(free(&[5, 109]), (false, vec![110]));
        let marked = |tokens: &[i64]| next(true, Start::Free, After::Eos, tokens, tokens.len());
        assert_eq!(marked(&[5]), (true, vec![130]));
        assert_eq!(marked(&[5, 130]), (false, vec![101, 109]));
        assert_eq!(marked(&[130, 101, 112, 131]), (true, vec![130]));
        // Negative padding ids count as other text.
        assert_eq!(free(&[-100, -1]), (true, vec![101, 109]));
    }

    #[test]
    fn subsets_apply_at_every_position() {
        let trie = trie(true);
        let rules = Rules { start: Start::Free, after: After::Any, eos: vec![] };
        let decoding = Decoding::new(trie.by_tokens().unwrap(), &rules).unwrap();
        let (some, none) = (trie.subset(|row| row == 1), trie.subset(|_| false));
        let of = |tokens: &[i64], subset| {
            let mut next = Next::default();
            decoding.next(tokens, 1, Some(subset), &mut next);
            (next.others, next.tokens)
        };
        assert_eq!(of(&[5], &some), (true, vec![130]));
        assert_eq!(of(&[5, 130], &some), (false, vec![101]));
        assert_eq!(of(&[5, 130, 101], &some), (false, vec![117]));
        assert_eq!(of(&[5], &none), (true, vec![]));
        assert_eq!(of(&[5, 130], &none), (false, vec![]));
    }

    #[test]
    fn ending_after_an_id_requires_an_eos_token() {
        let rules = Rules { start: Start::Free, after: After::Eos, eos: vec![] };
        let error = Decoding::new(trie(false).by_tokens().unwrap(), &rules).unwrap_err().to_string();
        assert!(error.contains("eos_token_id"), "{error}");
    }
}
