//! Training that keeps codes of an earlier model.
//!
//! Earlier codes say which items share a codeword. The codewords themselves are fitted anew, by regression of the latents
//! on the codes, so that nothing of the earlier model is needed: neither its projection nor its features need to be those
//! of the new model. In refinement, an item leaves an earlier code only if another code is better by a price. The price is
//! a fraction, the *strength*, of the mean squared residual before the level.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::regression::{fit, residual_spread};
use crate::tokenizer::{PreviousCodes, Quantizer};

/// From this strength on, every item keeps its codes.
pub const KEEP_ALL: f64 = 1.0;

/// Sweeps of the first regression, which starts at zero.
const SWEEPS: usize = 8;

/// The codes that the items of the features had, and how strongly they are kept.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'a> {
    /// One row per row of the features.
    pub previous: &'a PreviousCodes,
    /// The price of leaving a code, as a fraction of the mean squared residual of the level; infinite from [`KEEP_ALL`] on.
    pub strength: f64,
}

/// What is kept of the training items.
pub(super) struct KeptItems {
    previous: PreviousCodes,
    strength: f64,
}

impl Kept<'_> {
    /// For the items of these rows of the features.
    pub(super) fn of(&self, rows: &[usize]) -> KeptItems {
        KeptItems { previous: self.previous.select(rows), strength: self.strength }
    }
}

impl KeptItems {
    /// Codebooks of these sizes by regression of the latents on the previous codes. Codes that no item had are zero.
    pub(super) fn codebooks(
        &self,
        latents: ArrayView2<f32>,
        sizes: &[usize],
        ridges: &[Array1<f32>],
    ) -> Vec<Array2<f32>> {
        let mut books: Vec<Array2<f32>> = sizes.iter().map(|&size| Array2::zeros((size, latents.ncols()))).collect();
        let rows = self.previous.rows();
        let (latents, codes) = (latents.select(Axis(0), &rows), self.previous.codes.select(Axis(0), &rows));
        fit(latents.view(), &codes, &mut books, ridges, SWEEPS);
        books
    }

    /// The codes of the training items.
    pub(super) fn encode(&self, latents: ArrayView2<f32>, quantizer: &Quantizer) -> Array2<u16> {
        quantizer.encode_keeping(latents, &self.previous, &self.prices(latents, quantizer))
    }

    /// The price of leaving a previous code of each level.
    pub(super) fn prices(&self, latents: ArrayView2<f32>, quantizer: &Quantizer) -> Vec<f32> {
        let levels = quantizer.codebooks().len();
        if self.strength >= KEEP_ALL {
            return vec![f32::INFINITY; levels];
        }
        let codes = quantizer.encode_keeping(latents, &self.previous, &vec![f32::INFINITY; levels]);
        let spread = residual_spread(latents, &codes, quantizer.codebooks());
        spread.into_iter().map(|spread| spread * self.strength as f32).collect()
    }
}
