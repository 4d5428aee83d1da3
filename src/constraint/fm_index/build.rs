//! Construction of an FM-index from documents.

use libsais::SuffixArrayConstruction;
use rayon::prelude::*;

use super::layout::{FmLayout, FmShape};
use super::wavelet::{self, Wavelet};
use super::{Document, FmIndex};
use crate::constraint::bits::directory;
use crate::constraint::layout::Buffer;
use crate::error::{Error, Result};

/// Suffix-array sampling interval: every 16th token of an item, counted from its last, has its position stored.
pub(super) const SAMPLE_RATE: usize = 16;
/// The symbol that terminates each reversed item.
const END: i32 = 0;

/// The tokens of all items, each item reversed.
struct Text {
    tokens: Vec<u32>,
    /// Number of tokens before each facet, and in total.
    facet_starts: Vec<u32>,
    items: usize,
    facets: usize,
}

impl FmIndex {
    /// Builds the index of documents, numbered in the order given.
    ///
    /// # Errors
    /// [`Error::Data`] for no items, items without tokens, different numbers of facets, and more than 2,147,483,647 tokens
    /// and items together; [`Error::Unavailable`] where the memory does not suffice.
    pub fn new(documents: impl IntoIterator<Item = Document>) -> Result<Self> {
        let text = Text::new(documents)?;
        let mut tokens = text.tokens.clone();
        tokens.par_sort_unstable();
        tokens.dedup();
        let (mut symbols, positions) = text.symbols(&tokens);
        drop(text.tokens);

        let suffixes = SuffixArrayConstruction::for_text_mut(&mut symbols).in_owned_buffer32().single_threaded().run();
        let suffixes = suffixes.map(|sorted| sorted.into_vec()).map_err(|e| Error::Unavailable {
            what: format!("the suffix array of {} tokens", positions.len()),
            reason: format!("sorting failed: {e}"),
            help: "use a machine with more memory: sorting takes 20 bytes per token".into(),
        })?;

        let rows = suffixes.len();
        let mut sampled = vec![0u64; rows.div_ceil(64)];
        let mut samples = Vec::new();
        let mut item_rows = vec![0u32; text.items];
        let mut before = Vec::with_capacity(rows);
        for (row, &at) in suffixes.iter().enumerate() {
            let at = at as usize;
            // The symbol before the first one is the last: the text is cyclic.
            before.push(symbols[at.checked_sub(1).unwrap_or(rows - 1)] as u32);
            match positions[at] {
                Sampled::Item(item) => item_rows[item as usize] = row as u32,
                Sampled::Position(position) => {
                    sampled[row / 64] |= 1 << (row % 64);
                    samples.push(position);
                }
                Sampled::Nothing => {}
            }
        }
        drop(positions);
        drop(suffixes);

        let shape =
            FmShape { rows, items: text.items, facets: text.facets, symbols: tokens.len() + 1, samples: samples.len() };
        let layout = FmLayout::new(shape);
        let mut first_rows = vec![0u32; shape.symbols + 1];
        symbols.iter().for_each(|&symbol| first_rows[symbol as usize + 1] += 1);
        for symbol in 0..shape.symbols {
            first_rows[symbol + 1] += first_rows[symbol];
        }
        drop(symbols);
        let levels = wavelet::levels(shape.symbols);
        let blocks = wavelet::build(before, levels);
        let matrix = Wavelet { blocks: &blocks, len: rows, levels };
        let leaves: Vec<u32> =
            (0..shape.symbols).map(|symbol| matrix.descend(symbol as u32, 0..0).start as u32).collect();

        let mut buffer = Buffer::zeroed(layout.end, layout.header());
        buffer.write(&layout.tokens, &tokens);
        buffer.write(&layout.first_rows, &first_rows);
        buffer.write(&layout.leaves, &leaves);
        buffer.write(&layout.wavelet, &blocks);
        buffer.write(&layout.sampled_words, &sampled);
        buffer.write(&layout.sampled_directory, &directory(&sampled));
        buffer.write(&layout.samples, &samples);
        buffer.write(&layout.facet_starts, &text.facet_starts);
        buffer.write(&layout.item_rows, &item_rows);
        Ok(FmIndex { buffer, layout })
    }
}

/// The stored data of a position in the text.
#[derive(Debug, Clone, Copy)]
enum Sampled {
    Nothing,
    /// The number of tokens up to and including this one.
    Position(u32),
    /// The item that ends here, reversed.
    Item(u32),
}

impl Text {
    fn new(documents: impl IntoIterator<Item = Document>) -> Result<Self> {
        let wrong = |expected: String, got: String, help: &str| Error::data("FM-index", expected, got, help);
        let (mut tokens, mut facet_starts, mut facets, mut items) = (Vec::new(), vec![0u32], 0, 0usize);
        for document in documents {
            items += 1;
            let begin = tokens.len();
            if items == 1 {
                facets = document.facets.len();
            }
            if document.facets.len() != facets {
                let got = format!("{} at item {items}", document.facets.len());
                let help = "pass the same facets in the same order for every item, empty where an item lacks one";
                return Err(wrong(format!("{facets} facets per item, as in the first"), got, help));
            }
            for facet in &document.facets {
                tokens.extend_from_slice(facet);
                facet_starts.push(tokens.len() as u32);
            }
            if tokens.len() == begin {
                let got = format!("none at item {items}");
                return Err(wrong("at least one token per item".into(), got, "omit items without text"));
            }
            if tokens.len() + items > i32::MAX as usize || facet_starts.len() > u32::MAX as usize {
                let got = format!("more at item {items}");
                return Err(wrong(format!("at most {} tokens and items", i32::MAX), got, "index less text per item"));
            }
            tokens[begin..].reverse();
        }
        if items == 0 {
            return Err(wrong("at least one item".into(), "none".into(), "pass the items of a catalog"));
        }
        Ok(Text { tokens, facet_starts, items, facets })
    }

    /// The text as symbols, with the stored data of each position.
    fn symbols(&self, tokens: &[u32]) -> (Vec<i32>, Vec<Sampled>) {
        let mut symbols = Vec::with_capacity(self.tokens.len() + self.items);
        let mut samples = Vec::with_capacity(self.tokens.len() + self.items);
        let symbol = |token: &u32| tokens.partition_point(|other| other < token) as i32 + 1;
        for item in 0..self.items {
            let (begin, end) = (self.facet_starts[item * self.facets], self.facet_starts[(item + 1) * self.facets]);
            symbols.extend(self.tokens[begin as usize..end as usize].iter().map(symbol));
            symbols.push(END);
            samples.extend((0..end - begin).map(|from_last| match from_last as usize % SAMPLE_RATE {
                0 => Sampled::Position(end - from_last),
                _ => Sampled::Nothing,
            }));
            samples.push(Sampled::Item(item as u32));
        }
        (symbols, samples)
    }
}
