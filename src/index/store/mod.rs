//! A store: a folder with the generations of an index, and a pointer to the current one.
//!
//! ```text
//! STORE/store.json              identifies the store
//! STORE/generations/000003/     an index; the folder name is its generation number
//! STORE/current                 a symbolic link to generations/000003, replaced by renaming
//! STORE/lock                    locked by the process that changes the store
//! ```
//!
//! A reader resolves the pointer once, with [`resolve_index`], and reads all files from that generation. Only one
//! writer at a time, a [`StoreWriter`], holds the lock.

mod prune;
mod publish;
mod renumber;
mod resolve;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::manifest::read_manifest;
use super::{Index, Manifest};
use crate::artifact::{
    AtomicDir, FolderKind, FolderLock, Overwrite, read_description, remove_leftovers_in, seal, sync_folder,
};
use crate::error::{Error, Result};

pub use publish::{PublishOptions, Published};
pub use resolve::{ResolvedIndex, resolve_index};

/// The file that identifies a store.
pub const STORE_FILE: &str = "store.json";
/// The folder of the generations.
const GENERATIONS: &str = "generations";
/// The pointer to the current generation.
const CURRENT: &str = "current";
/// The next pointer, before it is renamed to [`CURRENT`].
const NEXT: &str = ".current-next";
/// The file that a writer locks.
const LOCK: &str = "lock";
/// The version of the store layout.
const FORMAT_VERSION: u32 = 1;
/// What to do about a damaged store.
const RESTORE: &str = "restore it from a copy, or publish its indexes to a new store";

/// A store. It is never replaced as a whole.
const KIND: FolderKind =
    FolderKind { marker: STORE_FILE, keys: &["format_version", "catalex_version"], lists: |_, _| false };

/// A folder of generations with a pointer to the current one.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

/// A generation in a store.
#[derive(Debug)]
pub struct StoredGeneration {
    /// Its number, from the folder name.
    pub number: u64,
    /// Its folder.
    pub path: PathBuf,
    /// Whether it is the current generation.
    pub is_current: bool,
    /// Its manifest, or the error from reading it.
    pub manifest: Result<Manifest>,
}

impl Store {
    /// Whether a path is the folder of a store.
    pub fn is_store(path: &Path) -> bool {
        path.join(STORE_FILE).is_file() && path.join(GENERATIONS).is_dir()
    }

    /// Opens a store.
    ///
    /// # Errors
    /// [`Error::Missing`] if the path is not a store; [`Error::Artifact`] if the store is damaged or has another format
    /// version.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(STORE_FILE);
        if !Store::is_store(folder) {
            let help = "pass a folder that `catalex publish` wrote".into();
            return Err(Error::Missing { path, expected: "the description of a store".into(), help });
        }
        let bytes = read_description(&path).map_err(|e| Error::io("read", &path, e))?;
        let description = seal::of_json(&path, &bytes, "the description of a store", RESTORE, |_| true)?;
        if description["format_version"] != FORMAT_VERSION {
            let (expected, got) = (format!("format version {FORMAT_VERSION}"), &description["format_version"]);
            return Err(Error::artifact(&path, expected, got, "use the release of catalex that wrote it"));
        }
        Ok(Store { folder: folder.to_path_buf() })
    }

    /// Opens a store. If the path does not exist or is an empty folder, creates a store without generations.
    ///
    /// # Errors
    /// As [`Store::open`] and [`AtomicDir::create`]; [`Error::File`] if the path exists and is not a store.
    pub fn create(folder: &Path) -> Result<Self> {
        if Store::is_store(folder) {
            return Store::open(folder);
        }
        match Store::write_new(folder) {
            Ok(()) => Store::open(folder),
            // Another process created it at the same time.
            Err(Error::OutputExists { .. }) if Store::is_store(folder) => Store::open(folder),
            Err(Error::OutputExists { .. }) => {
                let help = "pass a store, or a path that does not exist";
                Err(Error::file(folder, "a store, or no file or folder", "something else", help))
            }
            Err(error) => Err(error),
        }
    }

    fn write_new(folder: &Path) -> Result<()> {
        let new = AtomicDir::create(folder, &KIND, Overwrite::Refuse)?;
        let fail = |e| Error::io("write", folder, e);
        fs::create_dir(new.path().join(GENERATIONS)).map_err(fail)?;
        let description = json!({"format_version": FORMAT_VERSION, "catalex_version": env!("CARGO_PKG_VERSION")});
        fs::write(new.path().join(STORE_FILE), seal::to_json(&description).map_err(fail)?).map_err(fail)?;
        new.commit()
    }

    /// The folder of the store.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The folder of a generation, whether or not it exists.
    pub fn path_of(&self, number: u64) -> PathBuf {
        self.folder.join(GENERATIONS).join(folder_name(number))
    }

    /// The numbers of the generations, ascending.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn numbers(&self) -> Result<Vec<u64>> {
        let folder = self.folder.join(GENERATIONS);
        let fail = |e| Error::io("read", &folder, e);
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&folder).map_err(fail)? {
            numbers.extend(entry.map_err(fail)?.file_name().to_str().and_then(number_of));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The number of the current generation, or `None` for a store without generations.
    ///
    /// # Errors
    /// [`Error::Artifact`] if the pointer is not a symbolic link to a generation; [`Error::Io`].
    pub fn current_number(&self) -> Result<Option<u64>> {
        let path = self.folder.join(CURRENT);
        let target = match fs::read_link(&path) {
            Ok(target) => target,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) if e.kind() == ErrorKind::InvalidInput => {
                let got = "a file or folder";
                return Err(Error::artifact(&path, format!("a symbolic link into {GENERATIONS}/"), got, RESTORE));
            }
            Err(e) => return Err(Error::io("read", &path, e)),
        };
        let name = target.strip_prefix(GENERATIONS).ok().and_then(Path::to_str).and_then(number_of);
        let wrong = || Error::artifact(&path, format!("a link into {GENERATIONS}/"), target.display(), RESTORE);
        name.map(Some).ok_or_else(wrong)
    }

    /// The current generation. It is not removed while the result exists.
    ///
    /// # Errors
    /// As [`resolve_index`].
    pub fn current(&self) -> Result<ResolvedIndex> {
        resolve_index(&self.folder)
    }

    /// All generations, from the oldest to the newest. Only manifests are read.
    ///
    /// # Errors
    /// As [`Store::numbers`] and [`Store::current_number`].
    pub fn history(&self) -> Result<Vec<StoredGeneration>> {
        let current = self.current_number()?;
        let generation = |number| {
            let path = self.path_of(number);
            StoredGeneration { number, is_current: Some(number) == current, manifest: read_manifest(&path), path }
        };
        Ok(self.numbers()?.into_iter().map(generation).collect())
    }

    /// Locks the store for changes, and removes temporary folders that killed writers left.
    ///
    /// # Errors
    /// [`Error::Busy`] if another process or thread is changing the store; [`Error::Io`].
    pub fn begin(&self) -> Result<StoreWriter> {
        let lock = FolderLock::claim(&self.folder, LOCK)?;
        remove_leftovers_in(&self.folder.join(GENERATIONS));
        Ok(StoreWriter { store: self.clone(), _lock: lock })
    }
}

/// The exclusive right to change a store. Dropping it releases the lock.
#[derive(Debug)]
pub struct StoreWriter {
    store: Store,
    _lock: FolderLock,
}

/// The result of a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct RolledBack {
    /// The number of the previously current generation.
    pub from: u64,
    /// The number of the generation that is current now.
    pub to: u64,
}

impl StoreWriter {
    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The number of the next generation: one more than the highest in the store.
    ///
    /// # Errors
    /// As [`Store::numbers`].
    pub fn next_number(&self) -> Result<u64> {
        Ok(self.store.numbers()?.last().map_or(0, |highest| highest + 1))
    }

    /// Makes a generation of the store the current one, atomically.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn point_to(&self, number: u64) -> Result<()> {
        let folder = &self.store.folder;
        let (next, current) = (folder.join(NEXT), folder.join(CURRENT));
        let fail = |e| Error::io("write", &current, e);
        match fs::remove_file(&next) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(fail(e)),
            _ => {}
        }
        // A relative link, so that the store can be moved.
        std::os::unix::fs::symlink(Path::new(GENERATIONS).join(folder_name(number)), &next).map_err(fail)?;
        fs::rename(&next, &current).map_err(fail)?;
        sync_folder(folder)
    }

    /// Makes generation `to` the current one or, if `to` is `None`, the parent of the current one. First checks all
    /// files of that generation.
    ///
    /// # Errors
    /// [`Error::Data`] if the store does not have the generation; as [`Index::open`].
    pub fn rollback(&self, to: Option<u64>) -> Result<RolledBack> {
        let history = self.store.history()?;
        let numbers = || history.iter().map(|one| one.number.to_string()).collect::<Vec<_>>().join(", ");
        let missing = |expected: String, got: &str| {
            let help = format!("choose another generation with --to; the store has {}", numbers());
            Error::data(self.store.folder.display().to_string(), expected, got, help)
        };
        let Some(current) = history.iter().find(|one| one.is_current) else {
            let help = "publish an index first";
            return Err(Error::data(self.store.folder.display().to_string(), "a current generation", "none", help));
        };
        let from = current.number;
        let to = match (to, &current.manifest) {
            (Some(to), _) => to,
            (None, Err(_)) => return Err(missing("a manifest that names its parent".into(), "a damaged one")),
            (None, Ok(manifest)) => {
                let Some(parent) = &manifest.generation.parent else {
                    return Err(missing(format!("a parent of generation {from}"), "none: it is the first generation"));
                };
                let is_parent = |one: &&StoredGeneration| one.manifest.as_ref().is_ok_and(|m| m.hash() == *parent);
                let parent = history.iter().find(is_parent).map(|one| one.number);
                parent.ok_or_else(|| missing(format!("the parent of generation {from}"), "none: it was removed"))?
            }
        };
        if !history.iter().any(|one| one.number == to) {
            return Err(missing(format!("generation {to}"), "none"));
        }
        Index::open(&self.store.path_of(to))?;
        self.point_to(to)?;
        Ok(RolledBack { from, to })
    }
}

/// The folder name of a generation.
fn folder_name(number: u64) -> String {
    format!("{number:06}")
}

/// The generation number of a folder name, or `None` for other names.
fn number_of(name: &str) -> Option<u64> {
    name.parse().ok().filter(|&number| folder_name(number) == name)
}
