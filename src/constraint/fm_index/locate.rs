//! From matches to items, and extraction of documents.

use super::{Document, FmIndex, Occurrences};

/// The start of an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FmPosition {
    /// Number of the item, in the order of the documents.
    pub item: usize,
    /// Number of the facet.
    pub facet: usize,
    /// Offset in the facet, in tokens.
    pub offset: usize,
}

impl FmIndex {
    /// The positions of the occurrences of a pattern, sorted by the text before them, read from right to left. Each takes
    /// some microseconds, so `take` only as many as needed.
    pub fn locate(&self, found: Occurrences) -> impl ExactSizeIterator<Item = FmPosition> + '_ {
        self.rows(found).map(move |row| self.position(row, found.length as usize))
    }

    /// The items that contain a pattern, ascending, without duplicates.
    pub fn items(&self, found: Occurrences) -> Vec<usize> {
        let mut items: Vec<usize> = self.locate(found).map(|position| position.item).collect();
        items.sort_unstable();
        items.dedup();
        items
    }

    /// The document of an item; `None` for an item number out of range.
    pub fn document(&self, item: usize) -> Option<Document> {
        let facets = self.facets();
        let begins = self.facet_starts().get(item * facets..=(item + 1) * facets)?;
        let mut row = *self.buffer.read(&self.layout.item_rows).get(item)? as usize;
        let wavelet = self.wavelet();
        let mut next = || {
            let (symbol, leaf) = wavelet.access(row);
            row = self.row_of_leaf(symbol as usize, leaf);
            self.tokens()[symbol as usize - 1]
        };
        let facet = |ends: &[u32]| (ends[0]..ends[1]).map(|_| next()).collect();
        Some(Document { facets: begins.windows(2).map(facet).collect() })
    }

    /// Number of tokens before each facet of each item, and in total.
    pub(super) fn facet_starts(&self) -> &[u32] {
        self.buffer.read(&self.layout.facet_starts)
    }

    /// The position of the pattern of a row, given its length in tokens.
    fn position(&self, mut row: usize, length: usize) -> FmPosition {
        let (wavelet, sampled) = (self.wavelet(), self.sampled());
        let at_start = row < self.len();
        // Each step appends the following token, until a sampled position.
        let mut steps = 0;
        while !sampled.get(row) {
            let (symbol, leaf) = wavelet.access(row);
            row = self.row_of_leaf(symbol as usize, leaf);
            steps += 1;
        }
        let samples = self.buffer.read(&self.layout.samples);
        let end = samples[sampled.rank(row)] as usize - steps;
        let begins = self.facet_starts();
        // For an empty pattern, the token before it determines the item, if there is one.
        let inside = if at_start { end } else { end - 1 };
        let item = (begins.partition_point(|&begin| begin as usize <= inside) - 1) / self.facets();
        let begin = end.saturating_sub(length);
        let own = &begins[item * self.facets()..(item + 1) * self.facets()];
        let facet = own.partition_point(|&other| other as usize <= begin).saturating_sub(1);
        FmPosition { item, facet, offset: begin - own[facet] as usize }
    }
}
