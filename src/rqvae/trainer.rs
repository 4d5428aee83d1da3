//! Training: from features to a frozen model.

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;

use super::checkpoint::{Checkpoints, Keeper, Saved, fingerprint};
use super::data::{DataSettings, TrainingData};
use super::descent::Descent;
use super::device::{TrainingPlace, on_device, place};
use super::init::start;
use super::keep::{Kept, KeptItems};
use super::lc_rec::LcRecTraining;
use super::model::{RqVae, RqVaeShape};
use super::outcome::TrainingOutcome;
use super::points::LatentPoints;
use super::reference::{latents, latents_on_device, residual_errors};
use super::separation::separate;
use super::tensors::array;
use super::unused::use_every_code;
use super::valid_config::{ValidQuantizerConfig, check_room, valid_lc_rec};
use crate::error::Result;
use crate::features::FeatureSource;
use crate::progress::Progress;
use crate::tokenizer::{ModalityShape, Network, Quantizer, Tokenizer, Weights};
use crate::training::{EpochFigures, LcRecConfig, QuantizerConfig, TrainConfig, TrainingRecord};

/// A trained model and the course of its training.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The frozen model. Its [`Config::training`](crate::tokenizer::Config::training) is the whole record.
    pub tokenizer: Tokenizer,
    /// One entry per measured epoch, in order.
    pub history: Vec<EpochFigures>,
    /// The epoch whose state was kept.
    pub best_epoch: usize,
}

/// Trains a model on features. Every random number follows from the configuration's seed. Of more than `sample_items`
/// items, a random sample of that size is kept in memory.
///
/// With `checkpoints` the state is saved from time to time, and a training that was interrupted resumes from it. The
/// caller removes the file once the model is saved.
///
/// # Errors
/// [`crate::Error::Config`] for settings out of range; [`crate::Error::Data`] for features without variance;
/// [`crate::Error::Unavailable`] for a device that does not exist; [`crate::Error::Artifact`] for a checkpoint of another
/// training; as [`FeatureSource::blocks`].
pub fn train(
    features: &dyn FeatureSource,
    config: TrainConfig,
    checkpoints: Option<&Checkpoints>,
    progress: &dyn Progress,
) -> Result<Trained> {
    train_sharing(features, config, 1, checkpoints, progress)
}

/// As [`train`], for IDs that up to `capacity` items share: the model needs fewer IDs than there are items.
///
/// # Errors
/// As [`train`].
pub fn train_sharing(
    features: &dyn FeatureSource,
    config: TrainConfig,
    capacity: u16,
    checkpoints: Option<&Checkpoints>,
    progress: &dyn Progress,
) -> Result<Trained> {
    config.check()?;
    check_room(config.codebook_sizes(), features.rows(), capacity)?;
    let session = TrainingSession { features, shapes: features.shapes(), checkpoints, kept: None, progress };
    let device = config.device().to_owned();
    on_device(&device, || match config {
        TrainConfig::ResidualQuantizer(config) => Ok(session.residual_quantizer(config)?.0),
        TrainConfig::LcRec(config) => session.lc_rec(config),
    })
}

/// The arguments of [`train`] except the configuration.
pub(super) struct TrainingSession<'a> {
    pub(super) features: &'a dyn FeatureSource,
    /// The modalities, by name and dimension.
    pub(super) shapes: Vec<(String, usize)>,
    pub(super) checkpoints: Option<&'a Checkpoints>,
    /// Previous codes to keep.
    pub(super) kept: Option<Kept<'a>>,
    pub(super) progress: &'a dyn Progress,
}

/// A session whose features are read.
struct OpenedSession<'a> {
    data: TrainingData<'a>,
    rng: Xoshiro256Plus,
    keeper: Keeper<'a>,
    /// The checkpoint to resume from.
    saved: Option<Saved>,
}

impl<'a> TrainingSession<'a> {
    /// The model, and the price of changing a previous code, per level. The prices are empty if no codes are kept.
    pub(super) fn residual_quantizer(self, config: QuantizerConfig) -> Result<(Trained, Vec<f32>)> {
        let config = ValidQuantizerConfig::new(config, self.features.rows(), &self.shapes)?;
        let place = place(&config.device)?;
        let used = TrainConfig::from((*config).clone());
        let OpenedSession { data, mut rng, keeper, saved } =
            self.open(&config.data_settings(&self.shapes)?, &used, place)?;
        let kept: Option<KeptItems> = self.kept.map(|kept| kept.of(&data.rows));
        let model = match &saved {
            None => {
                let agreements = config.agreements(&self.shapes);
                let completion = data.standardization.completion.as_ref();
                let completion = completion.map(|completion| (completion, &agreements[..]));
                start(&data.training.x, place.on_host, completion, kept.as_ref(), &config, &mut rng, self.progress)?
            }
            Some(saved) => {
                let shape = RqVaeShape {
                    dim: data.training.x.size()[1] as usize,
                    hidden: &config.hidden,
                    latent_dim: config.latent_dim,
                    codebook_sizes: &config.codebook_sizes,
                    linear_path: true,
                };
                RqVae::restored(shape, place.device, saved)?
            }
        };
        let mut descent = Descent::new(model, &data, &config, rng, keeper);
        if let Some(saved) = saved {
            descent.resume(&saved)?;
        }
        let outcome = descent.run(self.progress)?;
        let mut prices = Vec::new();
        let finish = |data: &TrainingData, projection: &Network, quantizer| {
            let (kept, separation) = (kept.as_ref().map(|kept| (kept, data.rows.len())), config.separation as f32);
            let (finished, of_kept) = if data.place.on_host {
                finished(latents(data, projection)?, kept, quantizer, separation)?
            } else {
                finished(latents_on_device(data, projection), kept, quantizer, separation)?
            };
            prices = of_kept;
            Ok(finished)
        };
        let trained = self.freeze(outcome, data, (used, config.held_out()), finish)?;
        Ok((trained, prices))
    }

    fn lc_rec(self, config: LcRecConfig) -> Result<Trained> {
        let config = valid_lc_rec(config, self.features.rows(), &self.shapes)?;
        let place = place(&config.device)?;
        let settings = DataSettings {
            sample_items: config.sample_items,
            held_out: 0,
            weights: None,
            completion: None,
            dropout: 0.0,
        };
        let used = TrainConfig::from(config.clone());
        let OpenedSession { data, rng, keeper, saved } = self.open(&settings, &used, place)?;
        let outcome = LcRecTraining::new(&data, &config, rng, keeper, saved.as_ref())?.run(self.progress)?;
        self.freeze(outcome, data, (used, 0), |_, _, quantizer| Ok(quantizer))
    }

    /// Reads the features, and the checkpoint if there is one to resume from.
    fn open(&self, settings: &DataSettings, config: &TrainConfig, place: TrainingPlace) -> Result<OpenedSession<'a>> {
        let mut rng = Xoshiro256Plus::seed_from_u64(config.seed());
        let data = TrainingData::read(self.features, settings, &mut rng, place, self.checkpoints.is_some())?;
        let training = fingerprint(config, data.hash.as_deref().unwrap_or_default(), self.features.rows());
        let (keeper, saved) = Keeper::begin(self.checkpoints, training)?;
        Ok(OpenedSession { data, rng, keeper, saved })
    }

    /// The frozen model, with the quantizer that `finish` returns.
    fn freeze(
        self,
        outcome: TrainingOutcome,
        data: TrainingData,
        (config, held_out): (TrainConfig, usize),
        finish: impl FnOnce(&TrainingData, &Network, Quantizer) -> Result<Quantizer>,
    ) -> Result<Trained> {
        let TrainingOutcome { model, history, best_epoch } = outcome;
        let (projection, inverse) = model.freeze_networks()?;
        let books = model.quantizer.books.iter().map(array).collect::<Result<_>>()?;
        let quantizer = Quantizer::new(books, model.quantizer.freeze_offsets()?);
        let quantizer = finish(&data, &projection, quantizer)?;
        let residual_errors = residual_errors(&data, &projection, &quantizer)?;
        let weights = Weights {
            standardization: data.standardization,
            projection,
            inverse,
            codebooks: quantizer.codebooks().to_vec(),
            offsets: quantizer.offsets().clone(),
        };
        let record = TrainingRecord {
            config: Some(config),
            items: self.features.rows(),
            held_out,
            best_epoch,
            history: history.clone(),
            residual_errors,
        };
        let modalities = self.shapes.into_iter().map(|(name, dim)| ModalityShape { name, dim }).collect();
        let tokenizer = Tokenizer::new(modalities, weights, Some(record))?;
        Ok(Trained { tokenizer, history, best_epoch })
    }
}

/// The quantizer with unused codewords moved and items separated, and the prices of `kept` codes: those of the first
/// items, whose number is given.
pub(super) fn finished(
    latents: impl LatentPoints,
    kept: Option<(&KeptItems, usize)>,
    quantizer: Quantizer,
    separation: f32,
) -> Result<(Quantizer, Vec<f32>)> {
    let Some((kept, training)) = kept else {
        let quantizer = use_every_code(&latents, quantizer)?;
        return Ok((separate(&latents, quantizer, separation)?, Vec::new()));
    };
    // Skips `use_every_code`: an item may keep a code that no item would choose.
    let quantizer = separate(&latents, quantizer, separation)?;
    let prices = kept.prices(&latents.truncated(training), &quantizer)?;
    Ok((quantizer, prices))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::features::{Features, Modality};
    use crate::item_ids::ItemIds;
    use crate::progress::Silent;
    use ndarray::Array2;
    use rand::Rng;

    /// 24 noisy clusters along curves, in 32 dimensions of decreasing variance.
    pub(in crate::rqvae) fn features(n: usize) -> Features {
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

    pub(in crate::rqvae) fn config(change: impl FnOnce(&mut QuantizerConfig)) -> TrainConfig {
        let mut config = QuantizerConfig {
            codebook_sizes: vec![64; 3],
            latent_dim: 4,
            hidden: vec![32],
            epochs: 15,
            learning_rate: 1e-3,
            batch_size: 64,
            patience: 15,
            ..QuantizerConfig::default()
        };
        change(&mut config);
        config.into()
    }

    #[test]
    fn gradient_descent_lowers_the_error_and_training_is_deterministic() {
        let features = features(1_200);
        let trained = train(&features, config(|_| ()), None, &Silent).unwrap();
        let (start, best) = (trained.history[0].error, trained.history[trained.best_epoch].error);
        assert!(best < 0.98 * start, "held-out error {best} of the best epoch, {start} of refined codebooks");
        let again = train(&features, config(|_| ()), None, &Silent).unwrap();
        assert_eq!(trained.tokenizer, again.tokenizer);
        let other = train(&features, config(|c| c.seed = 43), None, &Silent).unwrap();
        assert_ne!(trained.tokenizer.hash(), other.tokenizer.hash());
    }

    /// Interrupts a training after this number of epochs.
    pub(in crate::rqvae) struct Interruption(pub(in crate::rqvae) std::sync::atomic::AtomicU64);

    impl Progress for Interruption {
        fn begin(&self, _: &str, _: Option<u64>, _: &str) {}
        fn figure(&self, name: &str, _: f64) {
            if name == "loss" && self.0.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) == 0 {
                std::panic::resume_unwind(Box::new("interrupted"));
            }
        }
        fn advance(&self, _: u64) {}
        fn end(&self) {}
        fn warn(&self, _: &str) {}
    }

    #[test]
    fn an_interrupted_training_resumes_to_the_same_model() {
        let features = features(1_200);
        let folder = tempfile::tempdir().unwrap();
        let checkpoints =
            |resume| Checkpoints { path: folder.path().join("m.checkpoint"), every: std::time::Duration::ZERO, resume };
        let (first, again) = (checkpoints(false), checkpoints(true));
        let whole = train(&features, config(|_| ()), None, &Silent).unwrap();
        for epochs in [3, 4] {
            let settings = if epochs == 3 { &first } else { &again };
            let cut = || train(&features, config(|_| ()), Some(settings), &Interruption(epochs.into()));
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(cut)).is_err());
        }
        let unasked = train(&features, config(|_| ()), Some(&first), &Silent).unwrap_err().to_string();
        assert!(unasked.contains("--resume"), "{unasked}");
        let other = config(|c| c.seed = 1);
        let other = train(&features, other, Some(&again), &Silent).unwrap_err().to_string();
        assert!(other.contains("another training"), "{other}");
        let resumed = train(&features, config(|_| ()), Some(&again), &Silent).unwrap();
        assert_eq!((resumed.tokenizer, resumed.history), (whole.tokenizer, whole.history));
        let whole = std::fs::read(&again.path).unwrap();
        let says = || train(&features, config(|_| ()), Some(&again), &Silent).unwrap_err().to_string();
        for at in (0..whole.len()).step_by(whole.len() / 40).chain(0..8) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            std::fs::write(&again.path, flipped).unwrap();
            assert!(says().contains("m.checkpoint is damaged"), "byte {at}: {}", says());
        }
        std::fs::write(&again.path, whole).unwrap();
        again.remove().unwrap();
        assert!(!again.path.exists());
        // A file that is not a checkpoint is not removed, even with --force.
        std::fs::write(&again.path, "years of work").unwrap();
        assert!(says().contains("m.checkpoint"));
        assert!(again.remove().unwrap_err().to_string().contains("another file") && again.path.exists());
        // A link to a file that does not exist is not removed either.
        std::fs::remove_file(&again.path).unwrap();
        std::os::unix::fs::symlink("none", &again.path).unwrap();
        assert!(again.remove().is_err() && again.path.symlink_metadata().is_ok());
    }

    #[test]
    fn lc_recs_training_learns_and_resumes_from_a_checkpoint() {
        let features = features(1_000);
        let lc_rec = TrainConfig::from(LcRecConfig {
            codebook_sizes: vec![16; 3],
            hidden: vec![64, 32],
            latent_dim: 8,
            epochs: 100,
            batch_size: 256,
            ..LcRecConfig::default()
        });
        let whole = train(&features, lc_rec.clone(), None, &Silent).unwrap();
        let errors: Vec<f64> = whole.history.iter().map(|figures| figures.error).collect();
        assert_eq!(errors.len(), 2, "measured every 50 epochs");
        assert!(errors[1] < errors[0] && errors[1] < 0.6, "{errors:?}");
        assert!(whole.tokenizer.projection().skip.is_none());
        let folder = tempfile::tempdir().unwrap();
        let checkpoints =
            |resume| Checkpoints { path: folder.path().join("m.checkpoint"), every: std::time::Duration::ZERO, resume };
        let (first, again) = (checkpoints(false), checkpoints(true));
        // Before the first count of collisions, and after it.
        for (settings, epochs) in [(&first, 20), (&again, 50)] {
            let cut = || train(&features, lc_rec.clone(), Some(settings), &Interruption(epochs.into()));
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(cut)).is_err());
        }
        let resumed = train(&features, lc_rec.clone(), Some(&again), &Silent).unwrap();
        assert_eq!((resumed.tokenizer, resumed.history), (whole.tokenizer, whole.history));
    }

    #[test]
    fn a_catalog_larger_than_the_sample_is_read_from_its_file() {
        let features = features(6_000);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        features.write(&path, crate::artifact::Overwrite::Refuse).unwrap();
        let file = crate::features::FeatureFile::open(&path).unwrap();
        let sampled = config(|c| (c.sample_items, c.epochs) = (1_500, 3));
        let trained = train(&file, sampled.clone(), None, &Silent).unwrap();
        assert_eq!(trained.tokenizer.config().training.as_ref().unwrap().items, 6_000);
        let (start, best) = (trained.history[0].error, trained.history[trained.best_epoch].error);
        assert!(best < start, "held-out error {best} after {start}");
        assert_eq!(trained.tokenizer, train(&features, sampled, None, &Silent).unwrap().tokenizer, "as from memory");
    }

    #[test]
    fn equal_vectors_are_refused() {
        let modality = Modality { name: "text".into(), vectors: Array2::ones((80, 4)), present: vec![true; 80] };
        let features = Features::new(ItemIds::row_numbers(80), vec![modality]).unwrap();
        assert!(train(&features, config(|_| ()), None, &Silent).unwrap_err().to_string().contains("vectors differ"));
    }
}
