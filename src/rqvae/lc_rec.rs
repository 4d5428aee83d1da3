//! LC-Rec's training (Zheng et al., ICDE 2024, arXiv 2311.09049) as its `index/` published it, for comparison.
//!
//! A deep perceptron and its mirror image start at random (Glorot and Bengio, 2010) and are trained by AdamW with the
//! reconstruction error, the codebook loss and a quarter of the commitment loss, the two averaged over levels. Codebooks
//! start as k-means on the latents of the first batch. The step size rises over 50 epochs and falls linearly to the
//! end; gradients are cut to a length of 1. The last level takes its codes from a balanced assignment of the batch. Of
//! the states at every 50th epoch the one with the fewest collisions is kept.
//!
//! What differs: the iteration of Sinkhorn runs in logarithms, and k-means is this crate's.

use ndarray::Array2;
use rand::Rng;
use rand_xoshiro::Xoshiro256Plus;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor, no_grad};

use super::adamw::AdamW;
use super::checkpoint::{Keeper, Saved};
use super::data::TrainingData;
use super::init::{ROWS_AT_ONCE, array, tensor};
use super::kmeans;
use super::model::{Codebooks, Linear, Model, Net};
use super::trainer::{EpochFigures, Outcome};
use super::valid_config::ValidTrainConfig;
use crate::error::Result;
use crate::progress::Progress;
use crate::tokenizer::{Offsets, Quantizer, balanced};

/// Epochs over which the step size rises, and between looks at the collisions.
const WARM_UP: usize = 50;
/// Greatest length of a gradient.
const LONGEST: f64 = 1.0;
/// Rounds of Sinkhorn's iteration.
const ROUNDS: usize = 50;

/// A training in progress.
pub(super) struct LcRec<'a> {
    pub(super) model: Model,
    optimizer: AdamW,
    data: &'a TrainingData<'a>,
    config: &'a ValidTrainConfig,
    state: State,
    best: Vec<Tensor>,
    keeper: Keeper<'a>,
}

/// What a checkpoint holds beside tensors.
#[derive(Clone, Serialize, Deserialize)]
struct State {
    rng: Xoshiro256Plus,
    steps: i32,
    epochs_done: usize,
    history: Vec<EpochFigures>,
    best_epoch: usize,
    fewest_collisions: f64,
}

/// Random networks, and codebooks of zeros that the first batch fills.
fn start(dim: usize, config: &ValidTrainConfig, device: Device, rng: &mut Xoshiro256Plus) -> Model {
    let reversed: Vec<usize> = config.hidden.iter().rev().copied().collect();
    let books = config.codebook_sizes.iter().map(|&size| Array2::zeros((size, config.latent_dim))).collect();
    let quantizer = Quantizer::new(books, Offsets::zero(config.codebook_sizes.iter().copied()));
    let model = Model {
        projection: perceptron(dim, &config.hidden, config.latent_dim, device, rng),
        inverse: perceptron(config.latent_dim, &reversed, dim, device, rng),
        codebooks: Codebooks::thaw(&quantizer, device),
    };
    for parameter in model.parameters() {
        let _ = parameter.set_requires_grad(true);
    }
    model
}

/// Normal weights of variance `2 / (in + out)`, biases of zero.
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

/// A normal draw (Box and Muller, 1958).
fn normal(rng: &mut Xoshiro256Plus) -> f32 {
    let (radius, angle) = (1.0 - rng.r#gen::<f64>(), rng.r#gen::<f64>());
    ((-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()) as f32
}

impl<'a> LcRec<'a> {
    /// Starts, or goes on from a checkpoint.
    ///
    /// # Errors
    /// [`crate::Error::Artifact`] for a checkpoint that is not whole.
    pub(super) fn new(
        data: &'a TrainingData<'a>,
        config: &'a ValidTrainConfig,
        mut rng: Xoshiro256Plus,
        keeper: Keeper<'a>,
        saved: Option<&Saved>,
    ) -> Result<Self> {
        let (dim, device) = (data.training.x.size()[1], data.training.x.device());
        let model = match saved {
            Some(saved) => Model::restored(dim, config, device, saved)?,
            None => start(dim as usize, config, device, &mut rng),
        };
        let mut optimizer = AdamW::default();
        model.parameters().into_iter().for_each(|parameter| optimizer.add(parameter, config.weight_decay, 1.0));
        let (state, best) = match saved {
            Some(saved) => {
                let state: State = saved.state()?;
                optimizer.restore(state.steps, |name| saved.tensor(name))?;
                let best = (0..model.parameters().len()).map(|i| saved.tensor(&format!("best.{i}")));
                (state, best.collect::<Result<_>>()?)
            }
            None => {
                let state = State {
                    rng,
                    steps: 0,
                    epochs_done: 0,
                    history: Vec::new(),
                    best_epoch: 0,
                    fewest_collisions: f64::INFINITY,
                };
                (state, model.snapshot())
            }
        };
        Ok(LcRec { model, optimizer, data, config, state, best, keeper })
    }

    /// Trains to the end; the history has the states that were looked at.
    ///
    /// # Errors
    /// As [`TrainingData::each_batch`] and [`Keeper::save`].
    pub(super) fn run(mut self, progress: &dyn Progress) -> Result<Outcome> {
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
                self.look(epoch, loss, progress)?;
            }
            let (_, moments) = self.optimizer.state();
            let best = self.best.iter().enumerate().map(|(i, tensor)| (format!("best.{i}"), tensor));
            let tensors = || self.model.tensors().into_iter().chain(moments).chain(best).collect();
            self.keeper.save(tensors, || serde_json::json!(self.state))?;
        }
        progress.end();
        self.model.restore(&self.best);
        Ok(Outcome { model: self.model, history: self.state.history, best_epoch: self.state.best_epoch })
    }

    /// One pass over all items. Returns the mean loss.
    fn epoch(&mut self) -> Result<f64> {
        let LcRec { model, optimizer, data, config, state, .. } = self;
        let batches = data.len().div_ceil(config.batch_size);
        let (warm_up, all) = ((WARM_UP * batches) as f64, (config.epochs * batches) as f64);
        let State { rng, steps, .. } = state;
        let mut draws = rng.clone();
        let mut loss = 0.0;
        data.each_batch(config.batch_size, rng, |batch| {
            let batch = batch.items.x;
            if *steps == 0 {
                start_codebooks(model, &batch, config, &mut draws)?;
            }
            let step = f64::from(*steps);
            let pace = if step < warm_up { step / warm_up } else { (all - step) / (all - warm_up).max(1.0) };
            let batch_loss = losses(model, &batch, config)?;
            optimizer.step_clipped(&batch_loss, config.learning_rate * pace.max(0.0), LONGEST);
            *steps += 1;
            loss += batch_loss.double_value(&[]) / batches as f64;
            Ok(())
        })?;
        Ok(loss)
    }

    /// Counts collisions, and keeps the state if it has fewer than any before.
    fn look(&mut self, epoch: usize, loss: f64, progress: &dyn Progress) -> Result<()> {
        let x = &self.data.training.x;
        let mut distinct = std::collections::HashSet::new();
        for rows in x.split(ROWS_AT_ONCE, 0) {
            let quantized = no_grad(|| self.model.codebooks.quantize(&self.model.projection.forward(&rows)));
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
        if collisions < state.fewest_collisions {
            (state.fewest_collisions, state.best_epoch) = (collisions, epoch);
            self.best = self.model.snapshot();
        }
        Ok(())
    }
}

/// The loss of a batch.
fn losses(model: &Model, x: &Tensor, config: &ValidTrainConfig) -> Result<Tensor> {
    let z = model.projection.forward(x);
    let levels = model.codebooks.books.len();
    let mut sum = z.zeros_like();
    let mut quantization = Tensor::zeros([0i64; 0], (Kind::Float, z.device()));
    for (level, book) in model.codebooks.books.iter().enumerate() {
        // In the published code what a level leaves over has no gradient: the first level alone pulls the latents.
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

fn squared_distances(rest: &Tensor, book: &Tensor) -> Tensor {
    let lengths = |t: &Tensor, keep: i64| t.square().sum_dim_intlist(1, false, Kind::Float).unsqueeze(keep);
    lengths(rest, 1) + lengths(book, 0) - rest.matmul(&book.tr()) * 2.0
}

/// k-means on the latents of a batch, level by level.
fn start_codebooks(model: &Model, x: &Tensor, config: &ValidTrainConfig, rng: &mut Xoshiro256Plus) -> Result<()> {
    let mut rest = array(&no_grad(|| model.projection.forward(x)))?;
    for book in &model.codebooks.books {
        let size = book.size()[0] as usize;
        let found = kmeans::codebook(rest.view(), size, config.kmeans_iterations, usize::MAX, None, rng)?;
        no_grad(|| book.shallow_clone().copy_(&tensor(&found)));
        let quantizer = Quantizer::new(vec![found], Offsets::zero([size]));
        rest -= &quantizer.decode(quantizer.encode(rest.view()).view());
    }
    Ok(())
}
