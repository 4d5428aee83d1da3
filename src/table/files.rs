//! The files of a table: a file, a folder of files, or a pattern of names.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::dialect::CsvDialect;
use super::folder::{Partition, TableFolder, partitions};
use super::format::{TABLE_EXTENSIONS, TableFormat};
use crate::error::{Error, Result};

/// The files of one table, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableFiles {
    /// The format of all of them.
    pub(crate) format: TableFormat,
    /// At least one.
    pub(crate) files: Vec<PathBuf>,
    /// Quoting of CSV and TSV files.
    pub(super) dialect: CsvDialect,
    /// The root folder. Folder names below it, such as `year=2024`, are columns.
    pub(super) root: Option<PathBuf>,
    /// Notes for the user about skipped files.
    pub(super) notes: Vec<String>,
}

impl TableFiles {
    /// One file.
    pub(crate) fn one(format: TableFormat, file: &Path) -> Self {
        let files = vec![file.to_path_buf()];
        TableFiles { format, files, dialect: CsvDialect::default(), root: None, notes: Vec::new() }
    }

    /// Sets the quote and escape characters of CSV and TSV files.
    #[must_use]
    pub(crate) fn with_dialect(self, dialect: CsvDialect) -> Self {
        TableFiles { dialect, ..self }
    }

    /// Partition columns of a file.
    pub(super) fn partitions(&self, file: &Path) -> Vec<Partition> {
        self.root.as_deref().map_or_else(Vec::new, |root| partitions(root, file))
    }
}

/// Finds the tables of a path: a file, a folder, or a pattern with `*`, `?` or `[...]`. `expected` describes
/// the expected content in an error.
///
/// # Errors
/// [`Error::Missing`] if nothing exists at the path; [`Error::File`] for a folder without tables, or files of different
/// formats.
pub(crate) fn find_tables(path: &Path, expected: &str) -> Result<TableFiles> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => tables_of_folder(path, TableFolder::read(path)?),
        Ok(found) if found.is_file() => Ok(TableFiles::one(TableFormat::of(path)?, path)),
        Ok(_) => {
            let help = "write its content to a file, because catalex opens a table more than once";
            Err(Error::file(path, "a file or a folder", "a device or a pipe", help))
        }
        Err(e) if [ErrorKind::NotFound, ErrorKind::NotADirectory, ErrorKind::InvalidFilename].contains(&e.kind()) => {
            tables_of_pattern(path, expected)
        }
        Err(e) => Err(Error::io("read", path, e)),
    }
}

/// The tables of a folder.
pub(crate) fn tables_of_folder(path: &Path, folder: TableFolder) -> Result<TableFiles> {
    let (note, root) = (folder.note(path), Some(path.to_path_buf()));
    if folder.tables.is_empty() {
        let expected = format!("a folder of tables ({})", TABLE_EXTENSIONS.join(", "));
        let help = "name the file of the table, or a folder of such files";
        return Err(Error::file(path, expected, folder.nothing(), help));
    }
    let found = tables_of(path, folder.tables)?;
    Ok(TableFiles { root, notes: note.into_iter().collect(), ..found })
}

fn tables_of_pattern(path: &Path, expected: &str) -> Result<TableFiles> {
    let missing =
        || Error::Missing { path: path.to_path_buf(), expected: expected.to_owned(), help: "check the path".into() };
    let files = files_of_pattern(path)?;
    if files.is_empty() {
        return Err(missing());
    }
    let is_literal = |part: &std::path::Component| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    let root = Some(path.components().take_while(is_literal).collect());
    Ok(TableFiles { root, ..tables_of(path, files)? })
}

/// The files that match a pattern, sorted by name. Empty if the path is not a pattern.
pub(crate) fn files_of_pattern(path: &Path) -> Result<Vec<PathBuf>> {
    let Some(pattern) = path.to_str().filter(|text| text.contains(['*', '?', '['])) else { return Ok(Vec::new()) };
    let found = glob::glob(pattern)
        .map_err(|e| Error::file(path, "a pattern of file names", e, "correct it; [*] matches a literal star"))?;
    let mut files = Vec::new();
    for file in found {
        let file = file.map_err(|e| Error::io("read", path, e.into()))?;
        files.extend(file.is_file().then_some(file));
    }
    files.sort();
    Ok(files)
}

/// The files directly in a folder, sorted by name. Names that begin with `.` or `_` are ignored: programs that write
/// tables in parts use them for their own files (`_SUCCESS`, `.part-0.crc`).
pub(crate) fn visible_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| Error::io("read", folder, e))? {
        let file = entry.map_err(|e| Error::io("read", folder, e))?.path();
        let hidden = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(['.', '_']));
        if !hidden && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// The files of one table; at least one. They must have the same format.
pub(crate) fn tables_of(path: &Path, files: Vec<PathBuf>) -> Result<TableFiles> {
    let format = TableFormat::of(&files[0])?;
    for file in &files[1..] {
        let other = TableFormat::of(file)?;
        if other != format {
            let got = format!("{format} in {} and {other} in {}", files[0].display(), file.display());
            return Err(Error::file(path, "files of one format", got, "name only files of the same format"));
        }
    }
    Ok(TableFiles { files, ..TableFiles::one(format, path) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files_are_found_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["part-10.csv", "part-02.csv", "_SUCCESS", ".part-02.csv.crc", "notes.txt"] {
            fs::write(folder.path().join(name), "id\n1\n").unwrap();
        }
        let names = |path: &Path| -> Vec<String> {
            let found = find_tables(path, "a table").unwrap().files;
            found.iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names(folder.path()), ["part-02.csv", "part-10.csv"]);
        assert_eq!(names(&folder.path().join("part-0*.csv")), ["part-02.csv"]);
        assert!(matches!(find_tables(&folder.path().join("x*.csv"), "a table"), Err(Error::Missing { .. })));
        let file = folder.path().join("part-02.csv");
        let error = find_tables(&file.join("x.csv"), "a table").unwrap_err().to_string();
        assert!(error.contains("part-02.csv is a file, not a folder") && !error.contains("does not exist"), "{error}");
        fs::write(folder.path().join("part-11.jsonl"), "{\"id\": 1}\n").unwrap();
        let error = find_tables(folder.path(), "a table").unwrap_err().to_string();
        assert!(error.contains("files of one format, got CSV in ") && error.contains("JSON Lines in "), "{error}");
    }
}
