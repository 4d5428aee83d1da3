//! Batches of a chosen size, independent of the row groups of the files.

use super::{CatalogReader, ItemBatch};
use crate::error::Result;

impl CatalogReader {
    /// The rest of the catalog in batches of `items` items. The last batch can be smaller.
    ///
    /// # Errors
    /// Errors of the reader.
    pub fn in_parts(self, items: usize) -> impl Iterator<Item = Result<ItemBatch>> {
        in_parts(self, items)
    }
}

/// Regroups batches of any size into batches of `items` items. The last batch can be smaller.
pub(super) fn in_parts(
    mut batches: impl Iterator<Item = Result<ItemBatch>>,
    items: usize,
) -> impl Iterator<Item = Result<ItemBatch>> {
    let mut left: Option<ItemBatch> = None;
    std::iter::from_fn(move || {
        loop {
            if let Some(batch) = left.take_if(|batch| batch.item_ids.len() >= items) {
                let (part, rest) = batch.split(items);
                left = rest;
                return Some(Ok(part));
            }
            match (batches.next(), &mut left) {
                (None, _) => return left.take().filter(|batch| !batch.item_ids.is_empty()).map(Ok),
                (Some(Err(e)), _) => return Some(Err(e)),
                (Some(Ok(batch)), None) => left = Some(batch),
                (Some(Ok(batch)), Some(left)) => {
                    if let Err(e) = left.append(batch) {
                        return Some(Err(e));
                    }
                }
            }
        }
    })
}

impl ItemBatch {
    fn append(&mut self, batch: ItemBatch) -> Result<()> {
        self.item_ids.append(batch.item_ids);
        self.texts.extend(batch.texts);
        self.fields.extend(batch.fields);
        self.images.extend(batch.images);
        Ok(())
    }

    /// The first items, and the rest if there is one.
    fn split(mut self, items: usize) -> (Self, Option<Self>) {
        let all = self.item_ids.len();
        if all == items {
            return (self, None);
        }
        let (these, later): (Vec<usize>, Vec<usize>) = ((0..items).collect(), (items..all).collect());
        let rest = ItemBatch {
            first_row: self.first_row + items as u64,
            item_ids: self.item_ids.take(&later),
            texts: self.texts.split_off(items),
            fields: self.fields.split_off(items),
            images: self.images.split_off(items),
        };
        self.item_ids = self.item_ids.take(&these);
        (self, Some(rest))
    }

    /// The items in these rows of the batch. The first of them becomes row `first_row` of the catalog.
    pub(super) fn take(mut self, rows: &[usize], first_row: u64) -> Self {
        fn those<T: Default>(of: &mut [T], rows: &[usize]) -> Vec<T> {
            rows.iter().map(|&row| std::mem::take(&mut of[row])).collect()
        }
        ItemBatch {
            first_row,
            item_ids: self.item_ids.take(rows),
            texts: those(&mut self.texts, rows),
            fields: those(&mut self.fields, rows),
            images: those(&mut self.images, rows),
        }
    }
}
