//! Gzip and Zstandard, detected by the first bytes of a file.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use tempfile::NamedTempFile;

use super::gzip::GzipReader;
use super::text_check::{Utf8Reader, read_error};
use crate::error::{Error, Result};

enum Compression {
    Gzip,
    Zstandard,
}

/// The bytes of a file.
pub(crate) type Bytes = Box<dyn Read + Send>;

/// The bytes of a file, decompressed if necessary.
pub(crate) fn decompressed(path: &Path) -> Result<Bytes> {
    let (file, compression) = detect(path)?;
    Ok(match compression {
        None => Box::new(BufReader::new(file)),
        Some(Compression::Gzip) => Box::new(GzipReader::new(BufReader::new(file))),
        Some(Compression::Zstandard) => Box::new(zstd::Decoder::new(file).map_err(|e| Error::io("read", path, e))?),
    })
}

/// The text of a file, decompressed if necessary. For an encoding other than UTF-8, the error names the encoding.
pub(crate) fn decompressed_text(path: &Path) -> Result<Utf8Reader<Bytes>> {
    decompressed(path).map(Utf8Reader::new)
}

/// A file that can be read from any position. A compressed one is unpacked into a temporary file first.
pub(super) fn seekable(path: &Path) -> Result<File> {
    Ok(match unpacked(path)? {
        None => File::open(path).map_err(|e| Error::io("read", path, e))?,
        Some(temporary) => temporary.into_file(),
    })
}

/// The unpacked copy of a compressed file, positioned at its start; none for a file that is not compressed.
pub(super) fn unpacked(path: &Path) -> Result<Option<NamedTempFile>> {
    if detect(path)?.1.is_none() {
        return Ok(None);
    }
    let unpack = |e| Error::io("unpack", path, e);
    let mut temporary = NamedTempFile::new().map_err(unpack)?;
    io::copy(&mut decompressed(path)?, &mut temporary).map_err(|e| read_error(path, &e))?;
    temporary.rewind().map_err(unpack)?;
    Ok(Some(temporary))
}

/// The first bytes of the decompressed file, at most `length`.
pub(super) fn first_bytes(path: &Path, length: u64) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    decompressed(path)?.take(length).read_to_end(&mut head).map_err(|e| read_error(path, &e))?;
    Ok(head)
}

fn detect(path: &Path) -> Result<(File, Option<Compression>)> {
    let read = |e| Error::io("read", path, e);
    let mut file = File::open(path).map_err(read)?;
    let mut head = Vec::new();
    (&mut file).take(4).read_to_end(&mut head).map_err(read)?;
    file.rewind().map_err(read)?;
    let compression = match &head[..] {
        [0x1F, 0x8B, ..] => Some(Compression::Gzip),
        // Zstandard's parallel writer begins with a frame that readers skip.
        [0x28, 0xB5, 0x2F, 0xFD] | [0x50..=0x5F, 0x2A, 0x4D, 0x18] => Some(Compression::Zstandard),
        _ => None,
    };
    Ok((file, compression))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    #[test]
    fn compressed_files_are_read_like_plain_ones() {
        let folder = tempfile::tempdir().unwrap();
        let text = "id,t\n1,x\n";
        let (gz, zst) = (folder.path().join("a.csv.gz"), folder.path().join("b.csv.zst"));
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        fs::write(&gz, &packed).unwrap();
        fs::write(&zst, zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
        for path in [&gz, &zst] {
            assert_eq!(io::read_to_string(decompressed(path).unwrap()).unwrap(), text);
            assert_eq!(io::read_to_string(seekable(path).unwrap()).unwrap(), text);
            assert_eq!(first_bytes(path, 4).unwrap(), b"id,t");
        }
        fs::write(&gz, &packed[..packed.len() / 2]).unwrap();
        assert!(seekable(&gz).unwrap_err().to_string().contains("damaged"));
    }
}
