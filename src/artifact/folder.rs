//! Folders that are written atomically.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::Value;
use tempfile::TempDir;

use super::lock::{lock_part, remove_leftovers, temporary, temporary_prefix};
use super::place::{is_empty_folder, parent, resolved};
use super::{Overwrite, read_description, refuse_existing};
use crate::error::{Error, Result};

/// A kind of folder that catalex writes. A description file in the folder identifies the kind.
#[derive(Debug, Clone, Copy)]
pub struct FolderKind {
    /// Name of the description file, which contains a JSON object.
    pub marker: &'static str,
    /// Keys of the description.
    pub keys: &'static [&'static str],
    /// Whether a folder with this description can contain a file at this path (with `/` as separator).
    pub lists: fn(&Value, &str) -> bool,
}

impl FolderKind {
    /// Checks that a folder is of this kind and has no other files: `--force` on the wrong path must not delete data.
    fn check(&self, folder: &Path) -> Result<()> {
        let refuse = |got: String| {
            let expected =
                format!("an empty folder, or a folder with only {} and the files that it lists", self.marker);
            let help = "choose another output path, or move the other files; --force replaces only outputs of catalex";
            Err(Error::file(folder, expected, got, help))
        };
        let description = read_description(&folder.join(self.marker)).ok();
        let description: Option<Value> = description.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let ours = |description: &Value| self.keys.iter().all(|key| description.get(key).is_some());
        let Some(description) = description.filter(ours) else {
            return refuse("a folder that catalex did not write".into());
        };
        let mut files = Vec::new();
        list(folder, "", &mut files).map_err(|e| Error::io("read", folder, e))?;
        match files.iter().find(|file| *file != self.marker && !(self.lists)(&description, file)) {
            None => Ok(()),
            Some(file) => refuse(format!("the file {file}")),
        }
    }

    /// Checks what a folder would replace.
    fn check_replaced(&self, place: &Path) -> Result<()> {
        if !place.exists() || is_empty_folder(place) {
            return Ok(());
        }
        if !place.is_dir() {
            return Err(Error::file(place, "a folder", "a file", "choose another output path"));
        }
        self.check(place)
    }
}

/// The paths of all files in a folder and its subfolders.
fn list(folder: &Path, prefix: &str, files: &mut Vec<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{name}/"), files)?;
        } else {
            files.push(name);
        }
    }
    Ok(())
}

/// A temporary folder next to its target. [`AtomicDir::commit`] moves it into place; dropping it removes it.
#[derive(Debug)]
pub struct AtomicDir {
    target: PathBuf,
    kind: &'static FolderKind,
    overwrite: Overwrite,
    temporary: TempDir,
    /// The lock shows other processes that the folder is in use.
    _lock: File,
}

impl AtomicDir {
    /// Creates a folder for the path `target`. If the path is a symbolic link, the folder that it points to is written.
    /// An existing folder is replaced only if it is empty or of the same kind.
    ///
    /// # Errors
    /// As [`refuse_existing`]; [`Error::File`] for a folder of another kind or with other files; [`Error::Io`].
    pub fn create(target: &Path, kind: &'static FolderKind, overwrite: Overwrite) -> Result<Self> {
        refuse_existing(target, overwrite)?;
        let place = resolved(target)?;
        kind.check_replaced(&place)?;
        remove_leftovers(&place);
        let prefix = temporary_prefix(&place);
        let fail = |e| Error::io("create a folder in", parent(&place), e);
        let (temporary, lock) = loop {
            let folder = temporary(0o777, &prefix).tempdir_in(parent(&place)).map_err(fail)?;
            let lock = File::open(folder.path());
            if let Ok(lock) = lock
                && lock_part(&lock, folder.path())
            {
                break (folder, lock);
            }
        };
        Ok(AtomicDir { target: place, kind, overwrite, temporary, _lock: lock })
    }

    /// The temporary folder to write files in.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Moves the folder to its target, in one step even if it replaces another.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::OutputExists`] if another program has created the target meanwhile.
    pub fn commit(self) -> Result<()> {
        let AtomicDir { target, kind, overwrite, temporary, _lock } = self;
        sync_tree(temporary.path())?;
        let replacing = overwrite == Overwrite::Replace && target.exists();
        if replacing {
            kind.check_replaced(&target)?;
        }
        let flags = if replacing { RenameFlags::EXCHANGE } else { RenameFlags::NOREPLACE };
        match renameat_with(CWD, temporary.path(), CWD, &target, flags) {
            // After the exchange, the temporary path is the old folder; dropping removes it.
            Ok(()) if replacing => drop(temporary),
            Ok(()) => drop(temporary.keep()),
            Err(rustix::io::Errno::EXIST) if is_empty_folder(&target) => rename_plainly(temporary, &target, false)?,
            Err(rustix::io::Errno::EXIST) => return Err(Error::OutputExists { path: target }),
            // Some network file systems lack these flags: rename twice.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => rename_plainly(temporary, &target, replacing)?,
            Err(e) => return Err(Error::io("rename the finished folder to", &target, e.into())),
        }
        sync_folder(parent(&target))
    }
}

fn rename_plainly(temporary: TempDir, target: &Path, replacing: bool) -> Result<()> {
    let fail = |e| Error::io("rename the finished folder to", target, e);
    let old = tempfile::Builder::new().prefix(&temporary_prefix(target)).tempdir_in(parent(target)).map_err(fail)?;
    if replacing {
        fs::rename(target, old.path().join("old")).map_err(fail)?;
    }
    fs::rename(temporary.keep(), target).map_err(fail)
}

fn sync_tree(folder: &Path) -> Result<()> {
    let fail = |e| Error::io("sync", folder, e);
    for entry in fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            File::open(&path).and_then(|f| f.sync_all()).map_err(|e| Error::io("sync", &path, e))?;
        }
    }
    sync_folder(folder)
}

/// Syncs the directory entries of a folder to disk.
///
/// # Errors
/// [`Error::Io`].
pub fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Error::io("sync", folder, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: FolderKind =
        FolderKind { marker: "manifest.json", keys: &["format_version"], lists: |_, file| file.starts_with("model/") };

    fn write(target: &Path, version: u32, overwrite: Overwrite) -> Result<()> {
        let folder = AtomicDir::create(target, &KIND, overwrite)?;
        fs::create_dir(folder.path().join("model")).unwrap();
        fs::write(folder.path().join("model/weights"), "x").unwrap();
        fs::write(folder.path().join("manifest.json"), format!("{{\"format_version\": {version}}}")).unwrap();
        folder.commit()
    }

    #[test]
    fn a_folder_is_replaced_atomically() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("index");
        fs::create_dir(&target).unwrap();
        write(&target, 1, Overwrite::Refuse).unwrap();
        assert!(matches!(write(&target, 2, Overwrite::Refuse), Err(Error::OutputExists { .. })));
        write(&target, 2, Overwrite::Replace).unwrap();
        assert!(fs::read_to_string(target.join("manifest.json")).unwrap().contains('2'));
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
        // A symbolic link remains a link.
        let link = home.path().join("link");
        std::os::unix::fs::symlink("index", &link).unwrap();
        write(&link, 3, Overwrite::Replace).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert!(fs::read_to_string(target.join("manifest.json")).unwrap().contains('3'));
    }

    #[test]
    fn only_outputs_of_catalex_are_replaced() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("thesis");
        let refused = |files: &[(&str, &str)]| {
            fs::create_dir_all(folder.join("model")).unwrap();
            files.iter().for_each(|(name, content)| fs::write(folder.join(name), content).unwrap());
            let message = write(&folder, 1, Overwrite::Replace).unwrap_err().to_string();
            for (name, content) in files {
                assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), *content, "{message}");
            }
            fs::remove_dir_all(&folder).unwrap();
            message
        };
        let ours = ("manifest.json", "{\"format_version\": 1}");
        assert!(refused(&[("chapter.txt", "years")]).contains("catalex did not write"));
        assert!(refused(&[("manifest.json", "{\"name\": \"a web app\"}")]).contains("catalex did not write"));
        assert!(refused(&[("manifest.json", "{\"format_v")]).contains("catalex did not write"));
        assert!(refused(&[ours, ("model/weights", "w"), ("notes.txt", "years")]).contains("the file notes.txt"));
        fs::write(&folder, "a file").unwrap();
        assert!(write(&folder, 1, Overwrite::Replace).unwrap_err().to_string().contains("expected a folder"));
        assert_eq!(fs::read_to_string(&folder).unwrap(), "a file");
    }

    #[test]
    fn an_output_that_appeared_meanwhile_is_not_replaced() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("index");
        let folder = AtomicDir::create(&target, &KIND, Overwrite::Replace).unwrap();
        fs::create_dir(&target).unwrap();
        fs::write(target.join("notes.txt"), "years").unwrap();
        assert!(folder.commit().is_err());
        assert!(target.join("notes.txt").exists());
    }
}
