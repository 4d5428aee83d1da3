//! Hashes of the content from which each item's vectors were computed. They show which items have changed.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, FixedSizeBinaryArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};

use super::ID;
use crate::artifact::Overwrite;
use crate::error::{Error, Result};
use crate::item_ids::ItemIds;
use crate::table::{OwnColumn, OwnTable};

/// Length of a content hash in bytes: the first 16 bytes of a SHA-256 hash.
pub const HASH_BYTES: usize = 16;

/// The hash of an item's content. See [`HASH_BYTES`].
pub type ContentHash = [u8; HASH_BYTES];

const TABLE: OwnTable = OwnTable { kind: "content", name: "a list of content hashes" };
const HASH: &str = "content_hash";
/// Number of rows per written batch.
const ROWS_AT_ONCE: usize = 65_536;

/// The content hashes of items.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ContentHashes {
    /// The items.
    pub item_ids: ItemIds,
    /// One hash per item.
    pub hashes: Vec<ContentHash>,
}

impl ContentHashes {
    /// The hashes of `items`, which must be a subsequence of [`ContentHashes::item_ids`].
    ///
    /// # Errors
    /// [`Error::Item`] for an item without a hash, or in another order.
    pub fn of(&self, items: &ItemIds) -> Result<Self> {
        let mut rows = 0..self.hashes.len();
        let hashes = (0..items.len()).map(|row| {
            let id = items.text(row);
            let found = rows.find(|&row| self.item_ids.text(row) == id);
            found.map(|row| self.hashes[row]).ok_or_else(|| Error::Item {
                item: id,
                expected: "a hash of its content".into(),
                got: "none".into(),
                help: "build the index again with --force".into(),
            })
        });
        Ok(ContentHashes { item_ids: items.clone(), hashes: hashes.collect::<Result<_>>()? })
    }

    /// The hash of each of `items`, or `None` for an item without a hash. [`ContentHashes::item_ids`] must be a
    /// subsequence of `items`: all items after the first missing one get `None`.
    pub fn aligned(&self, items: &ItemIds) -> Vec<Option<ContentHash>> {
        let mut next = 0;
        let hash = |row: usize| {
            let same = next < self.hashes.len() && self.item_ids.text(next) == items.text(row);
            next += usize::from(same);
            same.then(|| self.hashes[next - 1])
        };
        (0..items.len()).map(hash).collect()
    }

    /// Writes `content.parquet`.
    ///
    /// # Errors
    /// As [`crate::artifact::AtomicFile`].
    pub fn write(&self, path: &Path, overwrite: Overwrite) -> Result<()> {
        write_rows(path, &self.item_ids, 0..self.hashes.len(), |row| self.hashes[row], overwrite)
    }

    /// Reads `content.parquet`.
    ///
    /// # Errors
    /// [`Error::Artifact`] for a file of another kind, or one that has changed since it was written.
    pub fn read(path: &Path) -> Result<Self> {
        let fits = |t: &DataType| *t == DataType::FixedSizeBinary(HASH_BYTES as i32);
        let hash = OwnColumn { name: HASH, nullable: false, expected: "fixed_size_binary(16)", fits };
        let mut read = ContentHashes::default();
        for batch in TABLE.read(path, &[OwnColumn::ids(ID), hash])? {
            let (Some(ids), Some(hashes)) = (batch.column_by_name(ID), batch.column_by_name(HASH)) else { continue };
            let ids = ItemIds::from_arrow(ids).map_err(|fault| {
                Error::artifact(path, TABLE.name, format!("item ids with {fault}"), "restore it from a copy")
            })?;
            read.item_ids.append(ids);
            let hashes = hashes.as_fixed_size_binary();
            read.hashes.extend(hashes.iter().flatten().filter_map(|hash| ContentHash::try_from(hash).ok()));
        }
        Ok(read)
    }
}

/// Writes `content.parquet` with the items whose hash is known. Writes nothing if none is known.
///
/// # Errors
/// As [`crate::artifact::AtomicFile`].
pub(crate) fn write_known_hashes(
    path: &Path,
    item_ids: &ItemIds,
    hashes: &[Option<ContentHash>],
    overwrite: Overwrite,
) -> Result<()> {
    let known = (0..hashes.len()).filter(|&row| hashes[row].is_some());
    if known.clone().next().is_none() {
        return Ok(());
    }
    write_rows(path, item_ids, known, |row| hashes[row].unwrap_or_default(), overwrite)
}

/// Writes these rows of the items with their hashes. Only one batch is copied at a time.
fn write_rows(
    path: &Path,
    item_ids: &ItemIds,
    mut rows: impl Iterator<Item = usize>,
    hash: impl Fn(usize) -> ContentHash,
    overwrite: Overwrite,
) -> Result<()> {
    let fields = vec![
        Field::new(ID, item_ids.data_type(), false),
        Field::new(HASH, DataType::FixedSizeBinary(HASH_BYTES as i32), false),
    ];
    let schema = Arc::new(Schema::new(fields.clone()));
    let failed =
        |e: &dyn std::fmt::Display| Error::mismatch("content hashes", "one hash per item", e, "please report this");
    let batch = |rows: Vec<usize>| {
        let hashes = rows.iter().map(|&row| hash(row));
        let hashes = FixedSizeBinaryArray::try_from_iter(hashes).map_err(|e| failed(&e))?;
        let columns = vec![item_ids.take(&rows).to_arrow(), Arc::new(hashes) as _];
        RecordBatch::try_new(schema.clone(), columns).map_err(|e| failed(&e))
    };
    let batches = std::iter::from_fn(|| {
        let rows: Vec<usize> = rows.by_ref().take(ROWS_AT_ONCE).collect();
        (!rows.is_empty()).then(|| batch(rows))
    });
    TABLE.write(path, fields, batches, overwrite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_round_trip_and_are_found_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("content.parquet");
        let ids = ItemIds::Strings((0..70_000).map(|row| format!("i{row}")).collect());
        let hash = |row: usize| [(row % 251) as u8; HASH_BYTES];
        let content = ContentHashes { hashes: (0..70_000).map(hash).collect(), item_ids: ids };
        content.write(&path, Overwrite::Refuse).unwrap();
        assert_eq!(ContentHashes::read(&path).unwrap(), content);
        let some = ItemIds::Strings(vec!["i3".into(), "i69999".into()]);
        assert_eq!(content.of(&some).unwrap().hashes, [hash(3), hash(69_999)]);
        let more = ItemIds::Strings(vec!["x".into(), "i0".into(), "y".into(), "i1".into()]);
        assert_eq!(content.aligned(&more), [None, Some(hash(0)), None, Some(hash(1))]);
        assert!(content.of(&ItemIds::Strings(vec!["x".into()])).unwrap_err().to_string().contains("item x"));
    }
}
