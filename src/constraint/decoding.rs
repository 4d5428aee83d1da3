//! What a language model may say next, wherever in its answer it is.
//!
//! Nothing is remembered between steps: where in an ID an answer stands is read from its last tokens. Beams may thus
//! be reordered, dropped and copied at will, and an answer may hold any number of IDs and any text between them.

use super::subset::Subset;
use super::tokens::TokenTrie;
use super::trie::Prefix;
use crate::error::{Error, Result};

/// What may be said where no ID has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The answer begins with an ID.
    Always,
    /// Anything; IDs that begin are real.
    Free,
}

/// What may follow a whole ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Anything; IDs that begin are real.
    Any,
    /// The end of the answer.
    Eos,
    /// Another ID, or the end of the answer where its token is known.
    Id,
}

/// How IDs stand in answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// What the answer begins with.
    pub start: Start,
    /// What follows an ID.
    pub after: After,
    /// Tokens that end an answer.
    pub eos: Vec<u32>,
}

/// The tokens that may come next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Next {
    /// Whether all tokens that are neither codes nor markers may.
    pub others: bool,
    /// Those that may as well.
    pub tokens: Vec<u32>,
}

/// Where an answer stands.
#[derive(Debug, PartialEq, Eq)]
enum AnswerState {
    /// In an ID that some item has, or none.
    Inside(Option<Prefix>),
    /// After all codes of an ID, before the marker that ends it.
    Unclosed,
    /// After a whole ID.
    Ended,
    /// At the first token.
    Beginning,
    /// In text.
    Outside,
}

/// A trie and the rules for its IDs.
#[derive(Debug, Clone, Copy)]
pub struct Decoding<'a> {
    trie: TokenTrie<'a>,
    rules: &'a Rules,
}

impl<'a> Decoding<'a> {
    /// Answers under these rules.
    ///
    /// # Errors
    /// [`Error::Config`] where an ID is to end the answer and no token that ends it is named.
    pub fn new(trie: TokenTrie<'a>, rules: &'a Rules) -> Result<Self> {
        if rules.after == After::Eos && rules.eos.is_empty() {
            let help = "name the end-of-text token of the language model";
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

    /// What may follow the tokens `said`, the first `prompt` of which are not the model's. An ID that the prompt leaves
    /// open is gone on with; one that it has whole is nothing that follows. Where no item fits, there is nothing to say.
    pub fn next(&self, said: &[i64], prompt: usize, subset: Option<&Subset>, next: &mut Next) {
        next.tokens.clear();
        next.others = false;
        let ids = self.trie.tokens();
        match self.place(said, prompt) {
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

    /// The tokens with which an ID begins.
    fn begin(&self, subset: Option<&Subset>, next: &mut Next) {
        match self.trie.tokens().begin {
            None => self.extend(Prefix::EMPTY, subset, next),
            Some(marker) if subset.is_none_or(|subset| !subset.is_empty()) => next.tokens.push(marker),
            Some(_) => {}
        }
    }

    /// The tokens with which a prefix goes on.
    fn extend(&self, prefix: Prefix, subset: Option<&Subset>, next: &mut Next) {
        match subset {
            None => next.tokens.extend(self.trie.allowed(prefix)),
            Some(subset) => next.tokens.extend(self.trie.allowed_in(prefix, subset)),
        }
    }

    fn place(&self, said: &[i64], prompt: usize) -> AnswerState {
        let ids = self.trie.tokens();
        let elsewhere = if said.len() > prompt { AnswerState::Outside } else { AnswerState::Beginning };
        let Some(last) = said.last().and_then(|&token| u32::try_from(token).ok()) else { return elsewhere };
        if ids.begin == Some(last) {
            return AnswerState::Inside(Some(Prefix::EMPTY));
        }
        if ids.end == Some(last) {
            return if said.len() > prompt { AnswerState::Ended } else { AnswerState::Beginning };
        }
        // The last tokens must be codes of the first level, the second, and so on.
        let Some((level, _)) = ids.code_of(last) else { return elsewhere };
        let Some(first) = said.len().checked_sub(level + 1) else { return elsewhere };
        let mut prefix = Some(Prefix::EMPTY);
        for (depth, &token) in said[first..].iter().enumerate() {
            match u32::try_from(token).ok().and_then(|token| ids.code_of(token)) {
                Some((of, code)) if of == depth => {
                    prefix = prefix.and_then(|prefix| self.trie.trie().child(prefix, code));
                }
                _ => return elsewhere,
            }
        }
        if level + 1 < self.trie.trie().levels() {
            return AnswerState::Inside(prefix);
        }
        match (said.len() > prompt, ids.end) {
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

    fn next(markers: bool, start: Start, after: After, said: &[i64], prompt: usize) -> (bool, Vec<u32>) {
        let (trie, rules) = (trie(markers), Rules { start, after, eos: vec![EOS] });
        let mut next = Next::default();
        Decoding::new(trie.by_tokens().unwrap(), &rules).unwrap().next(said, prompt, None, &mut next);
        (next.others, next.tokens)
    }

    #[test]
    fn an_id_goes_on_and_is_followed_by_what_the_rules_say() {
        let of = |after, said: &[i64]| next(false, Start::Always, after, said, 2);
        for after in [After::Any, After::Eos, After::Id] {
            assert_eq!(of(after, &[5, 6]), (false, vec![101, 109]));
            assert_eq!(of(after, &[5, 6, 101]), (false, vec![112, 117]));
            // No item has it.
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
        let of = |after, said: &[i64]| next(true, Start::Always, after, said, 1);
        assert_eq!(of(After::Eos, &[5]), (false, vec![130]));
        assert_eq!(of(After::Eos, &[5, 130]), (false, vec![101, 109]));
        assert_eq!(of(After::Eos, &[5, 130, 101, 112]), (false, vec![131]));
        assert_eq!(of(After::Eos, &[5, 130, 101, 112, 131]), (false, vec![EOS]));
        assert_eq!(of(After::Id, &[5, 130, 101, 112, 131]), (false, vec![130, EOS]));
        assert_eq!(of(After::Any, &[5, 130, 101, 112, 131]), (true, vec![130]));
    }

    #[test]
    fn a_prompt_may_end_anywhere() {
        let always = |said: &[i64]| next(false, Start::Always, After::Eos, said, said.len());
        let free = |said: &[i64]| next(false, Start::Free, After::Eos, said, said.len());
        // With nothing, with a whole ID, with a code that no ID begins with, with half an ID.
        for prompt in [&[][..], &[101, 112], &[112]] {
            assert_eq!(always(prompt), (false, vec![101, 109]));
            assert_eq!(free(prompt), (true, vec![101, 109]));
        }
        assert_eq!(free(&[5, 109]), (false, vec![110]));
        let marked = |said: &[i64]| next(true, Start::Free, After::Eos, said, said.len());
        assert_eq!(marked(&[5]), (true, vec![130]));
        assert_eq!(marked(&[5, 130]), (false, vec![101, 109]));
        assert_eq!(marked(&[130, 101, 112, 131]), (true, vec![130]));
        // Padding of negative ids is text like any other.
        assert_eq!(free(&[-100, -1]), (true, vec![101, 109]));
    }

    #[test]
    fn a_subset_holds_everywhere() {
        let trie = trie(true);
        let rules = Rules { start: Start::Free, after: After::Any, eos: vec![] };
        let decoding = Decoding::new(trie.by_tokens().unwrap(), &rules).unwrap();
        let (some, none) = (trie.subset(|row| row == 1), trie.subset(|_| false));
        let of = |said: &[i64], subset| {
            let mut next = Next::default();
            decoding.next(said, 1, Some(subset), &mut next);
            (next.others, next.tokens)
        };
        assert_eq!(of(&[5], &some), (true, vec![130]));
        assert_eq!(of(&[5, 130], &some), (false, vec![101]));
        assert_eq!(of(&[5, 130, 101], &some), (false, vec![117]));
        assert_eq!(of(&[5], &none), (true, vec![]));
        assert_eq!(of(&[5, 130], &none), (false, vec![]));
    }

    #[test]
    fn an_end_needs_its_token() {
        let rules = Rules { start: Start::Free, after: After::Eos, eos: vec![] };
        let error = Decoding::new(trie(false).by_tokens().unwrap(), &rules).unwrap_err().to_string();
        assert!(error.contains("eos_token_id"), "{error}");
    }
}
