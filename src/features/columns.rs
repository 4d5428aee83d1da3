//! Conversion between matrices and Arrow columns of float lists. All lists of a column have the same length.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array, LargeListArray};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type};
use ndarray::Array2;

use super::Modality;
use crate::error::{Error, Result};

/// Whether a column holds lists of floats.
pub(super) fn is_vector(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(f) | DataType::LargeList(f) | DataType::FixedSizeList(f, _) => f.data_type().is_floating(),
        _ => false,
    }
}

/// The location of a batch for error messages: file, column, and rows before it in the file.
pub(super) struct CellPlace<'a> {
    pub(super) path: &'a Path,
    pub(super) column: &'a str,
    pub(super) first_row: usize,
}

impl CellPlace<'_> {
    fn row(&self, row: usize, expected: String, got: String) -> Error {
        Error::Row {
            path: self.path.to_path_buf(),
            row: (self.first_row + row) as u64 + 1,
            column: self.column.to_owned(),
            expected,
            got,
            help: "correct the row; write null for a missing vector".into(),
        }
    }
}

/// Length of the first vector in a column that is not null.
pub(super) fn first_length(column: &ArrayRef, path: &Path) -> Result<Option<usize>> {
    let lists = lists(column, path)?;
    let row = (0..lists.len()).find(|&row| lists.is_valid(row));
    Ok(row.map(|row| lists.value_length(row) as usize))
}

/// A column as a modality of vectors of dimension `dim`.
pub(super) fn modality(column: &ArrayRef, dim: usize, place: &CellPlace) -> Result<Modality> {
    let lists = lists(column, place.path)?;
    let (offsets, numbers) = (lists.value_offsets(), lists.values().as_primitive::<Float32Type>());
    let mut vectors = Array2::zeros((lists.len(), dim));
    let present: Vec<bool> = (0..lists.len()).map(|row| lists.is_valid(row)).collect();
    for (row, mut vector) in vectors.rows_mut().into_iter().enumerate().filter(|&(row, _)| present[row]) {
        let range = offsets[row] as usize..offsets[row + 1] as usize;
        if range.len() != dim || dim == 0 {
            let expected = format!("vectors of {} numbers, as in the rows before", dim.max(1));
            return Err(place.row(row, expected, format!("{} numbers", range.len())));
        }
        if numbers.null_count() > 0 && range.clone().any(|at| numbers.is_null(at)) {
            return Err(place.row(row, "numbers".into(), "a null inside the vector".into()));
        }
        let read = &numbers.values()[range];
        if let Some(bad) = read.iter().find(|v| !v.is_finite()) {
            return Err(place.row(row, "finite numbers".into(), bad.to_string()));
        }
        vector.iter_mut().zip(read).for_each(|(v, &read)| *v = read);
    }
    Ok(Modality { name: place.column.to_owned(), vectors, present })
}

/// A column as lists of 32-bit floats.
fn lists(column: &ArrayRef, path: &Path) -> Result<LargeListArray> {
    let inner = Arc::new(Field::new("item", DataType::Float32, true));
    let cast = cast(column, &DataType::LargeList(inner)).map_err(|e| {
        let help = "write the column as a list of 32-bit floats";
        Error::file(path, "a list-of-float column", e, help)
    })?;
    Ok(cast.as_list::<i64>().clone())
}

/// The rows `from..to` of a modality as a `fixed_size_list<float32>[dim]` column.
pub(super) fn to_arrow(modality: &Modality, from: usize, to: usize) -> FixedSizeListArray {
    let dim = modality.dim();
    let values: Vec<f32> = modality.vectors.slice(ndarray::s![from..to, ..]).iter().copied().collect();
    let nulls = NullBuffer::from(modality.present[from..to].to_vec());
    FixedSizeListArray::new(list_item(), dim as i32, Arc::new(Float32Array::from(values)), Some(nulls))
}

/// A column of `rows` missing vectors of dimension `dim`.
pub(super) fn nulls(dim: usize, rows: usize) -> FixedSizeListArray {
    FixedSizeListArray::new_null(list_item(), dim as i32, rows)
}

/// The Arrow field of a modality.
pub(super) fn field(name: &str, dim: usize) -> Field {
    Field::new(name, DataType::FixedSizeList(list_item(), dim as i32), true)
}

fn list_item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float32, false))
}
