//! The files of interactions: tables, or lines `user item item ...`, in a file, a folder or a pattern.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::table::{
    TableFiles, TableFormat, base_extension, files_of_pattern, find_tables, has_table_extension, visible_files,
};

/// Extension of files with lines `user item item ...`.
pub(super) const LINES_EXTENSION: &str = "txt";

const EXPECTED: &str =
    "interactions: Parquet, Arrow, CSV or JSON Lines, a folder or a pattern of these, or .txt with one line per user";

/// The files that a path of interactions names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum EventFiles {
    /// Rows of events.
    Tables(TableFiles),
    /// Lines of users; at least one file.
    Lines(Vec<PathBuf>),
}

impl EventFiles {
    /// Finds the files of a path.
    ///
    /// # Errors
    /// [`Error::Missing`] if nothing exists at the path; [`Error::File`] for files without events.
    pub(super) fn find(path: &Path) -> Result<Self> {
        if path.is_dir() {
            let files = visible_files(path)?;
            let lines: Vec<PathBuf> = files.iter().filter(|file| is_lines(file)).cloned().collect();
            // Text files next to tables do not contain events.
            return match lines.is_empty() || files.iter().any(|file| has_table_extension(file)) {
                true => find_tables(path, EXPECTED).map(EventFiles::Tables),
                false => Ok(EventFiles::Lines(lines)),
            };
        }
        if path.is_file() {
            return match TableFormat::detect(path)? {
                Some(_) => find_tables(path, EXPECTED).map(EventFiles::Tables),
                None if is_lines(path) => Ok(EventFiles::Lines(vec![path.to_path_buf()])),
                // In a table with an unknown extension, numbers would be mistaken for items.
                None => {
                    let help = "give it the extension of its format: .parquet, .arrow, .arrows, .csv, .tsv, .jsonl, or .txt \
                                for lines";
                    let expected = "a table of events, or lines \"user item item ...\"";
                    Err(Error::file(path, expected, "an unknown format", help))
                }
            };
        }
        match is_lines(path).then(|| files_of_pattern(path)).transpose()? {
            Some(lines) if !lines.is_empty() => Ok(EventFiles::Lines(lines)),
            _ => find_tables(path, EXPECTED).map(EventFiles::Tables),
        }
    }
}

/// Whether a file has the extension [`LINES_EXTENSION`], possibly followed by the extension of a compressed file.
fn is_lines(path: &Path) -> bool {
    base_extension(path).is_some_and(|extension| extension == LINES_EXTENSION)
}
