//! The index: the folder that `catalex build` writes, with a manifest that lists and hashes its files.
//!
//! An index is written to a temporary folder and renamed, so it is complete or absent. [`Index::open`] detects files
//! that have changed since. An index made from another index, its parent, is the next [`Generation`]. It shares
//! unchanged files with its parent. A [`Store`] holds generations and records which one is current.

mod generation;
mod hashes;
mod manifest;
mod partial;
mod store;
mod writer;

use std::path::{Path, PathBuf};

use crate::artifact::INDEX_MANIFEST;
pub use crate::attributes::ATTRIBUTES;
use crate::error::Result;
use crate::features::{FeatureFile, FeatureSource, LayeredFeatures};
use crate::item_ids::ItemIds;

pub use generation::{ChangeKind, Generation, GenerationCounts};
pub use hashes::FileHashes;
pub use manifest::{FORMAT_VERSION, Manifest, OLDEST_FORMAT_VERSION};
pub use partial::{PARTS, Partial, fingerprint};
pub use store::{
    PublishOptions, Published, ResolvedIndex, RolledBack, STORE_FILE, Store, StoreWriter, StoredGeneration,
    resolve_index,
};
pub use writer::IndexWriter;

/// The manifest, the file that identifies an index.
pub const MANIFEST: &str = INDEX_MANIFEST;
/// The list of unreadable images, if the build continued without them.
pub const BAD_IMAGES: &str = "bad-images.jsonl";
/// The list of items without content, if the build left any out.
pub const BAD_ITEMS: &str = "bad-items.jsonl";
/// The features that the model was trained on.
pub const FEATURES: &str = "features.parquet";
/// The features of items that were added or changed after training.
pub const FEATURES_ADDED: &str = "features-added.parquet";
/// The content hash of every item.
pub const CONTENT: &str = "content.parquet";
/// The items that changed since the parent, with their old and new IDs.
pub const DELTA: &str = "delta.parquet";
/// The IDs of deleted items.
pub const TOMBSTONES: &str = "tombstones.parquet";
/// The folder of the frozen model.
pub const MODEL: &str = "model";
/// The token table.
pub const TOKENS: &str = "tokens.parquet";
/// The folder of the vocabulary-extension files.
pub const VOCABULARY: &str = "vocabulary";
/// What to do about a damaged index.
const REBUILD: &str = "restore it from a copy or build the index again";
/// The HTML report.
pub const REPORT: &str = "report.html";

/// An index on disk with verified files. A store does not remove a generation while its `Index` exists.
#[derive(Debug)]
pub struct Index {
    folder: ResolvedIndex,
    manifest: Manifest,
}

impl Index {
    /// Whether a path is an index folder or a store. A store stands for its current generation.
    pub fn is_index(path: &Path) -> bool {
        path.join(MANIFEST).is_file() || Store::is_store(path)
    }

    /// Opens an index and verifies the hash of every file.
    ///
    /// # Errors
    /// [`Error::Missing`](crate::Error::Missing) and [`Error::Artifact`](crate::Error::Artifact) name the missing or
    /// changed file.
    pub fn open(folder: &Path) -> Result<Self> {
        Self::verified(folder, |_| true)
    }

    /// Opens an index to read only some of its files, and verifies only their hashes. `parts` has their paths relative
    /// to the index; the path of a folder stands for all files under it.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn open_for(folder: &Path, parts: &[&str]) -> Result<Self> {
        let has = |name: &str, part: &str| {
            name.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        Self::verified(folder, |name| parts.iter().any(|part| has(name, part)))
    }

    fn verified(folder: &Path, is_read: impl Fn(&str) -> bool) -> Result<Self> {
        let index = Index::unverified(folder)?;
        let mut hashes = FileHashes::default();
        for (name, expected) in index.manifest.files.iter().filter(|(name, _)| is_read(name)) {
            hashes.check(&index.path(name), expected)?;
        }
        Ok(index)
    }

    /// The number for a child of this index: one more than its own number or, in a store, than the highest number.
    ///
    /// # Errors
    /// As [`Store::numbers`].
    pub fn next_number(&self) -> Result<u64> {
        let store = Store::around(&self.folder);
        let highest = store.map(|store| store.numbers()).transpose()?.and_then(|numbers| numbers.last().copied());
        Ok(highest.unwrap_or(0).max(self.manifest.generation.number) + 1)
    }

    /// The features of `items`, which must be the items of the index's token table.
    ///
    /// # Errors
    /// As [`LayeredFeatures::new`].
    pub fn features(&self, items: &ItemIds) -> Result<LayeredFeatures> {
        let (base, added) = (self.path(FEATURES), self.path(FEATURES_ADDED));
        let added = self.manifest.files.contains_key(FEATURES_ADDED).then_some(added.as_path());
        if added.is_none() {
            // Without added features, equal counts mean that no item was deleted.
            let file = FeatureFile::open(&base)?;
            if file.rows() == items.len() {
                return Ok(LayeredFeatures::of_file(file));
            }
        }
        LayeredFeatures::new(&base, added, items)
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The path of a part of the index.
    pub fn path(&self, part: &str) -> PathBuf {
        self.folder.join(part)
    }
}
