//! Which files a catalog is, and their bytes, decompressed.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::error::{Error, Result};

/// Extensions of tables, in which a folder of parts is told from a folder of pictures.
pub(super) const TABLES: [&str; 11] =
    ["parquet", "arrow", "arrows", "feather", "ipc", "csv", "tsv", "jsonl", "ndjson", "json", "pq"];
/// Extensions that say how a file is compressed; the first bytes are what counts.
const COMPRESSED: [&str; 4] = ["gz", "gzip", "zst", "zstd"];

/// The form of a table, by its first bytes or its extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Parquet,
    ArrowFile,
    ArrowStream,
    Csv,
    Tsv,
    JsonLines,
}

/// The files of a catalog.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Files {
    /// Pictures of a folder, in the order of their names.
    Pictures(Vec<PathBuf>),
    /// Tables of one form, in the order of their names.
    Tables(Form, Vec<PathBuf>),
}

/// Finds the files of a path: a file, a folder, or a pattern with `*`, `?` or `[...]`.
pub(super) fn find(path: &Path) -> Result<Files> {
    if path.is_dir() {
        return in_folder(path);
    }
    if path.exists() {
        return Ok(Files::Tables(form(path)?, vec![path.to_path_buf()]));
    }
    let missing = || Error::Missing {
        path: path.to_path_buf(),
        expected: "a catalog: Parquet, Arrow, CSV or JSONL, a folder or a pattern of these, or a folder of pictures"
            .into(),
        help: "check the path".into(),
    };
    let pattern = path.to_str().filter(|text| text.contains(['*', '?', '['])).ok_or_else(missing)?;
    let found = glob::glob(pattern)
        .map_err(|e| Error::file(path, "a pattern of file names", e, "mend it; [*] stands for a star"))?;
    let mut files = Vec::new();
    for file in found {
        let file = file.map_err(|e| Error::io("read", path, e.into()))?;
        files.extend(file.is_file().then_some(file));
    }
    if files.is_empty() {
        return Err(missing());
    }
    files.sort();
    tables(path, files)
}

fn in_folder(path: &Path) -> Result<Files> {
    let (mut pictures, mut parts) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(path).map_err(|e| Error::io("read", path, e))? {
        let file = entry.map_err(|e| Error::io("read", path, e))?.path();
        // Such names are for the programs that write parts: _SUCCESS, .part-0.crc.
        let hidden = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(['.', '_']));
        if hidden || !file.is_file() {
            continue;
        }
        match extension(&file) {
            Some(extension) if super::open::PICTURES.contains(&extension.as_str()) => pictures.push(file),
            Some(extension) if TABLES.contains(&extension.as_str()) => parts.push(file),
            _ => {}
        }
    }
    if pictures.is_empty() && parts.is_empty() {
        let expected =
            format!("a folder of tables ({}) or pictures ({})", TABLES.join(", "), super::open::PICTURES.join(", "));
        return Err(Error::file(
            path,
            expected,
            "none of these",
            "name the catalog's table, or a folder that holds some",
        ));
    }
    pictures.sort();
    parts.sort();
    match (pictures.is_empty(), parts.is_empty()) {
        (false, true) => Ok(Files::Pictures(pictures)),
        (true, _) => tables(path, parts),
        (false, false) => {
            let got = format!("{} pictures and {} tables", pictures.len(), parts.len());
            Err(Error::file(path, "a folder of pictures or of tables", got, "name the table itself"))
        }
    }
}

/// Parts have to be of one form.
fn tables(path: &Path, files: Vec<PathBuf>) -> Result<Files> {
    let first = form(&files[0])?;
    for file in &files[1..] {
        let other = form(file)?;
        if other != first {
            let got = format!("{first:?} in {} and {other:?} in {}", files[0].display(), file.display());
            return Err(Error::file(path, "parts of one form", got, "name the parts that belong together"));
        }
    }
    Ok(Files::Tables(first, files))
}

/// The extension before that of the compression, in lower case.
pub(super) fn extension(path: &Path) -> Option<String> {
    let lower = |path: &Path| path.extension().map(|e| e.to_string_lossy().to_lowercase());
    let last = lower(path)?;
    if COMPRESSED.contains(&last.as_str()) { lower(Path::new(path.file_stem()?)) } else { Some(last) }
}

/// The form of a table's file.
pub(super) fn form(path: &Path) -> Result<Form> {
    let mut head = Vec::new();
    let read = |e| unreadable(path, &e);
    bytes(path)?.take(6).read_to_end(&mut head).map_err(read)?;
    let extension = extension(path).unwrap_or_default();
    match (&head[..], extension.as_str()) {
        ([], _) => Err(Error::file(path, "a catalog with items", "an empty file", "check how it was written")),
        (b"ARROW1", _) => Ok(Form::ArrowFile),
        (head, _) if head.starts_with(b"PAR1") => Ok(Form::Parquet),
        (_, "csv") => Ok(Form::Csv),
        (_, "tsv") => Ok(Form::Tsv),
        (_, "jsonl" | "ndjson" | "json") => Ok(Form::JsonLines),
        (_, "arrows") => Ok(Form::ArrowStream),
        (_, "parquet" | "pq" | "arrow" | "feather" | "ipc") => {
            let got = "a damaged file (a file that does not begin as one)";
            Err(Error::file(path, "a readable table", got, "write or copy it again"))
        }
        _ => {
            let help =
                "give it the extension of its format: .parquet, .arrow, .csv, .tsv or .jsonl, and .gz or .zst after";
            Err(Error::file(path, "a Parquet, Arrow, CSV or JSONL table", "something else", help))
        }
    }
}

/// The bytes of a file, decompressed where its first bytes say that it is compressed.
pub(super) fn bytes(path: &Path) -> Result<Box<dyn Read + Send>> {
    let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    let (file, compression) = compression(path, file)?;
    let read = |e| Error::io("read", path, e);
    Ok(match compression {
        None => Box::new(BufReader::new(file)),
        Some(Compression::Gzip) => Box::new(MultiGzDecoder::new(BufReader::new(file))),
        Some(Compression::Zstandard) => Box::new(zstd::Decoder::new(file).map_err(read)?),
    })
}

/// A file that can be read from any place. One that is compressed is unpacked into a temporary file.
pub(super) fn seekable(path: &Path) -> Result<File> {
    let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    let (file, compression) = compression(path, file)?;
    if compression.is_none() {
        return Ok(file);
    }
    let mut unpacked = tempfile::tempfile().map_err(|e| Error::io("unpack", path, e))?;
    io::copy(&mut bytes(path)?, &mut unpacked).map_err(|e| unreadable(path, &e))?;
    unpacked.rewind().map_err(|e| Error::io("unpack", path, e))?;
    Ok(unpacked)
}

enum Compression {
    Gzip,
    Zstandard,
}

fn compression(path: &Path, mut file: File) -> Result<(File, Option<Compression>)> {
    let mut head = Vec::new();
    let read = |e| Error::io("read", path, e);
    (&mut file).take(4).read_to_end(&mut head).map_err(read)?;
    file.rewind().map_err(read)?;
    let compression = match &head[..] {
        [0x1F, 0x8B, ..] => Some(Compression::Gzip),
        [0x28, 0xB5, 0x2F, 0xFD] => Some(Compression::Zstandard),
        _ => None,
    };
    Ok((file, compression))
}

/// A file whose bytes cannot be had: the disk, or a damaged compression.
fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::file(path, "a readable file", format!("a damaged one ({error})"), "write or copy it again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    fn names(files: &Files) -> Vec<String> {
        let (Files::Tables(_, paths) | Files::Pictures(paths)) = files;
        paths.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn parts_are_found_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["part-10.csv", "part-02.csv", "_SUCCESS", ".part-02.csv.crc", "notes.txt"] {
            fs::write(folder.path().join(name), "id\n1\n").unwrap();
        }
        assert_eq!(names(&find(folder.path()).unwrap()), ["part-02.csv", "part-10.csv"]);
        assert_eq!(names(&find(&folder.path().join("part-0*.csv")).unwrap()), ["part-02.csv"]);
        assert!(matches!(find(&folder.path().join("x*.csv")), Err(Error::Missing { .. })));
        fs::write(folder.path().join("part-11.jsonl"), "{\"id\": 1}\n").unwrap();
        assert!(find(folder.path()).unwrap_err().to_string().contains("parts of one form"));
        fs::write(folder.path().join("a.png"), "x").unwrap();
        assert!(find(folder.path()).unwrap_err().to_string().contains("1 pictures and 3 tables"));
    }

    #[test]
    fn compressed_files_are_read_as_if_they_were_not() {
        let folder = tempfile::tempdir().unwrap();
        let text = "id,t\n1,x\n";
        let (gz, zst) = (folder.path().join("a.csv.gz"), folder.path().join("b.csv.zst"));
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        fs::write(&gz, &packed).unwrap();
        fs::write(&zst, zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
        for path in [&gz, &zst] {
            assert_eq!(io::read_to_string(bytes(path).unwrap()).unwrap(), text);
            assert_eq!(io::read_to_string(seekable(path).unwrap()).unwrap(), text);
            assert!(matches!(find(path).unwrap(), Files::Tables(Form::Csv, _)));
        }
        // Cut off in the middle.
        fs::write(&gz, &packed[..packed.len() / 2]).unwrap();
        assert!(seekable(&gz).unwrap_err().to_string().contains("damaged"));
    }
}
