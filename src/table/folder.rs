//! A folder of tables: its files, its partition columns, and the skipped entries.

use std::path::{Path, PathBuf};

use super::format::has_table_extension;
use crate::error::{Error, Result};

/// Maximum number of names in a note.
const MAX_NAMED: usize = 5;
/// Maximum nesting depth of folders. A link to a parent folder would never end.
const MAX_DEPTH: usize = 32;
/// Hive's name for a missing value in a folder name.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The entries of a folder, sorted by name. Names that begin with `.` or `_` are ignored: programs that write
/// partitioned tables use them for metadata.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TableFolder {
    /// Tables, also in folders such as `year=2024` (the layout of Hive and Spark).
    pub(crate) tables: Vec<PathBuf>,
    /// Other files.
    pub(crate) others: Vec<PathBuf>,
    /// Other folders.
    folders: Vec<PathBuf>,
}

impl TableFolder {
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let mut found = TableFolder::default();
        found.add(folder, 0)?;
        Ok(found)
    }

    fn add(&mut self, folder: &Path, depth: usize) -> Result<()> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|e| Error::io("read", folder, e))? {
            entries.push(entry.map_err(|e| Error::io("read", folder, e))?.path());
        }
        entries.sort();
        for path in entries {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(['.', '_']) {
                continue;
            }
            if path.is_dir() {
                match partition(&name) {
                    Some(_) if depth < MAX_DEPTH => self.add(&path, depth + 1)?,
                    _ => self.folders.push(path),
                }
            } else if path.is_file() && has_table_extension(&path) {
                self.tables.push(path);
            } else {
                self.others.push(path);
            }
        }
        Ok(())
    }

    /// Removes and returns the files in `others` that match.
    pub(crate) fn take(&mut self, wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
        let (taken, others) = std::mem::take(&mut self.others).into_iter().partition(|file| wanted(file));
        self.others = others;
        taken
    }

    /// A note about skipped entries, if any.
    pub(crate) fn note(&self, folder: &Path) -> Option<String> {
        self.passed_over().map(|passed| format!("{}: skipped {passed}", folder.display()))
    }

    /// A description of a folder without tables, for errors.
    pub(crate) fn nothing(&self) -> String {
        self.passed_over().map_or("none of these".into(), |passed| format!("none of these, but {passed}"))
    }

    fn passed_over(&self) -> Option<String> {
        let count = |n: usize, what: &str| match n {
            0 => None,
            1 => Some(format!("1 {what}")),
            n => Some(format!("{n} {what}s")),
        };
        let counts = [count(self.others.len(), "other file"), count(self.folders.len(), "folder")];
        let counts: Vec<String> = counts.into_iter().flatten().collect();
        let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().escape_debug().to_string();
        let names: Vec<String> = self.others.iter().chain(&self.folders).take(MAX_NAMED).map(name).collect();
        let more = if self.others.len() + self.folders.len() > MAX_NAMED { ", ..." } else { "" };
        (!counts.is_empty()).then(|| format!("{} ({}{more})", counts.join(" and "), names.join(", ")))
    }
}

/// Name and value of a partition column. The value is `None` if it is missing.
pub(super) type Partition = (String, Option<String>);

/// The partition columns from the folders between `root` and a file.
pub(super) fn partitions(root: &Path, file: &Path) -> Vec<Partition> {
    let below = file.strip_prefix(root).unwrap_or(Path::new(""));
    let folders = below.parent().map(Path::components).into_iter().flatten();
    folders.filter_map(|folder| partition(&folder.as_os_str().to_string_lossy())).collect()
}

/// The partition column of a folder such as `year=2024`.
fn partition(name: &str) -> Option<Partition> {
    let (column, value) = name.split_once('=').filter(|(column, _)| !column.is_empty())?;
    Some((unescaped(column), (value != HIVE_NULL).then(|| unescaped(value))))
}

/// Decodes characters that file names cannot contain, such as `%2F`.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match digits.filter(|_| byte == b'%').and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn hive_folders_are_read_and_other_entries_are_counted() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "id\n1\n").unwrap();
        };
        let all =
            ["a.csv", "year=2024/month=1/b.csv", "year=2023/c.csv", "notes.txt", "old/d.csv", "_SUCCESS", ".x/e.csv"];
        all.iter().for_each(|name| write(name));
        let found = TableFolder::read(root.path()).unwrap();
        let tables = ["a.csv", "year=2023/c.csv", "year=2024/month=1/b.csv"].map(|name| root.path().join(name));
        assert_eq!(found.tables, tables);
        let note = found.note(root.path()).unwrap();
        assert!(note.ends_with("skipped 1 other file and 1 folder (notes.txt, old)"), "{note}");
        std::os::unix::fs::symlink(root.path(), root.path().join("year=0")).unwrap();
        TableFolder::read(root.path()).unwrap();
    }

    #[test]
    fn names_of_folders_are_columns() {
        let columns =
            partitions(Path::new("t"), Path::new("t/country=a%2Fb%C3%A9/x/day=__HIVE_DEFAULT_PARTITION__/p=1=2/f.csv"));
        let text = |text: &str| Some(text.to_owned());
        let expected = [("country".into(), text("a/b\u{e9}")), ("day".into(), None), ("p".into(), text("1=2"))];
        assert_eq!(columns, expected);
        assert_eq!(partition("100%=50%"), Some(("100%".into(), text("50%"))));
        assert_eq!(partition("=x"), None);
    }
}
