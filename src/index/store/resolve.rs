//! Resolves a path that a user gives to an index. A store stands for its current generation.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::MANIFEST;
use super::{GENERATIONS, Store};
use crate::artifact::ReadLock;
use crate::error::{Error, Result};

/// How often the pointer is read again if the generation that it names is being removed.
const TRIES: usize = 100;

/// A path that is not a store. If it is a generation of a store, this holds a read lock: the generation is not removed
/// while this value exists.
#[derive(Debug)]
pub struct ResolvedIndex {
    path: PathBuf,
    _held: Option<ReadLock>,
}

impl Deref for ResolvedIndex {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl AsRef<Path> for ResolvedIndex {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// Resolves a store to its current generation. Returns any other path unchanged, except that a symbolic link to a
/// generation is resolved. Resolve a path only once to read several files of an index, so that all come from the same
/// generation.
///
/// # Errors
/// As [`Store::open`] and [`Store::current_number`]; [`Error::Data`] for a store without generations;
/// [`Error::Missing`] if the pointer names a generation that does not exist.
pub fn resolve_index(path: &Path) -> Result<ResolvedIndex> {
    if !Store::is_store(path) {
        return of_generation(path);
    }
    let store = Store::open(path)?;
    for _ in 0..TRIES {
        let Some(number) = store.current_number()? else {
            let help = "publish an index first: catalex publish INDEX --store DIR";
            return Err(Error::data(path.display().to_string(), "a current generation", "an empty store", help));
        };
        let generation = store.path_of(number);
        if let Some(held) = ReadLock::of(&generation.join(MANIFEST))? {
            return Ok(ResolvedIndex { path: generation, _held: Some(held) });
        }
        // The generation was removed after the pointer was read. The pointer now names another generation.
        std::thread::sleep(Duration::from_millis(1));
    }
    let pointer = store.current_number()?.map(|number| store.path_of(number)).unwrap_or_default();
    let help = "make another generation current: catalex rollback --store DIR --to N";
    Err(Error::Missing { path: pointer, expected: "the current generation".into(), help: help.into() })
}

/// Resolves a path that is not a store: a generation, the pointer of a store, or any other path.
fn of_generation(path: &Path) -> Result<ResolvedIndex> {
    let plain = |path: &Path| ResolvedIndex { path: path.to_path_buf(), _held: None };
    let Ok(place) = fs::canonicalize(path) else { return Ok(plain(path)) };
    let parent = place.parent().filter(|parent| parent.ends_with(GENERATIONS));
    if !parent.and_then(Path::parent).is_some_and(Store::is_store) {
        return Ok(plain(path));
    }
    // The pointer can move, so it is replaced by the path of the generation itself.
    let _held = ReadLock::of(&place.join(MANIFEST))?;
    Ok(ResolvedIndex { path: if path.is_symlink() { place } else { path.to_path_buf() }, _held })
}

impl Store {
    /// The store that contains this generation, if it is in a store.
    pub fn around(generation: &Path) -> Option<Store> {
        let place = fs::canonicalize(generation).ok()?;
        let folder = place.parent().filter(|parent| parent.ends_with(GENERATIONS))?.parent()?;
        Store::open(folder).ok()
    }
}
