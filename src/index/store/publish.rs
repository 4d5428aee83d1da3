//! Publishing an index to a store.

use std::path::{Path, PathBuf};

use super::super::{ChangeKind, FORMAT_VERSION, Generation, Index, IndexWriter, MANIFEST, Manifest, TOMBSTONES};
use super::renumber::renumber;
use super::{Store, StoreWriter, StoredGeneration};
use crate::artifact::{Overwrite, sha256_file};
use crate::error::{Error, Result};

/// Options of [`StoreWriter::publish`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishOptions {
    /// The reason for the manifest, in place of the reason that the index has.
    pub reason: Option<String>,
    /// Number of newest generations to keep; all if not given.
    pub keep: Option<usize>,
    /// Whether to accept a new build or an adopted index as the child of the current generation.
    pub rebuild: bool,
}

/// The result of [`StoreWriter::publish`].
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Published {
    /// The number of the published generation, which is now the current one.
    pub number: u64,
    /// Its folder in the store.
    pub path: PathBuf,
    /// The number of the previously current generation.
    pub previous: Option<u64>,
    /// The numbers of the removed generations.
    pub pruned: Vec<u64>,
}

impl Store {
    /// Locks the store and publishes an index: [`Store::begin`], then [`StoreWriter::publish`].
    ///
    /// # Errors
    /// As [`Store::begin`] and [`StoreWriter::publish`].
    pub fn publish(&self, index: &Path, options: &PublishOptions) -> Result<Published> {
        self.begin()?.publish(index, options)
    }
}

impl StoreWriter {
    /// Adds an index to the store and makes it the current generation. Files are hard links, or copies if the file
    /// system has no hard links. Unless the store is empty, the parent of the index must be the current generation, or
    /// [`PublishOptions::rebuild`] must be set. Publishing the current generation again changes nothing.
    ///
    /// # Errors
    /// As [`Index::open`], which checks all files; [`Error::File`] if `path` is a generation of a store;
    /// [`Error::Mismatch`] if the index was made from another generation; [`Error::Io`].
    pub fn publish(&self, path: &Path, options: &PublishOptions) -> Result<Published> {
        if options.keep == Some(0) {
            return Err(Error::config("keep", "a number of at least 1", 0, "the current generation is always kept"));
        }
        if let Some(store) = Store::around(path) {
            let help = "make it the current generation with `catalex rollback --store DIR --to N`";
            let got = format!("a generation of the store {}", store.path().display());
            return Err(Error::file(path, "an index outside any store", got, help));
        }
        let index = Index::open(path)?;
        let history = self.store.history()?;
        let current = history.iter().find(|one| one.is_current);
        let there = history.iter().filter(|one| one.manifest.as_ref().is_ok_and(|m| is_same(m, index.manifest())));
        // A run that was killed before it moved the pointer has left the complete generation.
        let mut unfinished = there.filter(|one| one.is_current || follows(one, current));
        let number = match unfinished.next_back() {
            Some(there) => there.number,
            None => self.add(&index, current, options)?,
        };
        if current.map(|one| one.number) != Some(number) {
            self.point_to(number)?;
        }
        Ok(Published {
            number,
            path: self.store.path_of(number),
            previous: current.map(|one| one.number),
            pruned: options.keep.map_or(Ok(Vec::new()), |keep| self.prune(keep))?,
        })
    }

    /// Writes the index as the next generation, and returns its number.
    fn add(&self, index: &Index, current: Option<&StoredGeneration>, options: &PublishOptions) -> Result<u64> {
        let generation = self.place(index.manifest(), current, options)?;
        let number = generation.number;
        let mut writer = IndexWriter::create(&self.store.path_of(number), Overwrite::Refuse)?;
        let renumbered = index.manifest().generation.number != number;
        for name in index.manifest().files.keys() {
            match name == TOMBSTONES && renumbered {
                true => renumber(index, number, &writer.path(name))?,
                false => writer.share_file(index, name)?,
            }
        }
        if generation == index.manifest().generation {
            writer.share_file(index, MANIFEST)?;
            writer.commit_shared()?;
        } else {
            let mut manifest = Manifest { format_version: FORMAT_VERSION, generation, ..index.manifest().clone() };
            if let (Some(hash), true) = (manifest.files.get_mut(TOMBSTONES), renumbered) {
                *hash = sha256_file(&writer.path(TOMBSTONES))?;
            }
            writer.commit_manifest(&manifest)?;
        }
        Ok(number)
    }

    /// The place of an index in the lineage of the store.
    fn place(
        &self,
        manifest: &Manifest,
        current: Option<&StoredGeneration>,
        options: &PublishOptions,
    ) -> Result<Generation> {
        let reason = options.reason.clone().or(manifest.generation.reason.clone());
        let mut generation = Generation { reason, ..manifest.generation.clone() };
        let next = self.next_number()?;
        let Some(current) = current else {
            generation.number = generation.number.max(next);
            return Ok(generation);
        };
        let parent = current.manifest.as_ref().map_err(damaged)?.hash();
        let is_fresh = matches!(generation.change, ChangeKind::Build | ChangeKind::Adopt);
        if generation.parent.as_ref() != Some(&parent) && !(is_fresh && options.rebuild) {
            let expected = format!("an index made from generation {}, the current one", current.number);
            let (got, help) = match is_fresh {
                true => (
                    "an index without a parent",
                    "append to the current generation, or publish with --rebuild, which may change all IDs",
                ),
                false => ("an index made from another generation", "make it again from the current generation"),
            };
            return Err(Error::mismatch("index", expected, got, help));
        }
        Ok(Generation { number: next, parent: Some(parent), ..generation })
    }
}

/// Whether two manifests describe the same index, apart from the number and reason that a store assigned.
fn is_same(a: &Manifest, b: &Manifest) -> bool {
    let fresh = |m: &Manifest| matches!(m.generation.change, ChangeKind::Build | ChangeKind::Adopt);
    let parents = a.generation.parent == b.generation.parent || (fresh(a) && fresh(b));
    let changes = (a.generation.change, a.generation.counts) == (b.generation.change, b.generation.counts);
    // Tombstones contain the generation number, so their hash can differ.
    let others = |m: &Manifest| {
        m.files.iter().filter(|(name, _)| *name != TOMBSTONES).map(|(n, h)| (n.clone(), h.clone())).collect::<Vec<_>>()
    };
    parents && changes && others(a) == others(b) && a.model_hash == b.model_hash && a.settings == b.settings
}

/// Whether a generation was made from the current one.
fn follows(one: &StoredGeneration, current: Option<&StoredGeneration>) -> bool {
    let parent = one.manifest.as_ref().ok().and_then(|manifest| manifest.generation.parent.clone());
    match current {
        None => true,
        Some(current) => parent.is_some() && parent == current.manifest.as_ref().ok().map(Manifest::hash),
    }
}

/// The error for a current generation with a damaged manifest, which cannot be a parent.
fn damaged(error: &Error) -> Error {
    let help = "roll back to another generation first: catalex rollback --store DIR --to N";
    Error::data("current generation", "a manifest that can be read", error, help)
}
