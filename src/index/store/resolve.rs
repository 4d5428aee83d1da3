//! From a path that a user names to an index: a store stands for its current generation.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::MANIFEST;
use super::{GENERATIONS, Store};
use crate::artifact::ReadLock;
use crate::error::{Error, Result};

/// How often a pointer is followed that names a generation which is just being removed.
const TRIES: usize = 100;

/// A path that is no store, and a hold on the generation that it is, if it is one: a generation is not removed while this
/// lives.
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

/// The current generation of a store; any other path as it is. Whoever reads several files of an index resolves its path
/// once, so that all are of one generation.
///
/// # Errors
/// As [`Store::open`] and [`Store::current_number`]; [`Error::Data`] for a store without a generation; [`Error::Missing`]
/// for a pointer to nothing.
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
        // It was removed since the pointer was read, and the pointer names another one.
        std::thread::sleep(Duration::from_millis(1));
    }
    let pointer = store.current_number()?.map(|number| store.path_of(number)).unwrap_or_default();
    let help = "make another generation the current one: catalex rollback --store DIR --to N";
    Err(Error::Missing { path: pointer, expected: "the current generation".into(), help: help.into() })
}

/// A path that may be that of a generation, or the pointer of a store.
fn of_generation(path: &Path) -> Result<ResolvedIndex> {
    let plain = |path: &Path| ResolvedIndex { path: path.to_path_buf(), _held: None };
    let Ok(place) = fs::canonicalize(path) else { return Ok(plain(path)) };
    let parent = place.parent().filter(|parent| parent.ends_with(GENERATIONS));
    if !parent.and_then(Path::parent).is_some_and(Store::is_store) {
        return Ok(plain(path));
    }
    // A pointer may move: the path is that of the generation itself.
    let _held = ReadLock::of(&place.join(MANIFEST))?;
    Ok(ResolvedIndex { path: if path.is_symlink() { place } else { path.to_path_buf() }, _held })
}

impl Store {
    /// The store that has this path as one of its generations.
    pub fn around(generation: &Path) -> Option<Store> {
        let place = fs::canonicalize(generation).ok()?;
        let folder = place.parent().filter(|parent| parent.ends_with(GENERATIONS))?.parent()?;
        Store::open(folder).ok()
    }
}
