//! Writes an index. A child of another index can share its files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{FORMAT_VERSION, Generation, Index, MANIFEST, Manifest};
use crate::artifact::{AtomicDir, FolderKind, Overwrite, copy_file, sha256_file};
use crate::error::{Error, Result};

/// The folder kind of an index.
const KIND: FolderKind = FolderKind {
    marker: MANIFEST,
    keys: &["format_version", "catalex_version", "model_hash", "files"],
    lists: |manifest, file| manifest["files"].get(file).is_some(),
};

/// Writes an index.
#[derive(Debug)]
pub struct IndexWriter {
    folder: AtomicDir,
    /// Hashes of the files that are shared with another index.
    shared: BTreeMap<String, String>,
}

impl IndexWriter {
    /// Starts an index at `target`.
    ///
    /// # Errors
    /// As [`AtomicDir::create`].
    pub fn create(target: &Path, overwrite: Overwrite) -> Result<Self> {
        Ok(IndexWriter { folder: AtomicDir::create(target, &KIND, overwrite)?, shared: BTreeMap::new() })
    }

    /// The path to write a part of the index to.
    pub fn path(&self, part: &str) -> PathBuf {
        self.folder.path().join(part)
    }

    /// Shares a file of another index, or all files in a folder of it, such as [`MODEL`](super::MODEL). Creates hard
    /// links, or copies if the file system has no hard links. Files of an index never change, so a link is equivalent
    /// to a copy. The hashes are taken from the other index. Returns the number of shared files: 0 if the other index
    /// has no such part.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn share(&mut self, from: &Index, part: &str) -> Result<usize> {
        let inside = |name: &str| name.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let mut taken = 0;
        for name in from.manifest().files.keys().filter(|name| inside(name)) {
            self.share_file(from, name)?;
            taken += 1;
        }
        Ok(taken)
    }

    /// Shares one file of another index. `name` can also be the manifest, which is not listed in itself.
    pub(super) fn share_file(&mut self, from: &Index, name: &str) -> Result<()> {
        let (source, target) = (from.path(name), self.path(name));
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
        }
        // The target of a symbolic link is copied, because the link could point outside the index.
        if source.is_symlink() || fs::hard_link(&source, &target).is_err() {
            copy_file(&source, &target)?;
        }
        self.shared.extend(from.manifest().files.get(name).map(|hash| (name.to_owned(), hash.clone())));
        Ok(())
    }

    /// Hashes the files, writes the manifest and moves the folder to its target.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn commit(
        self,
        items: u64,
        model_hash: &str,
        settings: serde_json::Value,
        generation: Generation,
    ) -> Result<Manifest> {
        let mut files = BTreeMap::new();
        hash_files(self.folder.path(), "", &self.shared, &mut files)?;
        let manifest = Manifest {
            format_version: FORMAT_VERSION,
            catalex_version: env!("CARGO_PKG_VERSION").into(),
            items,
            model_hash: model_hash.into(),
            generation,
            settings,
            files,
        };
        self.commit_manifest(&manifest)?;
        Ok(manifest)
    }

    /// Writes `manifest`, which must describe the written files, and moves the folder to its target.
    pub(super) fn commit_manifest(self, manifest: &Manifest) -> Result<()> {
        let path = self.path(MANIFEST);
        let json = manifest.to_json().map_err(|e| Error::io("write", &path, e))?;
        fs::write(&path, json).map_err(|e| Error::io("write", &path, e))?;
        self.folder.commit()
    }

    /// Moves the folder to its target. All its files, including the manifest, must be shared with another index.
    pub(super) fn commit_shared(self) -> Result<()> {
        self.folder.commit()
    }
}

fn hash_files(
    folder: &Path,
    prefix: &str,
    known: &BTreeMap<String, String>,
    files: &mut BTreeMap<String, String>,
) -> Result<()> {
    let fail = |e| Error::io("read", folder, e);
    for entry in fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().map_err(fail)?.is_dir() {
            hash_files(&entry.path(), &format!("{name}/"), known, files)?;
        } else {
            let hash = known.get(&name).cloned().map_or_else(|| sha256_file(&entry.path()), Ok)?;
            files.insert(name, hash);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{ChangeKind, MODEL, TOKENS};
    use super::*;
    use crate::artifact::seal;
    use std::os::unix::fs::MetadataExt;

    /// An index with a model and a table.
    fn written(target: &Path) -> Index {
        let writer = IndexWriter::create(target, Overwrite::Refuse).unwrap();
        fs::create_dir(writer.path(MODEL)).unwrap();
        fs::write(writer.path("model/config.json"), "{}").unwrap();
        fs::write(writer.path(TOKENS), "tokens").unwrap();
        writer.commit(3, "abc", serde_json::json!({"seed": 1}), Generation::default()).unwrap();
        Index::open(target).unwrap()
    }

    #[test]
    fn a_changed_or_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("index");
        let index = written(&target);
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
        assert!(Index::open_for(&target, &[TOKENS]).is_err() && Index::open_for(&target, &["model", "vocab"]).is_ok());
        fs::remove_file(target.join(TOKENS)).unwrap();
        assert!(matches!(Index::open(&target), Err(Error::Missing { .. })));
    }

    #[test]
    fn a_child_shares_files_of_its_parent() {
        let home = tempfile::tempdir().unwrap();
        let parent = written(&home.path().join("0"));
        let target = home.path().join("1");
        let mut writer = IndexWriter::create(&target, Overwrite::Refuse).unwrap();
        assert_eq!((writer.share(&parent, MODEL).unwrap(), writer.share(&parent, "mod").unwrap()), (1, 0));
        fs::write(writer.path(TOKENS), "more tokens").unwrap();
        let generation = Generation {
            number: 1,
            parent: Some(parent.manifest().hash()),
            change: ChangeKind::Append,
            ..Generation::default()
        };
        let settings = parent.manifest().settings.clone();
        writer.commit(4, "abc", settings, generation.clone()).unwrap();
        let child = Index::open(&target).unwrap();
        assert_eq!(child.manifest().generation, generation);
        let file = |index: &Index, name: &str| index.path(name).metadata().unwrap().ino();
        assert_eq!(file(&child, "model/config.json"), file(&parent, "model/config.json"));
        // Deleting a parent does not affect its child.
        fs::remove_dir_all(home.path().join("0")).unwrap();
        Index::open(&target).unwrap();
    }

    /// The target of a symbolic link is copied to the child.
    #[test]
    fn a_link_out_of_the_parent_is_copied() {
        let home = tempfile::tempdir().unwrap();
        let parent = written(&home.path().join("0"));
        let outside = home.path().join("outside");
        fs::rename(parent.path("model/config.json"), &outside).unwrap();
        std::os::unix::fs::symlink(&outside, parent.path("model/config.json")).unwrap();
        let mut writer = IndexWriter::create(&home.path().join("1"), Overwrite::Refuse).unwrap();
        writer.share(&parent, MODEL).unwrap();
        assert!(!writer.path("model/config.json").is_symlink() && writer.path("model/config.json").is_file());
    }

    /// The hashes that the parent recorded apply, so damage in the parent is detected in the child.
    #[test]
    fn a_shared_file_keeps_the_hash_from_its_parent() {
        let home = tempfile::tempdir().unwrap();
        let parent = written(&home.path().join("0"));
        fs::write(parent.path("model/config.json"), "[]").unwrap();
        let target = home.path().join("1");
        let mut writer = IndexWriter::create(&target, Overwrite::Refuse).unwrap();
        writer.share(&parent, "model/config.json").unwrap();
        writer.commit(4, "abc", serde_json::json!({}), Generation::default()).unwrap();
        assert!(Index::open(&target).unwrap_err().to_string().contains("config.json"));
    }
}
