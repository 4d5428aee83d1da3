//! Training that keeps the codes of an earlier model.
//!
//! The previous codes say which items share a codeword. New codewords are fitted by regression of the latents on the
//! previous codes. The earlier model itself is not needed, and the new model may have another projection and other
//! features. In refinement, an item changes a previous code only if another code lowers its cost by more than a
//! *price*. The price of a level is a fraction, the *strength*, of the mean squared residual before the level.

use ndarray::{Array1, Array2, Axis};

use super::points::LatentPoints;
use crate::error::Result;
use crate::tokenizer::{PreviousCodes, Quantizer};

/// Minimum strength at which every item keeps its previous codes.
pub const KEEP_ALL: f64 = 1.0;

/// Sweeps of the first regression, in which all codewords start at zero.
const SWEEPS: usize = 8;

/// The previous codes of the items, and how strongly training keeps them.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'a> {
    /// One row per row of the features.
    pub previous: &'a PreviousCodes,
    /// The price of changing a code, as a fraction of the mean squared residual before the level. At [`KEEP_ALL`] and
    /// above, the price is infinite.
    pub strength: f64,
}

/// The previous codes of the training items, and how strongly training keeps them.
pub(super) struct KeptItems {
    previous: PreviousCodes,
    strength: f64,
}

impl Kept<'_> {
    /// Selects the items of these rows of the features.
    pub(super) fn of(&self, rows: &[usize]) -> KeptItems {
        KeptItems { previous: self.previous.select(rows), strength: self.strength }
    }
}

impl KeptItems {
    /// Codebooks of these sizes, fitted by regression of the latents on the previous codes. Codewords of codes that no
    /// item had are zero.
    pub(super) fn codebooks(
        &self,
        latents: &impl LatentPoints,
        sizes: &[usize],
        ridges: &[Array1<f32>],
    ) -> Result<Vec<Array2<f32>>> {
        let mut books: Vec<Array2<f32>> = sizes.iter().map(|&size| Array2::zeros((size, latents.dim()))).collect();
        let rows = self.previous.rows();
        if rows.is_empty() {
            return Ok(books);
        }
        let latents = latents.select(&rows);
        let codes = latents.place(self.previous.codes.select(Axis(0), &rows));
        latents.fit(&codes, &mut books, ridges, SWEEPS)?;
        Ok(books)
    }

    /// The codes of the training items, which keep their previous codes unless the price is exceeded.
    pub(super) fn encode<P: LatentPoints>(&self, latents: &P, quantizer: &Quantizer) -> Result<P::Codes> {
        Ok(latents.encode_keeping(quantizer, &self.previous, &self.prices(latents, quantizer)?))
    }

    /// The price of changing a previous code, per level.
    pub(super) fn prices(&self, latents: &impl LatentPoints, quantizer: &Quantizer) -> Result<Vec<f32>> {
        let levels = quantizer.codebooks().len();
        if self.strength >= KEEP_ALL {
            return Ok(vec![f32::INFINITY; levels]);
        }
        let codes = latents.encode_keeping(quantizer, &self.previous, &vec![f32::INFINITY; levels]);
        let spread = latents.residual_spread(&codes, quantizer.codebooks())?;
        Ok(spread.into_iter().map(|spread| spread * self.strength as f32).collect())
    }
}
