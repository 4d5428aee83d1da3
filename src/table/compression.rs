//! Gzip and Zstandard, detected by the first bytes of a file.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use tempfile::NamedTempFile;

use super::gzip::GzipReader;
use super::limits::{MAX_EXPANSION, MAX_SMALL_FILE, MAX_TEXT_EXPANSION, mib};
use super::text_check::{TextFault, Utf8Reader, read_error};
use crate::error::{Error, Result};

enum Compression {
    Gzip,
    Zstandard,
}

/// The bytes of a file.
pub(crate) type Bytes = Box<dyn Read + Send>;

/// The bytes of a file, decompressed if necessary.
pub(crate) fn decompressed(path: &Path) -> Result<Bytes> {
    grown_at_most(path, MAX_TEXT_EXPANSION)
}

/// As [`decompressed`], for data that is written to a temporary file. The limit of the compression ratio is lower.
pub(super) fn decompressed_to_disk(path: &Path) -> Result<Bytes> {
    grown_at_most(path, MAX_EXPANSION)
}

/// The bytes of a file, decompressed if necessary. Reading fails if the decompressed size is above [`MAX_SMALL_FILE`]
/// and more than `times` the compressed size.
fn grown_at_most(path: &Path, times: u64) -> Result<Bytes> {
    let (file, compression) = detect(path)?;
    let failed = |e| Error::io("read", path, e);
    let most = file.metadata().map_err(failed)?.len().saturating_mul(times).max(MAX_SMALL_FILE);
    Ok(match compression {
        None => Box::new(BufReader::new(file)),
        Some(Compression::Gzip) => Box::new(BoundedReader::new(GzipReader::new(BufReader::new(file)), most)),
        Some(Compression::Zstandard) => Box::new(BoundedReader::new(zstd::Decoder::new(file).map_err(failed)?, most)),
    })
}

/// A reader that fails if there are more than `most` bytes.
struct BoundedReader<R> {
    inner: R,
    left: u64,
    most: u64,
}

impl<R> BoundedReader<R> {
    fn new(inner: R, most: u64) -> Self {
        BoundedReader { inner, left: most, most }
    }
}

impl<R: Read> Read for BoundedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            TextFault {
                expected: format!("at most {} after decompression", mib(self.most as usize)),
                got: "more".into(),
                help: "check the origin of the file; if you trust it, decompress it first".into(),
            }
            .into_io()
        })?;
        Ok(read)
    }
}

/// The text of a file, decompressed if necessary. An encoding other than UTF-8 is an error that names the encoding.
pub(crate) fn decompressed_text(path: &Path) -> Result<Utf8Reader<Bytes>> {
    decompressed(path).map(Utf8Reader::new)
}

/// A file that can be read from any position. A compressed file is first decompressed to a temporary file.
pub(super) fn seekable(path: &Path) -> Result<File> {
    Ok(match unpacked(path)? {
        None => File::open(path).map_err(|e| Error::io("read", path, e))?,
        Some(temporary) => temporary.into_file(),
    })
}

/// A decompressed copy of a compressed file, positioned at its start. `None` for a file that is not compressed.
pub(super) fn unpacked(path: &Path) -> Result<Option<NamedTempFile>> {
    if detect(path)?.1.is_none() {
        return Ok(None);
    }
    let unpack = |e| Error::io("unpack", path, e);
    let mut temporary = NamedTempFile::new().map_err(unpack)?;
    io::copy(&mut decompressed_to_disk(path)?, &mut temporary).map_err(|e| read_error(path, &e))?;
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

    #[test]
    fn a_file_that_decompresses_beyond_the_limit_is_refused() {
        let read = |grown: usize, most: u64| {
            let mut reader = BoundedReader::new(io::repeat(b'x').take(grown as u64), most);
            io::copy(&mut reader, &mut io::sink()).map_err(|e| read_error(Path::new("a.zst"), &e).to_string())
        };
        assert_eq!(read(2 << 20, 2 << 20), Ok(2 << 20));
        let error = read((2 << 20) + 1, 2 << 20).unwrap_err();
        assert!(error.contains("a.zst") && error.contains("at most 2 MiB after decompression"), "{error}");
        // A file of less than 1 MiB that would fill 3 GiB of a disk.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet.zst");
        let packed = zstd::encode_all(io::repeat(b'x').take(3 << 30), 1).unwrap();
        assert!(packed.len() < 1 << 20);
        fs::write(&path, packed).unwrap();
        assert!(seekable(&path).unwrap_err().to_string().contains("at most 1024 MiB after decompression"));
    }
}
