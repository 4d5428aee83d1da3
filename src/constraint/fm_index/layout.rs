//! Where the arrays of an FM-index stand in its memory.

use crate::constraint::bits::directory_len;
use crate::constraint::file::{BinaryFormat, number};
use crate::constraint::layout::{Section, section};

use super::wavelet::{WaveletBlock, level_blocks, levels};

/// Numbers of 8 bytes before the arrays: magic, version, the shape, one to spare.
const HEADER: usize = 8;

/// The kind of file.
pub(super) const KIND: BinaryFormat = BinaryFormat {
    magic: u64::from_le_bytes(*b"CATALEXF"),
    version: 1,
    header: HEADER,
    name: "an FM-index of identifiers",
    help: "write the FM-index again from its items",
};

/// The numbers from which all lengths follow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Rows of the index: tokens and items.
    pub(super) rows: usize,
    pub(super) items: usize,
    /// Facets an item.
    pub(super) facets: usize,
    /// Distinct tokens, and one for the end of an item.
    pub(super) symbols: usize,
    /// Rows whose place is written down.
    pub(super) samples: usize,
}

impl Shape {
    /// As a file's header has it; sizes that no index has are cut to ones that cannot overflow.
    pub(super) fn of_header(map: &[u8]) -> Self {
        let size = |at, most: usize| number(map, at).min(most as u64) as usize;
        let rows = size(2, i32::MAX as usize);
        Shape {
            rows,
            items: size(3, rows),
            facets: size(4, rows),
            symbols: size(5, rows.saturating_add(1)),
            samples: size(6, rows),
        }
    }
}

/// All sections.
#[derive(Debug)]
pub(super) struct FmLayout {
    pub(super) shape: Shape,
    /// Token of each symbol but the first, ascending.
    pub(super) tokens: Section<u32>,
    /// The row at which each symbol's rows begin, and behind the last.
    pub(super) first_rows: Section<u32>,
    /// Where each symbol stands below the wavelet matrix.
    pub(super) leaves: Section<u32>,
    /// The wavelet matrix of what follows each row's pattern.
    pub(super) wavelet: Section<WaveletBlock>,
    /// Whether the place of a row is written down.
    pub(super) sampled_words: Section<u64>,
    pub(super) sampled_directory: Section<u32>,
    /// Those places: tokens before them.
    pub(super) samples: Section<u32>,
    /// Tokens before each facet of each item, and in all.
    pub(super) facet_begins: Section<u32>,
    /// The row of each item's beginning.
    pub(super) item_rows: Section<u32>,
    /// Bytes in all.
    pub(super) end: usize,
}

impl FmLayout {
    pub(super) fn new(shape: Shape) -> Self {
        let mut end = HEADER * 8;
        let levels = levels(shape.symbols);
        FmLayout {
            shape,
            tokens: section(shape.symbols.saturating_sub(1), &mut end),
            first_rows: section(shape.symbols + 1, &mut end),
            leaves: section(shape.symbols, &mut end),
            wavelet: section(levels * level_blocks(shape.rows), &mut end),
            sampled_words: section(shape.rows.div_ceil(64), &mut end),
            sampled_directory: section(directory_len(shape.rows), &mut end),
            samples: section(shape.samples, &mut end),
            facet_begins: section(shape.items.saturating_mul(shape.facets).min(u32::MAX as usize) + 1, &mut end),
            item_rows: section(shape.items, &mut end),
            end,
        }
    }

    /// The numbers before the arrays.
    pub(super) fn header(&self) -> impl Iterator<Item = u64> {
        let Shape { rows, items, facets, symbols, samples } = self.shape;
        [KIND.magic, KIND.version].into_iter().chain([rows, items, facets, symbols, samples].map(|size| size as u64))
    }
}
