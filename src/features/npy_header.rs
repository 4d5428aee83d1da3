//! Parses the header of a `.npy` file, in the fixed form that `numpy.save` writes, in one pass without recursion.
//!
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>: magic bytes, a version, the length of the
//! header, and a Python dictionary with the keys `descr`, `fortran_order` and `shape`.

use std::io::Read;

/// The first bytes of a file.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";
/// Maximum length of the header, in bytes. The header of a matrix has about 100 bytes.
const LONGEST: usize = 1 << 16;
/// Maximum number of dimensions, as in NumPy.
const MOST_DIMENSIONS: usize = 64;

/// The content of the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NpyHeader {
    /// The type of the numbers, such as `<f4`.
    pub(super) descr: String,
    /// Whether the numbers are in column-major (Fortran) order.
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<usize>,
    /// Number of bytes before the first number.
    pub(super) length: usize,
}

impl NpyHeader {
    /// Reads the header.
    ///
    /// # Errors
    /// A description of the fault.
    pub(super) fn read(mut file: impl Read) -> Result<Self, String> {
        let mut bytes = |count: usize| {
            let mut bytes = vec![0; count];
            file.read_exact(&mut bytes).map(|()| bytes).map_err(|_| "a truncated header".to_owned())
        };
        let head = bytes(MAGIC.len() + 2)?;
        if !head.starts_with(MAGIC) {
            return Err("the first bytes of another format".into());
        }
        let (version, size) = (head[MAGIC.len()], if head[MAGIC.len()] == 1 { 2 } else { 4 });
        if !(1..=3).contains(&version) {
            return Err(format!("version {version} of the format"));
        }
        let length = bytes(size)?.iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte));
        if length > LONGEST {
            return Err(format!("a header of {length} bytes"));
        }
        let text = String::from_utf8(bytes(length)?).map_err(|_| "a header that is not text".to_owned())?;
        let (descr, fortran_order, shape) = dictionary(&text).ok_or("a header that numpy.save does not write")?;
        Ok(NpyHeader { descr, fortran_order, shape, length: MAGIC.len() + 2 + size + length })
    }
}

/// The values of `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, whose keys may come in any order.
fn dictionary(text: &str) -> Option<(String, bool, Vec<usize>)> {
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    while !rest.is_empty() {
        let (key, after) = quoted(rest)?;
        let value = after.trim_start().strip_prefix(':')?.trim_start();
        rest = match key {
            // A record type with several fields is a list.
            "descr" if value.starts_with('[') => return Some(("several fields".into(), false, Vec::new())),
            "descr" => {
                let (value, after) = quoted(value)?;
                descr = Some(value.to_owned());
                after
            }
            "fortran_order" => {
                let yes = value.strip_prefix("True");
                fortran_order = Some(yes.is_some());
                yes.or_else(|| value.strip_prefix("False"))?
            }
            "shape" => {
                let (inner, after) = value.strip_prefix('(')?.split_once(')')?;
                let numbers = inner.split(',').map(str::trim).filter(|number| !number.is_empty());
                // Python 2 wrote long integers as 3L.
                let numbers = numbers.map(|number| number.strip_suffix('L').unwrap_or(number).parse().ok());
                shape = Some(numbers.take(MOST_DIMENSIONS + 1).collect::<Option<Vec<usize>>>()?);
                after
            }
            _ => return None,
        };
        rest = rest.trim_start();
        rest = rest.strip_prefix(',').or(rest.is_empty().then_some(rest))?.trim_start();
    }
    Some((descr?, fortran_order?, shape.filter(|shape| shape.len() <= MOST_DIMENSIONS)?))
}

/// A quoted string at the start, and the rest of the text.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|quote| ['\'', '"'].contains(quote))?;
    text[1..].split_once(quote)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(version: u8, header: &str) -> Result<NpyHeader, String> {
        let length = (header.len() as u32).to_le_bytes();
        let length = if version == 1 { &length[..2] } else { &length[..] };
        NpyHeader::read(&[MAGIC, &[version, 0], length, header.as_bytes()].concat()[..])
    }

    #[test]
    fn headers_of_numpy_are_read() {
        let numpy = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }            \n";
        let header = read(1, numpy).unwrap();
        assert_eq!((header.descr.as_str(), header.fortran_order, &header.shape[..]), ("<f4", false, &[3, 4][..]));
        assert_eq!(header.length, 10 + numpy.len());
        for version in [2, 3] {
            assert_eq!(read(version, numpy).unwrap().length, 12 + numpy.len());
        }
        let other = read(1, "{\"shape\":(3L,),\"fortran_order\":True,\"descr\":\">f8\"}").unwrap();
        assert_eq!((other.descr.as_str(), other.fortran_order, other.shape), (">f8", true, vec![3]));
        assert_eq!(read(1, "{'descr': '<f4', 'fortran_order': False, 'shape': ()}").unwrap().shape, [0; 0]);
        assert_eq!(read(1, "{'descr': [('x', '<f4')], 'fortran_order': False}").unwrap().descr, "several fields");
    }

    #[test]
    fn malicious_headers_are_refused_at_once() {
        let shape = |shape: &str| format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}");
        for header in [
            "[".repeat(60_000),
            "{'descr': ".to_owned() + &"(".repeat(60_000),
            shape(&"(".repeat(50_000)),
            shape(&format!("({})", "1,".repeat(20_000))),
            shape("(-1, 2)"),
            shape("(99999999999999999999999999, 2)"),
            "{'descr': '<f4'}".into(),
            "{'descr': '<f4' 'shape': (1,)}".into(),
            "{'\u{e9}".into(),
            String::new(),
        ] {
            let short: String = header.chars().take(60).collect();
            assert!(read(1, &header).unwrap_err().contains("numpy.save does not write"), "{short}");
        }
        assert!(read(2, &" ".repeat(LONGEST + 1)).unwrap_err().contains("a header of 65537 bytes"));
        assert!(read(9, "{}").unwrap_err().contains("version 9"));
        assert!(NpyHeader::read(&MAGIC[..4]).unwrap_err().contains("a truncated header"));
    }
}
