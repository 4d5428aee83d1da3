//! The files of a folder.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The regular files of a folder and its subfolders, sorted by path. Symbolic links are followed. Each folder is
/// visited once.
///
/// # Errors
/// [`Error::Io`].
pub fn files_under(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut seen = HashSet::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let fail = |e| Error::io("read", &folder, e);
        if !seen.insert(folder.canonicalize().map_err(fail)?) {
            continue;
        }
        for entry in fs::read_dir(&folder).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            // A dangling link has no content.
            match fs::metadata(&path) {
                Ok(about) if about.is_dir() => folders.push(path),
                Ok(about) if about.is_file() => files.push(path),
                _ => {}
            }
        }
        // If several paths lead to the same folder, the first path in sort order is used.
        folders.sort_by(|a, b| b.cmp(a));
    }
    files.sort();
    Ok(files)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_and_cycles_end() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, elsewhere) = (folder.path().join("a"), folder.path().join("b"));
        fs::create_dir_all(inside.join("sub")).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("x"), "x").unwrap();
        symlink(&inside, inside.join("loop")).unwrap();
        symlink(&elsewhere, inside.join("sub/there")).unwrap();
        symlink(elsewhere.join("x"), inside.join("y")).unwrap();
        symlink("/nothing", inside.join("broken")).unwrap();
        assert_eq!(files_under(&inside).unwrap(), ["sub/there/x", "y"].map(|name| inside.join(name)));
        assert!(files_under(&folder.path().join("c")).is_err());
    }
}
