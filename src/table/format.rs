//! The format of a table, detected by its first bytes or its extension.

use std::fmt;
use std::path::Path;

use super::compression::first_bytes;
use super::damaged;
use crate::error::{Error, Result};

/// Extensions of tables.
pub(crate) const TABLE_EXTENSIONS: [&str; 11] =
    ["parquet", "arrow", "arrows", "feather", "ipc", "csv", "tsv", "jsonl", "ndjson", "json", "pq"];
/// Extensions of compressed files. They tell which extension is the format's; the compression itself is detected by
/// content.
const COMPRESSED: [&str; 9] = ["gz", "gzip", "zst", "zstd", "bz2", "xz", "lz4", "sz", "snappy"];
/// First bytes that identify the format.
const HEAD: u64 = 8;
/// Unsupported formats: their first bytes, names, and advice.
const OTHERS: [(&[u8], &str, &str); 12] = [
    (b"PARE", "Parquet with an encrypted footer", "write it without encryption"),
    (b"FEA1", "a Feather file of version 1", "write it as version 2, which is Arrow IPC"),
    (b"BZh", "a file compressed by bzip2", "unpack it, or compress it by gzip or zstd"),
    (b"\xFD7zXZ", "a file compressed by xz", "unpack it, or compress it by gzip or zstd"),
    (b"\x04\x22\x4D\x18", "a file compressed by lz4", "unpack it, or compress it by gzip or zstd"),
    (b"\xFF\x06\x00\x00sNaP", "a file compressed by Snappy", "unpack it, or compress it by gzip or zstd"),
    (b"PK\x03\x04", "a zip archive, such as an Excel workbook", "unpack it, or save the sheet as CSV"),
    (b"\xD0\xCF\x11\xE0", "an old Excel workbook", "save the sheet as CSV"),
    (b"Obj\x01", "an Avro file", "write it as Parquet"),
    (b"ORC", "an ORC file", "write it as Parquet"),
    (b"\x89HDF", "an HDF5 file", "write the table as Parquet, or a matrix as .npy"),
    (b"SQLite f", "a SQLite database", "export the table as CSV"),
];
/// First bytes of an Arrow IPC stream: the marker before its first message.
const STREAM_START: &[u8] = &[0xFF; 4];

/// The format of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TableFormat {
    /// Apache Parquet.
    Parquet,
    /// The Arrow IPC file format (Feather 2).
    ArrowFile,
    /// The Arrow IPC streaming format.
    ArrowStream,
    /// Comma-separated values.
    Csv,
    /// Tab-separated values.
    Tsv,
    /// One JSON object per line.
    JsonLines,
}

impl TableFormat {
    /// Detects the format of a file, by its first bytes or else by its extension; none for an unknown extension.
    ///
    /// # Errors
    /// For an empty file, one of another known format, and one whose content contradicts its extension.
    pub(crate) fn detect(path: &Path) -> Result<Option<Self>> {
        let head = first_bytes(path, HEAD)?;
        let extension = base_extension(path).unwrap_or_default();
        let is_text = std::str::from_utf8(&head).is_ok() && ["csv", "tsv", "jsonl", "ndjson"].contains(&&*extension);
        let other = OTHERS.into_iter().find(|(start, ..)| head.starts_with(start));
        // A column of a CSV file may be called ORC.
        if let Some((_, name, help)) = other.filter(|(start, ..)| !is_text || start.iter().any(|byte| *byte < b' ')) {
            return Err(Error::file(path, "a Parquet, Arrow, CSV or JSON Lines table", name, help));
        }
        match (&head[..], extension.as_str()) {
            ([], _) => Err(Error::file(path, "a table with rows", "an empty file", "check how it was written")),
            (head, _) if head.starts_with(b"ARROW1") => Ok(Some(TableFormat::ArrowFile)),
            (head, _) if head.starts_with(b"PAR1") => Ok(Some(TableFormat::Parquet)),
            // UTF-8 text cannot begin like this.
            (head, _) if head.starts_with(STREAM_START) => Ok(Some(TableFormat::ArrowStream)),
            (_, "csv") => Ok(Some(TableFormat::Csv)),
            (_, "tsv") => Ok(Some(TableFormat::Tsv)),
            (_, "jsonl" | "ndjson" | "json") => Ok(Some(TableFormat::JsonLines)),
            // Streams of versions before 0.15 have no marker.
            (_, "arrows") => Ok(Some(TableFormat::ArrowStream)),
            (_, "parquet" | "pq" | "arrow" | "feather" | "ipc") => {
                Err(damaged(path, format!("it does not begin as a .{extension} file does")))
            }
            _ => Ok(None),
        }
    }

    /// As [`TableFormat::detect`], refusing files of an unknown extension.
    pub(super) fn of(path: &Path) -> Result<Self> {
        Self::detect(path)?.ok_or_else(|| {
            let help = "give the file the extension of its format (.parquet, .arrow, .arrows, .csv, .tsv or .jsonl), \
                        followed by .gz or .zst if it is compressed";
            Error::file(path, "a Parquet, Arrow, CSV or JSON Lines table", "an unknown format", help)
        })
    }
}

impl fmt::Display for TableFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TableFormat::Parquet => "Parquet",
            TableFormat::ArrowFile => "Arrow IPC file",
            TableFormat::ArrowStream => "Arrow IPC stream",
            TableFormat::Csv => "CSV",
            TableFormat::Tsv => "TSV",
            TableFormat::JsonLines => "JSON Lines",
        })
    }
}

/// The extension of the format in lower case: of `a.CSV.gz`, `csv`.
pub(crate) fn base_extension(path: &Path) -> Option<String> {
    let lower = |path: &Path| path.extension().map(|e| e.to_string_lossy().to_lowercase());
    let last = lower(path)?;
    if COMPRESSED.contains(&last.as_str()) { lower(Path::new(path.file_stem()?)) } else { Some(last) }
}

/// Whether a file has the extension of a table, compressed or not.
pub(crate) fn has_table_extension(file: &Path) -> bool {
    base_extension(file).is_some_and(|extension| TABLE_EXTENSIONS.contains(&extension.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_takes_precedence_over_the_extension() {
        let folder = tempfile::tempdir().unwrap();
        let detect = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            TableFormat::detect(&path).map_err(|e| e.to_string())
        };
        assert_eq!(detect("a.csv", b"PAR1 and more"), Ok(Some(TableFormat::Parquet)));
        assert_eq!(detect("a.arrow", b"ARROW1"), Ok(Some(TableFormat::ArrowFile)));
        for stream in ["b.arrow", "b.feather", "b.parquet", "b"] {
            assert_eq!(detect(stream, &[0xFF, 0xFF, 0xFF, 0xFF, 8, 0, 0, 0]), Ok(Some(TableFormat::ArrowStream)));
        }
        assert_eq!(detect("c.arrows", b"ARROW1"), Ok(Some(TableFormat::ArrowFile)));
        for (name, start, says) in [("x.parquet", &b"PARE"[..], "encrypted"), ("x.csv", b"PK\x03\x04", "Excel")] {
            let error = detect(name, start).unwrap_err();
            assert!(error.contains(says) && !error.contains("damaged"), "{error}");
        }
        assert_eq!(detect("A.TSV", b"a\tb"), Ok(Some(TableFormat::Tsv)));
        assert_eq!(detect("a.data", b"1 2 3"), Ok(None));
        assert!(detect("a.parquet", b"id,t").unwrap_err().contains("damaged"));
        assert!(detect("b.csv", b"").unwrap_err().contains("an empty file"));
        assert_eq!(base_extension(Path::new("x/a.CSV.gz")), Some("csv".into()));
    }
}
