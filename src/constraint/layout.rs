//! One piece of memory that holds arrays, its own or a mapped file's, and where a trie's arrays stand in it.

use std::marker::PhantomData;

use bytemuck::Pod;
use memmap2::Mmap;

use super::bits::directory_len;

/// What a file begins with; read as a number, so that a machine of the other byte order refuses it.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"CATALEXT");
/// Version of the file format.
pub(super) const FORMAT_VERSION: u64 = 1;
/// Numbers of 8 bytes before the arrays: magic, version, levels, nodes of up to 8 levels, then from [`TOKENS`] on what
/// is known of token ids, all zero where nothing is.
pub(super) const HEADER: usize = 24;
/// Place in the header of the first token id plus one, the markers' ids plus one, the vocabulary's size, and the sizes
/// of up to 8 codebooks.
pub(super) const TOKENS: usize = 11;

/// A section: `len` numbers of type `T` from byte `start`, which is a multiple of 8.
#[derive(Debug, Clone)]
pub(super) struct Section<T> {
    start: usize,
    len: usize,
    of: PhantomData<T>,
}

/// The sections of a level.
#[derive(Debug, Clone)]
pub(super) struct LevelLayout {
    /// Code of each node.
    pub(super) codes: Section<u16>,
    /// Whether each node is its parent's first child; nothing at the first level.
    pub(super) words: Section<u64>,
    /// The directory of those bits.
    pub(super) directory: Section<u32>,
}

/// All sections.
#[derive(Debug, Clone)]
pub(super) struct TrieLayout {
    pub(super) levels: Vec<LevelLayout>,
    /// Row of each leaf.
    pub(super) rows: Section<u32>,
    /// Bytes in all.
    pub(super) end: usize,
}

impl TrieLayout {
    /// The layout of so many nodes a level.
    pub(super) fn new(nodes: &[usize]) -> Self {
        let mut end = HEADER * 8;
        let levels = nodes
            .iter()
            .enumerate()
            .map(|(level, &nodes)| {
                let (words, directory) = if level == 0 { (0, 0) } else { (nodes.div_ceil(64), directory_len(nodes)) };
                LevelLayout {
                    codes: section(nodes, &mut end),
                    words: section(words, &mut end),
                    directory: section(directory, &mut end),
                }
            })
            .collect();
        TrieLayout { levels, rows: section(nodes.last().copied().unwrap_or(0), &mut end), end }
    }

    /// The numbers before the arrays.
    pub(super) fn header(&self) -> impl Iterator<Item = u64> {
        let nodes = self.levels.iter().map(|level| level.codes.len as u64);
        [MAGIC, FORMAT_VERSION, self.levels.len() as u64].into_iter().chain(nodes)
    }
}

/// The section of `len` numbers that begins at `end`, which it moves behind them.
pub(super) fn section<T>(len: usize, end: &mut usize) -> Section<T> {
    let start = *end;
    *end += (len * size_of::<T>()).next_multiple_of(8);
    Section { start, len, of: PhantomData }
}

/// The memory of a structure: its own, or a file's.
#[derive(Debug)]
pub(super) enum Buffer {
    Owned(Vec<u64>),
    Mapped(Mmap),
}

impl Buffer {
    /// Memory of `end` bytes that begins with a header.
    pub(super) fn zeroed(end: usize, header: impl Iterator<Item = u64>) -> Self {
        let mut numbers = vec![0u64; end / 8];
        numbers.iter_mut().zip(header).for_each(|(number, value)| *number = value);
        Buffer::Owned(numbers)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Buffer::Owned(numbers) => bytemuck::cast_slice(numbers),
            Buffer::Mapped(map) => map,
        }
    }

    /// The numbers of a section. Sections begin at multiples of 8 bytes, and so do both kinds of memory.
    pub(super) fn read<T: Pod>(&self, section: &Section<T>) -> &[T] {
        bytemuck::cast_slice(&self.bytes()[section.start..section.start + section.len * size_of::<T>()])
    }

    /// Fills a section of own memory.
    pub(super) fn write<T: Pod>(&mut self, section: &Section<T>, values: &[T]) {
        if let Buffer::Owned(numbers) = self {
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(numbers);
            bytes[section.start..section.start + size_of_val(values)].copy_from_slice(bytemuck::cast_slice(values));
        }
    }
}
