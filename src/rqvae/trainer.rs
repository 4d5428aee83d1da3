//! From features to a frozen model.

use ndarray::{Array2, Axis};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;
use serde::{Deserialize, Serialize};

use super::checkpoint::{Checkpoints, Keeper, fingerprint};
use super::config::{Method, TrainConfig};
use super::data::TrainingData;
use super::descent::Descent;
use super::init::{ROWS_AT_ONCE, array, start, unreadable};
use super::lc_rec::LcRec;
use super::model::Model;
use super::separation::separate;
use super::unused::put_to_use;
use super::valid_config::ValidTrainConfig;
use crate::error::Result;
use crate::features::FeatureSource;
use crate::progress::Progress;
use crate::tokenizer::{ModalityShape, Network, Quantizer, Tokenizer, Weights};

/// What an epoch came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochFigures {
    /// Epochs done; 0 is the state that refined codebooks on principal axes left.
    pub epoch: usize,
    /// Mean loss of the epoch's batches; none for epoch 0.
    pub loss: Option<f64>,
    /// Relative reconstruction error of the held-out items (of the training items where none are held out): the
    /// criterion by which the best state is chosen.
    pub error: f64,
    /// Codes that no item of the epoch used and that were placed anew.
    pub revived: usize,
}

/// A trained model and how it came about.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The frozen model.
    pub tokenizer: Tokenizer,
    /// One entry an epoch, epoch 0 first.
    pub history: Vec<EpochFigures>,
    /// The epoch whose state was kept.
    pub best_epoch: usize,
}

/// Where a training ended.
pub(super) struct Outcome {
    /// In its best state.
    pub(super) model: Model,
    pub(super) history: Vec<EpochFigures>,
    pub(super) best_epoch: usize,
}

/// Trains on features, all draws from the config's seed. Of more than `sample_items` items that many are kept in
/// memory. With `checkpoints` the state is saved from time to time, and taken up again; the file is left for the caller
/// to remove when the model is safe.
///
/// # Errors
/// [`crate::Error::Config`] for settings out of range; [`crate::Error::Data`] for features without any spread;
/// [`crate::Error::Unavailable`] for a device that is not there; [`crate::Error::Artifact`] for a checkpoint of another training; as
/// [`FeatureSource::blocks`].
pub fn train(
    features: &dyn FeatureSource,
    config: TrainConfig,
    checkpoints: Option<&Checkpoints>,
    progress: &dyn Progress,
) -> Result<Trained> {
    let shapes = features.shapes();
    let config = config.validate(features.rows(), &shapes)?;
    let device = super::device(&config.device)?;
    let mut rng = Xoshiro256Plus::seed_from_u64(config.seed);
    let data = TrainingData::read(features, &config, &mut rng, device, checkpoints.is_some())?;
    let training = fingerprint(&*config, data.hash.as_deref().unwrap_or_default(), features.rows());
    let (keeper, saved) = Keeper::begin(checkpoints, training)?;
    let outcome = if config.method == Method::LcRec {
        LcRec::new(&data, &config, rng, keeper, saved.as_ref())?.run(progress)?
    } else {
        let model = match &saved {
            None => {
                let completion = data.standardization.completion.as_ref();
                let completion = completion.map(|completion| (completion, &data.agreements[..]));
                start(&data.training.x, completion, &config, &mut rng, progress)?
            }
            Some(saved) => Model::restored(data.training.x.size()[1], &config, device, saved)?,
        };
        let mut descent = Descent::new(model, &data, &config, rng, keeper);
        if let Some(saved) = saved {
            descent.take_up(&saved)?;
        }
        descent.run(progress)?
    };
    let modalities = shapes.into_iter().map(|(name, dim)| ModalityShape { name, dim }).collect();
    freeze(outcome, data, modalities, &config, features.rows())
}

/// The frozen model.
fn freeze(
    outcome: Outcome,
    data: TrainingData,
    modalities: Vec<ModalityShape>,
    config: &ValidTrainConfig,
    items: usize,
) -> Result<Trained> {
    let Outcome { model, history, best_epoch } = outcome;
    let (projection, inverse) = model.freeze_networks()?;
    let books = model.codebooks.books.iter().map(array).collect::<Result<_>>()?;
    let mut quantizer = Quantizer::new(books, model.codebooks.freeze_offsets()?);
    if config.method == Method::Refine {
        let latents = latents(&data, &projection)?;
        quantizer = put_to_use(latents.view(), quantizer);
        quantizer = separate(latents.view(), quantizer, config.separation as f32);
    }
    let weights = Weights {
        standardization: data.standardization,
        projection,
        inverse,
        codebooks: quantizer.codebooks().to_vec(),
        offsets: quantizer.offsets().clone(),
    };
    let training = serde_json::json!({
        "config": &**config,
        "items": items,
        "held_out": config.held_out(),
        "best_epoch": best_epoch,
        "history": &history,
    });
    let tokenizer = Tokenizer::new(modalities, weights, training)?;
    Ok(Trained { tokenizer, history, best_epoch })
}

/// Of all items in memory, as the frozen projection gives them.
fn latents(data: &TrainingData, projection: &Network) -> Result<Array2<f32>> {
    let mut latents = Array2::zeros((0, projection.shape().1));
    for items in [Some(&data.training), data.validation.as_ref()].into_iter().flatten() {
        for rows in items.x.split(ROWS_AT_ONCE, 0) {
            let block = projection.forward(array(&rows)?.view());
            latents.append(Axis(0), block.view()).map_err(|e| unreadable(e.to_string()))?;
        }
    }
    Ok(latents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{Features, Modality};
    use crate::item_ids::ItemIds;
    use crate::progress::Silent;
    use crate::rqvae::Recipe;
    use ndarray::Array2;
    use rand::Rng;

    /// 24 clusters along curved lines in 32 dimensions of falling variance, blurred.
    fn features(n: usize) -> Features {
        let mut rng = Xoshiro256Plus::seed_from_u64(7);
        let centres = Array2::from_shape_simple_fn((24, 32), || rng.gen_range(-1.0f32..1.0));
        let vectors = Array2::from_shape_fn((n, 32), |(i, j)| {
            let along = i as f32 / n as f32 * 3.0;
            let place = centres[[i % 24, j]] + (along * (j + 1) as f32).sin() + rng.gen_range(-0.2..0.2);
            place / (1.0 + j as f32).sqrt()
        });
        let modality = Modality { name: "text".into(), vectors, present: vec![true; n] };
        Features::new(ItemIds::row_numbers(n), vec![modality]).unwrap()
    }

    fn config() -> TrainConfig {
        TrainConfig {
            codebook_sizes: vec![64; 3],
            latent_dim: 4,
            hidden: vec![32],
            epochs: 15,
            learning_rate: 1e-3,
            batch_size: 64,
            patience: 15,
            ..TrainConfig::default()
        }
    }

    #[test]
    fn gradients_beat_the_refined_start_and_all_repeats_to_the_bit() {
        let features = features(1_200);
        let trained = train(&features, config(), None, &Silent).unwrap();
        let (start, best) = (trained.history[0].error, trained.history[trained.best_epoch].error);
        assert!(best < 0.98 * start, "held-out error {best} of the best epoch, {start} of refined codebooks");
        let again = train(&features, config(), None, &Silent).unwrap();
        assert_eq!(trained.tokenizer, again.tokenizer);
        let other = train(&features, TrainConfig { seed: 43, ..config() }, None, &Silent).unwrap();
        assert_ne!(trained.tokenizer.hash(), other.tokenizer.hash());
    }

    /// Stops a training, as a kill would, when so many epochs are done.
    struct Cut(std::sync::atomic::AtomicU64);

    impl Progress for Cut {
        fn begin(&self, _: &str, _: Option<u64>, _: &str) {}
        fn figure(&self, name: &str, _: f64) {
            if name == "loss" && self.0.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) == 0 {
                std::panic::resume_unwind(Box::new("cut"));
            }
        }
        fn advance(&self, _: u64) {}
        fn end(&self) {}
        fn warn(&self, _: &str) {}
    }

    #[test]
    fn a_training_that_was_cut_off_goes_on_to_the_same_bytes() {
        let features = features(1_200);
        let folder = tempfile::tempdir().unwrap();
        let checkpoints =
            |resume| Checkpoints { path: folder.path().join("m.checkpoint"), every: std::time::Duration::ZERO, resume };
        let (first, again) = (checkpoints(false), checkpoints(true));
        let whole = train(&features, config(), None, &Silent).unwrap();
        for epochs in [3, 4] {
            let settings = if epochs == 3 { &first } else { &again };
            let cut = || train(&features, config(), Some(settings), &Cut(epochs.into()));
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(cut)).is_err());
        }
        let unasked = train(&features, config(), Some(&first), &Silent).unwrap_err().to_string();
        assert!(unasked.contains("--resume"), "{unasked}");
        let other = TrainConfig { seed: 1, ..config() };
        let other = train(&features, other, Some(&again), &Silent).unwrap_err().to_string();
        assert!(other.contains("one of another"), "{other}");
        let resumed = train(&features, config(), Some(&again), &Silent).unwrap();
        assert_eq!((resumed.tokenizer, resumed.history), (whole.tokenizer, whole.history));
        std::fs::write(&again.path, "no checkpoint").unwrap();
        assert!(train(&features, config(), Some(&again), &Silent).unwrap_err().to_string().contains("m.checkpoint"));
        again.remove().unwrap();
        assert!(!again.path.exists());
    }

    #[test]
    fn lc_recs_recipe_learns_and_goes_on_from_a_checkpoint() {
        let features = features(1_000);
        let lc_rec = TrainConfig {
            codebook_sizes: vec![16; 3],
            hidden: vec![64, 32],
            latent_dim: 8,
            epochs: 100,
            batch_size: 256,
            ..Recipe::LcRec.config()
        };
        let whole = train(&features, lc_rec.clone(), None, &Silent).unwrap();
        let errors: Vec<f64> = whole.history.iter().map(|figures| figures.error).collect();
        assert_eq!(errors.len(), 2, "a look every 50 epochs");
        assert!(errors[1] < errors[0] && errors[1] < 0.6, "{errors:?}");
        assert!(whole.tokenizer.projection().skip.is_none());
        let folder = tempfile::tempdir().unwrap();
        let checkpoints =
            |resume| Checkpoints { path: folder.path().join("m.checkpoint"), every: std::time::Duration::ZERO, resume };
        let (first, again) = (checkpoints(false), checkpoints(true));
        let cut = || train(&features, lc_rec.clone(), Some(&first), &Cut(70.into()));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(cut)).is_err());
        let resumed = train(&features, lc_rec.clone(), Some(&again), &Silent).unwrap();
        assert_eq!((resumed.tokenizer, resumed.history), (whole.tokenizer, whole.history));
    }

    #[test]
    fn more_items_than_fit_are_passed_over_in_windows() {
        let features = features(6_000);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        features.write(&path, crate::artifact::Overwrite::Refuse).unwrap();
        let file = crate::features::FeatureFile::open(&path).unwrap();
        let sampled = TrainConfig { sample_items: 1_500, epochs: 3, ..config() };
        let trained = train(&file, sampled.clone(), None, &Silent).unwrap();
        assert_eq!(trained.tokenizer.config().training["items"], 6_000);
        let (start, best) = (trained.history[0].error, trained.history[trained.best_epoch].error);
        assert!(best < start, "held-out error {best} after {start}");
        assert_eq!(trained.tokenizer, train(&features, sampled, None, &Silent).unwrap().tokenizer, "as from memory");
    }

    #[test]
    fn equal_vectors_are_refused() {
        let modality = Modality { name: "text".into(), vectors: Array2::ones((80, 4)), present: vec![true; 80] };
        let features = Features::new(ItemIds::row_numbers(80), vec![modality]).unwrap();
        assert!(train(&features, config(), None, &Silent).unwrap_err().to_string().contains("vectors differ"));
    }
}
