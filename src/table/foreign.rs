//! Calls the Parquet and Arrow readers, and converts their errors and panics to errors of this library.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::error::ArrowError;

use super::damaged;
use super::open_table::RecordBatches;
use crate::error::{Error, Result};
use crate::guard::guarded;

/// Error texts of the readers for valid files with unsupported features.
const NOT_SUPPORTED: [&str; 6] =
    ["NYI", "not supported", "not yet supported", "not implemented", "Not yet implemented", "Disabled feature"];

/// Runs a reader of another library.
pub(super) fn foreign<T, E: Display>(path: &Path, read: impl FnOnce() -> Result<T, E>) -> Result<T> {
    match guarded(read) {
        Ok(read) => read.map_err(|e| unreadable(path, &e)),
        Err(panicked) => Err(damaged(path, panicked)),
    }
}

/// The batches of a reader of another library. It ends after an error.
pub(super) fn foreign_batches(
    path: &Path,
    mut batches: impl Iterator<Item = std::result::Result<RecordBatch, ArrowError>> + 'static,
) -> RecordBatches {
    let (path, mut rows, mut ended): (PathBuf, usize, bool) = (path.to_path_buf(), 0, false);
    Box::new(std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let batch = match guarded(|| batches.next()) {
            Ok(next) => next?.map_err(|e| after_row(&path, rows, &e)),
            Err(panicked) => Err(after_row(&path, rows, &panicked)),
        };
        ended = batch.is_err();
        rows += batch.as_ref().map_or(0, RecordBatch::num_rows);
        Some(batch)
    }))
}

fn after_row(path: &Path, rows: usize, reason: &dyn Display) -> Error {
    unsupported(path, reason).unwrap_or_else(|| {
        let got = format!("a damaged part after row {rows} ({reason})");
        Error::file(path, "a readable table", got, "write or copy the file again")
    })
}

fn unreadable(path: &Path, reason: &dyn Display) -> Error {
    unsupported(path, reason).unwrap_or_else(|| damaged(path, reason))
}

/// The error for a valid file with an unsupported feature. `None` for a damaged file.
fn unsupported(path: &Path, reason: &dyn Display) -> Option<Error> {
    let reason = reason.to_string();
    let encrypted = reason.contains("encrypt");
    if !encrypted && !NOT_SUPPORTED.iter().any(|words| reason.contains(words)) {
        return None;
    }
    let help = match encrypted {
        true => "write the table without encryption",
        false => "write the table with other options, such as Zstandard compression and plain columns",
    };
    let got = format!("a table that this version does not support ({reason})");
    Some(Error::file(path, "a table of a supported kind", got, help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsupported_files_are_not_called_damaged() {
        let says = |reason: &str| unreadable(Path::new("a.parquet"), &reason).to_string();
        for sound in ["Parquet argument error: NYI: The codec type LZO is not supported yet", "encrypted footer"] {
            assert!(says(sound).contains("does not support") && !says(sound).contains("damaged"), "{}", says(sound));
        }
        assert!(says("EOF: Parquet file too small").contains("damaged"));
    }

    #[test]
    fn a_panic_ends_the_batches_with_an_error() {
        let mut calls = 0;
        let batches = std::iter::from_fn(move || {
            calls += 1;
            assert!(calls < 2, "corrupt offsets");
            Some(Ok(RecordBatch::new_empty(std::sync::Arc::new(arrow::datatypes::Schema::empty()))))
        });
        let read: Vec<Result<RecordBatch>> = foreign_batches(Path::new("a.arrow"), batches).collect();
        assert_eq!(read.len(), 2);
        let error = read[1].as_ref().unwrap_err().to_string();
        assert!(error.contains("a.arrow") && error.contains("damaged") && error.contains("corrupt offsets"), "{error}");
    }
}
