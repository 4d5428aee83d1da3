//! Parsing of a GGUF file's metadata and list of tensors, with every length checked.

use std::path::Path;

use crate::error::{Error, Result};

/// Types of metadata values.
pub(super) const UINT32: u32 = 4;
pub(super) const INT32: u32 = 5;
pub(super) const FLOAT32: u32 = 6;
pub(super) const STRING: u32 = 8;
pub(super) const ARRAY: u32 = 9;
/// Size in bytes of a value per type; strings and arrays have a length prefix instead.
const WIDTHS: [usize; 13] = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
/// The integer types.
const INTEGERS: [u32; 8] = [0, 1, 2, 3, UINT32, INT32, 10, 11];
const DEFAULT_ALIGNMENT: usize = 32;
const VERSIONS: [u32; 2] = [2, 3];

/// A key with the bytes of its value, without the type.
pub(super) struct MetadataEntry<'a> {
    pub(super) key: &'a str,
    pub(super) kind: u32,
    pub(super) value: &'a [u8],
}

/// An entry of the list of tensors.
#[derive(Debug, Clone)]
pub(super) struct GgufTensor<'a> {
    pub(super) name: &'a str,
    /// The innermost dimension first: an embedding matrix is `[dim, rows]`.
    pub(super) shape: Vec<u64>,
    pub(super) kind: u32,
    /// Offset from the start of the data.
    pub(super) offset: u64,
}

/// A GGUF file.
pub(super) struct Gguf<'a> {
    pub(super) version: u32,
    pub(super) entries: Vec<MetadataEntry<'a>>,
    pub(super) tensors: Vec<GgufTensor<'a>>,
    pub(super) alignment: usize,
    /// The tensors' data.
    pub(super) data: &'a [u8],
}

impl<'a> Gguf<'a> {
    /// Parses the metadata and the list of tensors.
    pub(super) fn read(path: &Path, bytes: &'a [u8]) -> Result<Self> {
        let mut cursor = GgufCursor { path, bytes, at: 0 };
        if cursor.take(4)? != b"GGUF" {
            return Err(cursor.fault("the bytes GGUF at the start", "other bytes"));
        }
        let version = cursor.u32()?;
        if !VERSIONS.contains(&version) {
            return Err(cursor.fault("GGUF of version 2 or 3, little-endian", version));
        }
        let (n_tensors, n_entries) = (cursor.u64()?, cursor.u64()?);
        let mut entries = Vec::new();
        for _ in 0..n_entries {
            let key = cursor.string()?;
            let kind = cursor.u32()?;
            let from = cursor.at;
            cursor.skip_value(kind)?;
            entries.push(MetadataEntry { key, kind, value: &bytes[from..cursor.at] });
        }
        let mut tensors = Vec::new();
        for _ in 0..n_tensors {
            let name = cursor.string()?;
            let n_dims = cursor.u32()?;
            if n_dims > 4 {
                return Err(cursor.fault("tensors of at most 4 dimensions", n_dims));
            }
            let shape = (0..n_dims).map(|_| cursor.u64()).collect::<Result<_>>()?;
            tensors.push(GgufTensor { name, shape, kind: cursor.u32()?, offset: cursor.u64()? });
        }
        let alignment = entries.iter().find(|entry| entry.key == "general.alignment");
        let alignment = alignment.and_then(|entry| number(entry.value)).unwrap_or(DEFAULT_ALIGNMENT);
        if alignment == 0 || alignment % 8 != 0 {
            return Err(cursor.fault("an alignment that is a multiple of 8", alignment));
        }
        let from = cursor.at.next_multiple_of(alignment);
        let data = bytes.get(from..).ok_or_else(|| cursor.truncated())?;
        if let Some(tensor) = tensors.iter().find(|t| t.offset > data.len() as u64 || t.offset % alignment as u64 != 0)
        {
            return Err(cursor.fault(&format!("the data of {} inside the file", tensor.name), "an offset beyond it"));
        }
        Ok(Gguf { version, entries, tensors, alignment, data })
    }

    /// The value of a key with this type.
    pub(super) fn entry(&self, key: &str, kind: u32) -> Option<&'a [u8]> {
        self.entries.iter().find(|entry| entry.key == key && entry.kind == kind).map(|entry| entry.value)
    }

    /// The value of a key of any integer type.
    pub(super) fn integer(&self, key: &str) -> Option<u64> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        let integer = INTEGERS.contains(&entry.kind) && entry.value.len() <= 8;
        integer.then(|| entry.value.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// The number of elements and the bytes of an array with this element type.
    pub(super) fn array(&self, key: &str, kind: u32) -> Option<(usize, &'a [u8])> {
        let value = self.entry(key, ARRAY)?;
        let (head, elements) = value.split_at_checked(12)?;
        let n = u64::from_le_bytes(head[4..].try_into().ok()?);
        (number(head)? == kind as usize).then_some((usize::try_from(n).ok()?, elements))
    }

    /// The data of a tensor up to the next one, including padding.
    pub(super) fn data_of(&self, tensor: &GgufTensor) -> &'a [u8] {
        let next = self.tensors.iter().map(|other| other.offset).filter(|&offset| offset > tensor.offset).min();
        let end = next.map_or(self.data.len(), |next| next as usize);
        &self.data[tensor.offset as usize..end]
    }
}

/// The number in the first four bytes.
fn number(bytes: &[u8]) -> Option<usize> {
    let bytes = bytes.get(..4)?.try_into().ok()?;
    Some(u32::from_le_bytes(bytes) as usize)
}

/// The strings of an array, each with a length prefix; validated when the file was parsed.
pub(super) fn strings(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut strings = Vec::new();
    while let Some((length, rest)) = bytes.split_at_checked(8) {
        let length = length.try_into().map_or(0, u64::from_le_bytes) as usize;
        let (string, rest) = rest.split_at(length.min(rest.len()));
        strings.push(string);
        bytes = rest;
    }
    strings
}

/// Reads the file from the start.
struct GgufCursor<'a, 'p> {
    path: &'p Path,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> GgufCursor<'a, '_> {
    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(n).ok_or_else(|| self.truncated())?;
        let taken = self.bytes.get(self.at..end).ok_or_else(|| self.truncated())?;
        self.at = end;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from(self.u32()?) | u64::from(self.u32()?) << 32)
    }

    fn length(&mut self) -> Result<usize> {
        let length = self.u64()?;
        usize::try_from(length).map_err(|_| self.truncated())
    }

    fn string(&mut self) -> Result<&'a str> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| self.fault("names in UTF-8", "other bytes"))
    }

    fn skip_value(&mut self, kind: u32) -> Result<()> {
        match kind {
            STRING => {
                let length = self.length()?;
                self.take(length)?;
            }
            ARRAY => {
                let (kind, n) = (self.u32()?, self.length()?);
                match WIDTHS.get(kind as usize) {
                    Some(&width) if width > 0 => {
                        let length = n.checked_mul(width).ok_or_else(|| self.truncated())?;
                        self.take(length)?;
                    }
                    // Nested arrays could be nested deeper than the stack allows.
                    Some(_) if kind == ARRAY => return Err(self.fault("arrays of values", "an array of arrays")),
                    Some(_) => (0..n).try_for_each(|_| self.skip_value(kind))?,
                    None => return Err(self.fault("values of types 0 to 12", kind)),
                }
            }
            _ => match WIDTHS.get(kind as usize) {
                Some(&width) => self.take(width).map(|_| ())?,
                None => return Err(self.fault("values of types 0 to 12", kind)),
            },
        }
        Ok(())
    }

    fn truncated(&self) -> Error {
        self.fault("a whole GGUF file", format!("one that ends after {} bytes", self.bytes.len()))
    }

    fn fault(&self, expected: &str, got: impl ToString) -> Error {
        Error::file(self.path, expected, got, "pass a GGUF file as written by llama.cpp, or copy it again")
    }
}
