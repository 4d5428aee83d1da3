//! Locks on outputs, and removal of temporary files that killed processes left.
//!
//! The locks are `flock` locks: they belong to an open file and end with the process that opened it, even if it is
//! killed. A writer locks its temporary file or folder, so an unlocked one was left by a killed process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::place::{parent, resolved};
use super::{Overwrite, refuse_existing};
use crate::error::{Error, Result};

/// Number of random characters in the name of a temporary file.
const RANDOM: usize = 6;

/// How long a refused process waits for the owner of a lock to write its ID.
const SIGNED: Duration = Duration::from_secs(1);

/// An exclusive lock on an output. A process or thread that claims a locked output gets an error.
///
/// The lock is a file `.NAME.catalex-lock` next to the output. A killed process can leave the file, but not the lock.
#[derive(Debug)]
pub struct OutputLock {
    path: PathBuf,
    /// Closing this file releases the lock.
    file: File,
}

impl OutputLock {
    /// Locks the output at `target`, and removes temporary files that killed writers left.
    ///
    /// # Errors
    /// [`Error::Busy`] if the output is locked; as [`refuse_existing`]; [`Error::Io`].
    pub fn claim(target: &Path, overwrite: Overwrite) -> Result<Self> {
        refuse_existing(target, overwrite)?;
        let place = resolved(target)?;
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let path = parent(&place).join(format!(".{name}.catalex-lock"));
        let fail = |e| Error::io("create a file in", parent(&place), e);
        let mut file = loop {
            let mut file = open_lock(&path).map_err(fail)?;
            if let Err(TryLockError::WouldBlock) = file.try_lock() {
                return Err(busy(target, &mut file));
            }
            // The previous owner removes the file, so this lock can be on a deleted file.
            if is_at(&file, &path) {
                break file;
            }
        };
        sign(&mut file);
        let lock = OutputLock { path, file };
        remove_leftovers(&place);
        // The previous owner may have written the output between the first check and the lock.
        refuse_existing(target, overwrite)?;
        Ok(lock)
    }
}

impl Drop for OutputLock {
    fn drop(&mut self) {
        if is_at(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// An exclusive lock on a folder whose content changes in place. The lock is held on a file in the folder, which
/// remains.
#[derive(Debug)]
pub struct FolderLock {
    /// Closing this file releases the lock.
    file: File,
}

impl FolderLock {
    /// Locks the file `name` in `folder`. Creates the file if it does not exist.
    ///
    /// # Errors
    /// [`Error::Busy`] if another process or thread holds the lock; [`Error::Io`].
    pub fn claim(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(name);
        let mut file = open_lock(&path).map_err(|e| Error::io("create", &path, e))?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(busy(folder, &mut file));
        }
        sign(&mut file);
        Ok(FolderLock { file })
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // The next owner's refusals must not name this process.
        let _ = self.file.set_len(0);
    }
}

/// A shared lock on a file that is being read. [`ReadLock::unless_read`] does not remove a locked file.
#[derive(Debug)]
pub struct ReadLock {
    /// Closing this file releases the lock.
    _file: File,
}

impl ReadLock {
    /// Locks a file. Returns `None` if the file does not exist or is being removed.
    ///
    /// # Errors
    /// [`Error::Io`] if the file exists and cannot be read.
    pub fn of(path: &Path) -> Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", path, e)),
        };
        let removed = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) || !is_at(&file, path);
        Ok((!removed).then_some(ReadLock { _file: file }))
    }

    /// Runs `remove` unless another process or thread holds a [`ReadLock`] on the file. Returns whether `remove` ran.
    ///
    /// # Errors
    /// The errors of `remove`.
    pub fn unless_read(path: &Path, remove: impl FnOnce() -> Result<()>) -> Result<bool> {
        let file = File::open(path);
        if let Ok(file) = &file
            && matches!(file.try_lock(), Err(TryLockError::WouldBlock))
        {
            return Ok(false);
        }
        remove().map(|()| true)
    }
}

/// Opens or creates a file for a lock. A symbolic link is not followed.
fn open_lock(path: &Path) -> std::io::Result<File> {
    let no_links = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    OpenOptions::new().read(true).write(true).create(true).truncate(false).custom_flags(no_links).open(path)
}

/// Writes the ID of this process into the file of its lock.
fn sign(lock: &mut File) {
    let _ = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
}

/// The error for an output that the owner of this lock is writing. Waits until the owner has signed the lock, at most
/// for [`SIGNED`].
fn busy(output: &Path, lock: &mut File) -> Error {
    let start = Instant::now();
    let process = loop {
        let mut process = String::new();
        let _ = lock.rewind().and_then(|()| lock.read_to_string(&mut process));
        let process = process.strip_suffix('\n').and_then(|id| id.parse().ok());
        if process.is_some() || start.elapsed() > SIGNED {
            break process;
        }
        std::thread::sleep(SIGNED / 100);
    };
    Error::Busy { path: output.to_path_buf(), process }
}

/// Whether `path` still refers to the open file.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |about: fs::Metadata| (about.dev(), about.ino());
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(there)) => identity(open) == identity(there),
        _ => false,
    }
}

/// Locks a new temporary file or folder. Returns false if another process removed it before it was locked.
pub(super) fn lock_part(file: &File, path: &Path) -> bool {
    // On file systems without locks, `remove_leftovers` removes nothing.
    !matches!(file.try_lock(), Err(TryLockError::WouldBlock)) && is_at(file, path)
}

/// The common prefix of the names of a target's temporary files.
pub(super) fn temporary_prefix(target: &Path) -> String {
    format!(".{}.part-", target.file_name().unwrap_or_default().to_string_lossy())
}

/// The name of the target, if `name` is the name of one of its temporary files: `.TARGET.part-RANDOM`. `None` for
/// other names.
pub fn temporary_target(name: &str) -> Option<&str> {
    let (target, random) = name.strip_prefix('.')?.rsplit_once(".part-")?;
    (random.len() == RANDOM && random.bytes().all(|b| b.is_ascii_alphanumeric())).then_some(target)
}

/// A builder of temporary files and folders next to a target. Their permissions follow the umask.
pub(super) fn temporary(mode: u32, prefix: &str) -> tempfile::Builder<'_, 'static> {
    use std::os::unix::fs::PermissionsExt;
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).rand_bytes(RANDOM).permissions(fs::Permissions::from_mode(mode));
    builder
}

/// Removes the temporary files and folders that killed writers of `target` left, which nobody has locked.
pub(super) fn remove_leftovers(target: &Path) {
    let prefix = temporary_prefix(target);
    remove_unlocked(parent(target), |name| name.strip_prefix(&prefix));
}

/// Removes the temporary files and folders that killed writers of any output in `folder` left.
pub fn remove_leftovers_in(folder: &Path) {
    remove_unlocked(folder, |name| name.strip_prefix('.')?.rsplit_once(".part-").map(|(_, random)| random));
}

/// Removes unlocked files and folders that have the name of a temporary file. `random` returns the random part of a
/// name.
fn remove_unlocked(folder: &Path, random: impl Fn(&str) -> Option<&str>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let random = name.to_str().and_then(&random).unwrap_or_default();
        let Ok(kind) = entry.file_type() else { continue };
        let named = random.len() == RANDOM && random.bytes().all(|b| b.is_ascii_alphanumeric());
        if !named || !(kind.is_file() || kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        if let Ok(file) = File::open(&path)
            && file.try_lock().is_ok()
        {
            let _ = if kind.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AtomicFile, Overwrite};
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn an_output_has_one_writer_even_through_links() {
        let home = tempfile::tempdir().unwrap();
        let (target, link) = (home.path().join("index"), home.path().join("link"));
        std::os::unix::fs::symlink("index", &link).unwrap();
        let lock = OutputLock::claim(&target, Overwrite::Refuse).unwrap();
        for (path, overwrite) in [(&target, Overwrite::Refuse), (&link, Overwrite::Replace)] {
            let message = OutputLock::claim(path, overwrite).unwrap_err().to_string();
            assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
        }
        OutputLock::claim(&home.path().join("other"), Overwrite::Refuse).unwrap();
        drop(lock);
        drop(OutputLock::claim(&target, Overwrite::Refuse).unwrap());
        assert_eq!(names(home.path()), ["link"]);
        // The lock file of a killed process does not hold a lock.
        fs::write(home.path().join(".index.catalex-lock"), "1\n").unwrap();
        OutputLock::claim(&target, Overwrite::Refuse).unwrap();
    }

    #[test]
    fn only_one_of_many_concurrent_claims_succeeds() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("index");
        for _ in 0..20 {
            let (barrier, held) = (std::sync::Barrier::new(8), std::sync::Mutex::new(Vec::new()));
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        barrier.wait();
                        held.lock().unwrap().extend(OutputLock::claim(&target, Overwrite::Refuse));
                    });
                }
            });
            assert_eq!(held.into_inner().unwrap().len(), 1);
        }
    }

    #[test]
    fn the_error_names_an_owner_that_signs_late() {
        let home = tempfile::tempdir().unwrap();
        let mut owner = open_lock(&home.path().join("lock")).unwrap();
        owner.try_lock().unwrap();
        std::thread::scope(|scope| {
            let refused = scope.spawn(|| FolderLock::claim(home.path(), "lock").unwrap_err().to_string());
            std::thread::sleep(SIGNED / 20);
            sign(&mut owner);
            let message = refused.join().unwrap();
            assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
        });
        drop(owner);
        drop(FolderLock::claim(home.path(), "lock").unwrap());
        assert_eq!(fs::read_to_string(home.path().join("lock")).unwrap(), "");
    }

    #[test]
    fn files_of_killed_writers_are_removed_and_files_in_use_are_kept() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("a");
        let mut live = AtomicFile::create(&target, Overwrite::Refuse).unwrap();
        let kept = [".a.part-notes", ".a.part-abcde!", ".b.part-abcdef"];
        kept.iter().for_each(|name| fs::write(home.path().join(name), "x").unwrap());
        fs::write(home.path().join(".a.part-abcdef"), "x").unwrap();
        fs::create_dir_all(home.path().join(".a.part-abc123/model")).unwrap();
        drop(OutputLock::claim(&target, Overwrite::Refuse).unwrap());
        let left = names(home.path());
        assert_eq!(left.len(), 4, "{left:?}");
        assert!(kept.iter().all(|name| left.iter().any(|l| l == name)), "{left:?}");
        live.write_all(b"whole").unwrap();
        live.commit().unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "whole");
    }
}
