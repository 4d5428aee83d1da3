//! Checks that text files are UTF-8 while they are read. The error names the actual encoding.

use std::io::{self, Read};
use std::path::Path;

use crate::error::Error;

/// A fault in the content of a text file. Parsers pass it on as the cause of an [`io::Error`].
#[derive(Debug, Clone, thiserror::Error)]
#[error("expected {expected}, got {got}; {help}")]
pub(super) struct TextFault {
    pub(super) expected: String,
    pub(super) got: String,
    pub(super) help: String,
}

impl TextFault {
    pub(super) fn into_io(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self)
    }
}

/// The error for a text file that cannot be read: a fault that a check found, or an error of the disk or of
/// decompression.
pub(super) fn read_error(path: &Path, error: &io::Error) -> Error {
    match error.get_ref().and_then(|cause| cause.downcast_ref::<TextFault>()) {
        Some(fault) => Error::file(path, &fault.expected, &fault.got, &fault.help),
        None => super::damaged(path, error),
    }
}

/// Checks that consecutive pieces of a file are UTF-8.
#[derive(Debug, Default)]
pub(super) struct Utf8Check {
    /// The first bytes of a character that the next piece completes.
    rest: Vec<u8>,
    /// Number of line breaks so far.
    breaks: u64,
    begun: bool,
}

impl Utf8Check {
    /// Checks the next piece. The first one has at least four bytes, unless the file is shorter.
    pub(super) fn check(&mut self, piece: &[u8]) -> Result<(), TextFault> {
        if !std::mem::replace(&mut self.begun, true)
            && let Some(encoding) = wide_encoding(piece)
        {
            return Err(wrong_encoding(format!("text in {encoding}"), encoding));
        }
        let joined;
        let bytes = if self.rest.is_empty() {
            piece
        } else {
            joined = [&self.rest, piece].concat();
            &joined
        };
        match std::str::from_utf8(bytes) {
            Ok(_) => {
                self.breaks += breaks(bytes);
                self.rest.clear();
            }
            Err(e) => {
                let (valid, rest) = bytes.split_at(e.valid_up_to());
                self.breaks += breaks(valid);
                if e.error_len().is_some() {
                    return Err(self.not_utf8(rest[0]));
                }
                self.rest = rest.to_vec();
            }
        }
        Ok(())
    }

    /// Checks that the file does not end within a character.
    pub(super) fn end(&self) -> Result<(), TextFault> {
        self.rest.first().map_or(Ok(()), |&byte| Err(self.not_utf8(byte)))
    }

    fn not_utf8(&self, byte: u8) -> TextFault {
        let line = self.breaks + 1;
        let got = format!("the byte 0x{byte:02X} in line {line}, as in Latin-1, Windows-1252 or another encoding");
        wrong_encoding(got, "WINDOWS-1252")
    }
}

fn breaks(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}

fn wrong_encoding(got: String, from: &str) -> TextFault {
    let help = format!(
        "convert it: iconv -f {from} -t UTF-8 FILE > NEW-FILE (replace {from} if the file has another encoding)"
    );
    TextFault { expected: "text in UTF-8".into(), got, help }
}

/// Detects UTF-16 and UTF-32 by a byte order mark, or by the zero bytes next to ASCII characters.
fn wide_encoding(head: &[u8]) -> Option<&'static str> {
    let zeros = [0, 1, 2, 3].map(|at| head.get(at).map(|&byte| byte == 0));
    Some(match (head, zeros) {
        ([0xFF, 0xFE, 0, 0, ..], _) | (_, [Some(false), Some(true), Some(true), Some(true)]) => "UTF-32LE",
        ([0, 0, 0xFE, 0xFF, ..], _) | (_, [Some(true), Some(true), Some(true), Some(false)]) => "UTF-32BE",
        ([0xFF, 0xFE, ..], _) | (_, [Some(false), Some(true), Some(false), Some(true)]) => "UTF-16LE",
        ([0xFE, 0xFF, ..], _) | (_, [Some(true), Some(false), Some(true), Some(false)]) => "UTF-16BE",
        _ => return None,
    })
}

/// Reads at least `least` bytes, unless the file is shorter.
pub(super) fn fill(inner: &mut impl Read, buffer: &mut [u8], least: usize) -> io::Result<usize> {
    let mut filled = 0;
    while filled < least.min(buffer.len()) {
        match inner.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// Minimum number of bytes to read, so that [`Utf8Check`] sees the start of a file.
pub(super) const LEAST: usize = 4;

/// Passes on the bytes of a text file. Bytes that are not UTF-8 are an error.
pub(crate) struct Utf8Reader<R> {
    inner: R,
    check: Utf8Check,
}

impl<R: Read> Utf8Reader<R> {
    pub(super) fn new(inner: R) -> Self {
        Utf8Reader { inner, check: Utf8Check::default() }
    }
}

impl<R: Read> Read for Utf8Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = fill(&mut self.inner, buffer, LEAST)?;
        let checked = if read == 0 { self.check.end() } else { self.check.check(&buffer[..read]) };
        checked.map_err(TextFault::into_io)?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads with a small buffer, so that characters are split.
    fn read(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut reader = io::BufReader::with_capacity(5, Utf8Reader::new(bytes));
        let mut out = Vec::new();
        reader.read_to_end(&mut out).map(|_| out).map_err(|e| e.to_string())
    }

    #[test]
    fn only_utf_8_is_read_and_other_encodings_are_named() {
        let text = "id,t\n1,caf\u{e9} \u{1f600}\u{1f600}\n";
        assert_eq!(read(text.as_bytes()).unwrap(), text.as_bytes());
        assert_eq!(read("\u{feff}id".as_bytes()).unwrap().len(), 5);
        let utf16 = |to: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(to).collect::<Vec<u8>>();
        let with_mark = [vec![0xFF, 0xFE], utf16(u16::to_le_bytes)].concat();
        let cases: [(Vec<u8>, &str); 6] = [
            (with_mark, "got text in UTF-16LE; convert it: iconv -f UTF-16LE -t UTF-8"),
            (utf16(u16::to_le_bytes), "UTF-16LE"),
            (utf16(u16::to_be_bytes), "UTF-16BE"),
            (text.chars().flat_map(|c| (c as u32).to_le_bytes()).collect(), "UTF-32LE"),
            (b"id,t\n1,caf\xE9\n".to_vec(), "0xE9 in line 2, as in Latin-1, Windows-1252"),
            (b"id\n\xF0\x9F\x98".to_vec(), "0xF0 in line 2"),
        ];
        for (bytes, says) in cases {
            let error = read(&bytes).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
