//! Outputs of catalex: written atomically, by one writer at a time, with a hash of their content.
//!
//! - [`AtomicFile`] and [`AtomicDir`] are written next to their target, synced and then renamed.
//! - [`OutputLock`] is an exclusive lock on an output. It ends with its process.
//! - [`seal`] stores the hash of a file in the file itself, and checks it.

mod file;
mod folder;
mod lock;
mod place;
mod regular;
pub mod seal;
mod tree;

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

pub use file::AtomicFile;
pub use folder::{AtomicDir, FolderKind, sync_folder};
pub use lock::{FolderLock, OutputLock, ReadLock, remove_leftovers_in, temporary_target};
pub use place::{INDEX_MANIFEST, refuse_existing};
pub use regular::{open_regular, read_description, read_input, read_regular, read_text};
pub use tree::files_under;

/// Whether an output that already exists may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Return an error if it exists.
    Refuse,
    /// Replace it (`--force`).
    Replace,
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

/// Copies the content of a file to a new file. The permissions of the new file follow the umask.
///
/// # Errors
/// [`Error::Io`].
pub fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let fail = |e| Error::io("copy", from, e);
    let mut source = open_regular(from).map_err(fail)?;
    let mut target = File::create(to).map_err(|e| Error::io("write", to, e))?;
    std::io::copy(&mut source, &mut target).map(drop).map_err(fail)
}

/// SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// [`Error::Io`].
pub fn sha256_file(path: &Path) -> Result<String> {
    let mut file = open_regular(path).map_err(|e| Error::io("read", path, e))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_matches_the_standard_test_vector() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
