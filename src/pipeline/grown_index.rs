//! An index with the items of a catalog, as `append` makes it, in a temporary folder: what a training or a comparison
//! of the items reads.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::append::append;
use super::spec::{AppendSettings, AppendSpec, Environment, Output};
use crate::error::{Error, Result};
use crate::progress::Progress;

/// An index, which is removed with this value if it is temporary.
pub(super) struct GrownIndex {
    path: PathBuf,
    _folder: Option<TempDir>,
}

/// What is appended to which index.
pub(super) struct Growth<'a> {
    pub(super) index: &'a Path,
    pub(super) catalog: &'a Path,
    pub(super) settings: &'a AppendSettings,
    pub(super) threads: Option<usize>,
    pub(super) environment: &'a Environment,
}

impl GrownIndex {
    /// An index as it is.
    pub(super) fn of(path: &Path) -> Self {
        GrownIndex { path: path.to_path_buf(), _folder: None }
    }

    /// An index and the items of a catalog, in a folder beside `place`, so that files can be linked from it.
    ///
    /// # Errors
    /// As [`append`].
    pub(super) fn new(growth: &Growth, place: &Path, progress: &dyn Progress) -> Result<Self> {
        let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = tempfile::Builder::new().prefix(".catalex-grown-").tempdir_in(parent);
        let folder = folder.map_err(|e| Error::io("create a temporary folder in", parent, e))?;
        let path = folder.path().join("index");
        append(
            &AppendSpec {
                index: growth.index.to_path_buf(),
                catalog: growth.catalog.to_path_buf(),
                settings: growth.settings.clone(),
                threads: growth.threads,
                output: Output { out: path.clone(), ..Output::default() },
                environment: growth.environment.clone(),
                ..AppendSpec::default()
            },
            progress,
        )?;
        Ok(GrownIndex { path, _folder: Some(folder) })
    }

    /// The index.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
