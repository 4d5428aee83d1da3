//! Checks of the features of an index, and of the files of a generation: content hashes, changes and deleted items.

use std::collections::HashMap;

use super::Checks;
use super::index::same;
use crate::attributes::Attributes;
use crate::error::Error;
use crate::features::{ContentHashes, FeatureSource, for_each_block};
use crate::index::{ATTRIBUTES, CONTENT, ChangeKind, DELTA, FEATURES, GenerationCounts, Index, TOMBSTONES};
use crate::semantic_id::{IdChange, IdDelta, TokenTable, Tombstones};
use crate::tokenizer::Tokenizer;

/// Advice for files that do not match.
const HELP: &str = "restore the index from a copy or build it again";

impl Checks<'_> {
    /// Checks that the features have a vector of every item of the table, and the modalities of the model.
    pub(super) fn features(&mut self, index: &Index, table: &TokenTable, model: Option<&Tokenizer>) {
        let path = index.path(FEATURES);
        self.run(&path, "features", || {
            let features = index.features(&table.item_ids)?;
            if let Some(model) = model {
                let modalities = &model.config().modalities;
                let expected: Vec<_> = modalities.iter().map(|m| (m.name.clone(), m.dim)).collect();
                same(&path, "the modalities of the model", &expected, &features.shapes())?;
            }
            let mut rows = 0;
            for_each_block(&features, |block| {
                let found = block.features.item_ids();
                for at in 0..found.len().min(table.item_ids.len().saturating_sub(rows)) {
                    let expected = table.item_ids.text(rows + at);
                    same(&path, "the item of this row in the token table", &expected, &found.text(at))?;
                }
                rows += found.len();
                Ok(())
            })?;
            same(&path, "the items of the token table", &table.item_ids.len(), &rows)
        });
    }

    /// Checks the content hashes, the changes since the parent, and the deleted items.
    pub(super) fn changes(&mut self, index: &Index, table: &TokenTable) {
        let has = |name: &str| index.manifest().files.contains_key(name);
        if has(CONTENT) {
            let path = index.path(CONTENT);
            self.run(&path, "content hashes of items of the token table", || {
                let content = ContentHashes::read(&path)?;
                let known = content.aligned(&table.item_ids).iter().flatten().count();
                same(&path, "items of the token table in its order", &known, &content.hashes.len())
            });
        }
        if has(ATTRIBUTES) {
            let path = index.path(ATTRIBUTES);
            self.run(&path, "attributes of the items of the token table", || {
                let attributes = Attributes::read(&path)?;
                let differs = (0..attributes.len().min(table.item_ids.len()))
                    .find(|&row| attributes.item_ids().text(row) != table.item_ids.text(row));
                if let Some(row) = differs {
                    let (expected, got) = (table.item_ids.text(row), attributes.item_ids().text(row));
                    same(&path, "the item of this row in the token table", &expected, &got)?;
                }
                same(&path, "the items of the token table", &table.item_ids.len(), &attributes.len())
            });
        }
        if has(DELTA) {
            let path = index.path(DELTA);
            self.run(&path, "changes of the token table", || {
                let delta = IdDelta::read(&path)?;
                let rows = delta.item_ids.rows_in(&table.item_ids);
                for (at, row) in rows.into_iter().enumerate() {
                    let now = row.map(|row| table.semantic_id(row));
                    let what = format!("the ID of item {} in the token table", delta.item_ids.text(at));
                    same(&path, &what, &now, &delta.new[at])?;
                }
                let generation = &index.manifest().generation;
                if !matches!(generation.change, ChangeKind::Append | ChangeKind::Delete) {
                    return Ok(());
                }
                let [added, updated, reassigned, deleted] =
                    [IdChange::Added, IdChange::Updated, IdChange::Reassigned, IdChange::Deleted]
                        .map(|change| delta.count(change));
                let items = table.item_ids.len() as u64;
                let unchanged = items.saturating_sub(added + updated + reassigned);
                let counts = GenerationCounts { unchanged, added, updated, reassigned, deleted };
                same(&path, "the counts of the manifest", &generation.counts, &counts)
            });
        }
        if has(TOMBSTONES) {
            let path = index.path(TOMBSTONES);
            self.run(&path, "deleted items", || {
                let stones = Tombstones::read(&path, table.codes.ncols())?;
                held(&stones, table, index.manifest().generation.number).map_or(Ok(()), |(item, other)| {
                    let expected =
                        format!("no other item with the ID of the deleted item {item}, which is in quarantine");
                    Err(Error::artifact(&path, expected, format!("item {other}"), HELP))
                })
            });
        }
    }
}

/// Finds a deleted item in quarantine whose ID another item has, and that item. Policies that allow shared IDs are not
/// checked.
fn held(stones: &Tombstones, table: &TokenTable, number: u64) -> Option<(String, String)> {
    if !table.metadata.policy.unique() {
        return None;
    }
    let quarantined = |row: &usize| stones.releases_in[*row].is_none_or(|from| from > number);
    let rows: HashMap<Vec<u16>, usize> =
        (0..stones.len()).filter(quarantined).map(|row| (stones.codes.row(row).to_vec(), row)).collect();
    let mut codes = table.codes.rows().into_iter().enumerate();
    codes.find_map(|(row, codes)| {
        let stone = *rows.get(&codes.to_vec())?;
        let (item, other) = (stones.item_ids.text(stone), table.item_ids.text(row));
        (item != other).then_some((item, other))
    })
}
