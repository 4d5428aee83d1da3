//! The training loop.

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor, no_grad};

use super::adamw::AdamW;
use super::checkpoint::{Checkpoints, Keeper, Saved, fingerprint};
use super::config::{Method, TrainConfig, ValidTrainConfig};
use super::data::TrainingData;
use super::init::{array, start};
use super::lc_rec::LcRec;
use super::model::Model;
use crate::error::{Error, Result};
use crate::features::FeatureSource;
use crate::progress::Progress;
use crate::tokenizer::{ModalityShape, Standardization, Tokenizer, Weights};

/// An epoch's state is kept where its error is below this share of the best before: a smaller gain does not pay for a
/// network that every item passes through from then on.
const WORTH: f64 = 0.999;

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

/// Trains on features, all draws from the config's seed. Of more than `sample_items` items that many are kept in
/// memory. With `checkpoints` the state is saved from time to time, and taken up again; the file is left for the caller
/// to remove when the model is safe.
///
/// # Errors
/// [`Error::Config`] for settings out of range; [`Error::Data`] for features without any spread;
/// [`Error::Unavailable`] for a device that is not there; [`Error::Artifact`] for a checkpoint of another training; as
/// [`FeatureSource::blocks`].
pub fn train(
    features: &dyn FeatureSource,
    config: TrainConfig,
    checkpoints: Option<&Checkpoints>,
    progress: &dyn Progress,
) -> Result<Trained> {
    let shapes = features.shapes();
    let config = config.validate(features.rows(), shapes.iter().map(|&(_, dim)| dim).sum())?;
    let device = super::device(&config.device)?;
    let mut rng = Xoshiro256Plus::seed_from_u64(config.seed);
    let data = TrainingData::read(features, &config, &mut rng, device, checkpoints.is_some())?;
    let training = fingerprint(&*config, data.hash.as_deref().unwrap_or_default(), features.rows());
    let (keeper, saved) = Keeper::begin(checkpoints, training)?;
    let modalities = shapes.into_iter().map(|(name, dim)| ModalityShape { name, dim }).collect();
    if config.method == Method::LcRec {
        let (model, history, best_epoch) = LcRec::new(&data, &config, rng, keeper, saved.as_ref())?.run(progress)?;
        let standardization = data.standardization;
        return freeze(&model, standardization, modalities, &config, features.rows(), history, best_epoch);
    }
    let model = match &saved {
        None => start(&data.training, &config, &mut rng, progress)?,
        Some(saved) => Model::restored(data.training.size()[1], &config, device, saved)?,
    };
    let mut run = Run::new(model, data, config, rng, keeper);
    if let Some(saved) = saved {
        run.take_up(&saved)?;
    }
    run.epochs(progress)?;
    let (best_epoch, state) = run.best;
    run.model.restore(&state);
    freeze(&run.model, run.data.standardization, modalities, &run.config, features.rows(), run.history, best_epoch)
}

/// The state of a training in progress.
struct Run<'a> {
    model: Model,
    optimizer: AdamW,
    data: TrainingData<'a>,
    /// Mean squared length of the training items.
    variance: f64,
    config: ValidTrainConfig,
    rng: Xoshiro256Plus,
    history: Vec<EpochFigures>,
    best: (usize, Vec<Tensor>),
    keeper: Keeper<'a>,
}

/// What a checkpoint holds beside tensors.
#[derive(Serialize, Deserialize)]
struct State {
    rng: Xoshiro256Plus,
    steps: i32,
    history: Vec<EpochFigures>,
    best_epoch: usize,
}

impl<'a> Run<'a> {
    fn new(
        model: Model,
        data: TrainingData<'a>,
        config: ValidTrainConfig,
        rng: Xoshiro256Plus,
        keeper: Keeper<'a>,
    ) -> Self {
        let mut optimizer = AdamW::default();
        let variance = mean_square(&data.training);
        // Latents have a mean square of 1 a dimension, features one of variance / dim.
        let feature_scale = (variance / data.training.size()[1] as f64).sqrt();
        for (net, output_scale) in [(&model.projection, 1.0), (&model.inverse, feature_scale)] {
            // The linear path starts as the principal axes, which are no accident: they do not decay.
            net.skip.iter().for_each(|skip| optimizer.add(skip, 0.0, output_scale));
            for (at, layer) in net.layers.iter().enumerate() {
                let pace = if at + 1 == net.layers.len() { output_scale } else { 1.0 };
                optimizer.add(&layer.weight, config.weight_decay, pace);
                optimizer.add(&layer.bias, 0.0, pace);
            }
        }
        for book in &model.codebooks.books {
            optimizer.add(book, 0.0, 1.0);
        }
        let best = (0, model.snapshot());
        Run { model, optimizer, data, variance, config, rng, history: Vec::new(), best, keeper }
    }

    /// Goes on from a checkpoint.
    fn take_up(&mut self, saved: &Saved) -> Result<()> {
        let state: State = saved.state()?;
        self.optimizer.restore(state.steps, |name| saved.tensor(name))?;
        let best = (0..self.best.1.len()).map(|i| Ok(saved.tensor(&format!("best.{i}"))?.to_device(self.device())));
        self.best = (state.best_epoch, best.collect::<Result<_>>()?);
        (self.rng, self.history) = (state.rng, state.history);
        Ok(())
    }

    fn save(&mut self) -> Result<()> {
        let (steps, moments) = self.optimizer.state();
        let best = self.best.1.iter().enumerate().map(|(i, tensor)| (format!("best.{i}"), tensor));
        let tensors = || self.model.tensors().into_iter().chain(moments).chain(best).collect();
        let state = State { rng: self.rng.clone(), steps, history: self.history.clone(), best_epoch: self.best.0 };
        self.keeper.save(tensors, || serde_json::json!(state))
    }

    fn device(&self) -> Device {
        self.data.training.device()
    }

    fn epochs(&mut self, progress: &dyn Progress) -> Result<()> {
        if self.history.is_empty() {
            let error = self.error();
            self.history.push(EpochFigures { epoch: 0, loss: None, error, revived: 0 });
            self.save()?;
        }
        progress.begin("train", Some(self.config.epochs as u64), "epochs");
        progress.advance(self.history.len() as u64 - 1);
        let mut best_error = self.history[self.best.0].error;
        while self.goes_on() {
            let epoch = self.history.len();
            let (loss, revived) = self.epoch(epoch)?;
            let error = self.error();
            self.history.push(EpochFigures { epoch, loss: Some(loss), error, revived });
            progress.figure("loss", loss);
            progress.figure("error", error);
            progress.advance(1);
            if !(loss.is_finite() && error.is_finite()) {
                progress.warn(&format!("training diverged in epoch {epoch}; the best state before it is kept"));
                break;
            }
            if error < WORTH * best_error {
                best_error = error;
                self.best = (epoch, self.model.snapshot());
            }
            self.save()?;
        }
        progress.end();
        Ok(())
    }

    /// Whether there are epochs left, and a chance of a better state.
    fn goes_on(&self) -> bool {
        let done = self.history.len() - 1;
        done < self.config.epochs && done - self.best.0 < self.config.patience
    }

    /// One pass over the training items in a fresh order. Returns the mean loss and the number of revived codes.
    fn epoch(&mut self, epoch: usize) -> Result<(f64, usize)> {
        let device = self.device();
        let mut usage: Vec<Tensor> =
            self.model.codebooks.books.iter().map(|b| Tensor::zeros([b.size()[0]], (Kind::Float, device))).collect();
        let n = self.data.len() as f64;
        let (mut loss, mut items) = (0.0, 0.0);
        let mut last = None;
        self.data.each_batch(self.config.batch_size, &mut self.rng, |batch| {
            let losses = self.model.losses(&batch, self.variance, &self.config);
            let done = (epoch - 1) as f64 + items / n;
            let cosine = 0.5 * (1.0 + (std::f64::consts::PI * done / self.config.epochs as f64).cos());
            self.optimizer.step(&losses.total, self.config.learning_rate * cosine);
            let size = batch.size()[0] as f64;
            loss += losses.total.double_value(&[]) * size;
            items += size;
            for (used, code) in usage.iter_mut().zip(&losses.quantized.codes) {
                *used += code.bincount::<Tensor>(None, used.size()[0]);
            }
            last = Some(losses.quantized.residuals);
            Ok(())
        })?;
        // Codes are revived while there is time left for them to settle.
        let revived = match last {
            Some(residuals) if 2 * epoch <= self.config.epochs => self.revive(&usage, &residuals)?,
            _ => 0,
        };
        Ok((loss / items, revived))
    }

    /// Places codewords that nothing used on residuals drawn from the last batch.
    fn revive(&mut self, usage: &[Tensor], residuals: &[Tensor]) -> Result<usize> {
        let mut revived = 0;
        for ((book, used), residual) in self.model.codebooks.books.iter().zip(usage).zip(residuals) {
            let dead: Vec<i64> = Vec::<i64>::try_from(used.eq(0.0).nonzero().view(-1).to_device(Device::Cpu))
                .map_err(|e| Error::mismatch("a count of codes", "integers", e, "please report this"))?;
            if dead.is_empty() {
                continue;
            }
            let n = residual.size()[0];
            let from: Vec<i64> = dead.iter().map(|_| self.rng.gen_range(0..n)).collect();
            let rows = Tensor::from_slice(&dead).to_device(book.device());
            let placed = residual.index_select(0, &Tensor::from_slice(&from).to_device(book.device()));
            let _ = no_grad(|| book.shallow_clone().index_copy_(0, &rows, &placed));
            self.optimizer.forget_rows(book, &rows);
            revived += dead.len();
        }
        Ok(revived)
    }

    /// The criterion: relative reconstruction error of the held-out items, or of the training items.
    fn error(&self) -> f64 {
        let x = self.data.validation.as_ref().unwrap_or(&self.data.training);
        self.model.squared_error(x) / (mean_square(x) * x.size()[0] as f64)
    }
}

/// The frozen model.
fn freeze(
    model: &Model,
    standardization: Standardization,
    modalities: Vec<ModalityShape>,
    config: &ValidTrainConfig,
    items: usize,
    history: Vec<EpochFigures>,
    best_epoch: usize,
) -> Result<Trained> {
    let (projection, inverse) = model.freeze_networks()?;
    let weights = Weights {
        standardization,
        projection,
        inverse,
        codebooks: model.codebooks.books.iter().map(array).collect::<Result<_>>()?,
        offsets: model.codebooks.freeze_offsets()?,
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

/// Mean squared length of rows.
fn mean_square(x: &Tensor) -> f64 {
    x.square().sum(Kind::Double).double_value(&[]) / x.size()[0] as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{Features, Modality};
    use crate::item_ids::ItemIds;
    use crate::progress::Silent;
    use crate::rqvae::Recipe;
    use ndarray::Array2;

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
