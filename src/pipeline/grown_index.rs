//! A temporary index to which `append` has added the items of a catalog. `retrain` and `drift` read it.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::append::append_items;
use super::spec::{AppendSettings, AppendSpec, Environment, Output};
use crate::error::{Error, Result};
use crate::progress::Progress;

/// An index. A temporary one is removed when this value is dropped.
pub(super) struct GrownIndex {
    path: PathBuf,
    _folder: Option<TempDir>,
}

/// The arguments of an append to a temporary index.
pub(super) struct Growth<'a> {
    pub(super) index: &'a Path,
    pub(super) catalog: &'a Path,
    pub(super) settings: &'a AppendSettings,
    pub(super) threads: Option<usize>,
    pub(super) environment: &'a Environment,
}

impl GrownIndex {
    /// An existing index, to which nothing is added.
    pub(super) fn of(path: &Path) -> Self {
        GrownIndex { path: path.to_path_buf(), _folder: None }
    }

    /// Appends the items of a catalog in a temporary folder. The folder is next to `place`, so that files can be
    /// hard-linked from one to the other.
    ///
    /// # Errors
    /// As [`append`](super::append()).
    pub(super) fn new(growth: &Growth, place: &Path, progress: &dyn Progress) -> Result<Self> {
        let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = tempfile::Builder::new().prefix(".catalex-grown-").tempdir_in(parent);
        let folder = folder.map_err(|e| Error::io("create a temporary folder in", parent, e))?;
        let path = folder.path().join("index");
        append_items(
            &AppendSpec {
                index: growth.index.to_path_buf(),
                catalog: growth.catalog.to_path_buf(),
                settings: growth.settings.clone(),
                threads: growth.threads,
                output: Output { out: path.clone(), ..Output::default() },
                environment: growth.environment.clone(),
                ..AppendSpec::default()
            },
            false,
            progress,
        )?;
        Ok(GrownIndex { path, _folder: Some(folder) })
    }

    /// The folder of the index.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
