//! Writes the next generation of an index. Unchanged files are shared with its parent as hard links.

use std::path::PathBuf;

use ndarray::Axis;

use super::append_plan::ParentIndex;
use super::constraint_folders::{constraint_folders, is_constraint};
use crate::artifact::Overwrite;
use crate::attributes::Attributes;
use crate::error::Result;
use crate::features::{ContentHash, FeatureSource, FeatureWriter, LayeredFeatures, SelectedRows, write_known_hashes};
use crate::index::{
    ATTRIBUTES, BAD_IMAGES, BAD_ITEMS, CONTENT, DELTA, FEATURES, FEATURES_ADDED, GenerationCounts, Index, IndexWriter,
    REPORT, TOKENS, TOMBSTONES, VOCABULARY,
};
use crate::semantic_id::{IdChange, IdDelta, TableMetadata, TokenTable, Tombstones};
use crate::vocabulary::write_index_json;

/// Files that are never shared with a child: each generation writes its own, or they describe one build only.
const OWN: [&str; 10] =
    [ATTRIBUTES, CONTENT, DELTA, FEATURES, FEATURES_ADDED, TOKENS, TOMBSTONES, BAD_IMAGES, BAD_ITEMS, REPORT];

/// The only file of the vocabulary that lists items.
const INDEX_JSON: &str = "vocabulary/index.json";

/// The items of a generation.
pub(super) struct NextItems {
    pub(super) table: TokenTable,
    /// The content hash of each item, if known.
    pub(super) content: Vec<Option<ContentHash>>,
    /// The attributes of the items, if the index has any.
    pub(super) attributes: Option<Attributes>,
    pub(super) delta: IdDelta,
    pub(super) tombstones: Tombstones,
}

impl NextItems {
    /// Number of items per kind of change.
    pub(super) fn counts(&self) -> GenerationCounts {
        counts(&self.delta, self.table.item_ids.len())
    }

    /// Writes the token table, the content hashes, the attributes, the changes and the tombstones.
    ///
    /// # Errors
    /// [`crate::Error::Io`].
    pub(super) fn write(&self, writer: &IndexWriter) -> Result<()> {
        self.table.write(&writer.path(TOKENS), Overwrite::Refuse)?;
        write_known_hashes(&writer.path(CONTENT), &self.table.item_ids, &self.content, Overwrite::Refuse)?;
        if let Some(attributes) = &self.attributes {
            attributes.write(&writer.path(ATTRIBUTES), Overwrite::Refuse)?;
        }
        self.delta.write(&writer.path(DELTA), Overwrite::Refuse)?;
        if !self.tombstones.is_empty() {
            let format = &self.table.metadata.token_format;
            self.tombstones.write(&writer.path(TOMBSTONES), format, Overwrite::Refuse)?;
        }
        Ok(())
    }
}

/// Number of items per kind of change, for a generation with this number of `items`.
pub(super) fn counts(delta: &IdDelta, items: usize) -> GenerationCounts {
    let count = |change| delta.count(change);
    let (added, updated, reassigned) = (count(IdChange::Added), count(IdChange::Updated), count(IdChange::Reassigned));
    let unchanged = items as u64 - added - updated - reassigned;
    GenerationCounts { unchanged, added, updated, reassigned, deleted: count(IdChange::Deleted) }
}

/// Selects rows of a parent's token table for its child.
pub(super) fn rows_of(table: &TokenTable, rows: &[usize]) -> TokenTable {
    TokenTable {
        members: table.members.as_ref().map(|members| members.take(rows)),
        item_ids: table.item_ids.take(rows),
        codes: table.codes.select(Axis(0), rows),
        residual_error: rows.iter().map(|&row| table.residual_error[row]).collect(),
        reassigned: rows.iter().map(|&row| table.reassigned[row]).collect(),
        metadata: TableMetadata { collisions: None, ..table.metadata.clone() },
    }
}

/// Shares all files of the parent that are the same in every generation, such as the model and the vocabulary. In the
/// vocabulary, only the list of the items' tokens is rewritten, from `table`. If `vocabulary` is false, the vocabulary
/// folder is not shared. Constraint files describe the parent's items and are not shared.
///
/// # Errors
/// [`crate::Error::Io`].
pub(super) fn share_unchanged(
    writer: &mut IndexWriter,
    parent: &Index,
    table: &TokenTable,
    vocabulary: bool,
) -> Result<()> {
    let folders = constraint_folders(parent);
    for name in parent.manifest().files.keys() {
        let part = name.split('/').next().unwrap_or(name);
        let is_shared = !OWN.contains(&part) && (vocabulary || part != VOCABULARY);
        if is_shared && name != INDEX_JSON && !is_constraint(name, &folders) {
            writer.share(parent, name)?;
        }
    }
    match vocabulary && parent.manifest().files.contains_key(INDEX_JSON) {
        true => write_index_json(&writer.path(INDEX_JSON), table),
        false => Ok(()),
    }
}

/// Writes the features of the parent's rows `kept`, which ascend, followed by those of `fresh`. `fresh` comes with the
/// features of the parent. The base file is shared until the rows added since are more than half of its rows.
///
/// # Errors
/// For features that cannot be read; [`crate::Error::Io`].
pub(super) fn write_features(
    writer: &mut IndexWriter,
    parent: &ParentIndex,
    kept: &[usize],
    fresh: Option<(&LayeredFeatures, &dyn FeatureSource)>,
    table: &TokenTable,
) -> Result<()> {
    let Some((layers, fresh)) = fresh else {
        // Vectors of deleted items stay in the files but are not used.
        writer.share(&parent.index, FEATURES)?;
        writer.share(&parent.index, FEATURES_ADDED)?;
        return Ok(());
    };
    let of_base = layers.base().rows();
    let added_before: Vec<usize> = kept.iter().filter(|&&row| row >= of_base).map(|row| row - of_base).collect();
    let merge = 2 * (added_before.len() + fresh.rows()) > layers.base_rows();
    if !merge {
        writer.share(&parent.index, FEATURES)?;
    }
    let path: PathBuf = writer.path(if merge { FEATURES } else { FEATURES_ADDED });
    let mut file = FeatureWriter::create(&path, &table.item_ids, layers.shapes(), Overwrite::Refuse)?;
    if merge {
        let kept_base: Vec<usize> = kept.iter().copied().filter(|&row| row < of_base).collect();
        if !kept_base.is_empty() {
            file.write_all(&SelectedRows::new(layers.base(), kept_base)?)?;
        }
    }
    if let (Some(added), false) = (layers.added(), added_before.is_empty()) {
        file.write_all(&SelectedRows::new(added, added_before)?)?;
    }
    file.write_all(fresh)?;
    file.commit()
}
