//! Stores the hash of a file in the file itself.
//!
//! A seal is a text of fixed length, `catalex-sha256:` and 64 hexadecimal digits, somewhere in the file's metadata. The
//! digits are the SHA-256 of the file, computed with zeros in their place, so a change of any bit is detected. Files
//! are sealed while they are written, and checked in one pass with constant memory.

use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::hex;
use crate::error::{Error, Result};

/// The key of the seal in key-value metadata.
pub const KEY: &str = "catalex.sha256";
/// The key of the seal in a JSON object.
pub const JSON_KEY: &str = "sha256";

const MARK: &[u8] = b"catalex-sha256:";
const DIGITS: usize = 64;
/// Length of the end of a streamed file that must contain the seal, in bytes.
pub const TAIL: u64 = 1 << 16;

/// The placeholder that the seal replaces.
pub fn blank() -> String {
    format!("{}{}", String::from_utf8_lossy(MARK), "0".repeat(DIGITS))
}

/// Seals a file in memory. It must contain [`blank`] once.
///
/// # Errors
/// If there is no blank seal.
pub fn seal(bytes: &mut [u8]) -> io::Result<()> {
    let digits = hex(&Sha256::digest(&*bytes));
    fill(bytes, &digits)
}

fn fill(bytes: &mut [u8], digits: &str) -> io::Result<()> {
    let at = position(bytes, blank().as_bytes()).ok_or_else(|| io::Error::other("no blank seal in the file"))?;
    bytes[at + MARK.len()..at + MARK.len() + DIGITS].copy_from_slice(digits.as_bytes());
    Ok(())
}

/// Position of the last occurrence of `pattern`.
fn position(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).rposition(|window| window == pattern)
}

/// Seals a file while it is written. The placeholder must be written after [`SealingWriter::hold`].
#[derive(Debug)]
pub struct SealingWriter<W> {
    out: W,
    hasher: Sha256,
    /// The bytes written since [`SealingWriter::hold`].
    held: Option<Vec<u8>>,
}

impl<W: Write> SealingWriter<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        SealingWriter { out, hasher: Sha256::new(), held: None }
    }

    /// Buffers all further bytes in memory.
    pub fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Fills in the seal and writes the rest.
    ///
    /// # Errors
    /// If there is no blank seal, or the rest cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        let mut held = self.held.take().unwrap_or_default();
        fill(&mut held, &hex(&self.hasher.finalize()))?;
        self.out.write_all(&held)?;
        Ok(self.out)
    }
}

impl<W: Write> Write for SealingWriter<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = match &mut self.held {
            Some(held) => held.write(buf)?,
            None => self.out.write(buf)?,
        };
        self.hasher.update(&buf[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The state of a file's seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seal {
    /// The file has no seal.
    Absent,
    /// The seal matches the content.
    Whole,
    /// The seal does not match the content, or is not a hash.
    Broken,
}

/// Checks a file in memory.
pub fn check_bytes(bytes: &[u8]) -> Seal {
    check(bytes.len() as u64, bytes, bytes).unwrap_or(Seal::Broken)
}

/// Checks a file of this length. `tail` is the end of the file, which contains the seal. `whole` reads the file from
/// the start.
///
/// # Errors
/// If the file cannot be read.
pub fn check(length: u64, tail: &[u8], mut whole: impl Read) -> io::Result<Seal> {
    let Some(at) = position(tail, MARK) else { return Ok(Seal::Absent) };
    let from = at + MARK.len();
    let Some(digits) = tail.get(from..from + DIGITS) else { return Ok(Seal::Broken) };
    let start = length - tail.len() as u64 + from as u64;
    let (mut hasher, mut buffer, mut read) = (Sha256::new(), vec![0; 1 << 18], 0u64);
    loop {
        let n = match whole.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        // The digits in this part of the file are replaced by zeros.
        let within = |at: u64| (at.saturating_sub(read) as usize).min(n);
        buffer[within(start)..within(start + DIGITS as u64)].fill(b'0');
        hasher.update(&buffer[..n]);
        read += n as u64;
    }
    Ok(if hex(&hasher.finalize()).as_bytes() == digits { Seal::Whole } else { Seal::Broken })
}

/// The error for a file whose seal does not match or is missing.
pub fn broken(path: &Path, help: &str) -> Error {
    Error::artifact(path, "content that matches the SHA-256 in the file", "changed content", help)
}

/// Writes a JSON object with a seal as its last key.
///
/// # Errors
/// If the value cannot be serialised or is not an object.
pub fn to_json(value: &impl serde::Serialize) -> io::Result<Vec<u8>> {
    let mut value = serde_json::to_value(value)?;
    let object = value.as_object_mut().ok_or_else(|| io::Error::other("no JSON object"))?;
    object.insert(JSON_KEY.into(), blank().into());
    let mut bytes = serde_json::to_vec_pretty(&value)?;
    bytes.push(b'\n');
    seal(&mut bytes)?;
    Ok(bytes)
}

/// Reads a JSON object, checks its seal and removes it. `required` returns whether the object must have a seal.
///
/// # Errors
/// [`Error::Artifact`] for a seal that does not match or is missing, and for text that is not a JSON object.
pub fn of_json(
    path: &Path,
    bytes: &[u8],
    expected: &str,
    help: &str,
    required: impl Fn(&serde_json::Value) -> bool,
) -> Result<serde_json::Value> {
    let wrong = |got: &dyn std::fmt::Display| Error::artifact(path, expected, got, help);
    let mut value: serde_json::Value = serde_json::from_slice(bytes).map_err(|e| wrong(&e))?;
    let sealed = value.as_object_mut().ok_or_else(|| wrong(&"no JSON object"))?.shift_remove(JSON_KEY).is_some();
    match check_bytes(bytes) {
        Seal::Whole if sealed => Ok(value),
        Seal::Absent if !sealed && !required(&value) => Ok(value),
        _ => Err(broken(path, help)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> Vec<u8> {
        let mut writer = SealingWriter::new(Vec::new());
        writer.write_all(&[7; 1000]).unwrap();
        writer.hold();
        writer.write_all(b"head ").unwrap();
        writer.write_all(blank().as_bytes()).unwrap();
        writer.write_all(b" foot").unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn a_seal_is_the_same_when_streamed_and_in_memory() {
        let mut bytes = [vec![7; 1000], format!("head {} foot", blank()).into_bytes()].concat();
        seal(&mut bytes).unwrap();
        assert_eq!(sealed(), bytes);
        assert_eq!(check_bytes(&bytes), Seal::Whole);
        let tail = &bytes[bytes.len() - 100..];
        assert_eq!(check(bytes.len() as u64, tail, &bytes[..]).unwrap(), Seal::Whole);
        assert!(seal(&mut [1, 2, 3]).is_err());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let whole = sealed();
        let mark = position(&whole, MARK).unwrap();
        for at in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            // If the seal's marker is damaged, its key shows that there was a seal.
            let of_mark = (mark..mark + MARK.len()).contains(&(at / 8));
            assert_eq!(check_bytes(&flipped), if of_mark { Seal::Absent } else { Seal::Broken }, "bit {at}");
        }
        for length in 0..whole.len() {
            assert_ne!(check_bytes(&whole[..length]), Seal::Whole);
        }
    }

    #[test]
    fn every_flipped_bit_of_a_json_object_is_found() {
        let read = |bytes: &[u8]| of_json(Path::new("x"), bytes, "x", "y", |value| value["version"] == 2);
        let value = serde_json::json!({"version": 2, "name": "text"});
        let bytes = to_json(&value).unwrap();
        assert_eq!(read(&bytes).unwrap(), value);
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            // A damaged key is an unknown key, which the reader refuses.
            let unknown = read(&flipped).is_ok_and(|value| value.as_object().is_some_and(|map| map.len() > 2));
            assert!(unknown || read(&flipped).is_err(), "bit {at}");
        }
        assert!(read(b"{\"version\": 1}").is_ok());
        assert!(read(b"{\"version\": 2}").is_err());
    }
}
