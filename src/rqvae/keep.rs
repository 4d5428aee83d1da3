//! Training that keeps codes of an earlier model.
//!
//! Earlier codes say which items share a codeword. The codewords themselves are fitted anew, by regression of the latents
//! on the codes, so that nothing of the earlier model is needed: neither its projection nor its features need to be those
//! of the new model. In refinement, an item leaves an earlier code only if another code is better by a price. The price is
//! a fraction, the *strength*, of the mean squared residual before the level.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use super::refine::residual_spread;
use super::regression::fit;
use super::trainer::{Trained, TrainingSession};
use crate::error::{Error, Result};
use crate::features::FeatureSource;
use crate::progress::Progress;
use crate::tokenizer::{PreviousCodes, Quantizer};
use crate::training::{QuantizerConfig, TrainConfig};

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

/// A model that keeps earlier codes.
#[derive(Debug, Clone)]
pub struct Retrained {
    /// The model.
    pub trained: Trained,
    /// The price of leaving an earlier code of each level, for
    /// [`Quantizer::encode_keeping`](crate::tokenizer::Quantizer::encode_keeping).
    pub prices: Vec<f32>,
}

/// Trains a model as [`train`](super::train) does, but with codebooks that start from earlier codes and keep them. Neither k-means nor
/// gradient descent take part: both would move items that are to stay.
///
/// # Errors
/// As [`train`](super::train); [`Error::Mismatch`] for earlier codes of other rows or of other codebooks.
pub fn retrain(
    features: &dyn FeatureSource,
    config: QuantizerConfig,
    kept: Kept,
    progress: &dyn Progress,
) -> Result<Retrained> {
    let previous = kept.previous;
    let fits =
        |row: ArrayView1<u16>| row.iter().zip(&config.codebook_sizes).all(|(&code, &size)| usize::from(code) < size);
    let wanted = (features.rows(), config.codebook_sizes.len());
    if previous.codes.dim() != wanted
        || previous.known.len() != wanted.0
        || !previous.codes.rows().into_iter().all(fits)
    {
        let expected = format!("codes of {wanted:?} items and levels, within {:?}", config.codebook_sizes);
        let got = format!("{:?}, or a larger code", previous.codes.dim());
        return Err(Error::mismatch("earlier codes", expected, got, "keep the number of levels and codes"));
    }
    let unrefined = config.refine_iterations == Some(0);
    let config = QuantizerConfig {
        epochs: 0,
        // Without refinement, new items would have no part in the codebooks.
        refine_iterations: config.refine_iterations.filter(|&rounds| rounds > 0),
        balance: if unrefined { 0.0 } else { config.balance },
        coherence: if unrefined { Some(0.0) } else { config.coherence },
        ..config
    };
    TrainConfig::from(config.clone()).check()?;
    let session =
        TrainingSession { features, shapes: features.shapes(), checkpoints: None, kept: Some(kept), progress };
    let (trained, prices) = session.residual_quantizer(config)?;
    Ok(Retrained { trained, prices })
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

#[cfg(test)]
mod tests {
    use super::super::trainer::tests::{config, features};
    use super::super::trainer::train;
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn a_training_that_keeps_codes_moves_fewer_items_the_stronger() {
        let items = features(1_500);
        let old: Vec<usize> = (0..1_500).filter(|row| row % 5 > 0).collect();
        let first = train(&items.take(&old).unwrap(), config(|_| ()), None, &Silent).unwrap().tokenizer;
        let x = items.concatenated();
        let mut previous = PreviousCodes { codes: Array2::zeros((1_500, 3)), known: vec![false; 1_500] };
        let codes = first.codes(x.view(), None).unwrap();
        for &row in &old {
            previous.known[row] = true;
            previous.codes.row_mut(row).assign(&codes.row(row));
        }
        let TrainConfig::ResidualQuantizer(settings) = config(|_| ()) else { panic!() };
        let kept_at = |strength: f64| {
            let kept = Kept { previous: &previous, strength };
            let Retrained { trained, prices } = retrain(&items, settings.clone(), kept, &Silent).unwrap();
            let encoded = trained.tokenizer.encode(x.view(), None).unwrap();
            let codes = trained.tokenizer.quantizer().encode_keeping(encoded.latents.view(), &previous, &prices);
            let share = old.iter().filter(|&&row| codes.row(row) == previous.codes.row(row)).count() as f64;
            (share / old.len() as f64, trained.history[0].error)
        };
        let ([(weak, free), (default, priced), (all, frozen)], again) = ([0.0, 0.05, 1.0].map(kept_at), kept_at(0.05));
        assert!(weak < default && default < all && all == 1.0, "{weak} {default} {all}");
        assert_eq!((default, priced), again);
        assert!(default > 0.8 && priced < 1.05 * free && frozen < 1.1 * free, "{default} {free} {priced} {frozen}");
        let sizes = QuantizerConfig { codebook_sizes: vec![8; 3], ..settings.clone() };
        let kept = Kept { previous: &previous, strength: 0.5 };
        assert!(retrain(&items, sizes, kept, &Silent).unwrap_err().to_string().contains("earlier codes"));
    }
}
