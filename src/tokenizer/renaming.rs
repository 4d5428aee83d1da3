//! A model with other names for its codes.

use super::{Tokenizer, Weights};
use crate::error::Result;

impl Tokenizer {
    /// The model with other names for its codes, as [`Quantizer::renamed`](super::Quantizer::renamed).
    ///
    /// # Errors
    /// As [`Tokenizer::new`].
    pub fn renamed(&self, names: &[Vec<u16>]) -> Result<Tokenizer> {
        let quantizer = self.quantizer.renamed(names);
        let weights = Weights {
            standardization: self.standardization.clone(),
            projection: self.projection.clone(),
            inverse: self.inverse.clone(),
            codebooks: quantizer.codebooks().to_vec(),
            offsets: quantizer.offsets().clone(),
        };
        Tokenizer::new(self.config.modalities.clone(), weights, self.config.training.clone())
    }
}
