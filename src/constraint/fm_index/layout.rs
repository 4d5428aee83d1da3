//! The arrays of an FM-index in memory.

use super::wavelet::{WaveletBlock, level_blocks, levels};
use crate::constraint::bits::directory_len;
use crate::constraint::file::BinaryFormat;
use crate::constraint::layout::{Section, section};

/// Length of the header in 8-byte numbers: magic number, version, the shape, and one reserved.
const HEADER: usize = 8;

/// The file format.
pub(super) const FORMAT: BinaryFormat = BinaryFormat {
    magic: u64::from_le_bytes(*b"CATALEXF"),
    versions: 1..=1,
    header: HEADER,
    name: "an FM-index of identifiers",
    help: "create the FM-index again from its items",
};

/// The sizes that determine all lengths.
#[derive(Debug, Clone, Copy)]
pub(super) struct FmShape {
    /// Rows of the index: tokens and items.
    pub(super) rows: usize,
    pub(super) items: usize,
    /// Facets per item.
    pub(super) facets: usize,
    /// Number of distinct tokens, plus one for the end of an item.
    pub(super) symbols: usize,
    /// Number of rows with a sampled position.
    pub(super) samples: usize,
}

/// The arrays of an FM-index.
#[derive(Debug)]
pub(super) struct FmLayout {
    pub(super) shape: FmShape,
    /// The token of each symbol except the first, ascending.
    pub(super) tokens: Section<u32>,
    /// The first row of each symbol, and the end of the last.
    pub(super) first_rows: Section<u32>,
    /// The index of each symbol's first occurrence below the wavelet matrix.
    pub(super) leaves: Section<u32>,
    /// The wavelet matrix of the symbols that follow the rows' patterns.
    pub(super) wavelet: Section<WaveletBlock>,
    /// A bit per row: whether its text position is sampled.
    pub(super) sampled_words: Section<u64>,
    pub(super) sampled_directory: Section<u32>,
    /// The sampled positions.
    pub(super) samples: Section<u32>,
    /// Number of tokens before each facet of each item, and in total.
    pub(super) facet_starts: Section<u32>,
    /// The row of each item's first token.
    pub(super) item_rows: Section<u32>,
    /// Total size in bytes.
    pub(super) end: usize,
}

impl FmLayout {
    pub(super) fn new(shape: FmShape) -> Self {
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
            facet_starts: section(shape.items.saturating_mul(shape.facets).min(u32::MAX as usize) + 1, &mut end),
            item_rows: section(shape.items, &mut end),
            end,
        }
    }

    /// The header.
    pub(super) fn header(&self) -> impl Iterator<Item = u64> {
        let FmShape { rows, items, facets, symbols, samples } = self.shape;
        [FORMAT.magic, *FORMAT.versions.end()]
            .into_iter()
            .chain([rows, items, facets, symbols, samples].map(|size| size as u64))
    }
}
