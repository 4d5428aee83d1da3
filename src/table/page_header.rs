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
const BINARY: u8 = 8;
const STRUCT: u8 = 12;

// Fields of the structure `PageHeader`.
const UNPACKED: i16 = 2;
const PACKED: i16 = 3;
const DATA_PAGE: i16 = 5;
const INDEX_PAGE: i16 = 6;
const DICTIONARY_PAGE: i16 = 7;
const DATA_PAGE_V2: i16 = 8;

impl PageHeader {
    /// Reads a header. The Parquet library must find the same sizes in it, so everything is refused that the library
    /// could read in another way: known fields of another type, repeated fields, numbers out of range, and lists.
    pub(super) fn read(reader: impl Read) -> io::Result<Self> {
        let mut thrift = Thrift { reader, read: 0 };
        let (mut header, mut sizes) = (PageHeader { is_compressed: true, ..PageHeader::default() }, [None; 2]);
        let mut kinds = 0;
        thrift.structure(&mut |thrift, field, kind| {
            match (field, kind) {
                (UNPACKED, I32) => sizes[0] = Some(thrift.size()?),
                (PACKED, I32) => sizes[1] = Some(thrift.size()?),
                (1 | 4, I32) => thrift.varint().map(drop)?,
                (DATA_PAGE | INDEX_PAGE | DICTIONARY_PAGE | DATA_PAGE_V2, STRUCT) => {
                    kinds += 1;
                    header.is_dictionary |= field == DICTIONARY_PAGE;
                    thrift.structure(&mut |thrift, inner, kind| header.of_page(thrift, (field, inner), kind))?;
                }
                (1..=8, _) => return Err(other_type(field)),
                _ => thrift.skip(kind, MAX_DEPTH)?,
            }
            Ok(())
        })?;
        if kinds > 1 {
            return Err(invalid("several kinds of pages in one"));
        }
        let [Some(unpacked), Some(packed)] = sizes else { return Err(invalid("a page without a size")) };
        Ok(PageHeader { length: thrift.read, unpacked, packed, ..header })
    }

    /// Reads a field of the header of a page of one kind. The arguments are the kind's field and the field in it.
    fn of_page<R: Read>(&mut self, thrift: &mut Thrift<R>, field: (i16, i16), kind: u8) -> io::Result<()> {
        match (field, kind) {
            ((DATA_PAGE | DATA_PAGE_V2, 1), I32) => self.values = thrift.size()?,
            ((DATA_PAGE_V2, 5 | 6), I32) => self.levels += thrift.size()?,
            ((DATA_PAGE | DICTIONARY_PAGE | DATA_PAGE_V2, 1 | 2) | (DATA_PAGE | DATA_PAGE_V2, 3 | 4), I32) => {
                thrift.varint().map(drop)?;
            }
            ((DATA_PAGE_V2, 7), TRUE | FALSE) => self.is_compressed = kind == TRUE,
            ((DICTIONARY_PAGE, 3), TRUE | FALSE) => {}
            ((DATA_PAGE, 1..=4) | (DICTIONARY_PAGE, 1..=3) | (DATA_PAGE_V2, 1..=7), _) => {
                return Err(other_type(field.1));
            }
            _ => thrift.skip(kind, MAX_DEPTH)?,
        }
        Ok(())
    }
}

struct Thrift<R> {
    reader: R,
    /// Number of bytes read so far.
    read: u64,
}

/// Reads the value of a field. The arguments are the reader, the field's number and its type.
type Field<'a, R> = &'a mut dyn FnMut(&mut Thrift<R>, i16, u8) -> io::Result<()>;

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
        let size = i32::try_from(number).ok().and_then(|size| u64::try_from(size).ok());
        size.ok_or_else(|| invalid("a size that is negative or too large"))
    }

    fn structure(&mut self, field: Field<R>) -> io::Result<()> {
        let mut last = 0i16;
        loop {
            let head = self.byte()?;
            if head & 0x0F == 0 {
                return Ok(());
            }
            let id = match head >> 4 {
                0 => i16::try_from(self.number()?).ok(),
                step => last.checked_add(i16::from(step)),
            };
            last = id.filter(|&id| id > last).ok_or_else(|| invalid("fields that are not in ascending order"))?;
            field(self, last, head & 0x0F)?;
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
            BINARY => {
                let length = self.varint()?;
                self.pass(length)
            }
            STRUCT => self.structure(&mut |thrift, _, kind| thrift.skip(kind, depth)),
            _ => Err(invalid("a list or an unknown type")),
        }
    }
}

fn other_type(field: i16) -> io::Error {
    invalid(&format!("field {field} of another type"))
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
        // structure with a binary value and numbers.
        let inner =
            [field(1, I32, &[80]), field(4, I32, &[6]), field(1, I32, &[4]), field(1, FALSE, &[]), vec![0]].concat();
        let unknown =
            [field(1, BINARY, &[3, b'a', b'b', b'c']), field(1, I16, &[2]), field(3, I64, &[4]), vec![0]].concat();
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
        let deep = [&[0x9C][..], &[0x1C; 100]].concat();
        assert!(PageHeader::read(&deep[..]).unwrap_err().to_string().contains("deeply"));
    }

    /// The Parquet library reads these headers differently or not at all.
    #[test]
    fn ambiguous_headers_are_refused() {
        let sizes = [field(2, I32, &[2]), field(1, I32, &[2])].concat();
        let whole = |rest: &[u8]| [&sizes, rest, &[0]].concat();
        assert!(PageHeader::read(&whole(&[])[..]).is_ok());
        let list = [0x69, 0xF7, 0xFF, 0xFF, 0xFF, 0x7F];
        // Field 65,538, which is field 2 in 16 bits.
        let long_id = [I32, 0x84, 0x80, 0x08, 100];
        let empty = [5 << 4 | STRUCT, 0];
        for (rest, problem) in [
            (&list[..], "a list"),
            (&long_id, "ascending"),
            (&[I32, 4, 100], "ascending"),
            (&[&field(2, STRUCT, &[0])[..], &field(3, STRUCT, &[0])].concat(), "several kinds"),
            (&field(1, I64, &[0]), "field 4 of another type"),
            (&field(5, STRUCT, &[field(7, I32, &[0]), vec![0]].concat()), "field 7 of another type"),
            (&field(4, STRUCT, &[field(1, I64, &[0]), vec![0]].concat()), "field 1 of another type"),
        ] {
            let error = PageHeader::read(&whole(rest)[..]).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
        assert!(PageHeader::read(&whole(&empty)[..]).is_ok());
    }
}
