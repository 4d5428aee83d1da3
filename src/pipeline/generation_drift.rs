//! The drift of the items that were added to an index since its model was trained.

use std::collections::HashMap;
use std::path::Path;

use super::append_plan::content_of;
use super::drift::{Quantized, changed_rows, misplaced};
use super::next_generation::rows_of;
use crate::error::Result;
use crate::features::FeatureSource;
use crate::index::{CONTENT, ChangeKind, DELTA, Index, Manifest, Store, StoredGeneration, TOKENS};
use crate::quality::{Drift, DriftSince};
use crate::semantic_id::{IdChange, IdDelta, TokenTable};
use crate::tokenizer::Tokenizer;

/// Measures the drift of the items that appends have added to an index. In a store, these items are compared with the
/// items of the oldest generation that has the same model; outside a store, with the items of the parent. `None` if no
/// items were added.
///
/// # Errors
/// For features and files of the index that cannot be read.
pub(super) fn generation_drift(
    index: &Index,
    table: &TokenTable,
    (model, features): (&Tokenizer, &dyn FeatureSource),
) -> Result<Option<DriftSince>> {
    if !keeps_model(index.manifest()) {
        return Ok(None);
    }
    let Some(base) = in_store(index, table)?.map_or_else(|| of_parent(index, table), |base| Ok(Some(base)))? else {
        return Ok(None);
    };
    let known = table.item_ids.rows_in(&base.table.item_ids);
    let new: Vec<usize> = (0..known.len()).filter(|&row| known[row].is_none()).collect();
    if new.is_empty() || base.table.item_ids.is_empty() {
        return Ok(None);
    }
    let quantized = Quantized::of(features, new, model)?;
    let own: Vec<Option<usize>> = (0..known.len()).map(Some).collect();
    let misplaced = misplaced(features, &base.changed, &own, (table, model))?;
    let new = (quantized.codes.view(), quantized.errors.as_slice());
    let drift = Drift::measured(&base.table, model, new, (base.changed.len(), misplaced));
    Ok(Some(DriftSince { drift, generation: base.generation, trained: base.trained }))
}

/// The older generation whose items the new items are compared with.
struct DriftBase {
    table: TokenTable,
    /// The rows in the index of the items whose content has changed since the older generation.
    changed: Vec<usize>,
    generation: Option<u64>,
    trained: bool,
}

/// Whether a generation has the model of its parent.
fn keeps_model(manifest: &Manifest) -> bool {
    matches!(manifest.generation.change, ChangeKind::Append | ChangeKind::Delete)
}

/// The oldest generation in the store of an index that has the same model. `None` outside a store, or if the store has
/// no such generation.
fn in_store(index: &Index, table: &TokenTable) -> Result<Option<DriftBase>> {
    let Some(store) = Store::around(&index.path("")) else { return Ok(None) };
    let history = store.history()?;
    let with_manifest = |one: &StoredGeneration| one.manifest.as_ref().map(Manifest::hash).ok();
    let by_hash: HashMap<String, &StoredGeneration> =
        history.iter().filter_map(|one| Some((with_manifest(one)?, one))).collect();
    let mut manifest = index.manifest();
    let mut oldest: Option<&Path> = None;
    while keeps_model(manifest)
        && let Some(parent) = manifest.generation.parent.as_ref().and_then(|hash| by_hash.get(hash))
        && let Ok(of_parent) = &parent.manifest
        && of_parent.generation.number < manifest.generation.number
    {
        (manifest, oldest) = (of_parent, Some(parent.path.as_path()));
    }
    let Some(oldest) = oldest else { return Ok(None) };
    // If the generation is damaged, the caller uses the parent instead. `verify` reports the damage.
    let Ok(oldest) = Index::open_for(oldest, &[TOKENS, CONTENT]) else { return Ok(None) };
    let before = TokenTable::read(&oldest.path(TOKENS))?;
    let (then, now) = (content_of(&oldest, &before)?, content_of(index, table)?);
    let rows = table.item_ids.rows_in(&before.item_ids);
    let is_changed = |row: &usize| {
        let old = rows[*row].and_then(|old| then[old]);
        old.is_some() && now[*row].is_some() && old != now[*row]
    };
    Ok(Some(DriftBase {
        changed: (0..rows.len()).filter(is_changed).collect(),
        table: before,
        generation: Some(oldest.manifest().generation.number),
        trained: !keeps_model(oldest.manifest()),
    }))
}

/// The items of the parent that are still in the index, derived from the recorded changes of an append.
fn of_parent(index: &Index, table: &TokenTable) -> Result<Option<DriftBase>> {
    if !index.manifest().files.contains_key(DELTA) {
        return Ok(None);
    }
    let delta = IdDelta::read(&index.path(DELTA))?;
    let rows = table.item_ids.rows_by_text();
    let mut stays = vec![true; table.item_ids.len()];
    for at in (0..delta.kinds.len()).filter(|&at| delta.kinds[at] == IdChange::Added) {
        if let Some(&row) = rows.get(&delta.item_ids.text(at)) {
            stays[row] = false;
        }
    }
    let before: Vec<usize> = (0..stays.len()).filter(|&row| stays[row]).collect();
    let changed = changed_rows(index, &table.item_ids)?;
    Ok(Some(DriftBase { table: rows_of(table, &before), changed, generation: None, trained: false }))
}
