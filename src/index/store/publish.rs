//! Taking an index into a store.

use std::path::{Path, PathBuf};

use super::super::{ChangeKind, FORMAT_VERSION, Generation, Index, IndexWriter, MANIFEST, Manifest, TOMBSTONES};
use super::renumber::renumber;
use super::{Store, StoreWriter, StoredGeneration};
use crate::artifact::{Overwrite, sha256_file};
use crate::error::{Error, Result};

/// How an index is published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishOptions {
    /// Why, in place of what the index says.
    pub reason: Option<String>,
    /// How many generations stay; all, if not given.
    pub keep: Option<usize>,
    /// Whether an index that was not made of the current generation follows it.
    pub rebuild: bool,
}

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Published {
    /// The generation, which is the current one.
    pub number: u64,
    /// Its folder in the store.
    pub path: PathBuf,
    /// The generation that was the current one before.
    pub previous: Option<u64>,
    /// Generations that were removed.
    pub pruned: Vec<u64>,
}

impl Store {
    /// [`StoreWriter::publish`] in one step.
    ///
    /// # Errors
    /// As [`Store::begin`] and [`StoreWriter::publish`].
    pub fn publish(&self, index: &Path, options: &PublishOptions) -> Result<Published> {
        self.begin()?.publish(index, options)
    }
}

impl StoreWriter {
    /// Takes an index into the store and makes it the current generation. Files are hard links, or copies where the file
    /// system has none. The index must have been made of the current generation, except in an empty store. An index that
    /// is the current generation already stays it.
    ///
    /// # Errors
    /// As [`Index::open`], which checks all files; [`Error::Mismatch`] for an index that was made of another generation;
    /// [`Error::Io`].
    pub fn publish(&self, path: &Path, options: &PublishOptions) -> Result<Published> {
        if options.keep == Some(0) {
            return Err(Error::config("keep", "a number from 1 on", 0, "the current generation always stays"));
        }
        if let Some(store) = Store::around(path) {
            let help = "make it the current one with `catalex rollback --store DIR --to N`";
            let got = format!("a generation of the store {}", store.path().display());
            return Err(Error::file(path, "an index outside of a store", got, help));
        }
        let index = Index::open(path)?;
        let history = self.store.history()?;
        let current = history.iter().find(|one| one.is_current);
        let there = history.iter().filter(|one| one.manifest.as_ref().is_ok_and(|m| is_same(m, index.manifest())));
        // A run that was killed before it moved the pointer has left the generation.
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
            let expected = format!("one that was made of generation {}, the current one", current.number);
            let (got, help) = match is_fresh {
                true => (
                    "one that was made of none",
                    "append to the current generation, or publish it with --rebuild: then all IDs may be others",
                ),
                false => ("one of another: the store has moved on", "make it again of the current generation"),
            };
            return Err(Error::mismatch("index", expected, got, help));
        }
        Ok(Generation { number: next, parent: Some(parent), ..generation })
    }
}

/// Whether two manifests are of the same index, whatever numbers and reasons a store gave it.
fn is_same(a: &Manifest, b: &Manifest) -> bool {
    let fresh = |m: &Manifest| matches!(m.generation.change, ChangeKind::Build | ChangeKind::Adopt);
    let parents = a.generation.parent == b.generation.parent || (fresh(a) && fresh(b));
    let changes = (a.generation.change, a.generation.counts) == (b.generation.change, b.generation.counts);
    // Those of a generation say its number.
    let others = |m: &Manifest| {
        m.files.iter().filter(|(name, _)| *name != TOMBSTONES).map(|(n, h)| (n.clone(), h.clone())).collect::<Vec<_>>()
    };
    parents && changes && others(a) == others(b) && a.model_hash == b.model_hash && a.settings == b.settings
}

/// Whether a generation was made of the current one.
fn follows(one: &StoredGeneration, current: Option<&StoredGeneration>) -> bool {
    let parent = one.manifest.as_ref().ok().and_then(|manifest| manifest.generation.parent.clone());
    match current {
        None => true,
        Some(current) => parent.is_some() && parent == current.manifest.as_ref().ok().map(Manifest::hash),
    }
}

/// The error of a damaged current generation, of which nothing can be made.
fn damaged(error: &Error) -> Error {
    let help = "roll back to another generation first: catalex rollback --store DIR --to N";
    Error::data("current generation", "a manifest that can be read", error, help)
}
