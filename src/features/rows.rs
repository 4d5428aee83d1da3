//! Vectors of a catalog's items, read in the catalog's order.

use std::ops::Range;

use ndarray::{Array2, Axis, s};

use super::Modality;
use crate::error::Result;

/// A modality of the items of a catalog that is read some rows at a time.
pub trait ModalityRows: Send {
    /// Name of the modality.
    fn name(&self) -> &str;

    /// Dimension of its vectors.
    fn dim(&self) -> usize;

    /// Whether an item of the catalog has a vector.
    fn has(&self, row: usize) -> bool;

    /// The vectors of these rows of the catalog.
    ///
    /// # Errors
    /// For a file that cannot be read; errors name file, column and row.
    fn rows(&mut self, rows: Range<usize>) -> Result<Modality>;
}

impl Modality {
    /// These rows of the modality.
    pub(crate) fn select(self, rows: &[usize]) -> Modality {
        Modality {
            present: rows.iter().map(|&row| self.present[row]).collect(),
            vectors: self.vectors.select(Axis(0), rows),
            name: self.name,
        }
    }
}

impl ModalityRows for Modality {
    fn name(&self) -> &str {
        &self.name
    }

    fn dim(&self) -> usize {
        Modality::dim(self)
    }

    fn has(&self, row: usize) -> bool {
        self.present.get(row) == Some(&true)
    }

    fn rows(&mut self, rows: Range<usize>) -> Result<Modality> {
        Ok(Modality {
            name: self.name.clone(),
            vectors: self.vectors.slice(s![rows.clone(), ..]).to_owned(),
            present: self.present[rows].to_vec(),
        })
    }
}

/// Some rows of a modality, renumbered from 0.
pub struct PickedRows {
    of: Box<dyn ModalityRows>,
    rows: Vec<usize>,
}

impl PickedRows {
    /// The given rows of a modality, in the given order.
    pub fn new(of: Box<dyn ModalityRows>, rows: Vec<usize>) -> Self {
        PickedRows { of, rows }
    }
}

impl ModalityRows for PickedRows {
    fn name(&self) -> &str {
        self.of.name()
    }

    fn dim(&self) -> usize {
        self.of.dim()
    }

    fn has(&self, row: usize) -> bool {
        self.rows.get(row).is_some_and(|&row| self.of.has(row))
    }

    /// Consecutive rows are read together.
    fn rows(&mut self, rows: Range<usize>) -> Result<Modality> {
        let wanted = &self.rows[rows];
        let mut vectors = Array2::zeros((wanted.len(), self.of.dim()));
        let mut present = Vec::with_capacity(wanted.len());
        for run in wanted.chunk_by(|a, b| a + 1 == *b) {
            let (Some(&first), start) = (run.first(), present.len()) else { continue };
            let read = self.of.rows(first..first + run.len())?;
            vectors.slice_mut(s![start..start + run.len(), ..]).assign(&read.vectors);
            present.extend(read.present);
        }
        Ok(Modality { name: self.of.name().to_owned(), vectors, present })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn picked_rows_are_read_in_the_given_order() {
        let vectors = array![[0.0], [1.0], [2.0], [3.0], [4.0]];
        let whole = Modality { name: "x".into(), vectors, present: vec![true, true, false, true, true] };
        let mut some = PickedRows::new(Box::new(whole), vec![4, 1, 2, 0]);
        assert_eq!((some.name(), some.dim()), ("x", 1));
        assert_eq!((0..5).map(|row| some.has(row)).collect::<Vec<_>>(), [true, true, false, true, false]);
        let read = some.rows(0..3).unwrap();
        assert_eq!((read.vectors, read.present), (array![[4.0], [1.0], [2.0]], vec![true, true, false]));
        assert_eq!(some.rows(3..4).unwrap().vectors, array![[0.0]]);
        assert!(some.rows(2..2).unwrap().present.is_empty());
    }
}
