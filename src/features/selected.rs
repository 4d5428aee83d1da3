//! Selected rows of a feature source.

use std::borrow::Cow;

use super::source::{Block, Blocks, FeatureSource};
use crate::error::{Error, Result};
use crate::item_ids::ItemIds;

/// Selected rows of a feature source, read block by block and renumbered from 0.
pub struct SelectedRows<'a> {
    source: &'a dyn FeatureSource,
    /// In ascending order, without repetition.
    rows: Vec<usize>,
}

impl<'a> SelectedRows<'a> {
    /// The items in `rows`, which must be in ascending order without repetition.
    ///
    /// # Errors
    /// [`Error::Data`] if `rows` is empty.
    pub fn new(source: &'a dyn FeatureSource, rows: Vec<usize>) -> Result<Self> {
        if rows.is_empty() {
            return Err(Error::data("features", "at least one item", "no items", "check the input"));
        }
        Ok(SelectedRows { source, rows })
    }
}

impl FeatureSource for SelectedRows<'_> {
    fn shapes(&self) -> Vec<(String, usize)> {
        self.source.shapes()
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn parts(&self) -> usize {
        self.source.parts()
    }

    fn blocks(&self, parts: Vec<usize>) -> Result<Blocks<'_>> {
        let selected = move |block: Result<Block<'_>>| {
            let block = match block {
                Ok(block) => block,
                Err(error) => return Some(Err(error)),
            };
            let at = |row: usize| self.rows.partition_point(|&selected| selected < row);
            let here = at(block.first_row)..at(block.first_row + block.features.len());
            let rows: Vec<usize> = self.rows[here.clone()].iter().map(|row| row - block.first_row).collect();
            let taken = (!rows.is_empty()).then(|| block.features.take(&rows))?;
            Some(taken.map(|features| Block { first_row: here.start, features: Cow::Owned(features) }))
        };
        Ok(Box::new(self.source.blocks(parts)?.filter_map(selected)))
    }

    fn check_ids(&self, ids: &ItemIds) -> Result<()> {
        ids.check_unique().map_err(super::source::duplicate_item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{Features, complete, for_each_block};
    use ndarray::Array2;

    #[test]
    fn selected_rows_equal_those_of_the_source() {
        let n = 20_000;
        let vectors = Array2::from_shape_fn((n, 2), |(i, j)| (2 * i + j) as f32);
        let features = Features::new(ItemIds::row_numbers(n), vec![complete("text", vectors)]).unwrap();
        // No row of the second block.
        let rows: Vec<usize> = (0..n).filter(|row| row % 3 == 0 && !(8_192..16_384).contains(row)).collect();
        let selected = SelectedRows::new(&features, rows.clone()).unwrap();
        assert_eq!((selected.rows(), selected.parts(), selected.shapes()), (rows.len(), 3, features.shapes()));
        let mut next = 0;
        for_each_block(&selected, |block| {
            assert_eq!(block.first_row, next);
            let expected: Vec<usize> = rows[next..next + block.features.len()].to_vec();
            assert_eq!(block.features.as_ref(), &features.take(&expected).unwrap());
            next += block.features.len();
            Ok(())
        })
        .unwrap();
        assert_eq!(next, rows.len());
        assert!(SelectedRows::new(&features, vec![]).is_err());
    }
}
