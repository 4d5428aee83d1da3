//! Vectors of a catalog's items, read in the catalog's order.

use std::ops::Range;

use ndarray::{Axis, s};

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

    /// The vectors of these rows of the catalog. Ranges must ascend and must not overlap.
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
