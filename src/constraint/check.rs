//! Checks the arrays of a memory-mapped trie, because a file with a correct checksum can have any content. Takes linear
//! time.

use super::bits::{Bits, directory};
use super::layout::TrieLayout;
use super::trie::Trie;

impl Bits<'_> {
    /// Checks that the directory matches the bits, and that no bit at or after `len` is set.
    pub(super) fn check(self, len: usize) -> Result<(), String> {
        let rest = self.words.last().filter(|_| !len.is_multiple_of(64)).map_or(0, |word| word >> (len % 64));
        if self.words.len() != len.div_ceil(64) || rest != 0 || directory(self.words) != self.directory {
            return Err("bits that do not match their directory".into());
        }
        Ok(())
    }
}

impl TrieLayout {
    /// The layout for the numbers of nodes in a header, and for the number of items if items share IDs, else 0, if it
    /// fits in `bytes` bytes.
    pub(super) fn checked(nodes: &[u64], items: u64, bytes: usize) -> Result<TrieLayout, String> {
        let ascending = nodes.windows(2).all(|pair| pair[0] <= pair[1]);
        let fits = nodes.iter().all(|&nodes| (1..=bytes as u64 / 2).contains(&nodes) && nodes <= u64::from(u32::MAX));
        if nodes.is_empty() || !ascending || !fits {
            return Err(format!("levels of {nodes:?} prefixes"));
        }
        let leaves = nodes.last().copied().unwrap_or(0);
        if items > 0 && !(leaves..=(bytes as u64 / 4).min(u64::from(u32::MAX))).contains(&items) {
            return Err(format!("{items} items of {leaves} IDs"));
        }
        let items = (items > 0).then_some(items as usize);
        Ok(TrieLayout::new(&nodes.iter().map(|&nodes| nodes as usize).collect::<Vec<_>>(), items))
    }
}

impl Trie {
    /// Checks that the arrays form a trie: every prefix has children, siblings are in ascending order, rows are
    /// distinct, and every code has a token id.
    ///
    /// # Errors
    /// A description of the fault, as a phrase.
    pub(super) fn check(&self) -> Result<(), String> {
        for level in 0..self.levels() {
            let codes = self.codes(level);
            let firsts = (level > 0).then(|| self.firsts(level));
            if let Some(firsts) = firsts {
                firsts.check(codes.len())?;
                let parents = self.codes(level - 1).len();
                if firsts.ones() != parents || !firsts.get(0) {
                    return Err(format!("{} groups of prefixes under {parents} prefixes", firsts.ones()));
                }
            }
            let begins = |at: usize| firsts.is_some_and(|firsts| firsts.get(at));
            if let Some(at) = (1..codes.len()).find(|&at| codes[at] <= codes[at - 1] && !begins(at)) {
                return Err(format!("the code {} after {} at level {level}", codes[at], codes[at - 1]));
            }
        }
        let rows = self.rows();
        if let Some(members) = self.members() {
            members.check(rows.len())?;
            let ids = self.codes(self.levels() - 1).len();
            if members.ones() != ids || !members.get(0) {
                return Err(format!("{} groups of items with {ids} IDs", members.ones()));
            }
        }
        if let Some(row) = repeated(rows) {
            return Err(format!("the row {row} twice"));
        }
        let Some(tokens) = self.tokens() else { return Ok(()) };
        tokens.check().map_err(|(expected, got)| format!("{got} instead of {expected}"))?;
        let fits = |(level, &size): (usize, &usize)| {
            self.codes(level).iter().max().is_none_or(|&code| usize::from(code) < size)
        };
        match tokens.codebook_sizes.iter().enumerate().all(fits) {
            true => Ok(()),
            false => Err("codes without a token id".into()),
        }
    }
}

/// A number that occurs twice.
fn repeated(numbers: &[u32]) -> Option<u32> {
    let most = numbers.iter().max().map_or(0, |&most| most as usize);
    // Few rows of a large table: a bit set would be larger than the list.
    if most / 64 > numbers.len() {
        let mut sorted = numbers.to_vec();
        sorted.sort_unstable();
        return sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
    }
    let mut seen = vec![0u64; most / 64 + 1];
    numbers.iter().copied().find(|&number| {
        let (word, bit) = (number as usize / 64, 1 << (number % 64));
        let before = seen[word] & bit != 0;
        seen[word] |= bit;
        before
    })
}
