//! Arrays in one block of memory, owned or mapped from a file, and the positions of a trie's arrays in it.

use std::marker::PhantomData;

use bytemuck::Pod;
use memmap2::Mmap;

use super::bits::directory_len;
use crate::tokenizer::MAX_LEVELS;

/// Magic number of the file. It is read as a number, so that a machine with another byte order refuses the file.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"CATALEXT");
/// Version of the file format of tries in which each ID has one item.
pub(super) const FORMAT_VERSION: u64 = 1;
/// Version of the file format of tries in which items share IDs.
pub(super) const SHARED_VERSION: u64 = 2;
/// Length of the header in 8-byte numbers: magic number, version, number of levels, nodes per level (up to
/// [`MAX_LEVELS`]), then from [`TOKENS`] on the token ids, all zero without them, and at [`ITEMS`] the number of items if
/// items share IDs, else zero.
pub(super) const HEADER: usize = (TOKENS + 4 + MAX_LEVELS).next_multiple_of(8);
/// Index in the header of the token ids: the first id plus one, the markers' ids plus one, the size of the vocabulary, and
/// the sizes of up to [`MAX_LEVELS`] codebooks.
pub(super) const TOKENS: usize = 3 + MAX_LEVELS;
/// Index in the header of the number of items, which is zero if each ID has one item.
pub(super) const ITEMS: usize = TOKENS + 4 + MAX_LEVELS;
const _: () = assert!(HEADER == 24 && ITEMS == 23 && TOKENS == 11, "another number of levels changes the file format");

/// An array of `len` numbers of type `T` from byte `start`, which is a multiple of 8.
#[derive(Debug, Clone)]
pub(super) struct Section<T> {
    start: usize,
    len: usize,
    of: PhantomData<T>,
}

#[cfg(test)]
impl<T> Section<T> {
    /// The bytes of the array.
    pub(super) fn bytes(&self) -> std::ops::Range<usize> {
        self.start..self.start + self.len * size_of::<T>()
    }
}

/// The arrays of a level.
#[derive(Debug, Clone)]
pub(super) struct LevelLayout {
    /// Code of each node.
    pub(super) codes: Section<u16>,
    /// A bit per node: whether it is the first child of its parent; empty at the first level.
    pub(super) words: Section<u64>,
    /// The directory of those bits.
    pub(super) directory: Section<u32>,
}

/// The arrays of a trie.
#[derive(Debug, Clone)]
pub(super) struct TrieLayout {
    pub(super) levels: Vec<LevelLayout>,
    /// Row of each item, in the order of the leaves.
    pub(super) rows: Section<u32>,
    /// If items share IDs: a bit per item, whether it is the first item of its leaf, and the directory of these bits.
    pub(super) members: Option<(Section<u64>, Section<u32>)>,
    /// Total size in bytes.
    pub(super) end: usize,
}

impl TrieLayout {
    /// The layout for these numbers of nodes per level. `items` is the number of items if items share IDs.
    pub(super) fn new(nodes: &[usize], items: Option<usize>) -> Self {
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
        let rows = section(items.or(nodes.last().copied()).unwrap_or(0), &mut end);
        let members =
            items.map(|items| (section(items.div_ceil(64), &mut end), section(directory_len(items), &mut end)));
        TrieLayout { levels, rows, members, end }
    }

    /// The header without the token ids.
    pub(super) fn header(&self) -> impl Iterator<Item = u64> {
        let version = if self.members.is_some() { SHARED_VERSION } else { FORMAT_VERSION };
        let nodes = self.levels.iter().map(|level| level.codes.len as u64);
        let start = [MAGIC, version, self.levels.len() as u64].into_iter().chain(nodes).chain(std::iter::repeat(0));
        let items = self.members.as_ref().map_or(0, |_| self.rows.len as u64);
        start.take(ITEMS).chain([items])
    }
}

/// Reserves an array of `len` numbers at `end` and advances `end`.
pub(super) fn section<T>(len: usize, end: &mut usize) -> Section<T> {
    let start = *end;
    *end += (len * size_of::<T>()).next_multiple_of(8);
    Section { start, len, of: PhantomData }
}

/// The memory of a structure.
#[derive(Debug)]
pub(super) enum Buffer {
    Owned(Vec<u64>),
    Mapped(Mmap),
}

impl Buffer {
    /// Zeroed memory of `end` bytes with a header at the start.
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

    /// The numbers of an array. Arrays and both kinds of memory are aligned to 8 bytes.
    pub(super) fn read<T: Pod>(&self, section: &Section<T>) -> &[T] {
        bytemuck::cast_slice(&self.bytes()[section.start..section.start + section.len * size_of::<T>()])
    }

    /// Fills an array of owned memory.
    pub(super) fn write<T: Pod>(&mut self, section: &Section<T>, values: &[T]) {
        if let Buffer::Owned(numbers) = self {
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(numbers);
            bytes[section.start..section.start + size_of_val(values)].copy_from_slice(bytemuck::cast_slice(values));
        }
    }
}
