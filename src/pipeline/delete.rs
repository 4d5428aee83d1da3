//! Deletes items of an index and writes the next generation without them.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::append_plan::ParentIndex;
use super::append_target::Target;
use super::constraint_folders::NextForms;
use super::next_generation::{NextItems, rows_of, share_unchanged, write_features};
use super::spec::DeleteSpec;
use crate::artifact::read_input;
use crate::error::{Error, Result};
use crate::index::{ChangeKind, Generation, GenerationCounts, Index};
use crate::progress::Progress;
use crate::semantic_id::{IdChange, IdDelta};
use crate::settings::SettingGroup;

/// Result of [`delete`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeleteSummary {
    /// The index.
    pub index: PathBuf,
    /// Number of the generation.
    pub generation: u64,
    /// Number of items in the index.
    pub items: u64,
    /// Number of items per kind of change.
    pub counts: GenerationCounts,
    /// Number of listed items that an earlier generation had already deleted.
    pub deleted_before: u64,
}

/// Deletes items of an index, and writes the next generation. The IDs of these items are removed from the token table.
/// They are not given to other items while they are in quarantine, and [`lookup`](super::lookup()) still finds them.
///
/// # Errors
/// [`Error::File`] for ids that the index never had, and if no item would be left. Other errors for an index that
/// cannot be read, and an output that exists. Nothing is written in these cases.
pub fn delete(spec: &DeleteSpec, progress: &dyn Progress) -> Result<DeleteSummary> {
    spec.settings.check()?;
    let target = Target::begin(&spec.index, &spec.output, spec.store.as_deref())?;
    let number = target.number();
    let parent = ParentIndex::read(Index::open(target.parent())?, number)?;
    let (deleted, deleted_before) = named(&spec.items, &parent)?;
    if deleted_before > 0 {
        progress.warn(&format!("{deleted_before} of the items were deleted in an earlier generation"));
    }
    let old = &parent.table;
    let kept: Vec<usize> = (0..deleted.len()).filter(|&row| !deleted[row]).collect();
    if kept.is_empty() {
        return Err(Error::file(
            &spec.items,
            "ids of some items of the index",
            "the ids of all items",
            "keep at least one item, or remove the folder of the index",
        ));
    }
    let table = rows_of(old, &kept);
    let content = kept.iter().map(|&row| parent.content[row]).collect();
    let (mut delta, mut tombstones) = (IdDelta::default(), parent.tombstones.clone());
    let releases = spec.settings.quarantine.map(|generations| number + generations);
    for row in (0..deleted.len()).filter(|&row| deleted[row]) {
        tombstones.push(old.item_ids.take(&[row]), old.codes.row(row), number, releases)?;
        delta.push(old.item_ids.take(&[row]), IdChange::Deleted, (Some(old.semantic_id(row)), None), None);
    }
    let attributes = parent.attributes.as_ref().map(|all| all.of_items(&table.item_ids)).transpose()?;
    let next = NextItems { table, content, attributes, delta, tombstones };
    let mut writer = target.writer()?;
    share_unchanged(&mut writer, &parent.index, &next.table, true)?;
    write_features(&mut writer, &parent, &kept, None, &next.table)?;
    next.write(&writer)?;
    let forms = NextForms {
        attributes: next.attributes.as_ref(),
        writer: &writer,
        parent: &parent.index,
        before: &parent.table,
        table: &next.table,
        catalog: None,
        added: None,
        out: target.out(),
        progress,
    };
    forms.write()?;
    let counts = next.counts();
    let generation = Generation {
        number,
        parent: Some(parent.index.manifest().hash()),
        change: ChangeKind::Delete,
        reason: spec.settings.reason.clone(),
        counts,
        created: spec.environment.created(),
    };
    let manifest = parent.index.manifest();
    writer.commit(kept.len() as u64, &manifest.model_hash, manifest.settings.clone(), generation)?;
    let index = target.publish()?;
    Ok(DeleteSummary { index, generation: number, items: kept.len() as u64, counts, deleted_before })
}

/// Whether the file lists each item of the index, and how many listed items were deleted before.
fn named(path: &Path, parent: &ParentIndex) -> Result<(Vec<bool>, u64)> {
    let help = "write one id of the index per line";
    let text = read_input(path).map_err(|e| Error::io("read", path, e))?;
    let rows = parent.table.item_ids.rows_by_text();
    let gone = parent.tombstones.item_ids.rows_by_text();
    let (mut deleted, mut before) = (vec![false; parent.table.item_ids.len()], 0);
    let (mut unknown, mut first) = (0, None);
    for (line, id) in text.lines().enumerate().filter(|(_, id)| !id.is_empty()) {
        match rows.get(id) {
            Some(&row) => deleted[row] = true,
            None if gone.contains_key(id) => before += 1,
            None => {
                unknown += 1;
                first.get_or_insert((line + 1, id));
            }
        }
    }
    if let Some((line, id)) = first {
        let more = if unknown > 1 { format!(", and {} more", unknown - 1) } else { String::new() };
        return Err(Error::file(path, "ids of the index", format!("{id:?} in line {line}{more}"), help));
    }
    match deleted.contains(&true) || before > 0 {
        true => Ok((deleted, before)),
        false => Err(Error::file(path, "at least one id", "none", help)),
    }
}
