//! A feature source without some of its rows.

use std::borrow::Cow;

use super::source::{Block, Blocks, FeatureSource, duplicate_item};
use crate::error::Result;
use crate::item_ids::ItemIds;

/// A feature source without some of its rows. The remaining rows are renumbered.
#[derive(Debug)]
pub struct ChosenRows<S> {
    source: S,
    /// Rows of the source that are left out, in ascending order.
    left_out: Vec<usize>,
}

impl<S: FeatureSource> ChosenRows<S> {
    /// All items of `source` except those in the rows `left_out`, which must be in ascending order.
    pub fn without(source: S, left_out: Vec<usize>) -> Self {
        ChosenRows { source, left_out }
    }

    /// The whole source.
    pub fn source(&self) -> &S {
        &self.source
    }

    fn left_out_before(&self, row: usize) -> usize {
        self.left_out.partition_point(|&left_out| left_out < row)
    }
}

impl<S: FeatureSource> FeatureSource for ChosenRows<S> {
    fn shapes(&self) -> Vec<(String, usize)> {
        self.source.shapes()
    }

    fn rows(&self) -> usize {
        self.source.rows() - self.left_out.len()
    }

    fn parts(&self) -> usize {
        self.source.parts()
    }

    /// Blocks without a remaining item are skipped.
    fn blocks(&self, parts: Vec<usize>) -> Result<Blocks<'_>> {
        Ok(Box::new(self.source.blocks(parts)?.filter_map(|block| {
            let block = match block {
                Ok(block) => block,
                Err(error) => return Some(Err(error)),
            };
            let (first, n) = (block.first_row, block.features.len());
            let (before, after) = (self.left_out_before(first), self.left_out_before(first + n));
            let first_row = first - before;
            if before == after {
                return Some(Ok(Block { first_row, features: block.features }));
            }
            let mut left_out = self.left_out[before..after].iter().map(|row| row - first).peekable();
            let kept: Vec<usize> = (0..n).filter(|&row| left_out.next_if_eq(&row).is_none()).collect();
            if kept.is_empty() {
                return None;
            }
            Some(block.features.take(&kept).map(|features| Block { first_row, features: Cow::Owned(features) }))
        })))
    }

    fn check_ids(&self, ids: &ItemIds) -> Result<()> {
        match self.left_out.is_empty() {
            // The source can name the file and the row of a duplicate.
            true => self.source.check_ids(ids),
            false => ids.check_unique().map_err(duplicate_item),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Overwrite;
    use crate::features::{FeatureFile, Features, Modality, for_each_block, gather_rows};
    use ndarray::Array2;

    #[test]
    fn remaining_rows_equal_those_of_the_source() {
        let vectors = Array2::from_shape_fn((20_000, 2), |(i, j)| (i * 2 + j) as f32);
        let text = Modality { name: "text".into(), vectors, present: vec![true; 20_000] };
        let features = Features::new(ItemIds::row_numbers(20_000), vec![text]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        features.write(&path, Overwrite::Refuse).unwrap();
        // No row of the second block, and every third row of the other blocks.
        let chosen: Vec<usize> = (0..20_000).filter(|row| row % 3 == 0 && !(8_192..16_384).contains(row)).collect();
        let left_out = (0..20_000).filter(|row| chosen.binary_search(row).is_err()).collect();
        let source = ChosenRows::without(FeatureFile::open(&path).unwrap(), left_out);
        assert_eq!((source.rows(), source.parts()), (chosen.len(), 3));
        let mut rows = 0;
        for_each_block(&source, |block| {
            assert_eq!(block.first_row, rows);
            let wanted = &chosen[rows..rows + block.features.len()];
            assert_eq!(*block.features, features.take(wanted).unwrap());
            rows += block.features.len();
            Ok(())
        })
        .unwrap();
        assert_eq!(rows, chosen.len());
        assert_eq!(gather_rows(&source, &[1, 2_731]).unwrap(), features.take(&[3, chosen[2_731]]).unwrap());
        let whole = ChosenRows::without(features.clone(), Vec::new());
        assert_eq!(gather_rows(&whole, &[5]).unwrap(), features.take(&[5]).unwrap());
    }
}
