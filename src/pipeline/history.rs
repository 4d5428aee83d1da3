//! Lists the generations of a store, or shows the place of one index in its lineage.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::Result;
use crate::index::{ChangeKind, GenerationCounts, Index, Manifest, Store};

/// A generation, as [`history`] lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryEntry {
    /// Number of the generation.
    pub number: u64,
    /// Whether it is the current generation of its store.
    pub current: bool,
    /// Folder of the generation.
    pub path: PathBuf,
    /// The information in its manifest. `None` if the manifest is damaged.
    #[serde(flatten)]
    pub record: Option<GenerationRecord>,
    /// The reason why its manifest cannot be read, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The information in the manifest of a generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GenerationRecord {
    /// The operation that created it from its parent.
    pub change: ChangeKind,
    /// The reason, as given by the user.
    pub reason: Option<String>,
    /// Number of its parent, if the parent is in the store.
    pub parent: Option<u64>,
    /// Number of items.
    pub items: u64,
    /// Number of items per kind of change.
    pub counts: GenerationCounts,
    /// Time of creation: RFC 3339 in UTC.
    pub created: Option<String>,
    /// Hash of the model.
    pub model_hash: String,
    /// Hash of the manifest. The manifests of its children contain it as their parent.
    pub hash: String,
}

/// Lists the generations of a store from the oldest to the newest. For an index, lists only that index. Reads only the
/// manifests.
///
/// # Errors
/// As [`Store::open`] and [`Store::history`].
pub fn history(path: &Path) -> Result<Vec<HistoryEntry>> {
    if !Store::is_store(path) {
        let index = Index::unverified(path)?;
        let number = index.manifest().generation.number;
        let record = Some(record(index.manifest(), None));
        return Ok(vec![HistoryEntry { number, current: false, path: path.to_path_buf(), record, problem: None }]);
    }
    let stored = Store::open(path)?.history()?;
    let known: Vec<(String, u64)> =
        stored.iter().filter_map(|one| Some((one.manifest.as_ref().ok()?.hash(), one.number))).collect();
    let parent = |manifest: &Manifest| {
        known.iter().find(|(hash, _)| Some(hash) == manifest.generation.parent.as_ref()).map(|(_, number)| *number)
    };
    let entry = |one: &crate::index::StoredGeneration| HistoryEntry {
        number: one.number,
        current: one.is_current,
        path: one.path.clone(),
        record: one.manifest.as_ref().ok().map(|manifest| record(manifest, parent(manifest))),
        problem: one.manifest.as_ref().err().map(ToString::to_string),
    };
    Ok(stored.iter().map(entry).collect())
}

fn record(manifest: &Manifest, parent: Option<u64>) -> GenerationRecord {
    let generation = &manifest.generation;
    GenerationRecord {
        change: generation.change,
        reason: generation.reason.clone(),
        parent,
        items: manifest.items,
        counts: generation.counts,
        created: generation.created.clone(),
        model_hash: manifest.model_hash.clone(),
        hash: manifest.hash(),
    }
}
