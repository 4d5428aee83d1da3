//! Atomic files and folders: written beside their target, synced, then renamed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, TempDir};

use crate::error::{Error, Result};

/// Whether an output that already exists may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// No: an error.
    Refuse,
    /// Yes (`--force`).
    Replace,
}

/// A file written beside its target. [`AtomicFile::commit`] moves it into place; dropping it removes it.
#[derive(Debug)]
pub struct AtomicFile {
    target: PathBuf,
    overwrite: Overwrite,
    writer: BufWriter<NamedTempFile>,
}

impl AtomicFile {
    /// Creates a file for the path `target`.
    ///
    /// # Errors
    /// [`Error::OutputExists`] if the target exists and may not be replaced; [`Error::Io`] if the folder cannot be written.
    pub fn create(target: &Path, overwrite: Overwrite) -> Result<Self> {
        refuse_existing(target, overwrite)?;
        if target.is_dir() {
            return Err(Error::file(target, "a file", "a folder", "choose another output path"));
        }
        let temporary = tempfile::Builder::new()
            .prefix(&temporary_prefix(target))
            .tempfile_in(parent(target))
            .map_err(|e| Error::io("create a file in", parent(target), e))?;
        Ok(AtomicFile { target: target.to_path_buf(), overwrite, writer: BufWriter::with_capacity(1 << 18, temporary) })
    }

    /// Moves the file to its target.
    ///
    /// # Errors
    /// [`Error::Io`], for example for a full disk; [`Error::OutputExists`] if another program has created the target meanwhile.
    pub fn commit(self) -> Result<()> {
        let AtomicFile { target, overwrite, writer } = self;
        let temporary = writer.into_inner().map_err(|e| Error::io("write", &target, e.into_error()))?;
        make_readable(temporary.as_file()).map_err(|e| Error::io("write", &target, e))?;
        temporary.as_file().sync_all().map_err(|e| Error::io("write", &target, e))?;
        let renamed = match overwrite {
            Overwrite::Replace => temporary.persist(&target),
            Overwrite::Refuse => temporary.persist_noclobber(&target),
        };
        match renamed {
            Ok(_) => sync_folder(parent(&target)),
            Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => Err(Error::OutputExists { path: target }),
            Err(e) => Err(Error::io("rename the finished file to", &target, e.error)),
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.writer.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Writes a small file atomically.
///
/// # Errors
/// As [`AtomicFile::create`] and [`AtomicFile::commit`].
pub fn write_file(target: &Path, bytes: &[u8], overwrite: Overwrite) -> Result<()> {
    let mut file = AtomicFile::create(target, overwrite)?;
    file.write_all(bytes).map_err(|e| Error::io("write", target, e))?;
    file.commit()
}

/// A folder filled beside its target. [`AtomicDir::commit`] moves it into place; dropping it removes it.
#[derive(Debug)]
pub struct AtomicDir {
    target: PathBuf,
    overwrite: Overwrite,
    temporary: TempDir,
}

impl AtomicDir {
    /// Creates a folder for the path `target`.
    ///
    /// An existing folder is replaced only if it is empty or contains `marker`, the file that marks folders of catalex:
    /// `--force` on the wrong path must not delete other data.
    ///
    /// # Errors
    /// [`Error::OutputExists`]; [`Error::File`] if the marker is absent; [`Error::Io`].
    pub fn create(target: &Path, marker: &str, overwrite: Overwrite) -> Result<Self> {
        refuse_existing(target, overwrite)?;
        if target.exists() && !target.join(marker).is_file() && !is_empty_folder(target) {
            return Err(Error::file(
                target,
                format!("an empty folder or one that contains {marker}"),
                "a folder that catalex did not write",
                "choose another output path; --force replaces only outputs of catalex",
            ));
        }
        let temporary = tempfile::Builder::new()
            .prefix(&temporary_prefix(target))
            .tempdir_in(parent(target))
            .map_err(|e| Error::io("create a folder in", parent(target), e))?;
        Ok(AtomicDir { target: target.to_path_buf(), overwrite, temporary })
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
        let AtomicDir { target, overwrite, temporary } = self;
        sync_tree(temporary.path())?;
        make_folder_readable(temporary.path()).map_err(|e| Error::io("write", &target, e))?;
        let replacing = overwrite == Overwrite::Replace && target.exists();
        let flags = if replacing { RenameFlags::EXCHANGE } else { RenameFlags::NOREPLACE };
        match renameat_with(CWD, temporary.path(), CWD, &target, flags) {
            // After the exchange, the temporary path is the old folder; dropping removes it.
            Ok(()) if replacing => drop(temporary),
            Ok(()) => drop(temporary.keep()),
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

/// SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// [`Error::Io`].
pub fn sha256_file(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(|e| Error::io("read", path, e))? {
            0 => return Ok(hex(&hasher.finalize())),
            n => hasher.update(&buffer[..n]),
        }
    }
}

/// SHA-256 of bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Refuses an output that exists and may not be replaced. Commands call this before long work, too.
///
/// # Errors
/// [`Error::OutputExists`]; [`Error::Missing`] if its parent folder does not exist.
pub fn refuse_existing(target: &Path, overwrite: Overwrite) -> Result<()> {
    if overwrite == Overwrite::Refuse && target.symlink_metadata().is_ok() && !is_empty_folder(target) {
        return Err(Error::OutputExists { path: target.to_path_buf() });
    }
    if !parent(target).is_dir() {
        return Err(Error::Missing {
            path: parent(target).to_path_buf(),
            expected: "the folder to write in".into(),
            help: "create it first, or choose another output path".into(),
        });
    }
    Ok(())
}

fn is_empty_folder(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn temporary_prefix(target: &Path) -> String {
    format!(".{}.part-", target.file_name().unwrap_or_default().to_string_lossy())
}

/// Temporary files are private; finished ones get the usual permissions, 0644 and 0755. The umask is not applied: reading
/// it would mean changing it.
fn make_readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

fn make_folder_readable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
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

fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Error::io("sync", folder, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_file_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("x.bin");
        let mut file = AtomicFile::create(&target, Overwrite::Refuse).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn replacing_a_folder_is_one_step_and_only_for_our_own() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("index");
        let write = |text: &str, overwrite| -> Result<()> {
            let folder = AtomicDir::create(&target, "manifest.json", overwrite)?;
            fs::write(folder.path().join("manifest.json"), text).unwrap();
            folder.commit()
        };
        write("one", Overwrite::Refuse).unwrap();
        assert!(matches!(write("two", Overwrite::Refuse), Err(Error::OutputExists { .. })));
        write("two", Overwrite::Replace).unwrap();
        assert_eq!(fs::read_to_string(target.join("manifest.json")).unwrap(), "two");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);

        let foreign = home.path().join("thesis");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("chapter.txt"), "years").unwrap();
        assert!(AtomicDir::create(&foreign, "manifest.json", Overwrite::Replace).is_err());
        assert!(foreign.join("chapter.txt").exists());
    }

    #[test]
    fn sha256_is_the_standard_one() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
