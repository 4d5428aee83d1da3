//! Files that are written atomically.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::lock::{lock_part, temporary, temporary_prefix};
use super::place::{parent, refuse_special, resolved};
use super::{Overwrite, refuse_existing};
use crate::error::{Error, Result};

/// A temporary file next to its target. [`AtomicFile::commit`] moves it into place; dropping it removes it.
#[derive(Debug)]
pub struct AtomicFile {
    target: PathBuf,
    overwrite: Overwrite,
    writer: BufWriter<NamedTempFile>,
}

impl AtomicFile {
    /// Creates a file for the path `target`. If the path is a symbolic link, the file that it points to is written.
    ///
    /// # Errors
    /// As [`refuse_existing`]; [`Error::Io`] if the folder cannot be written.
    pub fn create(target: &Path, overwrite: Overwrite) -> Result<Self> {
        refuse_existing(target, overwrite)?;
        let place = resolved(target)?;
        if place.is_dir() {
            return Err(Error::file(target, "a file", "a folder", "choose another output path"));
        }
        let prefix = temporary_prefix(&place);
        let temporary = loop {
            let file = temporary(0o666, &prefix).tempfile_in(parent(&place));
            let file = file.map_err(|e| Error::io("create a file in", parent(&place), e))?;
            if lock_part(file.as_file(), file.path()) {
                break file;
            }
        };
        Ok(AtomicFile { target: place, overwrite, writer: BufWriter::with_capacity(1 << 18, temporary) })
    }

    /// Moves the file to its target.
    ///
    /// # Errors
    /// [`Error::Io`], for example for a full disk; [`Error::OutputExists`] if another program has created the target meanwhile.
    pub fn commit(self) -> Result<()> {
        let AtomicFile { target, overwrite, writer } = self;
        let temporary = writer.into_inner().map_err(|e| Error::io("write", &target, e.into_error()))?;
        temporary.as_file().sync_all().map_err(|e| Error::io("write", &target, e))?;
        refuse_special(&target)?;
        let renamed = match overwrite {
            Overwrite::Replace => temporary.persist(&target),
            Overwrite::Refuse => temporary.persist_noclobber(&target),
        };
        match renamed {
            Ok(_) => super::folder::sync_folder(parent(&target)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_dropped_file_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("x.bin");
        let mut file = AtomicFile::create(&target, Overwrite::Refuse).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }
}
