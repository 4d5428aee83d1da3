//! Resolves output paths, and refuses outputs that must not be replaced.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Overwrite;
use crate::error::{Error, Result};

/// The file that identifies an index. No output is written into an index folder.
pub const INDEX_MANIFEST: &str = "manifest.json";

/// Maximum number of symbolic links between an output path and its file, as in Linux.
const MOST_LINKS: usize = 40;

/// Refuses an output path that exists and must not be replaced, that is neither a file nor a folder, or that lies
/// inside an index. Commands also call this before long work.
///
/// # Errors
/// [`Error::OutputExists`]; [`Error::File`] for a device, a pipe or a socket, and for a path inside an index;
/// [`Error::Missing`] if its parent folder does not exist.
pub fn refuse_existing(target: &Path, overwrite: Overwrite) -> Result<()> {
    let place = resolved(target)?;
    refuse_special(&place)?;
    if overwrite == Overwrite::Refuse && target.symlink_metadata().is_ok() && !is_empty_folder(target) {
        return Err(Error::OutputExists { path: target.to_path_buf() });
    }
    if !parent(&place).is_dir() {
        return Err(Error::Missing {
            path: parent(&place).to_path_buf(),
            expected: "an existing folder for the output".into(),
            help: "create it first, or choose another output path".into(),
        });
    }
    refuse_inside_index(target, &place)
}

/// Follows symbolic links: the link remains, and its target is written.
pub(super) fn resolved(target: &Path) -> Result<PathBuf> {
    // `components` drops a trailing slash, which would make `read_link` follow the link.
    let mut path: PathBuf = target.components().collect();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(to) => path = parent(&path).join(to).components().collect(),
            Err(_) => return Ok(path),
        }
    }
    Err(Error::file(target, "a file or folder", "a cycle of symbolic links", "choose another output path"))
}

/// Refuses a device, a pipe or a socket: renaming a file to its path would remove it.
pub(super) fn refuse_special(place: &Path) -> Result<()> {
    use std::os::unix::fs::FileTypeExt;
    let Ok(about) = fs::metadata(place) else { return Ok(()) };
    let kind = about.file_type();
    if kind.is_file() || kind.is_dir() {
        return Ok(());
    }
    let got = match kind {
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    };
    let help = "choose another output path: outputs are written to a temporary path and renamed";
    Err(Error::file(place, "no file, or a regular file or folder", got, help))
}

/// Refuses a path inside an index, because the manifest lists the hashes of all its files.
fn refuse_inside_index(target: &Path, place: &Path) -> Result<()> {
    let Ok(folder) = fs::canonicalize(parent(place)) else { return Ok(()) };
    let Some(index) = folder.ancestors().find(|folder| is_index(folder)) else { return Ok(()) };
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let beside = index.parent().unwrap_or(index).join(&*name);
    Err(Error::file(
        target,
        "a path outside any index",
        format!("a path in the index {}, whose files must not change", index.display()),
        format!("write it elsewhere, such as to {}", beside.display()),
    ))
}

fn is_index(folder: &Path) -> bool {
    let path = folder.join(INDEX_MANIFEST);
    let manifest = path.is_file().then(|| super::read_description(&path).ok()).flatten();
    let manifest: Option<Value> = manifest.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    manifest.is_some_and(|m| ["format_version", "catalex_version", "files"].iter().all(|key| m.get(key).is_some()))
}

pub(super) fn is_empty_folder(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::super::write_file;
    use super::*;
    use std::os::unix::fs::{FileTypeExt, symlink};

    #[test]
    fn links_are_kept_and_their_targets_are_replaced() {
        let home = tempfile::tempdir().unwrap();
        let (file, link, chain) = (home.path().join("file"), home.path().join("link"), home.path().join("chain"));
        fs::write(&file, "old").unwrap();
        symlink("file", &link).unwrap();
        symlink(&link, &chain).unwrap();
        assert!(matches!(write_file(&chain, b"new", Overwrite::Refuse), Err(Error::OutputExists { .. })));
        write_file(&chain, b"new", Overwrite::Replace).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!([&link, &chain].iter().all(|path| path.symlink_metadata().unwrap().is_symlink()));
        let dangling = home.path().join("dangling");
        symlink(home.path().join("made"), &dangling).unwrap();
        write_file(&dangling, b"new", Overwrite::Replace).unwrap();
        assert_eq!(fs::read_to_string(home.path().join("made")).unwrap(), "new");
        let circle = home.path().join("circle");
        symlink("circle", &circle).unwrap();
        let message = write_file(&circle, b"new", Overwrite::Replace).unwrap_err().to_string();
        assert!(message.contains("cycle of symbolic links"), "{message}");
    }

    #[test]
    fn pipes_sockets_and_devices_are_never_replaced() {
        let home = tempfile::tempdir().unwrap();
        let (pipe, socket, link) = (home.path().join("pipe"), home.path().join("socket"), home.path().join("link"));
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        symlink(&pipe, &link).unwrap();
        for path in [&pipe, &socket, &link, &PathBuf::from("/dev/null")] {
            for overwrite in [Overwrite::Refuse, Overwrite::Replace] {
                let message = write_file(path, b"x", overwrite).unwrap_err().to_string();
                assert!(message.contains("regular file or folder, got a"), "{message}");
            }
        }
        assert!(pipe.metadata().unwrap().file_type().is_fifo());
    }

    #[test]
    fn nothing_is_written_into_an_index() {
        let home = tempfile::tempdir().unwrap();
        let index = home.path().join("index");
        fs::create_dir_all(index.join("model")).unwrap();
        fs::write(index.join(INDEX_MANIFEST), r#"{"name": "a web app"}"#).unwrap();
        write_file(&index.join("report.html"), b"x", Overwrite::Refuse).unwrap();
        let ours = r#"{"format_version": 1, "catalex_version": "0.1.0", "files": {}}"#;
        fs::write(index.join(INDEX_MANIFEST), ours).unwrap();
        for inside in ["report.html", "new.html", "model/new"] {
            let message = write_file(&index.join(inside), b"y", Overwrite::Replace).unwrap_err().to_string();
            assert!(message.contains("outside any index") && message.contains("such as to"), "{message}");
        }
        write_file(&home.path().join("report.html"), b"x", Overwrite::Refuse).unwrap();
    }
}
