//! Arrow columns to matrices: lists of floats of every width, one length throughout.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array};
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

/// Where an error happened: the file, the column, and the rows read before this batch.
pub(super) struct Place<'a> {
    pub(super) path: &'a Path,
    pub(super) column: &'a str,
    pub(super) first_row: usize,
}

impl Place<'_> {
    fn row(&self, row: usize, expected: String, got: String) -> Error {
        Error::Row {
            path: self.path.to_path_buf(),
            row: (self.first_row + row) as u64 + 1,
            column: self.column.to_owned(),
            expected,
            got,
            help: "mend the row; a missing vector is null".into(),
        }
    }
}

/// A vector column being gathered, batch by batch. The first vector that is not null fixes the length of all.
#[derive(Default)]
pub(super) struct VectorColumn {
    dim: Option<usize>,
    values: Vec<f32>,
    present: Vec<bool>,
}

impl VectorColumn {
    /// Appends a batch's rows.
    pub(super) fn append(&mut self, column: &ArrayRef, place: &Place) -> Result<()> {
        let unreadable = |e: arrow::error::ArrowError| {
            let help = "write the column as a list of 32-bit floats";
            Error::file(place.path, "a list-of-float column", e, help)
        };
        let inner = Arc::new(Field::new("item", DataType::Float32, true));
        let lists = cast(column, &DataType::LargeList(inner)).map_err(unreadable)?;
        let lists = lists.as_list::<i64>();
        for row in 0..lists.len() {
            if lists.is_null(row) {
                self.present.push(false);
                self.values.extend(std::iter::repeat_n(0.0, self.dim.unwrap_or(0)));
                continue;
            }
            let vector = lists.value(row);
            let vector = vector.as_primitive::<Float32Type>();
            let dim = *self.dim.get_or_insert_with(|| {
                self.values = vec![0.0; self.present.len() * vector.len()];
                vector.len()
            });
            if vector.len() != dim || dim == 0 {
                let expected = format!("vectors of {} numbers, as in the rows before", dim.max(1));
                return Err(place.row(row, expected, format!("{} numbers", vector.len())));
            }
            if vector.null_count() > 0 {
                return Err(place.row(row, "numbers".into(), "a null inside the vector".into()));
            }
            if let Some(bad) = vector.values().iter().find(|v| !v.is_finite()) {
                return Err(place.row(row, "finite numbers".into(), bad.to_string()));
            }
            self.values.extend_from_slice(vector.values());
            self.present.push(true);
        }
        Ok(())
    }

    /// The modality, or none where every row was null.
    pub(super) fn finish(self, name: &str) -> Result<Option<Modality>> {
        let Some(dim) = self.dim else { return Ok(None) };
        let vectors = Array2::from_shape_vec((self.present.len(), dim), self.values)
            .map_err(|e| Error::mismatch("vectors", "one an item", e, "check the table"))?;
        Ok(Some(Modality { name: name.into(), vectors, present: self.present }))
    }
}

/// The rows `from..to` of a modality as a `fixed_size_list<float32>[dim]` column.
pub(super) fn to_arrow(modality: &Modality, from: usize, to: usize) -> FixedSizeListArray {
    let dim = modality.dim();
    let values: Vec<f32> = modality.vectors.slice(ndarray::s![from..to, ..]).iter().copied().collect();
    let nulls = NullBuffer::from(modality.present[from..to].to_vec());
    FixedSizeListArray::new(list_item(), dim as i32, Arc::new(Float32Array::from(values)), Some(nulls))
}

/// The Arrow field of a modality.
pub(super) fn field(modality: &Modality) -> Field {
    Field::new(&modality.name, DataType::FixedSizeList(list_item(), modality.dim() as i32), true)
}

fn list_item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float32, false))
}

/// Says clearly that a path is no file before a reader stumbles over it.
pub(super) fn refuse_non_file(path: &Path) -> Result<()> {
    if !path.exists() {
        return Err(Error::Missing {
            path: path.to_path_buf(),
            expected: "features: a Parquet or Arrow table, or a .npy matrix".into(),
            help: "check the path; `catalex embed` makes features from a catalog".into(),
        });
    }
    if path.is_dir() {
        return Err(Error::file(path, "a file with features", "a folder", "name the file inside it"));
    }
    Ok(())
}
