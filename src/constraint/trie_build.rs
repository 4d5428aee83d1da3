//! Builds a trie from the codes of a token table.

use std::sync::OnceLock;

use ndarray::{ArrayView1, ArrayView2};
use rayon::prelude::*;

use super::bits::directory;
use super::layout::{Buffer, TrieLayout};
use super::trie::Trie;
use crate::error::{Error, Result};
use crate::semantic_id::TokenTable;
use crate::tokenizer::MAX_LEVELS;

impl Trie {
    /// The trie of the rows of `codes (n, levels)`.
    ///
    /// # Errors
    /// [`Error::Data`] for no rows, more than `u32::MAX` rows, more than [`MAX_LEVELS`] levels, or equal rows.
    pub fn new(codes: ArrayView2<u16>) -> Result<Self> {
        let rows: Vec<u32> = (0..u32::try_from(codes.nrows()).unwrap_or(0)).collect();
        Trie::of_rows(codes, &rows)
    }

    /// The trie of some rows of a token table; see [`Trie::of_rows`]. If the table has members of shared IDs, so has the
    /// trie, in the order of their ranks.
    ///
    /// # Errors
    /// As [`Trie::new`].
    pub fn of_table(table: &TokenTable, rows: &[u32]) -> Result<Self> {
        let ranks = table.members.as_ref().map(|members| &members.ranks[..]);
        Trie::built(table.codes.view(), rows, ranks)
    }

    /// The trie of some rows of `codes (n, levels)`. `rows` must have no duplicates. The trie keeps the row numbers.
    ///
    /// # Errors
    /// As [`Trie::new`].
    pub fn of_rows(codes: ArrayView2<u16>, rows: &[u32]) -> Result<Self> {
        Trie::built(codes, rows, None)
    }

    /// `ranks` has the rank of each row of the table among the items of its ID; `None` if IDs are unique.
    fn built(codes: ArrayView2<u16>, rows: &[u32], ranks: Option<&[u16]>) -> Result<Self> {
        let (n, levels) = (rows.len(), codes.ncols());
        if n == 0 || u32::try_from(codes.nrows()).is_err() || !(1..=MAX_LEVELS).contains(&levels) {
            return Err(Error::data(
                "trie of semantic IDs",
                format!("1 to {} items of 1 to {MAX_LEVELS} codes", u32::MAX),
                format!("{n} items of {levels} codes"),
                "pass the codes of a token table",
            ));
        }
        let rank = |row: u32| ranks.map_or(0, |ranks| ranks[row as usize]);
        let rows = if levels <= 4 { sorted::<u64>(codes, rows, rank) } else { sorted::<u128>(codes, rows, rank) };
        let code = |leaf: usize, level: usize| codes[[rows[leaf] as usize, level]];
        // The length of the prefix that each leaf shares with the one before it; 0 for the first.
        let mut shared = vec![0u8; n];
        shared.par_iter_mut().enumerate().skip(1).for_each(|(leaf, shared)| {
            *shared = (0..levels).find(|&l| code(leaf, l) != code(leaf - 1, l)).unwrap_or(levels) as u8;
        });
        let repeated = |shared: &u8| usize::from(*shared) == levels;
        if let (None, Some(leaf)) = (ranks, shared.iter().position(repeated)) {
            return Err(Error::data(
                "trie of semantic IDs",
                "distinct IDs",
                format!("the same ID at rows {} and {} of the table", rows[leaf - 1] + 1, rows[leaf] + 1),
                "resolve collisions first: tokenize without --collisions keep",
            ));
        }
        let nodes: Vec<usize> =
            (0..levels).map(|level| shared.iter().filter(|&&part| usize::from(part) <= level).count()).collect();
        let layout = TrieLayout::new(&nodes, ranks.map(|_| n));
        let mut buffer = Buffer::zeroed(layout.end, layout.header());
        for (level, (sections, &nodes)) in layout.levels.iter().zip(&nodes).enumerate() {
            let (mut level_codes, mut words) = (Vec::with_capacity(nodes), vec![0u64; nodes.div_ceil(64)]);
            for (leaf, &shared) in shared.iter().enumerate().filter(|(_, shared)| usize::from(**shared) <= level) {
                if usize::from(shared) < level {
                    words[level_codes.len() / 64] |= 1 << (level_codes.len() % 64);
                }
                level_codes.push(code(leaf, level));
            }
            buffer.write(&sections.codes, &level_codes);
            if level > 0 {
                buffer.write(&sections.words, &words);
                buffer.write(&sections.directory, &directory(&words));
            }
        }
        if let Some((words, of_words)) = &layout.members {
            let word = |part: &[u8]| {
                part.iter().enumerate().fold(0u64, |word, (at, shared)| word | u64::from(!repeated(shared)) << at)
            };
            let bits: Vec<u64> = shared.chunks(64).map(word).collect();
            buffer.write(words, &bits);
            buffer.write(of_words, &directory(&bits));
        }
        buffer.write(&layout.rows, &rows);
        Ok(Trie { buffer, layout, tokens: None, leaves: OnceLock::new() })
    }
}

/// A sort key: the codes of a row, 16 bits each.
trait CodeKey: Copy + Ord + Send + Sync {
    fn pack(codes: ArrayView1<u16>) -> Self;
}

impl CodeKey for u64 {
    fn pack(codes: ArrayView1<u16>) -> Self {
        codes.iter().fold(0, |key, &code| key << 16 | u64::from(code))
    }
}

impl CodeKey for u128 {
    fn pack(codes: ArrayView1<u16>) -> Self {
        codes.iter().fold(0, |key, &code| key << 16 | u128::from(code))
    }
}

/// Row numbers in the order of their codes, then of their ranks.
fn sorted<K: CodeKey>(codes: ArrayView2<u16>, rows: &[u32], rank: impl Fn(u32) -> u16 + Sync) -> Vec<u32> {
    let key = |&row: &u32| (K::pack(codes.row(row as usize)), rank(row), row);
    let mut keyed: Vec<(K, u16, u32)> = rows.par_iter().map(key).collect();
    keyed.par_sort_unstable();
    keyed.into_iter().map(|(_, _, row)| row).collect()
}
