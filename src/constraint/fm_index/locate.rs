//! From matches to items, and an item's tokens.

use super::{Document, FmIndex, Occurrences};

/// Where an occurrence begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FmPosition {
    /// Number of the item, in the order in which the index was given them.
    pub item: usize,
    /// Number of the facet.
    pub facet: usize,
    /// Tokens of that facet before it.
    pub offset: usize,
}

impl FmIndex {
    /// Where the occurrences of a pattern begin, in the order of what stands before them, from right to left. Each takes
    /// some microseconds: `take` some of them where there are many.
    pub fn locate(&self, found: Occurrences) -> impl ExactSizeIterator<Item = FmPosition> + '_ {
        self.rows(found).map(move |row| self.place(row, found.length as usize))
    }

    /// The items in which a pattern occurs, in ascending order, each once.
    pub fn items(&self, found: Occurrences) -> Vec<usize> {
        let mut items: Vec<usize> = self.locate(found).map(|place| place.item).collect();
        items.sort_unstable();
        items.dedup();
        items
    }

    /// The identifier of an item; none where there are not so many items.
    pub fn document(&self, item: usize) -> Option<Document> {
        let facets = self.facets();
        let begins = self.facet_begins().get(item * facets..=(item + 1) * facets)?;
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

    /// Tokens before each facet of each item, and in all.
    fn facet_begins(&self) -> &[u32] {
        self.buffer.read(&self.layout.facet_begins)
    }

    /// Where the pattern of a row begins, if it is `length` tokens long.
    fn place(&self, mut row: usize, length: usize) -> FmPosition {
        let (wavelet, sampled) = (self.wavelet(), self.sampled());
        let at_beginning = row < self.len();
        // Towards the end of the item: each step appends the token that follows.
        let mut steps = 0;
        while !sampled.get(row) {
            let (symbol, leaf) = wavelet.access(row);
            row = self.row_of_leaf(symbol as usize, leaf);
            steps += 1;
        }
        let samples = self.buffer.read(&self.layout.samples);
        let end = samples[sampled.rank(row)] as usize - steps;
        let begins = self.facet_begins();
        // Where the pattern is empty, the token before it tells the item, if it has one.
        let inside = if at_beginning { end } else { end - 1 };
        let item = (begins.partition_point(|&begin| begin as usize <= inside) - 1) / self.facets();
        let begin = end.saturating_sub(length);
        let own = &begins[item * self.facets()..(item + 1) * self.facets()];
        let facet = own.partition_point(|&other| other as usize <= begin).saturating_sub(1);
        FmPosition { item, facet, offset: begin - own[facet] as usize }
    }
}
