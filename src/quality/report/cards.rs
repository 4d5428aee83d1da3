//! The texts and thumbnails of the items in the report.

use std::collections::BTreeMap;

use crate::semantic_id::{Lookup, TokenTable};

/// Maximum number of images in a report.
pub const PICTURES_AT_MOST: usize = 4_096;

/// Texts and images of the items of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cards {
    /// Texts by row of the table. Only the items of [`report_rows`](super::report_rows) are shown; an item that is not
    /// here has an empty text.
    pub texts: BTreeMap<usize, String>,
    /// Small pictures of some of the items.
    pub pictures: Option<Pictures>,
}

/// Thumbnails on sheets: JPEG images with `across` x `across` square tiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pictures {
    /// Side length of a tile in pixels.
    pub tile: u32,
    /// Tiles per row and column of a sheet.
    pub across: u32,
    /// The JPEG files. The report includes as many as fit, from the first.
    pub sheets: Vec<Vec<u8>>,
    /// The table row of each tile's item, sheet by sheet and line by line.
    pub rows: Vec<usize>,
}

impl Pictures {
    /// The first sheets, as many as fit into `budget` bytes of base64.
    pub(super) fn within(&self, budget: usize) -> Pictures {
        let mut left = budget;
        let fits = |sheet: &&Vec<u8>| {
            let size = sheet.len().div_ceil(3) * 4;
            let fits = size <= left;
            left = left.saturating_sub(size);
            fits
        };
        let sheets: Vec<Vec<u8>> = self.sheets.iter().take_while(fits).cloned().collect();
        let tiles = sheets.len() * (self.across * self.across) as usize;
        Pictures { rows: self.rows.iter().copied().take(tiles).collect(), sheets, ..*self }
    }
}

/// Up to [`PICTURES_AT_MOST`] rows whose images the report shows: one item of every prefix of two codes, then a second
/// one of each, and so on. Within a round, items with different first codes alternate, so that every prefix has images.
pub fn picture_order(table: &TokenTable) -> Vec<usize> {
    let deepest = table.codes.ncols().saturating_sub(1);
    let lookup = Lookup::new(table);
    let same = |depth: usize| {
        move |&a: &usize, &b: &usize| {
            let prefix = |row: usize| table.codes.row(row).into_iter().take(depth.min(deepest));
            prefix(a).eq(prefix(b))
        }
    };
    let mut ranked: Vec<((usize, usize), usize)> = Vec::with_capacity(table.codes.nrows());
    for first in lookup.rows(&[]).chunk_by(same(1)) {
        for (prefix, rows) in first.chunk_by(same(2)).enumerate() {
            ranked.extend(rows.iter().enumerate().map(|(rank, &row)| ((rank, prefix), row)));
        }
    }
    // A stable sort: equal ranks stay in the order of the codes.
    ranked.sort_by_key(|&(rank, _)| rank);
    ranked.into_iter().map(|(_, row)| row).take(PICTURES_AT_MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::tests::table;
    use ndarray::array;

    #[test]
    fn every_prefix_gets_an_image_before_any_gets_two() {
        let table = table(array![[0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 2]], &[2, 2, 3]);
        // Row 2 is the first of 0, 0 and row 1 of 1; then row 3, the first of 0, 1; then what is left of 0, 0.
        assert_eq!(picture_order(&table), [2, 1, 3, 0, 4]);
    }

    #[test]
    fn sheets_beyond_the_budget_are_omitted() {
        let pictures = Pictures { tile: 48, across: 2, sheets: vec![vec![0; 30], vec![0; 60]], rows: (0..7).collect() };
        assert_eq!(pictures.within(120), pictures);
        let some = pictures.within(100);
        assert_eq!((some.sheets.len(), some.rows), (1, vec![0, 1, 2, 3]));
        assert!(pictures.within(39).rows.is_empty());
    }
}
