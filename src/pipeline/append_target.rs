//! The output of the next generation of an index: a folder of its own, or a store.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::spec::Output;
use crate::artifact::{OutputLock, Overwrite};
use crate::error::{Error, Result};
use crate::index::{Index, IndexWriter, Partial, ResolvedIndex, Store, StoreWriter, resolve_index};

/// The name under which an interrupted run keeps its encoded items in a store.
const RUN: &str = "next";

/// The output of the next generation.
pub(super) struct Target {
    /// The parent index. It cannot be removed while it is open.
    parent: ResolvedIndex,
    number: u64,
    out: PathBuf,
    overwrite: Overwrite,
    place: Place,
}

enum Place {
    Folder { _lock: OutputLock },
    Store(StoreWriter),
}

impl Target {
    /// Claims the output, or the store.
    ///
    /// # Errors
    /// [`Error::Config`] if both or neither are given; [`Error::Mismatch`] if the index is not the current generation
    /// of the store; as [`OutputLock::claim`] and [`Store::begin`].
    pub(super) fn begin(index: &Path, output: &Output, store: Option<&Path>) -> Result<Self> {
        let overwrite = output.overwrite();
        match (store, output.out.as_os_str().is_empty()) {
            (Some(store), true) => Self::in_store(index, store),
            (None, false) => {
                let parent = resolve_index(index)?;
                let lock = OutputLock::claim(&output.out, overwrite)?;
                let manifest = Index::open_for(&parent, &[])?;
                let mut number = manifest.manifest().generation.number + 1;
                if let Some(store) = Store::around(&parent) {
                    number = number.max(store.numbers()?.last().map_or(0, |last| last + 1));
                }
                Ok(Target { parent, number, out: output.out.clone(), overwrite, place: Place::Folder { _lock: lock } })
            }
            (store, _) => {
                let got = if store.is_some() { "both" } else { "neither" };
                Err(Error::config("out", "either a folder to write (out) or a store (store)", got, "name one of them"))
            }
        }
    }

    fn in_store(index: &Path, store: &Path) -> Result<Self> {
        let store = Store::open(store)?;
        let writer = store.begin()?;
        let parent = store.current()?;
        let hash = |path: &Path| Ok::<_, Error>(Index::open_for(path, &[])?.manifest().hash());
        if hash(&resolve_index(index)?)? != hash(&parent)? {
            return Err(Error::mismatch(
                "index",
                format!("the current generation of the store, {}", parent.display()),
                index.display(),
                "pass the store as the index too",
            ));
        }
        let number = writer.next_number()?;
        let out = store.path_of(number);
        Ok(Target { parent, number, out, overwrite: Overwrite::Refuse, place: Place::Store(writer) })
    }

    /// The folder of the parent index.
    pub(super) fn parent(&self) -> &Path {
        &self.parent
    }

    /// Whether the generation is written to a store.
    pub(super) fn is_store(&self) -> bool {
        matches!(self.place, Place::Store(_))
    }

    /// The number of the generation.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The folder of the new generation.
    pub(super) fn out(&self) -> &Path {
        &self.out
    }

    /// Opens the state of an interrupted run with the same settings, or begins a new one. In a store, a run continues
    /// without `resume` if it can.
    ///
    /// # Errors
    /// As [`Partial::begin`].
    pub(super) fn partial(&self, settings: &Value, resume: bool) -> Result<Partial> {
        match &self.place {
            Place::Folder { .. } => Partial::begin(&self.out, settings, resume, self.overwrite),
            Place::Store(writer) => {
                let run = writer.store().path().join(RUN);
                Partial::begin(&run, settings, true, Overwrite::Refuse)
                    .or_else(|_| Partial::begin(&run, settings, false, Overwrite::Replace))
            }
        }
    }

    /// Starts writing the index.
    ///
    /// # Errors
    /// As [`IndexWriter::create`].
    pub(super) fn writer(&self) -> Result<IndexWriter> {
        IndexWriter::create(&self.out, self.overwrite)
    }

    /// Makes the written index the current generation of the store, if there is one. Returns its path.
    ///
    /// # Errors
    /// As [`StoreWriter::point_to`].
    pub(super) fn publish(self) -> Result<PathBuf> {
        if let Place::Store(writer) = &self.place {
            writer.point_to(self.number)?;
        }
        Ok(self.out)
    }
}
