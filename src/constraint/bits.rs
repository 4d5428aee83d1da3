//! Bit vectors with rank and select.

/// Words per entry of the directory.
const BLOCK_WORDS: usize = 8;

/// Number of directory entries for `len` bits.
pub(super) fn directory_len(len: usize) -> usize {
    len.div_ceil(64).div_ceil(BLOCK_WORDS) + 1
}

/// The directory of `words`: the number of ones before each block of 512 bits, and in total at the end.
pub(super) fn directory(words: &[u64]) -> Vec<u32> {
    let mut ones = 0;
    let mut directory = vec![0];
    for block in words.chunks(BLOCK_WORDS) {
        ones += block.iter().map(|word| word.count_ones()).sum::<u32>();
        directory.push(ones);
    }
    directory
}

/// A bit vector with its directory; at most `u32::MAX` bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bits<'a> {
    pub(super) words: &'a [u64],
    pub(super) directory: &'a [u32],
}

impl Bits<'_> {
    /// Number of ones.
    pub(super) fn ones(self) -> usize {
        self.directory.last().map_or(0, |&ones| ones as usize)
    }

    /// The bit at a position.
    pub(super) fn get(self, at: usize) -> bool {
        self.words[at / 64] >> (at % 64) & 1 == 1
    }

    /// Number of ones before position `at`.
    pub(super) fn rank(self, at: usize) -> usize {
        let (word, bit) = (at / 64, at % 64);
        let block = word / BLOCK_WORDS;
        let whole: u32 = self.words[block * BLOCK_WORDS..word].iter().map(|word| word.count_ones()).sum();
        let part = if bit == 0 { 0 } else { (self.words[word] << (64 - bit)).count_ones() };
        (self.directory[block] + whole + part) as usize
    }

    /// Position of the one with `n` ones before it, if there are that many.
    pub(super) fn select(self, n: usize) -> Option<usize> {
        if n >= self.ones() {
            return None;
        }
        let block = self.directory.partition_point(|&before| before as usize <= n) - 1;
        let mut left = n as u32 - self.directory[block];
        for (at, &word) in self.words.iter().enumerate().skip(block * BLOCK_WORDS) {
            let ones = word.count_ones();
            if left < ones {
                return Some(at * 64 + nth_one(word, left) as usize);
            }
            left -= ones;
        }
        None
    }

    /// Position of the first one at or after `from`.
    pub(super) fn next_one(self, from: usize) -> Option<usize> {
        let start = from / 64;
        let first = self.words.get(start)? & (u64::MAX << (from % 64));
        std::iter::once(first)
            .chain(self.words[start + 1..].iter().copied())
            .enumerate()
            .find(|&(_, word)| word != 0)
            .map(|(at, word)| (start + at) * 64 + word.trailing_zeros() as usize)
    }
}

/// Index of the bit of `word` that is one and has `n` ones below it.
fn nth_one(mut word: u64, n: u32) -> u32 {
    for _ in 0..n {
        word &= word - 1;
    }
    word.trailing_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rank_and_select_match_a_linear_scan(bits in prop::collection::vec(prop::bool::weighted(0.2), 1..3_000)) {
            let mut words = vec![0u64; bits.len().div_ceil(64)];
            bits.iter().enumerate().filter(|(_, bit)| **bit).for_each(|(at, _)| words[at / 64] |= 1 << (at % 64));
            let directory = directory(&words);
            prop_assert_eq!(directory.len(), directory_len(bits.len()));
            let found = Bits { words: &words, directory: &directory };
            let ones: Vec<usize> = (0..bits.len()).filter(|&at| bits[at]).collect();
            prop_assert_eq!(found.ones(), ones.len());
            for (n, &at) in ones.iter().enumerate() {
                prop_assert_eq!(found.select(n), Some(at));
            }
            prop_assert_eq!(found.select(ones.len()), None);
            for (at, &bit) in bits.iter().enumerate() {
                prop_assert_eq!(found.get(at), bit);
                prop_assert_eq!(found.rank(at), ones.partition_point(|&one| one < at));
                prop_assert_eq!(found.next_one(at), ones.iter().copied().find(|&one| one >= at));
            }
        }
    }
}
