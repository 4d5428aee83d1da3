//! [`retrain`]: training that keeps previous codes.

use ndarray::ArrayView1;

use super::device::on_device;
use super::keep::Kept;
use super::trainer::{Trained, TrainingSession};
use crate::error::{Error, Result};
use crate::features::FeatureSource;
use crate::progress::Progress;
use crate::training::{QuantizerConfig, TrainConfig};

/// A model that was trained with [`retrain`].
#[derive(Debug, Clone)]
pub struct Retrained {
    /// The model.
    pub trained: Trained,
    /// The price of changing a previous code, per level, for
    /// [`Quantizer::encode_keeping`](crate::tokenizer::Quantizer::encode_keeping).
    pub prices: Vec<f32>,
}

/// Trains a model as [`train`](super::train) does, but fits the codebooks to previous codes and keeps these codes.
/// Skips k-means and gradient descent, because both would change codes that are to be kept.
///
/// # Errors
/// As [`train`](super::train). [`Error::Mismatch`] if the previous codes have another number of rows or levels, or
/// exceed their codebooks.
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
        let expected = format!("codes of shape {wanted:?} (items, levels), below {:?}", config.codebook_sizes);
        let got = format!("shape {:?}, or a code outside its codebook", previous.codes.dim());
        return Err(Error::mismatch("previous codes", expected, got, "keep the number of levels and codes"));
    }
    let unrefined = config.refine_iterations == Some(0);
    let config = QuantizerConfig {
        epochs: 0,
        // Refinement cannot be disabled: without it, new items would not influence the codebooks.
        refine_iterations: config.refine_iterations.filter(|&rounds| rounds > 0),
        balance: if unrefined { 0.0 } else { config.balance },
        coherence: if unrefined { Some(0.0) } else { config.coherence },
        ..config
    };
    TrainConfig::from(config.clone()).check()?;
    let session =
        TrainingSession { features, shapes: features.shapes(), checkpoints: None, kept: Some(kept), progress };
    let device = config.device.clone();
    let (trained, prices) = on_device(&device, || session.residual_quantizer(config))?;
    Ok(Retrained { trained, prices })
}

#[cfg(test)]
mod tests {
    use super::super::trainer::tests::{config, features};
    use super::super::trainer::train;
    use super::*;
    use crate::progress::Silent;
    use crate::tokenizer::PreviousCodes;
    use ndarray::Array2;

    #[test]
    fn a_higher_strength_keeps_more_codes() {
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
        let ([(weak, free), (half, priced), (all, frozen)], again) = ([0.0, 0.5, 1.0].map(kept_at), kept_at(0.5));
        assert!(weak < half && half < all && all == 1.0, "{weak} {half} {all}");
        assert_eq!((half, priced), again);
        assert!(half > 2.0 * weak && priced < 1.05 * free && frozen < 1.1 * free, "{half} {free} {priced} {frozen}");
        let sizes = QuantizerConfig { codebook_sizes: vec![8; 3], ..settings.clone() };
        let kept = Kept { previous: &previous, strength: 0.5 };
        assert!(retrain(&items, sizes, kept, &Silent).unwrap_err().to_string().contains("previous codes"));
    }
}
