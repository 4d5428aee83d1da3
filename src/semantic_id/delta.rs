//! Changes between a generation of an index and its parent: one row per item that was added, changed or deleted.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, Float32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Float32Type, Schema};

use crate::artifact::Overwrite;
use crate::error::{Error, Result};
use crate::item_ids::ItemIds;
use crate::table::{OwnColumn, OwnTable};

const TABLE: OwnTable = OwnTable { kind: "delta", name: "a list of changed IDs" };
const ITEM: &str = "item_id";
const OLD: &str = "old_id";
const NEW: &str = "new_id";
const KIND: &str = "kind";
const ADDED: &str = "added_distortion";

/// The kind of change of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdChange {
    /// The item is not in the parent.
    Added,
    /// The content of the item changed, but its ID did not.
    Updated,
    /// The ID of the item differs from its ID in the parent.
    Reassigned,
    /// The item is only in the parent.
    Deleted,
}

impl IdChange {
    const ALL: [(IdChange, &'static str); 4] = [
        (IdChange::Added, "added"),
        (IdChange::Updated, "updated"),
        (IdChange::Reassigned, "reassigned"),
        (IdChange::Deleted, "deleted"),
    ];
}

impl fmt::Display for IdChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(change, _)| change == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

/// The changed items: first the deleted items in the order of the parent, then the others in the order of the catalog.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IdDelta {
    /// The ids of the items.
    pub item_ids: ItemIds,
    /// The semantic IDs in the parent; `None` for added items.
    pub old: Vec<Option<String>>,
    /// The semantic IDs in this generation; `None` for deleted items.
    pub new: Vec<Option<String>>,
    /// The kind of change of each item.
    pub kinds: Vec<IdChange>,
    /// Added distortion: the squared distance between an item's latent and its codewords, minus the squared distance
    /// before collisions were resolved. `None` if no ID was assigned.
    pub added_distortion: Vec<Option<f32>>,
}

impl IdDelta {
    /// Appends the change of one item. `item` contains only the id of this item.
    pub fn push(
        &mut self,
        item: ItemIds,
        change: IdChange,
        (old, new): (Option<String>, Option<String>),
        added_distortion: Option<f32>,
    ) {
        self.item_ids.append(item);
        self.old.push(old);
        self.new.push(new);
        self.kinds.push(change);
        self.added_distortion.push(added_distortion);
    }

    /// Number of items with this kind of change.
    pub fn count(&self, change: IdChange) -> u64 {
        self.kinds.iter().filter(|&&kind| kind == change).count() as u64
    }

    /// Writes `delta.parquet`.
    ///
    /// # Errors
    /// As [`crate::artifact::AtomicFile`].
    pub fn write(&self, path: &Path, overwrite: Overwrite) -> Result<()> {
        let fields = vec![
            Field::new(ITEM, self.item_ids.data_type(), false),
            Field::new(OLD, DataType::Utf8, true),
            Field::new(NEW, DataType::Utf8, true),
            Field::new(KIND, DataType::Utf8, false),
            Field::new(ADDED, DataType::Float32, true),
        ];
        let batch = RecordBatch::try_new(
            Arc::new(Schema::new(fields.clone())),
            vec![
                self.item_ids.to_arrow(),
                Arc::new(StringArray::from_iter(&self.old)),
                Arc::new(StringArray::from_iter(&self.new)),
                Arc::new(StringArray::from_iter_values(self.kinds.iter().map(IdChange::to_string))),
                Arc::new(Float32Array::from(self.added_distortion.clone())),
            ],
        );
        let batch = batch.map_err(|e| Error::mismatch("changed IDs", "one value per item", e, "please report this"));
        TABLE.write(path, fields, [batch], overwrite)
    }

    /// Reads `delta.parquet`.
    ///
    /// # Errors
    /// [`Error::Artifact`] if the file is of another kind or was modified.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = |got: String| Error::artifact(path, TABLE.name, got, "restore it from a copy");
        let distortion =
            OwnColumn { name: ADDED, nullable: true, expected: "float32", fits: |t| *t == DataType::Float32 };
        let columns = [
            OwnColumn::ids(ITEM),
            OwnColumn::texts(OLD, true),
            OwnColumn::texts(NEW, true),
            OwnColumn::texts(KIND, false),
            distortion,
        ];
        let mut delta = IdDelta::default();
        for batch in TABLE.read(path, &columns)? {
            let texts = |name: &str| batch.column_by_name(name).map(|column| column.as_string::<i32>());
            let optional = |name| texts(name).into_iter().flatten().map(|text| text.map(str::to_owned));
            let Some(ids) = batch.column_by_name(ITEM) else { continue };
            delta.item_ids.append(ItemIds::from_arrow(ids).map_err(|fault| wrong(format!("item ids with {fault}")))?);
            delta.old.extend(optional(OLD));
            delta.new.extend(optional(NEW));
            for kind in texts(KIND).into_iter().flatten().flatten() {
                let found = IdChange::ALL.iter().find(|(_, name)| *name == kind);
                delta.kinds.push(found.ok_or_else(|| wrong(format!("the unknown kind {kind:?}")))?.0);
            }
            let added = batch.column_by_name(ADDED).map(|column| column.as_primitive::<Float32Type>());
            delta.added_distortion.extend(added.into_iter().flatten());
        }
        Ok(delta)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_round_trip_through_a_file() {
        let mut delta = IdDelta::default();
        let id = |id: &str| ItemIds::Strings(vec![id.into()]);
        let text = |text: &str| Some(text.to_owned());
        delta.push(id("a"), IdChange::Deleted, (text("<a_1>"), None), None);
        delta.push(id("b"), IdChange::Added, (None, text("<a_2>")), Some(0.5));
        delta.push(id("c"), IdChange::Updated, (text("<a_3>"), text("<a_3>")), Some(0.0));
        delta.push(id("d"), IdChange::Reassigned, (text("<a_4>"), text("<a_5>")), Some(1.0));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("delta.parquet");
        for delta in [delta, IdDelta::default()] {
            delta.write(&path, Overwrite::Replace).unwrap();
            assert_eq!(IdDelta::read(&path).unwrap(), delta);
        }
    }
}
