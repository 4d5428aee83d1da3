//! The published training of LC-Rec (Zheng et al., ICDE 2024, arXiv 2311.09049), for comparison.
//!
//! It follows the code in the `index/` folder of LC-Rec. A deep perceptron and its mirror image start with random weights
//! (Glorot and Bengio, 2010). AdamW minimises the reconstruction error, the codebook loss and 0.25 times the commitment
//! loss, the latter two averaged over levels. Codebooks start as k-means on the latents of the first batch. The learning
//! rate rises over 50 epochs and then falls linearly to zero; gradients are clipped to a norm of 1. The last level
//! assigns the codes of a batch by Sinkhorn's iteration. Of the states at every 50th epoch, the one with the fewest
//! collisions is kept.
//!
//! Two things differ: Sinkhorn's iteration works with logarithms, and k-means is this crate's.

use ndarray::Array2;
use rand::Rng;
use rand_xoshiro::Xoshiro256Plus;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor, no_grad};

use super::adamw::AdamW;
use super::checkpoint::{Keeper, Saved};
use super::data::TrainingData;
use super::direct::{DirectStep, LastCodes, LossWeights};
use super::items::TrainingBatch;
use super::kmeans;
use super::model::{Linear, Net, RqVae, RqVaeShape, TensorQuantizer};
use super::outcome::TrainingOutcome;
use super::sinkhorn::balanced_on_device;
use super::tensors::{ROWS_AT_ONCE, array, tensor};
use crate::error::Result;
use crate::progress::Progress;
use crate::tokenizer::{Offsets, Quantizer, balanced};
use crate::training::{EpochFigures, LcRecConfig};

/// Epochs of the warm-up of the learning rate, and between counts of the collisions.
const WARM_UP: usize = 50;
/// Maximum norm of the gradients.
const MAX_NORM: f64 = 1.0;
/// Rounds of Sinkhorn's iteration.
const ROUNDS: usize = 50;

/// A training of LC-Rec in progress.
pub(super) struct LcRecTraining<'a> {
    model: RqVae,
    optimizer: AdamW,
    data: &'a TrainingData<'a>,
    config: &'a LcRecConfig,
    state: LcRecState,
    best: Vec<Tensor>,
    keeper: Keeper<'a>,
    /// Computes gradients without automatic differentiation; on a GPU only.
    direct: Option<DirectStep>,
}

/// The part of a checkpoint that is no tensor.
#[derive(Clone, Serialize, Deserialize)]
struct LcRecState {
    rng: Xoshiro256Plus,
    steps: i32,
    epochs_done: usize,
    history: Vec<EpochFigures>,
    best_epoch: usize,
    /// `None` before the first count: JSON has no infinity.
    fewest_collisions: Option<f64>,
}

impl LcRecState {
    /// Whether the history has ascending epochs up to the last one, and contains the best epoch.
    fn is_consistent(&self, epochs: usize) -> bool {
        let measured: Vec<usize> = self.history.iter().map(|figures| figures.epoch).collect();
        measured.is_sorted()
            && measured.iter().all(|epoch| (1..=self.epochs_done).contains(epoch))
            && (self.best_epoch == 0 || measured.contains(&self.best_epoch))
            && self.epochs_done <= epochs
            && self.steps >= 0
    }
}

/// Networks with random weights, and codebooks of zeros that the first batch initialises.
fn start(dim: usize, config: &LcRecConfig, device: Device, rng: &mut Xoshiro256Plus) -> RqVae {
    let reversed: Vec<usize> = config.hidden.iter().rev().copied().collect();
    let books = config.codebook_sizes.iter().map(|&size| Array2::zeros((size, config.latent_dim))).collect();
    let quantizer = Quantizer::new(books, Offsets::zero(config.codebook_sizes.iter().copied()));
    let model = RqVae {
        projection: perceptron(dim, &config.hidden, config.latent_dim, device, rng),
        inverse: perceptron(config.latent_dim, &reversed, dim, device, rng),
        quantizer: TensorQuantizer::new(&quantizer, device),
    };
    for parameter in model.parameters() {
        let _ = parameter.set_requires_grad(true);
    }
    model
}

/// Normally distributed weights with variance `2 / (in + out)`, biases of zero.
fn perceptron(input: usize, hidden: &[usize], output: usize, device: Device, rng: &mut Xoshiro256Plus) -> Net {
    let widths: Vec<usize> = [input].iter().chain(hidden).chain(&[output]).copied().collect();
    let layer = |pair: &[usize]| {
        let deviation = (2.0 / (pair[0] + pair[1]) as f32).sqrt();
        let weights = Array2::from_shape_simple_fn((pair[1], pair[0]), || deviation * normal(rng));
        let bias = Tensor::zeros([pair[1] as i64], (Kind::Float, device));
        Linear { weight: tensor(&weights).to_device(device), bias }
    };
    Net { skip: None, layers: widths.windows(2).map(layer).collect() }
}

/// A sample of the standard normal distribution (Box and Muller, 1958).
fn normal(rng: &mut Xoshiro256Plus) -> f32 {
    let (radius, angle) = (1.0 - rng.r#gen::<f64>(), rng.r#gen::<f64>());
    ((-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()) as f32
}

impl<'a> LcRecTraining<'a> {
    /// Starts, or resumes from a checkpoint.
    ///
    /// # Errors
    /// [`crate::Error::Artifact`] for an incomplete checkpoint.
    pub(super) fn new(
        data: &'a TrainingData<'a>,
        config: &'a LcRecConfig,
        mut rng: Xoshiro256Plus,
        keeper: Keeper<'a>,
        saved: Option<&Saved>,
    ) -> Result<Self> {
        let (dim, device) = (data.training.x.size()[1], data.training.x.device());
        let model = match saved {
            Some(saved) => {
                let shape = RqVaeShape {
                    dim: dim as usize,
                    hidden: &config.hidden,
                    latent_dim: config.latent_dim,
                    codebook_sizes: &config.codebook_sizes,
                    linear_path: false,
                };
                RqVae::restored(shape, device, saved)?
            }
            None => start(dim as usize, config, device, &mut rng),
        };
        let mut optimizer = AdamW::default();
        model.parameters().into_iter().for_each(|parameter| optimizer.add(parameter, config.weight_decay, 1.0));
        let direct = (!data.place.on_host).then(|| DirectStep::new(&model.quantizer));
        if direct.is_some() {
            optimizer.join();
        }
        let (state, best) = match saved {
            Some(saved) => {
                let state: LcRecState = saved.state(|state: &LcRecState| state.is_consistent(config.epochs))?;
                optimizer.restore(state.steps, |name| saved.tensor(name))?;
                let best = (0..model.parameters().len()).map(|i| saved.tensor(&format!("best.{i}")));
                (state, best.collect::<Result<_>>()?)
            }
            None => {
                let state = LcRecState {
                    rng,
                    steps: 0,
                    epochs_done: 0,
                    history: Vec::new(),
                    best_epoch: 0,
                    fewest_collisions: None,
                };
                (state, model.snapshot())
            }
        };
        Ok(LcRecTraining { model, optimizer, data, config, state, best, keeper, direct })
    }

    /// Trains until the last epoch. The history has the epochs after which collisions were counted.
    ///
    /// # Errors
    /// As [`TrainingData::each_batch`] and [`Keeper::save`].
    pub(super) fn run(mut self, progress: &dyn Progress) -> Result<TrainingOutcome> {
        let epochs = self.config.epochs;
        progress.begin("train", Some(epochs as u64), "epochs");
        progress.advance(self.state.epochs_done as u64);
        while self.state.epochs_done < epochs {
            let epoch = self.state.epochs_done + 1;
            let loss = self.epoch()?;
            self.state.epochs_done = epoch;
            progress.figure("loss", loss);
            progress.advance(1);
            if !loss.is_finite() {
                progress.warn(&format!("training diverged in epoch {epoch}; the best state before it is kept"));
                break;
            }
            if epoch.is_multiple_of(WARM_UP.min(epochs)) {
                self.measure(epoch, loss, progress)?;
            }
            let (_, moments) = self.optimizer.state();
            let best = self.best.iter().enumerate().map(|(i, tensor)| (format!("best.{i}"), tensor));
            let tensors = || self.model.tensors().into_iter().chain(moments).chain(best).collect();
            self.keeper.save(tensors, || serde_json::json!(self.state))?;
        }
        progress.end();
        self.model.restore(&self.best);
        Ok(TrainingOutcome { model: self.model, history: self.state.history, best_epoch: self.state.best_epoch })
    }

    /// One epoch. Returns the mean loss.
    fn epoch(&mut self) -> Result<f64> {
        let LcRecTraining { model, optimizer, data, config, state, direct, .. } = self;
        let batches = data.len().div_ceil(config.batch_size);
        let (warm_up, all) = ((WARM_UP * batches) as f64, (config.epochs * batches) as f64);
        let LcRecState { rng, steps, .. } = state;
        let mut draws = rng.clone();
        // On the device, because reading the loss of a step would wait for the step.
        let mut total = Tensor::zeros([0i64; 0], (Kind::Double, data.training.x.device()));
        data.each_batch(config.batch_size, rng, |batch| {
            if *steps == 0 {
                start_codebooks(model, &batch.items.x, config, &mut draws)?;
            }
            let step = f64::from(*steps);
            let pace = if step < warm_up { step / warm_up } else { (all - step) / (all - warm_up).max(1.0) };
            let rate = config.learning_rate * pace.max(0.0);
            let loss = match direct {
                Some(direct) => {
                    let sinkhorn = |distances: &Tensor| balanced_on_device(distances, config.sinkhorn, ROUNDS);
                    let last_codes: Option<LastCodes> = if config.sinkhorn > 0.0 { Some(&sinkhorn) } else { None };
                    let found = direct.loss(model, &batch.items, &batch.items.x, &weights(&batch, config), last_codes);
                    optimizer.apply(&found.gradients, rate, MAX_NORM);
                    found.total
                }
                None => {
                    let loss = loss(model, &batch.items.x, config)?;
                    optimizer.step_clipped(&loss, rate, MAX_NORM);
                    loss.detach()
                }
            };
            *steps += 1;
            total += loss.to_kind(Kind::Double) / batches as f64;
            Ok(())
        })?;
        Ok(total.double_value(&[]))
    }

    /// Counts collisions, and keeps the state if it has fewer than every state before.
    fn measure(&mut self, epoch: usize, loss: f64, progress: &dyn Progress) -> Result<()> {
        let x = &self.data.training.x;
        let mut distinct = std::collections::HashSet::new();
        for rows in x.split(ROWS_AT_ONCE, 0) {
            let quantized = no_grad(|| self.model.quantizer.quantize(&self.model.projection.forward(&rows)));
            let codes = Tensor::stack(&quantized.codes, 1).to_kind(Kind::Float);
            for code in array(&codes)?.rows() {
                distinct.insert(code.iter().map(|&c| c as u16).collect::<Vec<_>>());
            }
        }
        let collisions = 1.0 - distinct.len() as f64 / x.size()[0] as f64;
        let centred = x - x.mean_dim(0, true, Kind::Float);
        let error =
            self.model.squared_error(&self.data.training) / centred.square().sum(Kind::Double).double_value(&[]);
        let state = &mut self.state;
        state.history.push(EpochFigures { epoch, loss: Some(loss), error, revived: 0 });
        progress.figure("error", error);
        progress.figure("collisions", collisions);
        if state.fewest_collisions.is_none_or(|fewest| collisions < fewest) {
            (state.fewest_collisions, state.best_epoch) = (Some(collisions), epoch);
            self.best = self.model.snapshot();
        }
        Ok(())
    }
}

/// The loss of a batch.
fn loss(model: &RqVae, x: &Tensor, config: &LcRecConfig) -> Result<Tensor> {
    let z = model.projection.forward(x);
    let levels = model.quantizer.books.len();
    let mut sum = z.zeros_like();
    let mut quantization = Tensor::zeros([0i64; 0], (Kind::Float, z.device()));
    for (level, book) in model.quantizer.books.iter().enumerate() {
        // In the published code residuals have no gradient: only the first level pulls the latents.
        let rest = if level == 0 { z.shallow_clone() } else { z.detach() - sum.detach() };
        let distances = no_grad(|| squared_distances(&rest, book));
        let code = if level + 1 == levels && config.sinkhorn > 0.0 {
            let codes = balanced(array(&distances)?.view(), config.sinkhorn, ROUNDS);
            Tensor::from_slice(&codes.into_iter().map(|code| code as i64).collect::<Vec<_>>()).to_device(z.device())
        } else {
            distances.argmin(1, false)
        };
        let codeword = book.index_select(0, &code);
        let mean = |difference: Tensor| difference.square().mean(Kind::Float);
        quantization += mean(&codeword - rest.detach()) + mean(codeword.detach() - &rest) * config.commitment_weight;
        sum += codeword.detach();
    }
    let straight_through = &z + (sum - &z).detach();
    let reconstruction = (model.inverse.forward(&straight_through) - x).square().mean(Kind::Float);
    Ok(reconstruction + quantization / levels as f64)
}

/// The factors of [`loss`].
fn weights(batch: &TrainingBatch, config: &LcRecConfig) -> LossWeights {
    let (n, dim) = (batch.items.x.size()[0] as f64, batch.items.x.size()[1] as f64);
    let of_latents = 1.0 / (n * (config.latent_dim * config.codebook_sizes.len()) as f64);
    LossWeights {
        reconstruction: 1.0 / (n * dim),
        codebook: of_latents,
        commitment: config.commitment_weight * of_latents,
        every_level: false,
        straight_through: false,
    }
}

fn squared_distances(rest: &Tensor, book: &Tensor) -> Tensor {
    let lengths = |t: &Tensor, keep: i64| t.square().sum_dim_intlist(1, false, Kind::Float).unsqueeze(keep);
    lengths(rest, 1) + lengths(book, 0) - rest.matmul(&book.tr()) * 2.0
}

/// Initialises the codebooks by k-means on the latents of a batch, level by level.
fn start_codebooks(model: &RqVae, x: &Tensor, config: &LcRecConfig, rng: &mut Xoshiro256Plus) -> Result<()> {
    let mut rest = array(&no_grad(|| model.projection.forward(x)))?;
    for book in &model.quantizer.books {
        let size = book.size()[0] as usize;
        let found = kmeans::codebook(&rest, size, config.kmeans_iterations, usize::MAX, None, rng)?;
        no_grad(|| book.shallow_clone().copy_(&tensor(&found)));
        let quantizer = Quantizer::new(vec![found], Offsets::zero([size]));
        rest -= &quantizer.decode(quantizer.encode(rest.view()).view());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rqvae::descent::tests::assert_same_gradients;
    use crate::rqvae::items::TrainingItems;
    use crate::rqvae::sinkhorn::balanced_on_device;
    use rand::SeedableRng;

    #[test]
    fn gradients_without_automatic_differentiation_are_the_same() {
        let mut rng = Xoshiro256Plus::seed_from_u64(5);
        for sinkhorn in [0.0, 0.003] {
            let config = LcRecConfig {
                codebook_sizes: vec![8, 5, 6],
                latent_dim: 4,
                hidden: vec![16, 10],
                sinkhorn,
                ..LcRecConfig::default()
            };
            let model = start(12, &config, Device::Cpu, &mut rng);
            let x = Array2::from_shape_simple_fn((50, 12), || normal(&mut rng));
            let items = TrainingItems::new(&x, Array2::from_elem((50, 1), true).view(), &[12], Device::Cpu);
            let seen = items.x.shallow_clone();
            let batch = TrainingBatch { items, seen };
            for book in &model.quantizer.books {
                let values = Array2::from_shape_simple_fn((book.size()[0] as usize, 4), || 0.3 * normal(&mut rng));
                no_grad(|| book.shallow_clone().copy_(&tensor(&values)));
            }
            let expected = loss(&model, &batch.items.x, &config).unwrap();
            let gradients = Tensor::run_backward(&[&expected], &model.parameters(), false, false);
            let assign = |distances: &Tensor| balanced_on_device(distances, sinkhorn, ROUNDS);
            let last_codes: Option<LastCodes> = if sinkhorn > 0.0 { Some(&assign) } else { None };
            let direct = DirectStep::new(&model.quantizer);
            let found = direct.loss(&model, &batch.items, &batch.seen, &weights(&batch, &config), last_codes);
            assert_same_gradients(&expected, &gradients, &found.total, &found.gradients);
        }
    }
}
