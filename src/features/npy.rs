//! NumPy's `.npy`: a 2-D float matrix whose row number is the item id.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use half::f16;
use ndarray::Array2;
use npyz::{NpyFile, Order, TypeChar};

use super::{Features, complete, first_not_finite};
use crate::error::{Error, Result};
use crate::item_ids::ItemIds;

const MAGIC: &[u8] = b"\x93NUMPY";
/// The name a matrix without one gets.
const MODALITY: &str = "features";

/// Whether the file begins as `.npy` files do, or at least says that it is one.
pub(super) fn is_npy(path: &Path) -> Result<bool> {
    let mut head = Vec::new();
    let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    file.take(MAGIC.len() as u64).read_to_end(&mut head).map_err(|e| Error::io("read", path, e))?;
    Ok(head == MAGIC || path.extension().is_some_and(|e| e == "npy"))
}

pub(super) fn read(path: &Path) -> Result<Features> {
    let vectors = matrix(path)?;
    if let Some((row, value)) = first_not_finite(vectors.view()) {
        return Err(Error::Row {
            path: path.into(),
            row: row as u64 + 1,
            column: MODALITY.into(),
            expected: "finite numbers".into(),
            got: value.to_string(),
            help: "mend or drop the row".into(),
        });
    }
    Features::new(ItemIds::row_numbers(vectors.nrows()), vec![complete(MODALITY, vectors)])
}

fn matrix(path: &Path) -> Result<Array2<f32>> {
    const WANTED: &str = "a 2-D .npy matrix of float16, float32 or float64";
    let refuse = |got: String, help: &str| Error::file(path, WANTED, got, help);
    let damaged = |e: std::io::Error| refuse(format!("a damaged file ({e})"), "write it again with numpy.save");
    let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    let npy = NpyFile::new(BufReader::with_capacity(1 << 20, file)).map_err(damaged)?;
    let shape: Vec<usize> = npy.shape().iter().map(|&d| d as usize).collect();
    let [rows, columns] = shape[..] else {
        return Err(refuse(format!("{} dimensions, {shape:?}", shape.len()), "save one row an item"));
    };
    if rows == 0 || columns == 0 {
        return Err(refuse(format!("an empty matrix, {rows} x {columns}"), "save one row an item"));
    }
    let kind = match npy.dtype() {
        npyz::DType::Plain(kind) => (kind.type_char(), kind.size_field()),
        other => return Err(refuse(other.descr(), "save it as x.astype(numpy.float32)")),
    };
    let order = npy.order();
    let values: Vec<f32> = match kind {
        (TypeChar::Float, 2) => npy.into_vec::<f16>().map_err(damaged)?.into_iter().map(f32::from).collect(),
        (TypeChar::Float, 4) => npy.into_vec::<f32>().map_err(damaged)?,
        (TypeChar::Float, 8) => npy.into_vec::<f64>().map_err(damaged)?.into_iter().map(|v| v as f32).collect(),
        _ => return Err(refuse(npy.dtype().descr(), "save it as x.astype(numpy.float32)")),
    };
    let shaped = match order {
        Order::C => Array2::from_shape_vec((rows, columns), values),
        Order::Fortran => {
            Array2::from_shape_vec((columns, rows), values).map(|t| t.reversed_axes().as_standard_layout().into_owned())
        }
    };
    shaped.map_err(|e| refuse(e.to_string(), "write it again with numpy.save"))
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

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn both_orders_and_all_float_widths() {
        let data = bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let c = read(file("<f4", "False", "(2, 3)", &data).path()).unwrap().concatenated();
        assert_eq!(c, ndarray::array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
        let f = read(file("<f4", "True", "(3, 2)", &data).path()).unwrap().concatenated();
        assert_eq!(f, ndarray::array![[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]);
        let doubles: Vec<u8> = [1.5f64, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(read(file("<f8", "False", "(2, 1)", &doubles).path()).unwrap().concatenated().sum(), -0.5);
        let halves: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
        assert_eq!(read(file("<f2", "False", "(2, 1)", &halves).path()).unwrap().concatenated().sum(), -0.5);
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
