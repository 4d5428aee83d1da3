//! A subword vocabulary: single codes, and merged pieces of codes of adjacent levels.

use std::collections::HashMap;

use crate::error::{Error, Result};

/// Marks a position whose code belongs to the piece of an earlier position.
pub(super) const COVERED: u32 = u32::MAX;
/// Maximum number of pieces: their ids are 32-bit signed integers.
pub(super) const MAX_PIECES: usize = i32::MAX as usize;

/// Pieces of semantic IDs: byte-pair encoding over codes instead of characters.
///
/// The first ids are the single codes, level by level, so every ID can be segmented. Each further piece joins two earlier
/// pieces that are adjacent. The vocabulary is trained once and does not change, so the pieces of an ID never change.
#[derive(Debug, Clone, PartialEq)]
pub struct SubwordVocabulary {
    pub(super) model_hash: String,
    pub(super) codebook_sizes: Vec<usize>,
    /// Number of pieces that were asked for. There can be fewer.
    pub(super) requested: usize,
    /// The two parts of each merged piece, in the order of their ids.
    pub(super) merges: Vec<[u32; 2]>,
    spans: Spans,
    piece_of: HashMap<[u32; 2], u32>,
}

impl SubwordVocabulary {
    /// A vocabulary of these merges, which are checked. Errors are the expected and the actual value.
    pub(super) fn new(
        model_hash: String,
        codebook_sizes: Vec<usize>,
        requested: usize,
        merges: Vec<[u32; 2]>,
    ) -> std::result::Result<Self, (String, String)> {
        let mut spans = Spans::of_codes(&codebook_sizes);
        let mut piece_of = HashMap::with_capacity(merges.len());
        for (number, &[left, right]) in merges.iter().enumerate() {
            let id = spans.len();
            let known = |piece: u32| (piece as usize) < id;
            if !known(left) || !known(right) || spans.end(left) != spans.start(right) {
                let expected = format!("two pieces below {id} of adjacent levels as merge {number}");
                return Err((expected, format!("{left} and {right}")));
            }
            if piece_of.insert([left, right], id as u32).is_some() {
                return Err((
                    format!("a pair that is not merged before as merge {number}"),
                    format!("{left}, {right}"),
                ));
            }
            spans.join(left, right);
        }
        Ok(SubwordVocabulary { model_hash, codebook_sizes, requested, merges, spans, piece_of })
    }

    /// Number of pieces. Their ids are `0..pieces()`.
    pub fn pieces(&self) -> usize {
        self.spans.len()
    }

    /// Number of pieces that were asked for. There are fewer if no further pair occurred twice.
    pub fn requested(&self) -> usize {
        self.requested
    }

    /// The codebook sizes of the IDs that it segments.
    pub fn codebook_sizes(&self) -> &[usize] {
        &self.codebook_sizes
    }

    /// Hash of the model of the token table that it was trained on.
    pub fn model_hash(&self) -> &str {
        &self.model_hash
    }

    /// Checks that it segments IDs of these codebook sizes.
    ///
    /// # Errors
    /// [`Error::Mismatch`].
    pub fn check_sizes(&self, codebook_sizes: &[usize]) -> Result<()> {
        if self.codebook_sizes == codebook_sizes {
            return Ok(());
        }
        Err(Error::mismatch(
            "codebook sizes of the subword vocabulary",
            format!("{codebook_sizes:?}, those of the token table"),
            format!("{:?}", self.codebook_sizes),
            "pass the vocabulary of this token table, or name a new file to train one",
        ))
    }

    /// Appends the pieces of an ID to `pieces`: as long as two adjacent pieces have a merged piece, the one with the lowest
    /// id is formed. `codes` must be within the codebooks.
    pub fn segment(&self, codes: &[u16], pieces: &mut Vec<i32>) {
        let first = pieces.len();
        pieces.extend(codes.iter().enumerate().map(|(level, &code)| self.spans.code(level, code) as i32));
        loop {
            let pairs = pieces[first..].windows(2).enumerate();
            let merged =
                pairs.filter_map(|(at, pair)| Some((*self.piece_of.get(&[pair[0] as u32, pair[1] as u32])?, at)));
            let Some((piece, at)) = merged.min() else { return };
            pieces[first + at] = piece as i32;
            pieces.remove(first + at + 1);
        }
    }

    /// The codes of a piece, and the level of the first one.
    pub fn codes(&self, piece: u32) -> (usize, Vec<u16>) {
        let mut codes = Vec::new();
        let mut rest = vec![piece];
        while let Some(piece) = rest.pop() {
            match (piece as usize).checked_sub(self.spans.singles()) {
                Some(merge) => rest.extend([self.merges[merge][1], self.merges[merge][0]]),
                None => codes.push((piece - self.spans.first[self.spans.start(piece)]) as u16),
            }
        }
        (self.spans.start(piece), codes)
    }
}

/// The levels that each piece spans.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spans {
    /// The piece of code 0 per level, and the number of single codes.
    first: Vec<u32>,
    levels: Vec<[u8; 2]>,
}

impl Spans {
    pub(super) fn of_codes(codebook_sizes: &[usize]) -> Self {
        let mut spans = Spans { first: vec![0], levels: Vec::new() };
        for (level, &size) in codebook_sizes.iter().enumerate() {
            spans.levels.extend(std::iter::repeat_n([level as u8, level as u8 + 1], size));
            spans.first.push(spans.levels.len() as u32);
        }
        spans
    }

    pub(super) fn len(&self) -> usize {
        self.levels.len()
    }

    fn singles(&self) -> usize {
        self.first.last().map_or(0, |&count| count as usize)
    }

    pub(super) fn code(&self, level: usize, code: u16) -> u32 {
        self.first[level] + u32::from(code)
    }

    pub(super) fn start(&self, piece: u32) -> usize {
        usize::from(self.levels[piece as usize][0])
    }

    pub(super) fn end(&self, piece: u32) -> usize {
        usize::from(self.levels[piece as usize][1])
    }

    /// Adds the piece that joins two adjacent pieces.
    pub(super) fn join(&mut self, left: u32, right: u32) {
        self.levels.push([self.levels[left as usize][0], self.levels[right as usize][1]]);
    }
}
