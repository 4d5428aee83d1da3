//! NumPy `.npy` files: a 2-D float matrix. Row numbers are the item ids.

use std::borrow::Cow;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use half::{bf16, f16};
use ndarray::{Array2, ArrayView2};

use super::npy_header::{MAGIC, NpyHeader};
use super::source::{Block, ROWS_AT_ONCE};
use super::{Features, complete, first_not_finite};
use crate::artifact::open_regular;
use crate::error::{Error, Result};
use crate::item_ids::ItemIds;

/// The modality name of a matrix.
const MODALITY: &str = "features";
const WANTED: &str = "a 2-D .npy matrix of float16, float32 or float64";

/// Whether the file starts with the magic bytes of `.npy`, or has that extension.
pub(super) fn is_npy(path: &Path) -> Result<bool> {
    let mut head = Vec::new();
    let file = open_regular(path).map_err(|e| Error::io("read", path, e))?;
    file.take(MAGIC.len() as u64).read_to_end(&mut head).map_err(|e| Error::io("read", path, e))?;
    Ok(head == MAGIC || path.extension().is_some_and(|e| e == "npy"))
}

/// A matrix in a file: its shape, and the location and type of its numbers.
#[derive(Debug)]
pub(super) struct MatrixFile {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Whether the numbers are in column-major (Fortran) order.
    pub(super) by_column: bool,
    /// Bytes per number: 2, 4 or 8.
    pub(super) width: usize,
    /// Whether 2-byte numbers are bfloat16.
    pub(super) brain: bool,
    pub(super) big_endian: bool,
    /// Offset of the first number.
    pub(super) start: u64,
}

impl MatrixFile {
    /// Reads the header.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let refuse = |got: String, help: &str| Error::file(path, WANTED, got, help);
        let file = open_regular(path).map_err(|e| Error::io("read", path, e))?;
        let header = NpyHeader::read(BufReader::new(&file)).map_err(|e| damaged(path, e))?;
        let (width, big_endian) = match header.descr.as_str() {
            "<f2" | "=f2" => (2, false),
            "<f4" | "=f4" => (4, false),
            "<f8" | "=f8" => (8, false),
            ">f2" => (2, true),
            ">f4" => (4, true),
            ">f8" => (8, true),
            other => return Err(refuse(format!("{other:?}"), "save it as x.astype(numpy.float32)")),
        };
        let [rows, columns] = header.shape[..] else {
            let shape = &header.shape;
            return Err(refuse(format!("{} dimensions, {shape:?}", shape.len()), "save one row per item"));
        };
        if rows == 0 || columns == 0 {
            return Err(refuse(format!("an empty matrix, {rows} x {columns}"), "save one row per item"));
        }
        let start = header.length as u64;
        let length = file.metadata().map_err(|e| Error::io("read", path, e))?.len();
        let bytes = rows.checked_mul(columns).and_then(|n| n.checked_mul(width)).map(|n| n as u64);
        if bytes.is_none_or(|bytes| length - start.min(length) < bytes) {
            return Err(damaged(path, format!("it has fewer than {rows} x {columns} numbers")));
        }
        Ok(MatrixFile { rows, columns, by_column: header.fortran_order, width, brain: false, big_endian, start })
    }

    pub(super) fn shapes(&self) -> Vec<(String, usize)> {
        vec![(MODALITY.to_owned(), self.columns)]
    }

    pub(super) fn parts(&self) -> usize {
        self.rows.div_ceil(ROWS_AT_ONCE)
    }

    /// The rows of a part.
    pub(super) fn block(&self, path: &Path, part: usize) -> Result<Block<'static>> {
        let rows = part * ROWS_AT_ONCE..self.rows.min((part + 1) * ROWS_AT_ONCE);
        let vectors = self.read(path, rows.clone()).map_err(|e| Error::io("read", path, e))?;
        check_finite(path, vectors.view(), rows.start)?;
        let ids = ItemIds::Integers(rows.clone().map(|row| row as i64).collect());
        let features = Features::of_unchecked_ids(ids, vec![complete(MODALITY, vectors)])?;
        Ok(Block { first_row: rows.start, features: Cow::Owned(features) })
    }

    /// The vectors of some rows. Numbers are not checked to be finite.
    ///
    /// # Errors
    /// [`Error::File`] for a file that ends too early.
    pub(super) fn vectors(&self, path: &Path, rows: Range<usize>) -> Result<Array2<f32>> {
        let vectors = self.read(path, rows.clone()).map_err(|e| damaged(path, e))?;
        check_finite(path, vectors.view(), rows.start)?;
        Ok(vectors)
    }

    fn read(&self, path: &Path, rows: Range<usize>) -> std::io::Result<Array2<f32>> {
        let mut file = open_regular(path)?;
        let mut numbers = |first: usize, count: usize| {
            let mut bytes = vec![0; count * self.width];
            file.seek(SeekFrom::Start(self.start + (first * self.width) as u64))?;
            file.read_exact(&mut bytes)?;
            std::io::Result::Ok(bytes.chunks_exact(self.width).map(|b| self.number(b)).collect::<Vec<f32>>())
        };
        let shape = |e: ndarray::ShapeError| std::io::Error::other(e);
        match self.by_column {
            false => {
                let values = numbers(rows.start * self.columns, rows.len() * self.columns)?;
                Array2::from_shape_vec((rows.len(), self.columns), values).map_err(shape)
            }
            true => {
                let mut values = Vec::with_capacity(rows.len() * self.columns);
                for column in 0..self.columns {
                    values.extend(numbers(column * self.rows + rows.start, rows.len())?);
                }
                let turned = Array2::from_shape_vec((self.columns, rows.len()), values).map_err(shape)?;
                Ok(turned.reversed_axes().as_standard_layout().into_owned())
            }
        }
    }

    /// Decodes one number.
    fn number(&self, bytes: &[u8]) -> f32 {
        let big = self.big_endian;
        match *bytes {
            [a, b] if self.brain => f32::from(bf16::from_le_bytes([a, b])),
            [a, b] => f32::from(if big { f16::from_be_bytes([a, b]) } else { f16::from_le_bytes([a, b]) }),
            [a, b, c, d] if big => f32::from_be_bytes([a, b, c, d]),
            [a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
            [a, b, c, d, e, f, g, h] if big => f64::from_be_bytes([a, b, c, d, e, f, g, h]) as f32,
            [a, b, c, d, e, f, g, h] => f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32,
            _ => f32::NAN,
        }
    }
}

/// Checks that all numbers of some rows are finite. The first of these rows is row `start` of the file.
fn check_finite(path: &Path, vectors: ArrayView2<f32>, start: usize) -> Result<()> {
    match first_not_finite(vectors) {
        None => Ok(()),
        Some((row, value)) => Err(Error::Row {
            path: path.into(),
            row: (start + row) as u64 + 1,
            column: MODALITY.into(),
            expected: "finite numbers".into(),
            got: value.to_string(),
            help: "correct or remove the row".into(),
        }),
    }
}

fn damaged(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::file(path, WANTED, format!("a damaged file ({reason})"), "write it again with numpy.save")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> tempfile::NamedTempFile {
        let mut header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
        while (10 + header.len() + 1) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let mut out = tempfile::Builder::new().suffix(".npy").tempfile().unwrap();
        out.write_all(MAGIC).unwrap();
        out.write_all(&[1, 0]).unwrap();
        out.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
        out.write_all(header.as_bytes()).unwrap();
        out.write_all(data).unwrap();
        out
    }

    fn read(path: &Path) -> Result<Features> {
        crate::features::FeatureFile::open(path)?.read()
    }

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn all_float_widths_and_both_memory_orders_are_read() {
        let data = bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let c = read(file("<f4", "False", "(2, 3)", &data).path()).unwrap().concatenated();
        assert_eq!(c, ndarray::array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
        let f = read(file("<f4", "True", "(3, 2)", &data).path()).unwrap().concatenated();
        assert_eq!(f, ndarray::array![[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]);
        let doubles: Vec<u8> = [1.5f64, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(read(file("<f8", "False", "(2, 1)", &doubles).path()).unwrap().concatenated().sum(), -0.5);
        let halves: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
        let swapped: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|v| v.to_be_bytes()).collect();
        assert_eq!(read(file(">f4", "False", "(2, 1)", &swapped).path()).unwrap().concatenated().sum(), -0.5);
        assert_eq!(read(file("<f2", "False", "(2, 1)", &halves).path()).unwrap().concatenated().sum(), -0.5);
    }

    #[test]
    fn blocks_of_both_orders_are_consecutive_rows() {
        let (rows, columns) = (ROWS_AT_ONCE + 7, 3);
        let value = |row: usize, column: usize| (row * columns + column) as f32;
        let c: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
        let fortran: Vec<f32> = (0..columns).flat_map(|j| (0..rows).map(move |i| value(i, j))).collect();
        let shape = format!("({rows}, {columns})");
        for (order, values) in [("False", c), ("True", fortran)] {
            let file = file("<f4", order, &shape, &bytes(&values));
            let matrix = MatrixFile::open(file.path()).unwrap();
            assert_eq!(matrix.parts(), 2);
            let last = matrix.block(file.path(), 1).unwrap();
            assert_eq!((last.first_row, last.features.len()), (ROWS_AT_ONCE, 7));
            assert_eq!(last.features.item_ids().text(6), (ROWS_AT_ONCE + 6).to_string());
            assert_eq!(last.features.concatenated()[[6, 2]], value(ROWS_AT_ONCE + 6, 2));
        }
    }

    #[test]
    fn other_matrices_are_refused() {
        let says = |f: tempfile::NamedTempFile| read(f.path()).unwrap_err().to_string();
        assert!(says(file("<i4", "False", "(2, 1)", &[0; 8])).contains("float32"));
        assert!(says(file("<f4", "False", "(2, 1, 1)", &[0; 8])).contains("3 dimensions"));
        assert!(says(file("<f4", "False", "(0, 4)", &[])).contains("empty"));
        assert!(says(file("<f4", "False", "(2, 2)", &[0; 8])).contains("damaged"));
        assert!(says(file("<f4", "False", "(2, 1)", &bytes(&[1.0, f32::INFINITY]))).contains("row 2"));
    }
}
