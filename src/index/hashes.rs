//! Checks the files of indexes against their hashes one by one, so that a caller can report every damaged file.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::manifest::read_manifest;
use super::{Index, REBUILD, resolve_index};
use crate::artifact::sha256_file;
use crate::error::{Error, Result};

/// Hashes each file once, even if several generations share it.
#[derive(Debug, Default)]
pub struct FileHashes {
    /// SHA-256 by device and inode number.
    known: HashMap<(u64, u64), String>,
}

impl FileHashes {
    /// SHA-256 of a file, in hexadecimal.
    fn of(&mut self, path: &Path) -> Result<String> {
        let about = fs::metadata(path).map_err(|e| Error::io("read", path, e))?;
        if let Some(hash) = self.known.get(&(about.dev(), about.ino())) {
            return Ok(hash.clone());
        }
        let hash = sha256_file(path)?;
        self.known.insert((about.dev(), about.ino()), hash.clone());
        Ok(hash)
    }

    /// Checks a file against its hash.
    ///
    /// # Errors
    /// [`Error::Missing`]; [`Error::Artifact`] if the hash differs; [`Error::Io`].
    pub fn check(&mut self, path: &Path, expected: &str) -> Result<()> {
        if !path.is_file() {
            return Err(Error::Missing {
                path: path.to_path_buf(),
                expected: "a file of the index".into(),
                help: REBUILD.into(),
            });
        }
        match self.of(path)? {
            got if got == expected => Ok(()),
            got => Err(Error::artifact(path, format!("SHA-256 {expected}"), got, REBUILD)),
        }
    }
}

impl Index {
    /// Opens an index and verifies only its manifest. The caller can check the other files one by one.
    ///
    /// # Errors
    /// As [`Index::open`], for the manifest.
    pub fn unverified(folder: &Path) -> Result<Self> {
        let folder = resolve_index(folder)?;
        let manifest = read_manifest(&folder)?;
        Ok(Index { folder, manifest })
    }

    /// The files that the manifest lists, with their hashes.
    pub fn files(&self) -> impl Iterator<Item = (PathBuf, &str)> {
        self.manifest.files.iter().map(|(name, hash)| (self.path(name), hash.as_str()))
    }
}
