//! The index: the folder that `catalex build` writes, with a manifest that lists and hashes its files.
//!
//! An index is written to a temporary folder and renamed, so it is complete or absent. [`Index::open`] detects files that
//! have changed since. An index that is made of another, its parent, is the next [`Generation`], and shares the files that
//! both have.

mod generation;
mod manifest;
mod partial;
mod writer;

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::artifact::{INDEX_MANIFEST, sha256_file};
use crate::error::{Error, Result};

pub use generation::{ChangeKind, Generation, GenerationCounts};
pub use manifest::{FORMAT_VERSION, Manifest, OLDEST_FORMAT_VERSION};
pub use partial::{PARTS, Partial, fingerprint};
pub use writer::IndexWriter;

/// The manifest, the file that identifies an index.
pub const MANIFEST: &str = INDEX_MANIFEST;
/// The list of unreadable images, if the build continued without them.
pub const BAD_IMAGES: &str = "bad-images.jsonl";
/// The list of items without content, if the build left any out.
pub const BAD_ITEMS: &str = "bad-items.jsonl";
/// The features that the model was trained on.
pub const FEATURES: &str = "features.parquet";
/// The folder of the frozen model.
pub const MODEL: &str = "model";
/// The token table.
pub const TOKENS: &str = "tokens.parquet";
/// The folder of the vocabulary-extension files.
pub const VOCABULARY: &str = "vocabulary";
/// The HTML report.
pub const REPORT: &str = "report.html";

/// An index on disk with verified files.
#[derive(Debug)]
pub struct Index {
    folder: PathBuf,
    manifest: Manifest,
}

impl Index {
    /// Whether a path is an index folder.
    pub fn is_index(path: &Path) -> bool {
        path.join(MANIFEST).is_file()
    }

    /// Opens an index and verifies the hash of every file.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::Artifact`] name the missing or changed file.
    pub fn open(folder: &Path) -> Result<Self> {
        Self::verified(folder, |_| true)
    }

    /// Opens an index to read only some of its files, and verifies the hashes of only these files.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn open_for(folder: &Path, parts: &[&str]) -> Result<Self> {
        Self::verified(folder, |name| parts.contains(&name))
    }

    fn verified(folder: &Path, is_read: impl Fn(&str) -> bool) -> Result<Self> {
        const REBUILD: &str = "restore it from a copy or build the index again";
        let path = folder.join(MANIFEST);
        if !path.is_file() {
            return Err(Error::Missing {
                path,
                expected: "the manifest of an index".into(),
                help: "name a folder that `catalex build` wrote".into(),
            });
        }
        let bytes = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
        let manifest = Manifest::of_json(&path, &bytes, REBUILD)?;
        // An index from an untrusted source must not refer to files outside its folder.
        let inside = |name: &str| Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if let Some(name) = manifest.files.keys().find(|name| !inside(name)) {
            return Err(Error::artifact(&path, "names of files in the index", format!("{name:?}"), REBUILD));
        }
        for (name, expected) in manifest.files.iter().filter(|(name, _)| is_read(name)) {
            let file = folder.join(name);
            if !file.is_file() {
                return Err(Error::Missing {
                    path: file,
                    expected: "a file of the index".into(),
                    help: REBUILD.into(),
                });
            }
            let got = sha256_file(&file)?;
            if got != *expected {
                return Err(Error::artifact(&file, format!("SHA-256 {expected}"), got, REBUILD));
            }
        }
        Ok(Index { folder: folder.to_path_buf(), manifest })
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
