//! Checks the arrays of a memory-mapped FM-index, because a file with a correct checksum can have any content. Takes
//! linear time.
//!
//! Every item is read once, so a file that passes is a valid index of its documents. For speed, symbols and rows are
//! decoded level by level in memory order, not row by row.

use rayon::prelude::*;

use super::FmIndex;
use super::build::SAMPLE_RATE;
use super::layout::FmShape;
use crate::constraint::file::number;

/// Number of items that are read at a time.
const TOGETHER: usize = 32;

impl FmShape {
    /// The sizes in a file's header, if the arrays fit in `bytes` bytes.
    pub(super) fn of_header(map: &[u8]) -> Result<Self, String> {
        let size = |at: usize| usize::try_from(number(map, at)).ok().filter(|&size| size <= i32::MAX as usize);
        let sizes = [2, 3, 4, 5, 6].map(size);
        let wrong = || format!("sizes of {:?}", [2, 3, 4, 5, 6].map(|at| number(map, at)));
        let [Some(rows), Some(items), Some(facets), Some(symbols), Some(samples)] = sizes else { return Err(wrong()) };
        let fits = items >= 1
            && facets >= 1
            && rows >= 2 * items
            // A row takes more than one bit, and a facet four bytes.
            && rows / 8 <= map.len()
            && items.saturating_mul(facets) <= map.len() / 4
            && (2..=rows - items + 1).contains(&symbols)
            && samples <= rows - items;
        if fits { Ok(FmShape { rows, items, facets, symbols, samples }) } else { Err(wrong()) }
    }
}

impl FmIndex {
    /// Checks that the arrays form an index of documents.
    ///
    /// # Errors
    /// A description of the fault, as a phrase.
    pub(super) fn check(&self) -> Result<(), String> {
        let FmShape { rows, items, facets, symbols, samples } = self.layout.shape;
        if let Some(pair) = self.tokens().windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(format!("the token {} after {}", pair[1], pair[0]));
        }
        let first_rows = self.buffer.read(&self.layout.first_rows);
        let every = first_rows.windows(2).all(|pair| pair[0] < pair[1]);
        let ends = (first_rows[0], first_rows[1] as usize, first_rows[symbols] as usize);
        if !every || ends != (0, items, rows) {
            return Err(format!("rows of symbols from {} on, of which {} are ends of items", ends.0, ends.1));
        }
        let sampled = self.sampled();
        sampled.check(rows)?;
        if sampled.ones() != samples {
            return Err(format!("{} marks of {samples} samples", sampled.ones()));
        }
        let starts = self.facet_starts();
        let tokens = rows - items;
        let ascending = starts.windows(2).all(|pair| pair[0] <= pair[1]);
        let bounds = (starts[0], starts[items * facets] as usize);
        if !ascending || bounds != (0, tokens) || (0..items).any(|i| starts[i * facets] == starts[(i + 1) * facets]) {
            return Err(format!("facets from token {} to {} of {tokens}", bounds.0, bounds.1));
        }
        let next = self.next_rows(first_rows)?;
        self.check_items(&next)
    }

    /// The next row of each row: the row of the pattern extended by the following symbol.
    fn next_rows(&self, first_rows: &[u32]) -> Result<Vec<u32>, String> {
        let mut sequence = self.wavelet().sequence()?;
        let leaves = self.buffer.read(&self.layout.leaves);
        let symbols = self.layout.shape.symbols;
        if (0..symbols).any(|symbol| self.wavelet().descend(symbol as u32, 0..0).start != leaves[symbol] as usize) {
            return Err("first occurrences of symbols that do not match the sequence".into());
        }
        let mut places: Vec<u32> = first_rows[..symbols].to_vec();
        for symbol in &mut sequence {
            let place = places.get_mut(*symbol as usize).ok_or_else(|| format!("the symbol {symbol} of {symbols}"))?;
            *symbol = *place;
            *place += 1;
        }
        if places != first_rows[1..] {
            return Err("numbers of symbols that do not match the rows".into());
        }
        Ok(sequence)
    }

    /// Reads every item from its first token to its last.
    fn check_items(&self, next: &[u32]) -> Result<(), String> {
        let items = self.len();
        let item_rows = self.buffer.read(&self.layout.item_rows);
        let mut seen = vec![false; items];
        for &row in item_rows {
            match seen.get_mut(row as usize) {
                Some(seen) if !*seen => *seen = true,
                _ => return Err(format!("the first row {row} of an item twice, or beyond {items} items")),
            }
        }
        let numbers: Vec<usize> = (0..items).collect();
        match numbers.par_chunks(TOGETHER).find_map_first(|some| self.wrong_item(some, next)) {
            None => Ok(()),
            Some(item) => Err(format!("tokens of item {item} that do not lead from its first row to its end")),
        }
    }

    /// The first of some items whose tokens do not match the rows. The items are read in parallel, one token of each in
    /// turn, because the rows of an item are far apart in memory.
    fn wrong_item(&self, some: &[usize], next: &[u32]) -> Option<usize> {
        let FmShape { items, facets, .. } = self.layout.shape;
        let (starts, sampled) = (self.facet_starts(), self.sampled());
        let samples = self.buffer.read(&self.layout.samples);
        let item_rows = self.buffer.read(&self.layout.item_rows);
        // Position, end and row of each item.
        let state = |&item: &usize| (starts[item * facets], starts[(item + 1) * facets], item_rows[item] as usize);
        let mut states: Vec<(u32, u32, usize)> = some.iter().map(state).collect();
        if let Some(at) = states.iter().position(|(.., row)| sampled.get(*row)) {
            return Some(some[at]);
        }
        let longest = states.iter().map(|(begin, end, _)| end - begin).max().unwrap_or(0);
        for _ in 0..longest {
            for ((position, end, row), item) in states.iter_mut().zip(some).filter(|((at, end, _), _)| at < end) {
                (*position, *row) = (*position + 1, next[*row] as usize);
                let marked = ((*end - *position) as usize).is_multiple_of(SAMPLE_RATE);
                // A row below the number of items is the end of an item.
                let wrong = *row < items || sampled.get(*row) != marked;
                if wrong || marked && samples[sampled.rank(*row)] != *position {
                    return Some(*item);
                }
            }
        }
        let open = states.iter().zip(some).find(|((.., row), _)| next[*row] as usize >= items);
        open.map(|(_, item)| *item)
    }
}
