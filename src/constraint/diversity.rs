//! At most k answers per first code among the beams of a prompt.
//!
//! After the first code, the quota of a code is divided among the beams that have it, and each beam keeps as many of
//! its best tokens. So the number of beams with the code never exceeds the quota, in any later step.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::decoding::Decoding;
use super::partial_answers::PartialAnswers;

/// A score of a language model.
pub trait Logit: Copy + Send + Sync {
    /// A number that orders scores as the score itself does.
    fn rank(self) -> f64;
}

impl Logit for f32 {
    fn rank(self) -> f64 {
        f64::from(self)
    }
}

impl Logit for f64 {
    fn rank(self) -> f64 {
        self
    }
}

/// The bits of a 16-bit float: a sign and a magnitude, in both formats.
impl Logit for i16 {
    fn rank(self) -> f64 {
        let magnitude = f64::from(self & i16::MAX);
        if self < 0 { -magnitude } else { magnitude }
    }
}

/// Keeps the `quota` tokens with the highest scores. Ties go to the lowest token.
pub(super) fn keep_best<T: Logit>(tokens: &mut Vec<u32>, quota: usize, score: impl Fn(u32) -> T) {
    if tokens.len() <= quota {
        return;
    }
    let rank = |token: u32| {
        let rank = score(token).rank();
        if rank.is_nan() { f64::NEG_INFINITY } else { rank }
    };
    let mut ranked: Vec<(f64, u32)> = tokens.iter().map(|&token| (rank(token), token)).collect();
    ranked.sort_unstable_by(|a, b| b.0.partial_cmp(&a.0).unwrap_or(Ordering::Equal).then(a.1.cmp(&b.1)));
    ranked.truncate(quota);
    tokens.clear();
    tokens.extend(ranked.into_iter().map(|(_, token)| token));
    tokens.sort_unstable();
}

impl Decoding<'_> {
    /// The maximum number of tokens that each row may continue with. `None` for a row without a limit: the first code
    /// is not chosen yet, or the ID is complete.
    pub fn quotas(&self, answers: &PartialAnswers) -> Vec<Option<usize>> {
        let mut quotas = vec![None; answers.rows];
        if answers.per_first_code.is_empty() || answers.length() == answers.prompt {
            return quotas;
        }
        let beams = answers.rows / answers.per_first_code.len();
        for (prompt, limit) in answers.per_first_code.iter().enumerate() {
            let Some(limit) = limit.map(|limit| limit as usize) else { continue };
            let rows = prompt * beams..(prompt + 1) * beams;
            let codes: Vec<Option<u16>> =
                rows.clone().map(|row| self.first_code(answers.row(row), answers.prompt)).collect();
            let mut sharing: HashMap<u16, usize> = HashMap::new();
            codes.iter().flatten().for_each(|code| *sharing.entry(*code).or_default() += 1);
            let mut before: HashMap<u16, usize> = HashMap::new();
            for (row, code) in rows.zip(codes) {
                let Some(code) = code else { continue };
                // Beams are sorted by score, so the first ones get the remainder.
                let place = before.entry(code).or_default();
                let beams = sharing[&code];
                quotas[row] = Some(limit / beams + usize::from(*place < limit % beams));
                *place += 1;
            }
        }
        quotas
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraint::{After, LogitsMut, Rules, Start, Trie};
    use crate::vocabulary::TokenIds;
    use ndarray::Array2;
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    /// Beam search with random scores. Returns the beams of each prompt that are not dead.
    fn beam_search(trie: &Trie, prompts: usize, beams: usize, limits: &[Option<u32>], seed: u64) -> Vec<Vec<Vec<i64>>> {
        let mut rng = SmallRng::seed_from_u64(seed);
        let rules = Rules { start: Start::Always, after: After::Eos, eos: vec![0] };
        let decoding = Decoding::new(trie.by_tokens().unwrap(), &rules).unwrap();
        // As in transformers, all beams but the first of each prompt begin with a very low score.
        let first = |beam: usize| (if beam == 0 { 0.0 } else { -1e9 }, vec![0i64]);
        let mut kept: Vec<Vec<(f32, Vec<i64>)>> = vec![(0..beams).map(first).collect(); prompts];
        for _ in 0..trie.levels() {
            let tokens: Vec<i64> = kept.iter().flatten().flat_map(|(_, tokens)| tokens.clone()).collect();
            let mut scores: Vec<f32> = (0..prompts * beams * 40).map(|_| rng.gen_range(-5.0..0.0)).collect();
            let rows = prompts * beams;
            let answers = PartialAnswers { tokens: &tokens, rows, prompt: 1, subsets: &[], per_first_code: limits };
            decoding.mask(answers, LogitsMut::InPlace(&mut scores), f32::NEG_INFINITY).unwrap();
            for (prompt, of_prompt) in kept.iter_mut().enumerate() {
                let mut next: Vec<(f32, Vec<i64>)> = Vec::new();
                for (beam, (score, tokens)) in of_prompt.iter().enumerate() {
                    let row = (prompt * beams + beam) * 40;
                    for (token, more) in scores[row..row + 40].iter().enumerate() {
                        next.push((score + more, [&tokens[..], &[token as i64]].concat()));
                    }
                }
                next.sort_by(|a, b| b.0.total_cmp(&a.0));
                next.truncate(beams);
                *of_prompt = next;
            }
        }
        let alive = |of_prompt: Vec<(f32, Vec<i64>)>| {
            of_prompt.into_iter().filter(|(score, _)| score.is_finite()).map(|(_, tokens)| tokens).collect()
        };
        kept.into_iter().map(alive).collect()
    }

    #[test]
    fn beams_with_the_same_first_code_do_not_exceed_their_quota() {
        let codes = Array2::from_shape_fn((8 * 27, 3), |(i, l)| [i % 8, i / 8 % 9, i / 72][l] as u16);
        let tokens =
            TokenIds { first_id: 10, codebook_sizes: vec![10, 10, 10], begin: None, end: None, vocabulary_size: 40 };
        let trie = Trie::new(codes.view()).unwrap().with_tokens(tokens).unwrap();
        for seed in 0..20 {
            for (limit, beams) in [(1, 12), (2, 12), (3, 4), (5, 6)] {
                let answers = beam_search(&trie, 2, beams, &[Some(limit), None], seed);
                let mut by_code: HashMap<i64, u32> = HashMap::new();
                answers[0].iter().for_each(|tokens| *by_code.entry(tokens[1]).or_default() += 1);
                assert!(by_code.values().all(|count| *count <= limit), "{limit} {by_code:?}");
                assert!(answers[0].iter().all(|tokens| {
                    let codes: Vec<u16> = (1..4).map(|at| (tokens[at] - 10 * at as i64) as u16).collect();
                    trie.find(&codes).is_some()
                }));
                // With enough first codes, the limit costs no answers.
                assert_eq!(answers[1].len(), beams);
                assert!(limit == 1 || answers[0].len() >= beams / 2, "{}", answers[0].len());
            }
        }
    }

    #[test]
    fn the_best_tokens_are_kept_in_order() {
        let scores = [0.5f32, f32::NAN, 2.0, 0.5, -1.0];
        let kept = |quota| {
            let mut tokens = vec![0, 1, 2, 3, 4];
            keep_best(&mut tokens, quota, |token| scores[token as usize]);
            tokens
        };
        assert_eq!(
            [kept(0), kept(1), kept(2), kept(4), kept(9)],
            [vec![], vec![2], vec![0, 2], vec![0, 2, 3, 4], vec![0, 1, 2, 3, 4]]
        );
        // 1.0, -2.0 and 0.0 as float16.
        assert!(0x3c00i16.rank() > 0i16.rank() && 0i16.rank() > (0xc000u16 as i16).rank());
    }
}
