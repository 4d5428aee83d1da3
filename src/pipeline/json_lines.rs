//! JSON Lines: one object per line.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Reads a file line by line; `take` is given each object and the number of its line, from 1. Empty lines are skipped.
///
/// # Errors
/// [`Error::Io`]; [`Error::File`] names the line that is not as `expected`; those of `take`.
pub(super) fn each<T: DeserializeOwned>(
    path: &Path,
    expected: &str,
    mut take: impl FnMut(T, usize) -> Result<()>,
) -> Result<()> {
    let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    for (at, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|e| Error::io("read", path, e))?;
        if line.trim().is_empty() {
            continue;
        }
        let record = serde_json::from_str(&line).map_err(|e| {
            let (expected, got) = (format!("JSON Lines: {expected}"), format!("line {}: {e}", at + 1));
            Error::file(path, expected, got, "write one object per line")
        })?;
        take(record, at + 1)?;
    }
    Ok(())
}

/// Writes a record and a line break. `path` is the file name for errors.
///
/// # Errors
/// [`Error::Io`].
pub(super) fn write(mut file: impl Write, path: &Path, record: &impl Serialize) -> Result<()> {
    let written = serde_json::to_writer(&mut file, record).map_err(Into::into).and_then(|()| file.write_all(b"\n"));
    written.map_err(|e| Error::io("write", path, e))
}

/// All objects of a file.
///
/// # Errors
/// As [`each`].
pub(super) fn all<T: DeserializeOwned>(path: &Path, expected: &str) -> Result<Vec<T>> {
    let mut found = Vec::new();
    each(path, expected, |record, _| {
        found.push(record);
        Ok(())
    })?;
    Ok(found)
}
