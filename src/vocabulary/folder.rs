//! Reads the files of a Hugging Face folder. Links are followed only inside the folder, and in a Hugging Face cache
//! from `snapshots/` to `blobs/`: a folder from an untrusted source must not make catalex copy other files of the
//! machine.

use std::fs::{self, FileType};
use std::path::{Path, PathBuf};

use crate::artifact::read_regular;
use crate::error::{Error, Result};

/// The path of a file in a folder, if it exists.
///
/// # Errors
/// As [`check_file`].
pub(super) fn find_file(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    let path = folder.join(name);
    if fs::symlink_metadata(&path).is_err() {
        return Ok(None);
    }
    check_file(folder, &path)?;
    Ok(Some(path))
}

/// The bytes of a file in a folder, if it exists.
///
/// # Errors
/// As [`check_file`]; [`Error::Io`] if it cannot be read.
pub(super) fn read_file(folder: &Path, name: &str) -> Result<Option<Vec<u8>>> {
    let path = find_file(folder, name)?;
    path.map(|path| read_regular(&path).map_err(|e| Error::io("read", &path, e))).transpose()
}

/// The text of a file in a folder, if it exists.
///
/// # Errors
/// As [`read_file`]; [`Error::File`] if it is not UTF-8.
pub(super) fn read_text(folder: &Path, name: &str) -> Result<Option<String>> {
    let bytes = read_file(folder, name)?;
    bytes.map(|bytes| String::from_utf8(bytes).map_err(|e| unusable(&folder.join(name), e))).transpose()
}

/// The error for a file that is not part of a tokenizer.
pub(super) fn unusable(path: &Path, reason: impl ToString) -> Error {
    Error::file(path, "part of a Hugging Face tokenizer", reason, "save it again with AutoTokenizer's save_pretrained")
}

/// Checks that a path is a regular file in a folder.
///
/// # Errors
/// [`Error::File`] for links to other places or to nothing, and for pipes, sockets, devices and folders.
pub(super) fn check_file(folder: &Path, path: &Path) -> Result<()> {
    let refuse = |got: String| {
        let expected = "a regular file, or a link to a file in this folder or its Hugging Face cache";
        Err(Error::file(path, expected, got, "copy the file itself into the folder, or remove it"))
    };
    let Ok(real) = fs::canonicalize(path) else { return refuse("a link to nothing".into()) };
    let home = fs::canonicalize(folder).map_err(|e| Error::io("read", folder, e))?;
    if !real.starts_with(&home) && !is_blob_of(&home, &real) {
        return refuse(format!("a link to {}", real.display()));
    }
    let kind = fs::metadata(&real).map_err(|e| Error::io("read", path, e))?.file_type();
    if kind.is_file() { Ok(()) } else { refuse(name_of(kind).into()) }
}

/// Whether a file is in `blobs/` of the cached repository whose `snapshots/REVISION` is the folder or contains it.
fn is_blob_of(folder: &Path, file: &Path) -> bool {
    let snapshots = folder.ancestors().filter(|path| path.file_name().is_some_and(|name| name == "snapshots"));
    let blobs = snapshots.filter_map(|path| Some(path.parent()?.join("blobs"))).next();
    blobs.is_some_and(|blobs| file.parent() == Some(&blobs))
}

#[cfg(unix)]
fn name_of(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match kind {
        _ if kind.is_dir() => "a folder",
        _ if kind.is_fifo() => "a named pipe",
        _ if kind.is_socket() => "a socket",
        _ if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "another kind of file",
    }
}

#[cfg(not(unix))]
fn name_of(kind: FileType) -> &'static str {
    if kind.is_dir() { "a folder" } else { "another kind of file" }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_only_into_the_folder_or_its_cache() {
        let home = tempfile::tempdir().unwrap();
        let repository = home.path().join("hub/models--a--b");
        let folder = repository.join("snapshots/1234/tok");
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir(repository.join("blobs")).unwrap();
        fs::write(repository.join("blobs/ab12"), "{}").unwrap();
        fs::write(home.path().join("secret"), "key").unwrap();
        fs::write(folder.join("file"), "x").unwrap();
        symlink("../../../blobs/ab12", folder.join("cached")).unwrap();
        symlink("file", folder.join("beside")).unwrap();
        symlink("../../../../../secret", folder.join("outside")).unwrap();
        symlink("nowhere", folder.join("broken")).unwrap();
        symlink("/dev/null", folder.join("device")).unwrap();
        symlink(home.path(), folder.join("parent")).unwrap();
        fs::create_dir(folder.join("inner")).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap();

        assert_eq!(read_file(&folder, "cached").unwrap().unwrap(), b"{}");
        assert_eq!(read_file(&folder, "beside").unwrap().unwrap(), b"x");
        assert_eq!(read_file(&folder, "none").unwrap(), None);
        let refused = [
            ("outside", "secret"),
            ("broken", "a link to nothing"),
            ("device", "/dev/null"),
            ("parent/secret", "secret"),
            ("inner", "a folder"),
            ("socket", "a socket"),
        ];
        for (name, says) in refused {
            let message = read_file(&folder, name).unwrap_err().to_string();
            assert!(message.contains(name) && message.contains(says), "{message}");
        }
        drop(socket);
        // The same folder through a link.
        symlink(&folder, home.path().join("link")).unwrap();
        assert!(read_file(&home.path().join("link"), "cached").unwrap().is_some());
    }
}
