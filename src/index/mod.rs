//! The index: the folder that `catalex build` writes, with a manifest that lists and hashes its files.
//!
//! An index is written to a temporary folder and renamed, so it is complete or absent. [`Index::open`] detects files that
//! have changed since.

mod partial;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::artifact::{AtomicDir, FolderKind, INDEX_MANIFEST, Overwrite, seal, sha256_file};
use crate::error::{Error, Result};

pub use partial::{PARTS, Partial, fingerprint};

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

/// The version of the folder layout that this build writes.
pub const FORMAT_VERSION: u32 = 2;

/// The oldest version that this build reads. Version 1 has no hash of the manifest itself.
pub const OLDEST_FORMAT_VERSION: u32 = 1;

/// An index.
const KIND: FolderKind = FolderKind {
    marker: MANIFEST,
    keys: &["format_version", "catalex_version", "model_hash", "files"],
    lists: |manifest, file| manifest["files"].get(file).is_some(),
};

/// The contents of an index, as recorded when it was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the folder layout.
    pub format_version: u32,
    /// Version of catalex that wrote it.
    pub catalex_version: String,
    /// Number of items.
    pub items: u64,
    /// Hash of the model's weights.
    pub model_hash: String,
    /// The settings of the build: catalog, encoders, training.
    pub settings: serde_json::Value,
    /// SHA-256 of every other file by its path in the folder.
    pub files: BTreeMap<String, String>,
}

/// Writes an index.
#[derive(Debug)]
pub struct IndexWriter {
    folder: AtomicDir,
}

impl IndexWriter {
    /// Starts an index at `target`.
    ///
    /// # Errors
    /// As [`AtomicDir::create`].
    pub fn create(target: &Path, overwrite: Overwrite) -> Result<Self> {
        Ok(IndexWriter { folder: AtomicDir::create(target, &KIND, overwrite)? })
    }

    /// The path to write a part of the index to.
    pub fn path(&self, part: &str) -> PathBuf {
        self.folder.path().join(part)
    }

    /// Hashes the files, writes the manifest and moves the folder to its target.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn commit(self, items: u64, model_hash: &str, settings: serde_json::Value) -> Result<Manifest> {
        let mut files = BTreeMap::new();
        hash_files(self.folder.path(), "", &mut files)?;
        let manifest = Manifest {
            format_version: FORMAT_VERSION,
            catalex_version: env!("CARGO_PKG_VERSION").into(),
            items,
            model_hash: model_hash.into(),
            settings,
            files,
        };
        let path = self.path(MANIFEST);
        let json = seal::to_json(&manifest).map_err(|e| Error::io("write", &path, e))?;
        fs::write(&path, json).map_err(|e| Error::io("write", &path, e))?;
        self.folder.commit()?;
        Ok(manifest)
    }
}

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
        let manifest = read_manifest(&path, &bytes, REBUILD)?;
        for (name, expected) in manifest.files.iter().filter(|(name, _)| is_read(name)) {
            // An index from an untrusted source must not refer to files outside its folder.
            if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
                return Err(Error::artifact(&path, "names of files in the index", format!("{name:?}"), REBUILD));
            }
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

fn read_manifest(path: &Path, bytes: &[u8], help: &str) -> Result<Manifest> {
    let version = |manifest: &serde_json::Value| manifest["format_version"].as_u64().unwrap_or(0);
    // An unknown version is refused below.
    let sealed = u64::from(OLDEST_FORMAT_VERSION) + 1..=u64::from(FORMAT_VERSION);
    let manifest = seal::of_json(path, bytes, "a manifest", help, |manifest| sealed.contains(&version(manifest)))?;
    let known = u64::from(OLDEST_FORMAT_VERSION)..=u64::from(FORMAT_VERSION);
    if !known.contains(&version(&manifest)) {
        let expected = format!("format version {OLDEST_FORMAT_VERSION} to {FORMAT_VERSION}");
        let help = "use the release of catalex that wrote it";
        return Err(Error::artifact(path, expected, &manifest["format_version"], help));
    }
    serde_json::from_value(manifest).map_err(|e| Error::artifact(path, "a manifest", e, help))
}

fn hash_files(folder: &Path, prefix: &str, files: &mut BTreeMap<String, String>) -> Result<()> {
    let fail = |e| Error::io("read", folder, e);
    for entry in fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().map_err(fail)?.is_dir() {
            hash_files(&entry.path(), &format!("{name}/"), files)?;
        } else {
            files.insert(name, sha256_file(&entry.path())?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_or_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("index");
        let writer = IndexWriter::create(&target, Overwrite::Refuse).unwrap();
        fs::create_dir(writer.path(MODEL)).unwrap();
        fs::write(writer.path("model/config.json"), "{}").unwrap();
        fs::write(writer.path(TOKENS), "tokens").unwrap();
        writer.commit(3, "abc", serde_json::json!({"seed": 1})).unwrap();
        let index = Index::open(&target).unwrap();
        assert_eq!(index.manifest().files.keys().collect::<Vec<_>>(), ["model/config.json", TOKENS]);
        let manifest = fs::read_to_string(target.join(MANIFEST)).unwrap();
        for outside in ["/etc/hostname", "../x", "model/../../x"] {
            let changed = manifest.replace("model/config.json", outside);
            let mut value: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&changed).unwrap();
            value.remove(seal::JSON_KEY);
            fs::write(target.join(MANIFEST), seal::to_json(&value).unwrap()).unwrap();
            assert!(Index::open(&target).unwrap_err().to_string().contains(&format!("{outside:?}")));
        }
        fs::write(target.join(MANIFEST), manifest).unwrap();
        fs::write(target.join(TOKENS), "Tokens").unwrap();
        assert!(Index::open(&target).unwrap_err().to_string().contains(TOKENS));
        assert!(
            Index::open_for(&target, &[TOKENS]).is_err() && Index::open_for(&target, &["model/config.json"]).is_ok()
        );
        fs::remove_file(target.join(TOKENS)).unwrap();
        assert!(matches!(Index::open(&target), Err(Error::Missing { .. })));
    }
}
