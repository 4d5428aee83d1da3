//! The training loop.

use ndarray::Axis;
use rand::Rng;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256Plus;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor, no_grad};

use super::adamw::AdamW;
use super::config::{TrainConfig, ValidTrainConfig};
use super::init::{array, start, tensor};
use super::model::Model;
use crate::error::{Error, Result};
use crate::features::Features;
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

/// Trains on features, all draws from the config's seed.
///
/// # Errors
/// [`Error::Config`] for settings out of range; [`Error::Data`] for features without any spread;
/// [`Error::Unavailable`] for a device that is not there.
pub fn train(features: &Features, config: TrainConfig, progress: &dyn Progress) -> Result<Trained> {
    let dims = features.dims();
    let config = config.validate(features.len(), dims.iter().sum())?;
    let device = super::device(&config.device)?;
    let weights = config.weights_of(features.modalities().iter().map(|m| m.name.as_str()))?;
    let mut rng = Xoshiro256Plus::seed_from_u64(config.seed);

    let (x, present) = (features.concatenated(), features.presence());
    let standardization = Standardization::measure(x.view(), present.view(), &dims, &weights);
    if standardization.is_flat() {
        return Err(Error::data(
            "training",
            "items whose vectors differ",
            format!("{} equal vectors", features.len()),
            "check the encoders' input: the fields may be empty or the same everywhere",
        ));
    }
    let x = standardization.apply(x.view(), Some(present.view()));
    let mut rows: Vec<usize> = (0..features.len()).collect();
    rows.shuffle(&mut rng);
    let (held_out, training) = rows.split_at(config.held_out());
    let mut training = training.to_vec();
    training.sort_unstable();
    let validation = (!held_out.is_empty()).then(|| tensor(&x.select(Axis(0), held_out)).to_device(device));
    let training = tensor(&if validation.is_some() { x.select(Axis(0), &training) } else { x }).to_device(device);

    let model = start(&training, &config, &mut rng, progress)?;
    let mut run = Run::new(model, training, validation, config, rng);
    run.epochs(progress)?;
    let shapes = features.modalities().iter().map(|m| ModalityShape { name: m.name.clone(), dim: m.dim() }).collect();
    run.freeze(shapes, standardization)
}

/// The state of a training in progress.
struct Run {
    model: Model,
    optimizer: AdamW,
    training: Tensor,
    validation: Option<Tensor>,
    /// Mean squared length of the training items.
    variance: f64,
    config: ValidTrainConfig,
    rng: Xoshiro256Plus,
    history: Vec<EpochFigures>,
    best: (usize, Vec<Tensor>),
}

impl Run {
    fn new(
        model: Model,
        training: Tensor,
        validation: Option<Tensor>,
        config: ValidTrainConfig,
        rng: Xoshiro256Plus,
    ) -> Self {
        let mut optimizer = AdamW::default();
        let variance = mean_square(&training);
        // Latents have a mean square of 1 a dimension, features one of variance / dim.
        let feature_scale = (variance / training.size()[1] as f64).sqrt();
        for (net, output_scale) in [(&model.projection, 1.0), (&model.inverse, feature_scale)] {
            // The linear path starts as the principal axes, which are no accident: they do not decay.
            optimizer.add(&net.skip, 0.0, output_scale);
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
        Run { model, optimizer, training, validation, variance, config, rng, history: Vec::new(), best }
    }

    fn epochs(&mut self, progress: &dyn Progress) -> Result<()> {
        let error = self.error();
        self.history.push(EpochFigures { epoch: 0, loss: None, error, revived: 0 });
        progress.begin("train", Some(self.config.epochs as u64), "epochs");
        let mut best_error = error;
        for epoch in 1..=self.config.epochs {
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
            if epoch - self.best.0 >= self.config.patience {
                break;
            }
        }
        progress.end();
        Ok(())
    }

    /// One pass over the training items in a fresh order. Returns the mean loss and the number of revived codes.
    fn epoch(&mut self, epoch: usize) -> Result<(f64, usize)> {
        let n = self.training.size()[0];
        let mut order: Vec<i64> = (0..n).collect();
        order.shuffle(&mut self.rng);
        let device = self.training.device();
        let mut usage: Vec<Tensor> =
            self.model.codebooks.books.iter().map(|b| Tensor::zeros([b.size()[0]], (Kind::Float, device))).collect();
        let batches: Vec<&[i64]> = order.chunks(self.config.batch_size).collect();
        let mut loss = 0.0;
        let mut last = None;
        for (step, rows) in batches.iter().enumerate() {
            let batch = self.training.index_select(0, &Tensor::from_slice(rows).to_device(device));
            let losses = self.model.losses(&batch, self.variance, &self.config);
            let done = (epoch - 1) as f64 + step as f64 / batches.len() as f64;
            let cosine = 0.5 * (1.0 + (std::f64::consts::PI * done / self.config.epochs as f64).cos());
            self.optimizer.step(&losses.total, self.config.learning_rate * cosine);
            loss += losses.total.double_value(&[]);
            for (used, code) in usage.iter_mut().zip(&losses.quantized.codes) {
                *used += code.bincount::<Tensor>(None, used.size()[0]);
            }
            last = Some(losses.quantized.residuals);
        }
        // Codes are revived while there is time left for them to settle.
        let revived = match last {
            Some(residuals) if 2 * epoch <= self.config.epochs => self.revive(&usage, &residuals)?,
            _ => 0,
        };
        Ok((loss / batches.len() as f64, revived))
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
        let x = self.validation.as_ref().unwrap_or(&self.training);
        self.model.squared_error(x) / (mean_square(x) * x.size()[0] as f64)
    }

    fn freeze(mut self, modalities: Vec<ModalityShape>, standardization: Standardization) -> Result<Trained> {
        let (best_epoch, state) = self.best;
        self.model.restore(&state);
        let (projection, inverse) = self.model.freeze_networks()?;
        let weights = Weights {
            standardization,
            projection,
            inverse,
            codebooks: self.model.codebooks.books.iter().map(array).collect::<Result<_>>()?,
            offsets: self.model.codebooks.freeze_offsets()?,
        };
        let training = serde_json::json!({
            "config": &*self.config,
            "items": self.training.size()[0] + self.validation.as_ref().map_or(0, |v| v.size()[0]),
            "held_out": self.config.held_out(),
            "best_epoch": best_epoch,
            "history": &self.history,
        });
        let tokenizer = Tokenizer::new(modalities, weights, training)?;
        Ok(Trained { tokenizer, history: self.history, best_epoch })
    }
}

/// Mean squared length of rows.
fn mean_square(x: &Tensor) -> f64 {
    x.square().sum(Kind::Double).double_value(&[]) / x.size()[0] as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::Modality;
    use crate::item_ids::ItemIds;
    use crate::progress::Silent;
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
        let trained = train(&features, config(), &Silent).unwrap();
        let (start, best) = (trained.history[0].error, trained.history[trained.best_epoch].error);
        assert!(best < 0.98 * start, "held-out error {best} of the best epoch, {start} of refined codebooks");
        let again = train(&features, config(), &Silent).unwrap();
        assert_eq!(trained.tokenizer, again.tokenizer);
        let other = train(&features, TrainConfig { seed: 43, ..config() }, &Silent).unwrap();
        assert_ne!(trained.tokenizer.hash(), other.tokenizer.hash());
    }

    #[test]
    fn equal_vectors_are_refused() {
        let modality = Modality { name: "text".into(), vectors: Array2::ones((80, 4)), present: vec![true; 80] };
        let features = Features::new(ItemIds::row_numbers(80), vec![modality]).unwrap();
        assert!(train(&features, config(), &Silent).unwrap_err().to_string().contains("vectors differ"));
    }
}
