//! Training of a subword vocabulary: byte-pair encoding over weighted semantic IDs.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use ndarray::ArrayView2;

use super::SubwordVocabulary;
use super::subwords::{COVERED, MAX_PIECES, Spans};
use crate::error::{Error, Result};
use crate::progress::Progress;

/// The weight below which a pair is not merged. Each item weighs at least 1, so the pair of one item without
/// interactions is not merged.
const MIN_WEIGHT: u64 = 2;

/// Trains a vocabulary of up to `pieces` pieces on the codes `(n, levels)` of items with some weights, such as 1 and the
/// number of interactions. The pair of adjacent pieces with the largest weight is merged; ties go to the lower ids.
/// Training ends early if no pair has a weight of 2.
///
/// # Errors
/// [`Error::Config`] if `pieces` is not larger than the number of codes of all levels.
pub fn train_subwords(
    codes: ArrayView2<u16>,
    weights: &[u64],
    codebook_sizes: &[usize],
    model_hash: &str,
    pieces: usize,
    progress: &dyn Progress,
) -> Result<SubwordVocabulary> {
    let spans = Spans::of_codes(codebook_sizes);
    if pieces <= spans.len() || pieces > MAX_PIECES {
        let expected =
            format!("more than {}, the number of codes of all levels, and at most {MAX_PIECES}", spans.len());
        let help = "each code is a piece, and subwords come in addition: pass a larger number";
        return Err(Error::config("subwords", expected, pieces, help));
    }
    let wanted = pieces - spans.len();
    progress.begin("train subwords", Some(wanted as u64), "pieces");
    let mut training = SubwordTraining::new(codes, weights, spans);
    let mut merges = Vec::new();
    while merges.len() < wanted {
        let Some(pair) = training.heaviest() else { break };
        training.merge(pair);
        merges.push(pair);
        progress.advance(1);
    }
    progress.end();
    SubwordVocabulary::new(model_hash.to_owned(), codebook_sizes.to_vec(), pieces, merges)
        .map_err(|(expected, got)| Error::mismatch("merges of subwords", expected, got, "please report this"))
}

/// A pair of adjacent pieces: the sum of the weights of the items that have it, and their rows. Rows can be out of date.
#[derive(Default)]
struct PairRows {
    weight: u64,
    rows: Vec<u32>,
}

struct SubwordTraining<'a> {
    levels: usize,
    weights: &'a [u64],
    spans: Spans,
    /// `(n, levels)`: each piece at the level where it starts, and [`COVERED`] at its other levels.
    pieces: Vec<u32>,
    pairs: HashMap<[u32; 2], PairRows>,
    /// Pairs by weight. Weights can be out of date; they only decrease after a pair was added.
    heap: BinaryHeap<(u64, Reverse<[u32; 2]>)>,
}

impl<'a> SubwordTraining<'a> {
    fn new(codes: ArrayView2<u16>, weights: &'a [u64], spans: Spans) -> Self {
        let levels = codes.ncols();
        let of_row = |row: ndarray::ArrayView1<'_, u16>| {
            row.iter().enumerate().map(|(level, &code)| spans.code(level, code)).collect::<Vec<_>>()
        };
        let pieces: Vec<u32> = codes.rows().into_iter().flat_map(of_row).collect();
        let mut pairs: HashMap<[u32; 2], PairRows> = HashMap::new();
        for (row, pieces) in pieces.chunks_exact(levels.max(1)).enumerate() {
            for pair in pieces.windows(2) {
                let pair = pairs.entry([pair[0], pair[1]]).or_default();
                pair.weight += weights[row];
                pair.rows.push(row as u32);
            }
        }
        let heap = pairs.iter().map(|(&pair, found)| (found.weight, Reverse(pair))).collect();
        SubwordTraining { levels, weights, spans, pieces, pairs, heap }
    }

    /// The pair with the largest weight.
    fn heaviest(&mut self) -> Option<[u32; 2]> {
        while let Some((weight, Reverse(pair))) = self.heap.pop() {
            let now = self.pairs.get(&pair).map_or(0, |found| found.weight);
            if now == weight && now >= MIN_WEIGHT {
                return Some(pair);
            }
            if now >= MIN_WEIGHT {
                self.heap.push((now, Reverse(pair)));
            }
        }
        None
    }

    /// Joins a pair to a new piece in all items that have it.
    fn merge(&mut self, [left, right]: [u32; 2]) {
        let piece = self.spans.len() as u32;
        let (start, middle, end) = (self.spans.start(left), self.spans.end(left), self.spans.end(right));
        self.spans.join(left, right);
        let rows = self.pairs.remove(&[left, right]).unwrap_or_default().rows;
        let mut new_pairs: HashMap<[u32; 2], PairRows> = HashMap::new();
        for row in rows {
            let weight = self.weights[row as usize];
            let pieces = &mut self.pieces[row as usize * self.levels..][..self.levels];
            if pieces[start] != left || pieces[middle] != right {
                continue;
            }
            (pieces[start], pieces[middle]) = (piece, COVERED);
            let before = pieces[..start].iter().rev().find(|&&piece| piece != COVERED);
            let changes = [
                before.map(|&before| ([before, left], [before, piece])),
                pieces.get(end).map(|&after| ([right, after], [piece, after])),
            ];
            for (old, new) in changes.into_iter().flatten() {
                if let Some(old) = self.pairs.get_mut(&old) {
                    old.weight -= weight;
                }
                let new = new_pairs.entry(new).or_default();
                new.weight += weight;
                new.rows.push(row);
            }
        }
        self.heap.extend(new_pairs.iter().map(|(&pair, found)| (found.weight, Reverse(pair))));
        self.pairs.extend(new_pairs);
    }
}
