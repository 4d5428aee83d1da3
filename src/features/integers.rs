//! Reads a matrix of integers from a `.npy` file.

use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use ndarray::Array2;

use super::npy_header::NpyHeader;
use crate::artifact::open_regular;
use crate::error::{Error, Result};

/// Reads a 2-D array of integers that `numpy.save` wrote. A 1-D array is read as a matrix with one column.
///
/// # Errors
/// [`Error::File`] for a file of another format, type or shape, and for integers that do not fit in 64 signed bits;
/// [`Error::Io`].
pub fn integer_matrix(path: &Path) -> Result<Array2<i64>> {
    let refuse = |got: String, help: &str| Error::file(path, "a 2-D .npy matrix of integers", got, help);
    let mut file = open_regular(path).map_err(|e| Error::io("read", path, e))?;
    let header = NpyHeader::read(BufReader::new(&file)).map_err(|e| refuse(e, "write it with numpy.save"))?;
    let descr = header.descr.as_str();
    let (big_endian, kind) = match descr.split_at_checked(1) {
        Some((">", kind)) => (true, kind),
        Some(("<" | "|" | "=", kind)) => (false, kind),
        _ => (false, ""),
    };
    let (signed, width) = match kind {
        "i1" => (true, 1),
        "i2" => (true, 2),
        "i4" => (true, 4),
        "i8" => (true, 8),
        "u1" => (false, 1),
        "u2" => (false, 2),
        "u4" => (false, 4),
        "u8" => (false, 8),
        _ => return Err(refuse(format!("numbers of type {descr:?}"), "save it as x.astype(numpy.int64)")),
    };
    let (rows, columns) = match header.shape[..] {
        [rows, columns] => (rows, columns),
        [rows] => (rows, 1),
        _ => return Err(refuse(format!("{} dimensions", header.shape.len()), "save one row per item")),
    };
    let length = file.metadata().map_err(|e| Error::io("read", path, e))?.len();
    let count = rows.checked_mul(columns).filter(|count| count.checked_mul(width).is_some_and(|b| b as u64 <= length));
    let Some(count) = count.filter(|&count| count > 0) else {
        return Err(refuse(format!("{rows} x {columns} numbers in {length} bytes"), "write it again with numpy.save"));
    };
    let mut bytes = vec![0; count * width];
    file.seek(SeekFrom::Start(header.length as u64)).map_err(|e| Error::io("read", path, e))?;
    file.read_exact(&mut bytes).map_err(|_| refuse("a truncated file".into(), "write it again with numpy.save"))?;
    let number = |bytes: &[u8]| {
        let mut wide = [0; 8];
        wide[..width].copy_from_slice(bytes);
        if big_endian {
            wide[..width].reverse();
        }
        let unsigned = u64::from_le_bytes(wide);
        let shift = 64 - 8 * width as u32;
        if signed { Some((unsigned << shift) as i64 >> shift) } else { i64::try_from(unsigned).ok() }
    };
    let numbers: Option<Vec<i64>> = bytes.chunks_exact(width).map(number).collect();
    let Some(numbers) = numbers else {
        return Err(refuse(format!("an integer above {}", i64::MAX), "check the codes"));
    };
    let shape = |e: ndarray::ShapeError| refuse(e.to_string(), "write it again with numpy.save");
    match header.fortran_order {
        false => Array2::from_shape_vec((rows, columns), numbers).map_err(shape),
        true => Ok(Array2::from_shape_vec((columns, rows), numbers).map_err(shape)?.reversed_axes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn file(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> tempfile::NamedTempFile {
        use std::io::Write;
        let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        let mut out = tempfile::NamedTempFile::new().unwrap();
        out.write_all(b"\x93NUMPY\x01\x00").unwrap();
        out.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
        out.write_all(header.as_bytes()).unwrap();
        out.write_all(data).unwrap();
        out
    }

    #[test]
    fn all_integer_widths_and_both_memory_orders_are_read() {
        let wanted = array![[1, -2], [3, 4]];
        let small: [u8; 4] = [1, 0xfe, 3, 4];
        assert_eq!(integer_matrix(file("|i1", "False", "(2, 2)", &small).path()).unwrap(), wanted);
        assert_eq!(integer_matrix(file("|i1", "True", "(2, 2)", &[1, 3, 0xfe, 4]).path()).unwrap(), wanted);
        let wide: Vec<u8> = wanted.iter().flat_map(|v: &i64| v.to_be_bytes()).collect();
        assert_eq!(integer_matrix(file(">i8", "False", "(2, 2)", &wide).path()).unwrap(), wanted);
        assert_eq!(integer_matrix(file("<u2", "False", "(1,)", &[0, 1]).path()).unwrap(), array![[256]]);
    }

    #[test]
    fn other_files_are_refused() {
        for (descr, shape, data) in [
            ("<f4", "(1, 1)", &[0u8; 4][..]),
            ("<i4", "(2, 2)", &[0; 8]),
            ("<i4", "(1, 1, 1)", &[0; 4]),
            ("<i4", "(0, 2)", &[]),
            ("<u8", "(1, 1)", &[255; 8]),
            ("|O", "(1, 1)", &[0; 8]),
        ] {
            assert!(integer_matrix(file(descr, "False", shape, data).path()).is_err(), "{descr} {shape}");
        }
    }
}
