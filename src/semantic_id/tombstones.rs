//! The IDs of deleted items, which are not assigned to other items while they are in quarantine.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, FixedSizeListArray, RecordBatch, StringArray, UInt16Array, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, UInt16Type, UInt64Type};
use ndarray::{Array2, ArrayView1, Axis};

use super::TokenFormat;
use super::columns::{CODES, ID, SEMANTIC_ID, code_field};
use crate::artifact::Overwrite;
use crate::error::{Error, Result};
use crate::item_ids::ItemIds;
use crate::table::{OwnColumn, OwnTable};

const TABLE: OwnTable = OwnTable { kind: "tombstones", name: "a list of deleted items" };
const DELETED: &str = "deleted_in";
const RELEASES: &str = "releases_in";

/// IDs that items gave up: those of deleted items, and the old IDs of reassigned items. In the order in which they were
/// given up.
#[derive(Debug, Clone, PartialEq)]
pub struct Tombstones {
    /// The ids of the items.
    pub item_ids: ItemIds,
    /// The codes of the IDs, `(n, levels)`.
    pub codes: Array2<u16>,
    /// The generation in which each ID was given up.
    pub deleted_in: Vec<u64>,
    /// The first generation in which each ID may be assigned to another item; `None` means never.
    pub releases_in: Vec<Option<u64>>,
}

impl Tombstones {
    /// An empty list, for IDs of `levels` codes.
    pub fn none(levels: usize) -> Self {
        Tombstones {
            item_ids: ItemIds::default(),
            codes: Array2::zeros((0, levels)),
            deleted_in: Vec::new(),
            releases_in: Vec::new(),
        }
    }

    /// Number of IDs.
    pub fn len(&self) -> usize {
        self.deleted_in.len()
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.deleted_in.is_empty()
    }

    /// Appends the ID of one item. `item` contains only the id of this item.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the ID has another number of codes.
    pub fn push(
        &mut self,
        item: ItemIds,
        codes: ArrayView1<u16>,
        generation: u64,
        releases: Option<u64>,
    ) -> Result<()> {
        self.codes
            .push(Axis(0), codes)
            .map_err(|e| Error::mismatch("codes of a deleted item", self.codes.ncols(), e, "please report this"))?;
        self.item_ids.append(item);
        self.deleted_in.push(generation);
        self.releases_in.push(releases);
        Ok(())
    }

    /// The codes `(n, levels)` that may not be assigned in this generation.
    pub fn quarantined(&self, generation: u64) -> Array2<u16> {
        let held = |&row: &usize| self.releases_in[row].is_none_or(|from| from > generation);
        let rows: Vec<usize> = (0..self.len()).filter(held).collect();
        self.codes.select(Axis(0), &rows)
    }

    /// The list without these rows.
    #[must_use]
    pub fn without(&self, rows: &[usize]) -> Self {
        let mut stays = vec![true; self.len()];
        rows.iter().for_each(|&row| stays[row] = false);
        let kept: Vec<usize> = (0..self.len()).filter(|&row| stays[row]).collect();
        Tombstones {
            item_ids: self.item_ids.take(&kept),
            codes: self.codes.select(Axis(0), &kept),
            deleted_in: kept.iter().map(|&row| self.deleted_in[row]).collect(),
            releases_in: kept.iter().map(|&row| self.releases_in[row]).collect(),
        }
    }

    /// The last row of an item.
    pub fn item(&self, id: &str) -> Option<usize> {
        (0..self.len()).rev().find(|&row| self.item_ids.text(row) == id)
    }

    /// The last row of an ID.
    pub fn codes(&self, codes: &[u16]) -> Option<usize> {
        (0..self.len()).rev().find(|&row| self.codes.row(row).iter().eq(codes))
    }

    /// Writes `tombstones.parquet`.
    ///
    /// # Errors
    /// As [`crate::artifact::AtomicFile`].
    pub fn write(&self, path: &Path, format: &TokenFormat, overwrite: Overwrite) -> Result<()> {
        let levels = self.codes.ncols();
        let fields = vec![
            Field::new(ID, self.item_ids.data_type(), false),
            Field::new(CODES, DataType::FixedSizeList(code_field(), levels as i32), false),
            Field::new(SEMANTIC_ID, DataType::Utf8, false),
            Field::new(DELETED, DataType::UInt64, false),
            Field::new(RELEASES, DataType::UInt64, true),
        ];
        let written = self.codes.rows().into_iter().map(|codes| format.semantic_id(&codes.to_vec()));
        let codes = Arc::new(UInt16Array::from_iter_values(self.codes.iter().copied()));
        let batch = RecordBatch::try_new(
            Arc::new(Schema::new(fields.clone())),
            vec![
                self.item_ids.to_arrow(),
                Arc::new(FixedSizeListArray::new(code_field(), levels as i32, codes, None)),
                Arc::new(StringArray::from_iter_values(written)),
                Arc::new(UInt64Array::from(self.deleted_in.clone())),
                Arc::new(UInt64Array::from(self.releases_in.clone())),
            ],
        );
        let batch = batch.map_err(|e| Error::mismatch("deleted items", "one value per item", e, "please report this"));
        TABLE.write(path, fields, [batch], overwrite)
    }

    /// Reads `tombstones.parquet`, whose IDs have `levels` codes.
    ///
    /// # Errors
    /// [`Error::Artifact`] if the file is of another kind, was modified, or has IDs with another number of codes.
    pub fn read(path: &Path, levels: usize) -> Result<Self> {
        let wrong = |got: String| Error::artifact(path, TABLE.name, got, "restore it from a copy");
        let numbers =
            |name, nullable| OwnColumn { name, nullable, expected: "uint64", fits: |t| *t == DataType::UInt64 };
        let lists = |t: &DataType| matches!(t, DataType::FixedSizeList(f, _) if *f.data_type() == DataType::UInt16);
        let codes = OwnColumn { name: CODES, nullable: false, expected: "fixed_size_list<uint16>", fits: lists };
        let columns = [OwnColumn::ids(ID), codes, numbers(DELETED, false), numbers(RELEASES, true)];
        let mut read = Tombstones::none(levels);
        let mut codes = Vec::new();
        for batch in TABLE.read(path, &columns)? {
            let column = |name: &str| batch.column_by_name(name).ok_or_else(|| wrong(format!("no column {name}")));
            let ids = ItemIds::from_arrow(column(ID)?).map_err(|fault| wrong(format!("item ids with {fault}")))?;
            read.item_ids.append(ids);
            let lists = column(CODES)?.as_fixed_size_list();
            if lists.value_length() as usize != levels {
                return Err(wrong(format!(
                    "IDs of {} codes, while the IDs of the index have {levels}",
                    lists.value_length()
                )));
            }
            codes.extend(lists.values().as_primitive::<UInt16Type>().values());
            read.deleted_in.extend(column(DELETED)?.as_primitive::<UInt64Type>().values());
            read.releases_in.extend(column(RELEASES)?.as_primitive::<UInt64Type>());
        }
        read.codes =
            Array2::from_shape_vec((read.deleted_in.len(), levels), codes).map_err(|e| wrong(e.to_string()))?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn deleted_ids_are_held_until_they_are_released() {
        let mut stones = Tombstones::none(2);
        let id = |id: i64| ItemIds::Integers(vec![id]);
        stones.push(id(7), array![1, 2].view(), 3, None).unwrap();
        stones.push(id(8), array![1, 3].view(), 3, Some(5)).unwrap();
        stones.push(id(7), array![2, 0].view(), 4, Some(4)).unwrap();
        assert!(stones.push(id(9), array![1].view(), 4, None).is_err());
        assert_eq!(stones.quarantined(4), array![[1, 2], [1, 3]]);
        assert_eq!(stones.quarantined(5), array![[1, 2]]);
        assert_eq!((stones.item("7"), stones.item("9"), stones.codes(&[1, 3])), (Some(2), None, Some(1)));
        assert_eq!(stones.without(&[0, 2]).codes, array![[1, 3]]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tombstones.parquet");
        for stones in [stones, Tombstones::none(2)] {
            stones.write(&path, &TokenFormat::default(), Overwrite::Replace).unwrap();
            assert_eq!(Tombstones::read(&path, 2).unwrap(), stones);
        }
        assert!(Tombstones::read(&path, 3).is_ok(), "no rows, no codes");
    }
}
