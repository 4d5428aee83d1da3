//! A wavelet matrix (Claude, Navarro and Ordóñez, 2015): a sequence of numbers with rank, over any alphabet.
//!
//! Level by level, from the highest bit of the numbers to the lowest, it holds that bit of each, and orders the numbers
//! for the next level by it: zeros before ones, else as they stood. So the path of a number down the levels narrows a
//! range of positions to the occurrences of that number, in one rank a level at each end of the range.

use std::ops::Range;

use crate::constraint::bits::{Bits, directory, directory_len};

/// A wavelet matrix, in memory of its owner.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wavelet<'a> {
    /// Bits of all levels, each from a word of its own on.
    pub(super) words: &'a [u64],
    /// The levels' directories.
    pub(super) directory: &'a [u32],
    /// Length of the sequence.
    pub(super) len: usize,
    pub(super) levels: usize,
}

/// Levels that numbers below `symbols` need.
pub(super) fn levels(symbols: usize) -> usize {
    (usize::BITS - symbols.saturating_sub(1).leading_zeros()).max(1) as usize
}

/// Words and directory entries of a level of `len` bits.
pub(super) fn level_len(len: usize) -> (usize, usize) {
    (len.div_ceil(64), directory_len(len))
}

/// The words and directories of all levels for a sequence.
pub(super) fn build(mut sequence: Vec<u32>, levels: usize) -> (Vec<u64>, Vec<u32>) {
    let (level_words, level_entries) = level_len(sequence.len());
    let mut all_words = Vec::with_capacity(levels * level_words);
    let mut all_entries = Vec::with_capacity(levels * level_entries);
    let mut ones = Vec::with_capacity(sequence.len());
    for level in 0..levels {
        let mut words = vec![0u64; level_words];
        let mut zeros = 0;
        for at in 0..sequence.len() {
            let number = sequence[at];
            if number >> (levels - 1 - level) & 1 == 1 {
                words[at / 64] |= 1 << (at % 64);
                ones.push(number);
            } else {
                sequence[zeros] = number;
                zeros += 1;
            }
        }
        sequence.truncate(zeros);
        sequence.append(&mut ones);
        all_entries.extend(directory(&words));
        all_words.extend(words);
    }
    (all_words, all_entries)
}

impl<'a> Wavelet<'a> {
    fn level(self, level: usize) -> Bits<'a> {
        let (words, entries) = level_len(self.len);
        Bits {
            words: &self.words[level * words..(level + 1) * words],
            directory: &self.directory[level * entries..(level + 1) * entries],
        }
    }

    /// Where the occurrences of `number` in a range of positions stand below the last level. All occurrences of a
    /// number stand together there, in their order.
    pub(super) fn descend(self, number: u32, range: Range<usize>) -> Range<usize> {
        (0..self.levels).fold(range, |range, level| {
            let bits = self.level(level);
            let ones = bits.rank(range.start)..bits.rank(range.end);
            if number >> (self.levels - 1 - level) & 1 == 1 {
                self.ones_of(bits, ones)
            } else {
                range.start - ones.start..range.end - ones.end
            }
        })
    }

    /// The number at a position, and where it stands below the last level.
    pub(super) fn access(self, at: usize) -> (u32, usize) {
        (0..self.levels).fold((0, at), |(number, at), level| {
            let bits = self.level(level);
            let ones = bits.rank(at);
            if bits.get(at) { (number << 1 | 1, self.len - bits.ones() + ones) } else { (number << 1, at - ones) }
        })
    }

    /// The numbers in a range of positions, each once, in ascending order, and how often each is there.
    pub(super) fn distinct(self, range: Range<usize>, mut found: impl FnMut(u32, usize)) {
        self.distinct_from(0, 0, range, &mut found);
    }

    fn distinct_from(self, level: usize, prefix: u32, range: Range<usize>, found: &mut impl FnMut(u32, usize)) {
        if range.is_empty() {
            return;
        }
        if level == self.levels {
            return found(prefix, range.len());
        }
        let bits = self.level(level);
        let ones = bits.rank(range.start)..bits.rank(range.end);
        self.distinct_from(level + 1, prefix << 1, range.start - ones.start..range.end - ones.end, found);
        self.distinct_from(level + 1, prefix << 1 | 1, self.ones_of(bits, ones), found);
    }

    /// Positions on the next level of these ones.
    fn ones_of(self, bits: Bits, ones: Range<usize>) -> Range<usize> {
        let zeros = self.len - bits.ones();
        zeros + ones.start..zeros + ones.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_answers_as_the_sequence_would(
            sequence in prop::collection::vec(prop_oneof![0u32..4, 0u32..300_000], 1..1_500),
            ends in prop::array::uniform2(any::<prop::sample::Index>()),
        ) {
            let levels = levels(300_000);
            let (words, directory) = build(sequence.clone(), levels);
            let wavelet = Wavelet { words: &words, directory: &directory, len: sequence.len(), levels };
            let mut ends = ends.map(|end| end.index(sequence.len() + 1));
            ends.sort_unstable();
            let range = ends[0]..ends[1];
            let mut expected = BTreeMap::new();
            sequence[range.clone()].iter().for_each(|&number| *expected.entry(number).or_insert(0) += 1);
            let mut found = Vec::new();
            wavelet.distinct(range.clone(), |number, count| found.push((number, count)));
            prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
            for (at, &number) in sequence.iter().enumerate() {
                let first = wavelet.descend(number, 0..0).start;
                let before = sequence[..at].iter().filter(|&&other| other == number).count();
                prop_assert_eq!(wavelet.access(at), (number, first + before));
                let inside = range.clone().filter(|&at| sequence[at] == number).count();
                prop_assert_eq!(wavelet.descend(number, range.clone()).len(), inside);
            }
        }
    }

    #[test]
    fn levels_hold_all_symbols() {
        assert_eq!([1, 2, 3, 4, 5, 256, 257].map(levels), [1, 1, 2, 2, 3, 8, 9]);
    }
}
