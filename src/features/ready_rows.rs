//! Precomputed vectors on disk, read in the order of the catalog.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView2, Axis};

use super::npy::MatrixFile;
use super::{Modality, ModalityRows};
use crate::error::{Error, Result};

/// The name of the temporary file in error messages.
const TEMPORARY: &str = "the temporary file of precomputed vectors";

/// Number of rows that are written at a time.
const BLOCK: usize = 4_096;

/// Vectors with one row per item of the catalog.
#[derive(Debug)]
pub struct ReadyRows {
    name: String,
    dim: usize,
    source: RowSource,
}

#[derive(Debug)]
enum RowSource {
    /// A matrix in the catalog's order.
    Matrix(PathBuf, MatrixFile),
    /// A table's vectors, copied into the catalog's order.
    Placed(PlacedVectors),
}

impl ReadyRows {
    pub(super) fn of_matrix(name: &str, path: &Path, matrix: MatrixFile) -> Self {
        ReadyRows { name: name.to_owned(), dim: matrix.columns, source: RowSource::Matrix(path.to_path_buf(), matrix) }
    }

    /// Copies the vectors `(n, dim)` of the items in `rows` of a catalog to a temporary file in `folder`. The catalog
    /// has `items` items.
    ///
    /// # Errors
    /// [`Error::Io`] for the temporary file.
    pub(crate) fn of_rows(
        name: &str,
        items: usize,
        rows: &[usize],
        vectors: ArrayView2<f32>,
        folder: &Path,
    ) -> Result<Self> {
        let mut placed = PlacedVectors::new(items, vectors.ncols(), folder)?;
        let places: Vec<Option<usize>> = rows.iter().map(|&row| Some(row)).collect();
        for (block, places) in vectors.axis_chunks_iter(Axis(0), BLOCK).zip(places.chunks(BLOCK)) {
            placed.write(block, places)?;
        }
        Ok(ReadyRows::of_placed(name, placed))
    }

    pub(super) fn of_placed(name: &str, placed: PlacedVectors) -> Self {
        ReadyRows { name: name.to_owned(), dim: placed.dim, source: RowSource::Placed(placed) }
    }
}

impl ModalityRows for ReadyRows {
    fn name(&self) -> &str {
        &self.name
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn has(&self, row: usize) -> bool {
        match &self.source {
            RowSource::Matrix(_, matrix) => row < matrix.rows,
            RowSource::Placed(placed) => placed.present.get(row) == Some(&true),
        }
    }

    fn rows(&mut self, rows: Range<usize>) -> Result<Modality> {
        let name = self.name.clone();
        match &self.source {
            RowSource::Matrix(path, matrix) => {
                let present = vec![true; rows.len()];
                Ok(Modality { name, vectors: matrix.vectors(path, rows)?, present })
            }
            RowSource::Placed(placed) => {
                let present = placed.present[rows.clone()].to_vec();
                Ok(Modality { name, vectors: placed.read(rows)?, present })
            }
        }
    }
}

/// Vectors in a temporary file, each at the position of its item.
#[derive(Debug)]
pub(super) struct PlacedVectors {
    file: File,
    dim: usize,
    /// Which items have a vector.
    pub(super) present: Vec<bool>,
}

impl PlacedVectors {
    /// Creates a temporary file in `folder` for the vectors of `items` items.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn new(items: usize, dim: usize, folder: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(folder).map_err(|e| Error::io("create", folder, e))?;
        let length = (items * dim * size_of::<f32>()) as u64;
        file.set_len(length).map_err(|e| Error::io("write", Path::new(TEMPORARY), e))?;
        Ok(PlacedVectors { file, dim, present: vec![false; items] })
    }

    /// Writes the vectors of a block `(n, dim)` to the rows `places`, and skips vectors without a place. Consecutive
    /// vectors with consecutive places are written together.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn write(&mut self, vectors: ArrayView2<f32>, places: &[Option<usize>]) -> Result<()> {
        let mut from = 0;
        while from < places.len() {
            let Some(first) = places[from] else {
                from += 1;
                continue;
            };
            let follows = |&(at, place): &(usize, &Option<usize>)| *place == Some(first + at);
            let run = places[from..].iter().enumerate().take_while(follows).count();
            let values: Vec<f32> = vectors.slice(ndarray::s![from..from + run, ..]).iter().copied().collect();
            let start = (first * self.dim * size_of::<f32>()) as u64;
            self.file
                .write_all_at(bytemuck::cast_slice(&values), start)
                .map_err(|e| Error::io("write", Path::new(TEMPORARY), e))?;
            self.present[first..first + run].fill(true);
            from += run;
        }
        Ok(())
    }

    fn read(&self, rows: Range<usize>) -> Result<Array2<f32>> {
        let failed = |e| Error::io("read", Path::new(TEMPORARY), e);
        let mut vectors = Array2::<f32>::zeros((rows.len(), self.dim));
        if let Some(values) = vectors.as_slice_mut() {
            let start = (rows.start * self.dim * size_of::<f32>()) as u64;
            self.file.read_exact_at(bytemuck::cast_slice_mut(values), start).map_err(failed)?;
        }
        Ok(vectors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn vectors_are_matched_to_their_items() {
        let folder = tempfile::tempdir().unwrap();
        let mut placed = PlacedVectors::new(5, 2, folder.path()).unwrap();
        let block = array![[1.0, 1.5], [2.0, 2.5], [9.0, 9.0], [3.0, 3.5]];
        placed.write(block.view(), &[Some(3), Some(4), None, Some(0)]).unwrap();
        let mut rows = ReadyRows::of_placed("llama", placed);
        assert_eq!((rows.name(), rows.dim()), ("llama", 2));
        let first = rows.rows(0..2).unwrap();
        assert_eq!((first.vectors, first.present), (array![[3.0, 3.5], [0.0, 0.0]], vec![true, false]));
        let last = rows.rows(3..5).unwrap();
        assert_eq!((last.vectors, last.present), (array![[1.0, 1.5], [2.0, 2.5]], vec![true, true]));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name");
    }
}
