//! Vectors of a catalog's items, read in the catalog's order.

use std::ops::Range;

use ndarray::s;

use super::Modality;
use crate::error::Result;

/// A modality of the items of a catalog that is read some rows at a time.
pub trait ModalityRows: Send {
    /// Name of the modality.
    fn name(&self) -> &str;

    /// Dimension of its vectors.
    fn dim(&self) -> usize;

    /// The vectors of these rows of the catalog. Ranges must ascend and must not overlap.
    ///
    /// # Errors
    /// For a file that cannot be read; errors name file, column and row.
    fn rows(&mut self, rows: Range<usize>) -> Result<Modality>;
}

impl ModalityRows for Modality {
    fn name(&self) -> &str {
        &self.name
    }

    fn dim(&self) -> usize {
        Modality::dim(self)
    }

    fn rows(&mut self, rows: Range<usize>) -> Result<Modality> {
        Ok(Modality {
            name: self.name.clone(),
            vectors: self.vectors.slice(s![rows.clone(), ..]).to_owned(),
            present: self.present[rows].to_vec(),
        })
    }
}
