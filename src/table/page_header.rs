//! Reads the header of a Parquet page, which is in Thrift's compact protocol. The Parquet library has no public
//! function for it.

use std::io::{self, Read};

/// The fields of a page header that the checks need.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PageHeader {
    /// Length of the header in bytes.
    pub(super) length: u64,
    /// Size of the page in the file, in bytes.
    pub(super) packed: u64,
    /// Size of the decompressed page, in bytes.
    pub(super) unpacked: u64,
    /// Number of values; 0 for a dictionary page.
    pub(super) values: u64,
    pub(super) is_dictionary: bool,
    /// Number of bytes at the start of the page that are never compressed: the repetition and definition levels of a
    /// version 2 data page.
    pub(super) levels: u64,
    pub(super) is_compressed: bool,
}

/// Maximum nesting depth of structures. The header of a valid page has a depth of three.
const MAX_DEPTH: usize = 8;
// Types of the compact protocol.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;

// Fields of the structure `PageHeader`.
const UNPACKED: i64 = 2;
const PACKED: i64 = 3;
const DATA_PAGE: i64 = 5;
const DICTIONARY_PAGE: i64 = 7;
const DATA_PAGE_V2: i64 = 8;

impl PageHeader {
    /// Reads a header.
    pub(super) fn read(reader: impl Read) -> io::Result<Self> {
        let mut thrift = Thrift { reader, read: 0 };
        let (mut header, mut sizes) = (PageHeader { is_compressed: true, ..PageHeader::default() }, [None; 2]);
        thrift.structure(&mut |thrift, field, kind| {
            match (field, kind) {
                (UNPACKED, I32) => sizes[0] = Some(thrift.size()?),
                (PACKED, I32) => sizes[1] = Some(thrift.size()?),
                (DATA_PAGE | DATA_PAGE_V2, STRUCT) => thrift.structure(&mut |thrift, inner, kind| {
                    match (inner, kind) {
                        (1, I32) => header.values = thrift.size()?,
                        (5 | 6, I32) if field == DATA_PAGE_V2 => header.levels += thrift.size()?,
                        (7, FALSE) if field == DATA_PAGE_V2 => header.is_compressed = false,
                        _ => thrift.skip(kind, MAX_DEPTH)?,
                    }
                    Ok(())
                })?,
                (DICTIONARY_PAGE, STRUCT) => {
                    header.is_dictionary = true;
                    thrift.skip(kind, MAX_DEPTH)?;
                }
                _ => thrift.skip(kind, MAX_DEPTH)?,
            }
            Ok(())
        })?;
        let [Some(unpacked), Some(packed)] = sizes else { return Err(invalid("a page without a size")) };
        Ok(PageHeader { length: thrift.read, unpacked, packed, ..header })
    }
}

struct Thrift<R> {
    reader: R,
    /// Number of bytes read so far.
    read: u64,
}

/// Reads the value of a field. The arguments are the reader, the field's number and its type.
type Field<'a, R> = &'a mut dyn FnMut(&mut Thrift<R>, i64, u8) -> io::Result<()>;

impl<R: Read> Thrift<R> {
    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.reader.read_exact(&mut byte)?;
        self.read += 1;
        Ok(byte[0])
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(invalid("a number of more than 64 bits"))
    }

    fn number(&mut self) -> io::Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn size(&mut self) -> io::Result<u64> {
        let number = self.number()?;
        u32::try_from(number).map(u64::from).map_err(|_| invalid("a size that is negative or too large"))
    }

    fn structure(&mut self, field: Field<R>) -> io::Result<()> {
        let mut id = 0i64;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Ok(());
            }
            id = match head >> 4 {
                0 => self.number()?,
                step => id.saturating_add(i64::from(step)),
            };
            field(self, id, head & 0x0F)?;
        }
    }

    fn pass(&mut self, bytes: u64) -> io::Result<()> {
        let passed = io::copy(&mut (&mut self.reader).take(bytes), &mut io::sink())?;
        self.read += passed;
        if passed < bytes { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn skip(&mut self, kind: u8, depth: usize) -> io::Result<()> {
        let Some(depth) = depth.checked_sub(1) else { return Err(invalid("structures that are nested too deeply")) };
        match kind {
            TRUE | FALSE => Ok(()),
            BYTE => self.pass(1),
            I16 | I32 | I64 => self.varint().map(drop),
            DOUBLE => self.pass(8),
            BINARY => {
                let length = self.varint()?;
                self.pass(length)
            }
            LIST | SET => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                (0..count).try_for_each(|_| self.element(head & 0x0F, depth))
            }
            MAP => match self.varint()? {
                0 => Ok(()),
                count => {
                    let kinds = self.byte()?;
                    (0..count).try_for_each(|_| {
                        self.element(kinds >> 4, depth)?;
                        self.element(kinds & 0x0F, depth)
                    })
                }
            },
            STRUCT => self.structure(&mut |thrift, _, kind| thrift.skip(kind, depth)),
            _ => Err(invalid("an unknown type")),
        }
    }

    /// Skips an element of a list, set or map, in which a boolean takes one byte.
    fn element(&mut self, kind: u8, depth: usize) -> io::Result<()> {
        if matches!(kind, TRUE | FALSE) { self.pass(1) } else { self.skip(kind, depth) }
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the header of a page: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encodes a field. `step` is the difference from the previous field's number.
    fn field(step: u8, kind: u8, value: &[u8]) -> Vec<u8> {
        [&[step << 4 | kind], value].concat()
    }

    #[test]
    fn sizes_and_levels_are_read_and_other_fields_are_skipped() {
        // The page type, sizes of 300 and 20 bytes, a checksum, the header of a version 2 data page, and an unknown
        // structure with a binary value and a list.
        let inner =
            [field(1, I32, &[80]), field(4, I32, &[6]), field(1, I32, &[4]), field(1, FALSE, &[]), vec![0]].concat();
        let unknown = [field(1, BINARY, &[3, b'a', b'b', b'c']), field(1, LIST, &[0x25, 2, 4]), vec![0]].concat();
        let bytes = [
            field(1, I32, &[6]),
            field(1, I32, &[0xD8, 0x04]),
            field(1, I32, &[40]),
            field(1, I32, &[2]),
            field(4, STRUCT, &inner),
            field(1, STRUCT, &unknown),
            vec![0, 99],
        ]
        .concat();
        let header = PageHeader::read(&bytes[..]).unwrap();
        let length = bytes.len() as u64 - 1;
        let expected = PageHeader {
            length,
            packed: 20,
            unpacked: 300,
            values: 40,
            is_dictionary: false,
            levels: 5,
            is_compressed: false,
        };
        assert_eq!(header, expected);
        for cut in 0..bytes.len() - 1 {
            assert!(PageHeader::read(&bytes[..cut]).is_err(), "{cut}");
        }
        let negative = [field(2, I32, &[1]), field(1, I32, &[2]), vec![0]].concat();
        assert!(PageHeader::read(&negative[..]).unwrap_err().to_string().contains("negative"));
        assert!(PageHeader::read(&[0][..]).unwrap_err().to_string().contains("without a size"));
        let deep = [0x1C; 100];
        assert!(PageHeader::read(&deep[..]).is_err());
    }
}
