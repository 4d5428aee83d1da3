//! Gradient descent on projection, codebooks and inverse projection together, from the initialised model.

use rand::Rng;
use rand_xoshiro::Xoshiro256Plus;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor, no_grad};

use super::adamw::AdamW;
use super::checkpoint::{Keeper, Saved};
use super::data::TrainingData;
use super::direct::{DirectStep, LossWeights};
use super::items::TrainingBatch;
use super::model::RqVae;
use super::outcome::TrainingOutcome;
use super::tensors::integers;
use crate::error::Result;
use crate::progress::Progress;
use crate::training::{EpochFigures, QuantizerConfig};

/// The state after an epoch becomes the best if its error is below this fraction of the best error before. A smaller gain
/// is not worth the perceptron that every item would have to pass through.
const IMPROVEMENT: f64 = 0.999;

/// A gradient descent in progress.
pub(super) struct Descent<'a> {
    model: RqVae,
    optimizer: AdamW,
    data: &'a TrainingData<'a>,
    /// Mean squared length of the training items.
    variance: f64,
    config: &'a QuantizerConfig,
    rng: Xoshiro256Plus,
    history: Vec<EpochFigures>,
    best: (usize, Vec<Tensor>),
    keeper: Keeper<'a>,
    /// Computes gradients without automatic differentiation; on a GPU only.
    direct: Option<DirectStep>,
}

/// The part of a checkpoint that is no tensor.
#[derive(Serialize, Deserialize)]
struct DescentState {
    rng: Xoshiro256Plus,
    steps: i32,
    history: Vec<EpochFigures>,
    best_epoch: usize,
}

impl DescentState {
    /// Whether the history has one entry per epoch, from epoch 0 on, and contains the best epoch.
    fn is_consistent(&self, epochs: usize) -> bool {
        let numbered = self.history.iter().enumerate().all(|(at, figures)| figures.epoch == at);
        numbered && self.best_epoch < self.history.len() && self.history.len() <= epochs + 1 && self.steps >= 0
    }
}

impl<'a> Descent<'a> {
    /// Starts with a model.
    pub(super) fn new(
        model: RqVae,
        data: &'a TrainingData<'a>,
        config: &'a QuantizerConfig,
        rng: Xoshiro256Plus,
        keeper: Keeper<'a>,
    ) -> Self {
        let mut optimizer = AdamW::default();
        let variance = mean_square(&data.training.x);
        // Latents have a mean square of 1 per dimension, features one of variance / dim.
        let feature_scale = (variance / data.training.x.size()[1] as f64).sqrt();
        for (net, output_scale) in [(&model.projection, 1.0), (&model.inverse, feature_scale)] {
            // The linear path starts as the principal axes, which weight decay would only distort.
            net.skip.iter().for_each(|skip| optimizer.add(skip, 0.0, output_scale));
            for (at, layer) in net.layers.iter().enumerate() {
                let pace = if at + 1 == net.layers.len() { output_scale } else { 1.0 };
                optimizer.add(&layer.weight, config.weight_decay, pace);
                optimizer.add(&layer.bias, 0.0, pace);
            }
        }
        for book in &model.quantizer.books {
            optimizer.add(book, 0.0, 1.0);
        }
        let best = (0, model.snapshot());
        let descent =
            Descent { model, optimizer, data, variance, config, rng, history: Vec::new(), best, keeper, direct: None };
        if data.place.on_host { descent } else { descent.directly() }
    }

    /// Computes gradients without automatic differentiation.
    fn directly(mut self) -> Self {
        self.optimizer.join();
        self.direct = Some(DirectStep::new(&self.model.quantizer));
        self
    }

    /// Restores the state of a checkpoint.
    ///
    /// # Errors
    /// [`crate::Error::Artifact`] for an incomplete checkpoint.
    pub(super) fn resume(&mut self, saved: &Saved) -> Result<()> {
        let state: DescentState = saved.state(|state: &DescentState| state.is_consistent(self.config.epochs))?;
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
        let state =
            DescentState { rng: self.rng.clone(), steps, history: self.history.clone(), best_epoch: self.best.0 };
        self.keeper.save(tensors, || serde_json::json!(state))
    }

    fn device(&self) -> Device {
        self.data.training.x.device()
    }

    /// Trains until the last epoch, or until the error stops improving.
    ///
    /// # Errors
    /// As [`TrainingData::each_batch`] and [`Keeper::save`].
    pub(super) fn run(mut self, progress: &dyn Progress) -> Result<TrainingOutcome> {
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
            if error < IMPROVEMENT * best_error {
                best_error = error;
                self.best = (epoch, self.model.snapshot());
            }
            self.save()?;
        }
        progress.end();
        let (best_epoch, state) = self.best;
        self.model.restore(&state);
        Ok(TrainingOutcome { model: self.model, history: self.history, best_epoch })
    }

    /// Whether there are epochs left, and the last improvement is recent enough.
    fn goes_on(&self) -> bool {
        let done = self.history.len() - 1;
        done < self.config.epochs && done - self.best.0 < self.config.patience
    }

    /// One epoch. Returns the mean loss and the number of revived codes.
    fn epoch(&mut self, epoch: usize) -> Result<(f64, usize)> {
        let device = self.device();
        let Descent { model, optimizer, data, variance, config, rng, direct, .. } = self;
        // 1 for each code that an item has.
        let mut used: Vec<Tensor> =
            model.quantizer.books.iter().map(|b| Tensor::zeros([b.size()[0]], (Kind::Float, device))).collect();
        let mut all_used = direct.as_ref().map(|direct| Tensor::zeros([direct.all_codes()], (Kind::Float, device)));
        let n = data.len() as f64;
        let mut items = 0.0;
        // On the device, because reading the loss of a step would wait for the step.
        let mut loss = Tensor::zeros([0i64; 0], (Kind::Double, device));
        let mut last = None;
        data.each_batch(config.batch_size, rng, |batch| {
            let done = (epoch - 1) as f64 + items / n;
            let cosine = 0.5 * (1.0 + (std::f64::consts::PI * done / config.epochs as f64).cos());
            let (size, rate) = (batch.items.x.size()[0] as f64, config.learning_rate * cosine);
            let (total, residuals) = match (&*direct, &mut all_used) {
                (Some(direct), Some(used)) => {
                    let found =
                        direct.loss(model, &batch.items, &batch.seen, &weights(&batch, *variance, model, config), None);
                    optimizer.apply(&found.gradients, rate, f64::INFINITY);
                    let _ = used.index_fill_(0, &found.codes, 1.0);
                    (found.total, found.residuals)
                }
                _ => {
                    let found = model.loss(&batch.items, &batch.seen, *variance, config);
                    optimizer.step(&found.total, rate);
                    for (used, code) in used.iter_mut().zip(&found.quantized.codes) {
                        let _ = used.index_fill_(0, code, 1.0);
                    }
                    (found.total.detach(), found.quantized.residuals)
                }
            };
            loss += total.to_kind(Kind::Double) * size;
            items += size;
            last = Some(residuals);
            Ok(())
        })?;
        if let (Some(direct), Some(all_used)) = (direct, &all_used) {
            used = direct.of_levels(all_used);
        }
        // Revived codes need some epochs to converge: only the first half revives any.
        let revived = match last {
            Some(residuals) if 2 * epoch <= self.config.epochs => self.revive(&used, &residuals)?,
            _ => 0,
        };
        Ok((loss.double_value(&[]) / items, revived))
    }

    /// Moves unused codewords to random residuals of the last batch.
    fn revive(&mut self, usage: &[Tensor], residuals: &[Tensor]) -> Result<usize> {
        let mut revived = 0;
        for ((book, used), residual) in self.model.quantizer.books.iter().zip(usage).zip(residuals) {
            let dead = integers(&used.eq(0.0).nonzero())?;
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

    /// Relative reconstruction error of the held-out items, or of the training items if none are held out.
    fn error(&self) -> f64 {
        let items = self.data.validation.as_ref().unwrap_or(&self.data.training);
        let known = items.mask(items.x.shallow_clone());
        self.model.squared_error(items) / (mean_square(&known) * known.size()[0] as f64)
    }
}

/// The factors of the loss of a batch, as in [`RqVae::loss`].
fn weights(batch: &TrainingBatch, variance: f64, model: &RqVae, config: &QuantizerConfig) -> LossWeights {
    let n = batch.items.x.size()[0] as f64;
    let latent_dim = model.quantizer.books.first().map_or(1, |book| book.size()[1]);
    let of_latents = 1.0 / (n * latent_dim as f64);
    LossWeights {
        reconstruction: config.reconstruction_weight / (n * variance),
        codebook: of_latents,
        commitment: config.commitment_weight * of_latents,
        every_level: true,
        straight_through: true,
    }
}

/// Number of values that are summed at a time.
const BLOCK_NUMBERS: i64 = 1 << 24;

/// Mean squared length of rows.
fn mean_square(x: &Tensor) -> f64 {
    // A sum in double precision copies its input, so it is computed block by block. Otherwise, memory use would triple.
    let rows = (BLOCK_NUMBERS / x.size()[1].max(1)).max(1);
    let sums = x.split(rows, 0).iter().map(|block| block.square().sum(Kind::Double).double_value(&[])).sum::<f64>();
    sums / x.size()[0] as f64
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::rqvae::device::TrainingPlace;
    use rand::SeedableRng;

    /// Gradients by automatic differentiation.
    fn by_tape(model: &RqVae, loss: &Tensor) -> Vec<Tensor> {
        Tensor::run_backward(&[loss], &model.parameters(), false, false)
    }

    #[test]
    fn gradients_without_automatic_differentiation_are_the_same() {
        use crate::rqvae::items::TrainingItems;
        use ndarray::Array2;
        let (mut rng, dims) = (Xoshiro256Plus::seed_from_u64(3), [5, 7]);
        let mut random = |rows, columns| Array2::from_shape_simple_fn((rows, columns), || rng.gen_range(-1.0f32..1.0));
        let x = random(40, 12);
        let all = Array2::from_elem((40, 2), true);
        let gaps = Array2::from_shape_fn((40, 2), |(row, modality)| row % 3 != modality);
        for (hidden, present) in [(vec![9, 8], all), (vec![], gaps)] {
            let config = QuantizerConfig {
                codebook_sizes: vec![6, 11, 4],
                latent_dim: 5,
                hidden,
                reconstruction_weight: 1.7,
                ..QuantizerConfig::default()
            };
            let mut offsets = crate::tokenizer::Offsets::zero([6, 11, 4]);
            offsets.codes[1] = random(1, 11).row(0).to_owned();
            offsets.pairs = Some(random(6, 11));
            let books = config.codebook_sizes.iter().map(|&size| random(size, 5)).collect();
            let quantizer = crate::tokenizer::Quantizer::new(books, offsets);
            let mut rng = Xoshiro256Plus::seed_from_u64(4);
            let model = RqVae::random(12, &config.hidden, 5, &quantizer, &mut rng);
            let items = TrainingItems::new(&x, present.view(), &dims, Device::Cpu);
            let seen = crate::rqvae::tensors::tensor(&random(40, 12));
            let expected = model.loss(&items, &seen, 3.0, &config);
            let batch = TrainingBatch { items, seen };
            let direct = DirectStep::new(&model.quantizer);
            let found = direct.loss(&model, &batch.items, &batch.seen, &weights(&batch, 3.0, &model, &config), None);
            assert_same_gradients(&expected.total, &by_tape(&model, &expected.total), &found.total, &found.gradients);
            let codes = direct.of_levels(&Tensor::arange(21, (Kind::Int64, Device::Cpu)));
            for (level, code) in expected.quantized.codes.iter().enumerate() {
                let moved = found.codes.narrow(0, 40 * level as i64, 40);
                assert!(codes[level].index_select(0, code).equal(&moved), "codes of level {level}");
            }
        }
    }

    /// Losses and gradients agree within the rounding of single precision.
    pub(in crate::rqvae) fn assert_same_gradients(one: &Tensor, ones: &[Tensor], other: &Tensor, others: &[Tensor]) {
        let (loss, direct) = (one.double_value(&[]), other.double_value(&[]));
        assert!((loss - direct).abs() < 1e-5 * loss, "{loss} and {direct}");
        assert_eq!(ones.len(), others.len());
        for (at, (one, other)) in ones.iter().zip(others).enumerate() {
            assert_eq!(one.size(), other.size(), "gradient {at}");
            let scale = one.abs().max().double_value(&[]);
            let worst = (one - other).abs().max().double_value(&[]);
            assert!(scale > 0.0 && worst < 1e-4 * scale, "gradient {at}: {worst} of {scale}");
        }
    }

    #[test]
    fn descent_without_automatic_differentiation_takes_the_same_course() {
        use crate::progress::Silent;
        use crate::rqvae::data::DataSettings;
        use crate::rqvae::trainer::tests::features;
        let items = features(600);
        let settings = DataSettings { sample_items: 600, held_out: 60, weights: None, completion: None, dropout: 0.0 };
        let config = QuantizerConfig {
            codebook_sizes: vec![16; 3],
            latent_dim: 6,
            hidden: vec![24],
            epochs: 6,
            batch_size: 64,
            learning_rate: 2e-3,
            ..QuantizerConfig::default()
        };
        let run = |direct: bool| {
            let mut rng = Xoshiro256Plus::seed_from_u64(8);
            let data = TrainingData::read(&items, &settings, &mut rng, TrainingPlace::HOST, false).unwrap();
            let mut value = Xoshiro256Plus::seed_from_u64(9);
            let random = ndarray::Array2::from_shape_simple_fn((16, 6), || value.gen_range(-1.0f32..1.0));
            let books = vec![random.clone(), &random * 0.5, &random * 0.2];
            let quantizer = crate::tokenizer::Quantizer::new(books, crate::tokenizer::Offsets::zero([16; 3]));
            let model = RqVae::random(32, &config.hidden, 6, &quantizer, &mut rng);
            let (keeper, _) = Keeper::begin(None, String::new()).unwrap();
            let descent = Descent::new(model, &data, &config, rng, keeper);
            let descent = if direct { descent.directly() } else { descent };
            descent.run(&Silent).unwrap().history
        };
        let (tape, direct) = (run(false), run(true));
        assert_eq!(direct, run(true), "two runs");
        assert_eq!(tape.len(), direct.len());
        assert!(tape[0].error > 1.1 * tape[6].error, "{tape:?}");
        for (tape, direct) in tape.iter().zip(&direct) {
            assert!((tape.error - direct.error).abs() < 0.02 * tape.error, "{tape:?} and {direct:?}");
        }
    }

    #[test]
    fn a_state_with_contradictory_epochs_is_refused() {
        let figures = |epoch| EpochFigures { epoch, loss: None, error: 0.5, revived: 0 };
        let consistent = |epochs: &[usize], best_epoch, steps| {
            let history = epochs.iter().copied().map(figures).collect();
            DescentState { rng: Xoshiro256Plus::seed_from_u64(0), steps, history, best_epoch }.is_consistent(3)
        };
        assert!(consistent(&[0], 0, 0) && consistent(&[0, 1, 2, 3], 2, 9));
        for (epochs, best_epoch, steps) in
            [(&[][..], 0, 0), (&[0, 1], 2, 3), (&[0, 2], 0, 3), (&[0, 1, 2, 3, 4], 0, 12), (&[0, 1], 1, -1)]
        {
            assert!(!consistent(epochs, best_epoch, steps), "{epochs:?}, best {best_epoch}, {steps} steps");
        }
    }
}
