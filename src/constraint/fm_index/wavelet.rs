//! A wavelet matrix (Claude, Navarro and Ordóñez, 2015): a sequence of numbers with rank, over any alphabet.
//!
//! Each level stores one bit of every number, from the highest bit to the lowest. The numbers of the next level are sorted
//! stably by that bit. Descending the levels along the bits of a number narrows a range of positions to the occurrences of
//! that number, with one rank operation per level and end of the range.

use std::ops::Range;

/// A cache line: a word of counts, then seven words of bits. The low half of the counts is the position on the next level
/// of the block's first one: the number of zeros of the level plus the number of ones before the block. The high half
/// has, in 9 bits each, the number of ones in the block's first two, four and six words.
pub(super) type WaveletBlock = [u64; 8];
/// Bits per block.
const BITS: usize = 7 * 64;
/// Width of a count inside a block in bits.
const COUNT: usize = 9;

/// A wavelet matrix in borrowed memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wavelet<'a> {
    /// The blocks of all levels.
    pub(super) blocks: &'a [WaveletBlock],
    /// Length of the sequence.
    pub(super) len: usize,
    pub(super) levels: usize,
}

/// The number of levels for numbers below `symbols`.
pub(super) fn levels(symbols: usize) -> usize {
    (usize::BITS - symbols.saturating_sub(1).leading_zeros()).max(1) as usize
}

/// The number of blocks of a level of `len` bits, so that position `len` has a block, too.
pub(super) fn level_blocks(len: usize) -> usize {
    len / BITS + 1
}

/// Builds the blocks of all levels for a sequence of fewer than 2^32 numbers.
pub(super) fn build(mut sequence: Vec<u32>, levels: usize) -> Vec<WaveletBlock> {
    let level_blocks = level_blocks(sequence.len());
    let mut all = Vec::with_capacity(levels * level_blocks);
    let mut ones = Vec::with_capacity(sequence.len());
    for level in 0..levels {
        let mut blocks = vec![[0u64; 8]; level_blocks];
        let mut zeros = 0;
        for at in 0..sequence.len() {
            let number = sequence[at];
            if bit_of(number, level, levels) {
                blocks[at / BITS][1 + at % BITS / 64] |= 1 << (at % 64);
                ones.push(number);
            } else {
                sequence[zeros] = number;
                zeros += 1;
            }
        }
        sequence.truncate(zeros);
        sequence.append(&mut ones);
        let mut before = zeros as u64;
        for block in &mut blocks {
            (block[0], before) = counts_of(block, before);
        }
        all.extend(blocks);
    }
    all
}

/// The counts of a block from the number of ones before it and its bits, and the number of ones after it.
fn counts_of(block: &WaveletBlock, before: u64) -> (u64, u64) {
    let (mut inside, mut counts) = (0, before);
    for (pair, words) in block[1..].chunks(2).enumerate() {
        if pair > 0 {
            counts |= inside << (32 + COUNT * (pair - 1));
        }
        inside += words.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
    }
    (counts, before + inside)
}

/// Checks the counts of a level of `len` bits, and that the bits after them are zero.
fn check_counts(blocks: &[WaveletBlock], len: usize, zeros: Option<usize>) -> Result<(), String> {
    let mut before = zeros.ok_or("more ones than rows")? as u64;
    for (at, block) in blocks.iter().enumerate() {
        let counts;
        (counts, before) = counts_of(block, before);
        if counts != block[0] {
            return Err(format!("counts of block {at} that do not match its bits"));
        }
    }
    // A level ends in its last block, which may be empty.
    let last = &blocks[len / BITS][1..];
    let after = |(at, word): (usize, &u64)| match (len % BITS).checked_sub(at * 64) {
        None => *word != 0,
        Some(bits) => bits < 64 && word >> bits != 0,
    };
    if last.iter().enumerate().any(after) { Err("bits after the last row".into()) } else { Ok(()) }
}

fn bit_of(number: u32, level: usize, levels: usize) -> bool {
    number >> (levels - 1 - level) & 1 == 1
}

/// One level.
#[derive(Clone, Copy)]
struct WaveletLevel<'a> {
    blocks: &'a [WaveletBlock],
}

impl WaveletLevel<'_> {
    /// The position on the next level of a one at this position. Branch-free, because the branches are unpredictable.
    fn one(self, at: usize) -> usize {
        let block = &self.blocks[at / BITS];
        let word = at % BITS / 64;
        let inside = (block[0] >> 32 << COUNT >> (COUNT * (word / 2))) as usize % (1 << COUNT);
        let odd = block[1 + word / 2 * 2] & 0u64.wrapping_sub(word as u64 % 2);
        let part = block[1 + word] & !(u64::MAX << (at % 64));
        block[0] as u32 as usize + inside + (odd.count_ones() + part.count_ones()) as usize
    }

    /// The position on the next level of a zero at this position, given that of a one.
    fn zero(self, at: usize, one: usize) -> usize {
        at + self.blocks[0][0] as u32 as usize - one
    }

    fn get(self, at: usize) -> bool {
        self.blocks[at / BITS][1 + at % BITS / 64] >> (at % 64) & 1 == 1
    }
}

impl<'a> Wavelet<'a> {
    fn level(self, level: usize) -> WaveletLevel<'a> {
        let blocks = level_blocks(self.len);
        WaveletLevel { blocks: &self.blocks[level * blocks..(level + 1) * blocks] }
    }

    /// The range below the last level of the occurrences of `number` in a range of positions. All occurrences of a number
    /// are adjacent there, in order.
    pub(super) fn descend(self, number: u32, range: Range<usize>) -> Range<usize> {
        (0..self.levels).fold(range, |range, at| {
            let level = self.level(at);
            let ones = level.one(range.start)..level.one(range.end);
            if bit_of(number, at, self.levels) {
                ones
            } else {
                level.zero(range.start, ones.start)..level.zero(range.end, ones.end)
            }
        })
    }

    /// The number at a position, and its index below the last level.
    pub(super) fn access(self, at: usize) -> (u32, usize) {
        (0..self.levels).map(|level| self.level(level)).fold((0, at), |(number, at), level| {
            let one = level.one(at);
            if level.get(at) { (number << 1 | 1, one) } else { (number << 1, level.zero(at, one)) }
        })
    }

    /// All numbers in order, decoded level by level; checks the counts and that nothing is stored after the last number.
    ///
    /// # Errors
    /// A description of the fault, as a phrase.
    pub(super) fn sequence(self) -> Result<Vec<u32>, String> {
        let mut numbers = vec![0u32; self.len];
        let mut other = vec![0u32; self.len];
        for level in (0..self.levels).rev() {
            let blocks = self.level(level).blocks;
            let ones: usize = blocks.iter().flat_map(|block| &block[1..]).map(|word| word.count_ones() as usize).sum();
            let zeros = self.len.checked_sub(ones);
            check_counts(blocks, self.len, zeros).map_err(|got| format!("level {level}: {got}"))?;
            // The next level has the numbers with zeros first, then those with ones.
            let (mut zero, mut one) = (0, zeros.unwrap_or_default());
            let bit = 1 << (self.levels - 1 - level);
            for (numbers_of, block) in other.chunks_mut(BITS).zip(blocks) {
                for (numbers_of, &word) in numbers_of.chunks_mut(64).zip(&block[1..]) {
                    for (at, number) in numbers_of.iter_mut().enumerate() {
                        let set = word >> at & 1 == 1;
                        let from = if set { &mut one } else { &mut zero };
                        *number = numbers[*from] | if set { bit } else { 0 };
                        *from += 1;
                    }
                }
            }
            std::mem::swap(&mut numbers, &mut other);
        }
        Ok(numbers)
    }

    /// The distinct numbers in a range of positions, ascending, with their counts.
    pub(super) fn distinct(self, range: Range<usize>, mut found: impl FnMut(u32, usize)) {
        self.distinct_from(0, 0, range, &mut found);
    }

    fn distinct_from(self, at: usize, prefix: u32, range: Range<usize>, found: &mut impl FnMut(u32, usize)) {
        if range.is_empty() {
            return;
        }
        if at == self.levels {
            return found(prefix, range.len());
        }
        let level = self.level(at);
        let ones = level.one(range.start)..level.one(range.end);
        let zeros = level.zero(range.start, ones.start)..level.zero(range.end, ones.end);
        self.distinct_from(at + 1, prefix << 1, zeros, found);
        self.distinct_from(at + 1, prefix << 1 | 1, ones, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn the_matrix_agrees_with_the_sequence(
            sequence in prop::collection::vec(prop_oneof![0u32..4, 0u32..300_000], 1..1_500),
            ends in prop::array::uniform2(any::<prop::sample::Index>()),
        ) {
            let levels = levels(300_000);
            let blocks = build(sequence.clone(), levels);
            let wavelet = Wavelet { blocks: &blocks, len: sequence.len(), levels };
            let mut ends = ends.map(|end| end.index(sequence.len() + 1));
            ends.sort_unstable();
            let range = ends[0]..ends[1];
            let mut expected = BTreeMap::new();
            sequence[range.clone()].iter().for_each(|&number| *expected.entry(number).or_insert(0) += 1);
            let mut found = Vec::new();
            wavelet.distinct(range.clone(), |number, count| found.push((number, count)));
            prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(wavelet.sequence(), Ok(sequence.clone()));
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
    fn the_levels_hold_all_symbols() {
        assert_eq!([1, 2, 3, 4, 5, 256, 257].map(levels), [1, 1, 2, 2, 3, 8, 9]);
    }
}
