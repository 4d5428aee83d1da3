//! Masks for servers: a batch of separate requests, each at its own position of its answer.

use rayon::prelude::*;

use super::bits::Bits;
use super::decoding::{Decoding, Next};
use super::subset::Subset;
use super::trie::Trie;
use crate::error::{Error, Result};

/// The last tokens of the requests of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Tails<'a> {
    /// The last tokens `(requests, width)`, prompts included; shorter sequences have -1 on the left. `levels + 2` tokens
    /// determine the position in an ID.
    pub tokens: &'a [i64],
    /// Number of tokens per request.
    pub width: usize,
    /// Per request, whether its answer has at least one token.
    pub begun: &'a [bool],
    /// The row of logits of each request.
    pub rows: &'a [i64],
    /// The allowed items per request. Empty to allow all items for all requests.
    pub subsets: &'a [Option<&'a Subset>],
}

impl Tails<'_> {
    /// The request of each row of logits; `None` for a row that is not masked.
    fn request_of(&self, rows: usize) -> Result<Vec<Option<usize>>> {
        let requests = self.rows.len();
        let given = [self.begun.len(), self.tokens.len() / self.width.max(1)];
        let even = given.iter().all(|&given| given == requests) && self.tokens.len() == requests * self.width;
        if !even || !(self.subsets.is_empty() || self.subsets.len() == requests) {
            let got = format!("{} tokens, {} marks and {} subsets", self.tokens.len(), given[0], self.subsets.len());
            let expected = format!("{} tokens, a mark and a subset for each of {requests} rows", self.width);
            return Err(Error::mismatch("requests of a batch", expected, got, "pass one value per request"));
        }
        let mut request_of = vec![None; rows];
        for (request, &row) in self.rows.iter().enumerate() {
            let place = usize::try_from(row).ok().and_then(|row| request_of.get_mut(row));
            match place {
                Some(place @ None) => *place = Some(request),
                _ => {
                    let expected = format!("distinct rows below {rows}");
                    return Err(Error::mismatch("rows of a batch", expected, row, "pass the request's row of logits"));
                }
            }
        }
        Ok(request_of)
    }
}

impl Decoding<'_> {
    /// Masks the rows of requests in logits `(rows, logits)` in place. Other rows keep their values. Where no token is
    /// allowed, because a prompt ends inside an ID that no item has or a subset is empty, the tokens that end an answer are
    /// allowed: the request ends, and other requests of the batch are not affected. They are also the only tokens that are
    /// allowed after themselves, if answers start with an ID.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where shapes do not match, or the model has fewer logits than the vocabulary has ids.
    pub fn mask_rows<T: Copy + Send + Sync>(
        &self,
        tails: Tails,
        scores: &mut [T],
        logits: usize,
        lowest: T,
    ) -> Result<()> {
        self.check_logits(logits)?;
        let request_of = tails.request_of(scores.len() / logits)?;
        scores.par_chunks_mut(logits).zip(request_of).for_each_init(Default::default, |state, (to, request)| {
            let Some(request) = request else { return };
            let (next, kept): &mut (Next, Vec<T>) = state;
            let tokens = &tails.tokens[request * tails.width..(request + 1) * tails.width];
            let prompt = if tails.begun[request] { 0 } else { tokens.len() };
            self.next(tokens, prompt, tails.subsets.get(request).copied().flatten(), next);
            let last = tokens.last().and_then(|&token| u32::try_from(token).ok());
            if tails.begun[request] && last.is_some_and(|last| self.has_ended(last)) {
                *next = Next::default();
            }
            if !next.others && next.tokens.is_empty() {
                next.tokens.extend(self.eos());
            }
            self.apply(next, None, to, lowest, kept);
        });
        Ok(())
    }
}

/// A trie as sorted arrays, for masks on accelerators. Node 0 is the empty prefix, and node `t + 1` the prefix after
/// transition `t`. Transitions are in breadth-first order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrieArrays {
    /// Per transition, `parent * stride + token`, ascending.
    pub keys: Vec<i64>,
    /// The first transition of each node that is not a complete ID, and the number of transitions.
    pub starts: Vec<i32>,
    /// The number of token ids.
    pub stride: usize,
    /// Maximum number of children of a node.
    pub max_children: usize,
}

impl Trie {
    /// The trie as arrays for accelerators. `None` without token ids, or with 2^31 transitions or more.
    pub fn arrays(&self) -> Option<TrieArrays> {
        let ids = self.tokens()?;
        let stride = ids.vocabulary_size as usize;
        let transitions: usize = (0..self.levels()).map(|level| self.codes(level).len()).sum();
        i32::try_from(transitions).ok()?;
        let mut keys = Vec::with_capacity(transitions);
        let mut starts = Vec::new();
        let (mut parent, mut next_level) = (0, 1);
        for level in 0..self.levels() {
            let first = i64::from(ids.first_of_level(level));
            let firsts = (level > 0).then(|| self.firsts(level));
            for (at, &code) in self.codes(level).iter().enumerate() {
                if firsts.is_none_or(|firsts| firsts.get(at)) && (level > 0 || at == 0) {
                    parent = starts.len();
                    starts.push(keys.len() as i32);
                }
                keys.push((parent * stride) as i64 + first + i64::from(code));
            }
            debug_assert_eq!(starts.len(), next_level);
            next_level += self.codes(level).len();
        }
        starts.push(keys.len() as i32);
        let max_children = starts.windows(2).map(|pair| (pair[1] - pair[0]) as usize).max().unwrap_or_default();
        Some(TrieArrays { keys, starts, stride, max_children })
    }

    /// Per transition of [`Trie::arrays`], whether it leads to an item of the subset.
    pub fn reachable(&self, subset: &Subset) -> Vec<bool> {
        // Whether a group has a true value; `firsts` marks the first value of each group.
        let any = |values: &[bool], firsts: Bits<'_>| {
            let mut groups: Vec<bool> = Vec::new();
            for (at, &here) in values.iter().enumerate() {
                match groups.last_mut() {
                    Some(group) if !firsts.get(at) => *group |= here,
                    _ => groups.push(here),
                }
            }
            groups
        };
        let items: Vec<bool> = (0..self.len()).map(|item| subset.any(item..item + 1)).collect();
        let mut levels = vec![match self.members() {
            Some(members) => any(&items, members),
            None => items,
        }];
        for level in (1..self.levels()).rev() {
            levels.push(any(&levels[levels.len() - 1], self.firsts(level)));
        }
        levels.into_iter().rev().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraint::{After, Prefix, Rules, Start};
    use crate::vocabulary::TokenIds;
    use ndarray::array;

    const EOS: u32 = 2;

    fn trie() -> Trie {
        let tokens =
            TokenIds { first_id: 10, codebook_sizes: vec![10, 20], begin: None, end: None, vocabulary_size: 40 };
        Trie::new(array![[1u16, 2], [1, 7], [9, 0]].view()).unwrap().with_tokens(tokens).unwrap()
    }

    fn allowed(tails: Tails, logits: usize, rows: usize) -> Result<Vec<Vec<usize>>> {
        let (trie, rules) = (trie(), Rules { start: Start::Always, after: After::Eos, eos: vec![EOS] });
        let mut scores = vec![1.0f32; rows * logits];
        Decoding::new(trie.by_tokens().unwrap(), &rules)?.mask_rows(tails, &mut scores, logits, f32::NEG_INFINITY)?;
        let of_row =
            |row: &[f32]| row.iter().enumerate().filter(|(_, score)| **score > 0.0).map(|(at, _)| at).collect();
        Ok(scores.chunks(logits).map(of_row).collect())
    }

    #[test]
    fn each_request_has_its_own_position_and_subset() {
        let trie = trie();
        let (second, none) = (trie.subset(|row| row == 1), trie.subset(|_| false));
        // An answer that has not begun, one after a code, one that has ended, an ID of no item, an empty subset.
        let tokens = [-1, 5, 5, 5, 5, 11, 11, 22, 2, 5, 13, 20, 5, 5, 5];
        let tails = Tails {
            tokens: &tokens,
            width: 3,
            begun: &[false, true, true, true, false],
            rows: &[4, 0, 3, 2, 5],
            subsets: &[None, Some(&second), None, None, Some(&none)],
        };
        let got = allowed(Tails { tokens: &tokens, ..tails }, 40, 6).unwrap();
        assert_eq!(got[4], [11, 19]);
        assert_eq!(got[0], [27]);
        assert_eq!(got[1].len(), 40, "not masked");
        assert_eq!(got[2], [2]);
        assert_eq!(got[5], [2], "the request ends, and the others go on");
        for wrong in [
            Tails { rows: &[4, 0, 3, 2, 6], ..tails },
            Tails { rows: &[4, 0, 3, 2, 2], ..tails },
            Tails { rows: &[4, 0, 3, 2, -1], ..tails },
            Tails { begun: &[true], ..tails },
            Tails { subsets: &[None], ..tails },
        ] {
            assert!(allowed(wrong, 40, 6).is_err(), "{wrong:?}");
        }
        assert!(allowed(tails, 39, 6).unwrap_err().to_string().contains("resize_token_embeddings"));
    }

    #[test]
    fn arrays_have_the_children_of_every_prefix() {
        let trie = trie();
        let arrays = trie.arrays().unwrap();
        assert_eq!(arrays.keys, [11, 19, 40 + 22, 40 + 27, 80 + 20]);
        assert_eq!(arrays.starts, [0, 2, 4, 5]);
        assert_eq!((arrays.stride, arrays.max_children), (40, 2));
        assert_eq!(trie.reachable(&trie.subset(|row| row == 1)), [true, false, false, true, false]);
        assert_eq!(trie.rows_under(Prefix::EMPTY), [0, 1, 2]);
        assert!(Trie::new(array![[1u16, 2]].view()).unwrap().arrays().is_none());
    }
}
