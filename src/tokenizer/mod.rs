//! The frozen model: inference in ndarray, without libtorch.
//!
//! A [`Tokenizer`] standardises features, projects them to latents, and quantizes the latents level by level into
//! codes; [`Tokenizer::decode`] maps codes back to features. It can be shared between threads.
//!
//! Rows are processed in parallel in blocks of a fixed size. The blocks do not depend on the number of threads, so the
//! result is the same bit for bit on any number.

mod adopt;
mod completion;
mod config;
mod elementwise;
mod input;
mod int8;
mod level;
mod network;
mod previous;
mod quantizer;
mod renaming;
mod rows;
mod sinkhorn;
mod standardization;
mod storage;
mod usage;
mod weights;

use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

pub use adopt::{CodeMoments, OwnCodes, fitted_to_codes};
pub use completion::Completion;
pub use config::{
    Config, FORMAT_VERSION, MAX_CODEBOOK_SIZE, MAX_LEVELS, ModalityShape, OLDEST_FORMAT_VERSION, check_codebook_sizes,
};
pub use input::ModelInput;
pub use network::{Layer, Network};
pub use previous::PreviousCodes;
pub use quantizer::{Offsets, Quantizer};
pub use sinkhorn::balanced;
pub use standardization::Standardization;
pub use storage::CONFIG_FILE;
pub use usage::CodeUsage;

use crate::error::{Error, Result};
use crate::training::TrainingRecord;

/// Maximum absolute value of a number in a vector. Sums of squares of larger numbers can overflow.
pub const MAX_INPUT: f32 = 1e18;

/// Rows per block: large enough for matrix products, small enough for the cache.
const BLOCK: usize = 512;

/// A trained model that assigns codes to items.
#[derive(Debug, Clone, PartialEq)]
pub struct Tokenizer {
    config: Config,
    standardization: Standardization,
    projection: Network,
    inverse: Network,
    quantizer: Quantizer,
}

/// The result of [`Tokenizer::encode`].
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// `(n, levels)`.
    pub codes: Array2<u16>,
    /// `(n, latent_dim)`: the vectors that the codes approximate.
    pub latents: Array2<f32>,
}

/// The arrays of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// Centring and scaling of the input.
    pub standardization: Standardization,
    /// Features to latents.
    pub projection: Network,
    /// Latents to features.
    pub inverse: Network,
    /// One `(size, latent_dim)` per level.
    pub codebooks: Vec<Array2<f32>>,
    /// Penalties that are added to the squared distances of the codewords.
    pub offsets: Offsets,
}

impl Tokenizer {
    /// Assembles a model from its arrays, from which the shapes in [`Config`] are taken. `training` is the record of its
    /// training, if it was trained.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when the arrays do not fit each other.
    pub fn new(modalities: Vec<ModalityShape>, weights: Weights, training: Option<TrainingRecord>) -> Result<Self> {
        let config = Config {
            format_version: FORMAT_VERSION,
            catalex_version: env!("CARGO_PKG_VERSION").into(),
            modalities,
            hidden: weights.projection.layers.iter().rev().skip(1).rev().map(|l| l.weight.nrows()).collect(),
            latent_dim: weights.projection.shape().1,
            codebook_sizes: weights.codebooks.iter().map(|book| book.nrows()).collect(),
            weights_sha256: String::new(),
            training,
        };
        let mut tokenizer = Self::assemble(config, weights)?;
        tokenizer.config.weights_sha256 = tokenizer.weights_hash()?;
        Ok(tokenizer)
    }

    fn assemble(config: Config, weights: Weights) -> Result<Self> {
        check_codebook_sizes(&config.codebook_sizes)?;
        let fits = |what: &str, expected: (usize, usize), got: (usize, usize)| {
            if expected == got {
                return Ok(());
            }
            Err(Error::mismatch(
                format!("shape of the model's {what}"),
                format!("{expected:?}"),
                format!("{got:?}"),
                "catalex did not write this model folder; train the model again",
            ))
        };
        let (dim, latent_dim) = (config.dim(), config.latent_dim);
        fits("standardisation", (dim, dim), (weights.standardization.mean.len(), weights.standardization.scale.len()))?;
        if let Some(completion) = &weights.standardization.completion {
            let (axes, modalities) = (completion.axes.nrows(), config.modalities.len());
            fits("common axes", (axes, dim), (completion.variances.len(), completion.axes.ncols()))?;
            fits("noise", (modalities, 0), (completion.noise.len(), 0))?;
            if completion.variances.iter().chain(&completion.noise).any(|&v| v <= 0.0) {
                let help = "catalex did not write this model folder; train the model again";
                return Err(Error::mismatch("variances of the model's common axes", "above 0", "others", help));
            }
        }
        fits("projection", (dim, latent_dim), weights.projection.shape())?;
        fits("inverse projection", (latent_dim, dim), weights.inverse.shape())?;
        for (network, input, output) in [(&weights.projection, dim, latent_dim), (&weights.inverse, latent_dim, dim)] {
            let mut width = input;
            for layer in &network.layers {
                fits("layers", (layer.weight.nrows(), width), (layer.bias.len(), layer.weight.ncols()))?;
                width = layer.weight.nrows();
            }
            if !network.layers.is_empty() {
                fits("last layer", (output, 0), (width, 0))?;
            }
        }
        for (book, &size) in weights.codebooks.iter().zip(&config.codebook_sizes) {
            fits("codebooks", (size, latent_dim), book.dim())?;
        }
        let lengths: Vec<usize> = weights.offsets.codes.iter().map(Array1::len).collect();
        if lengths != config.codebook_sizes {
            fits(
                "offsets",
                (config.levels(), config.codebook_sizes[0]),
                (lengths.len(), lengths.first().copied().unwrap_or(0)),
            )?;
        }
        let first = config.codebook_sizes[0];
        let after_first = |level: usize| config.codebook_sizes.get(level).filter(|_| level > 0).copied().unwrap_or(0);
        if let Some(pairs) = &weights.offsets.pairs {
            fits("pair offsets", (first, after_first(1)), pairs.dim())?;
        }
        if let Some(last) = &weights.offsets.last {
            fits("last offsets", (first, after_first(config.levels() - 1)), last.dim())?;
        }
        Ok(Tokenizer {
            config,
            standardization: weights.standardization,
            projection: weights.projection.by_input(),
            inverse: weights.inverse.by_input(),
            quantizer: Quantizer::new(weights.codebooks, weights.offsets),
        })
    }

    /// Shapes and provenance.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Identifies the model: the SHA-256 of its weights file.
    pub fn hash(&self) -> &str {
        &self.config.weights_sha256
    }

    /// One codebook `(size, latent_dim)` per level.
    pub fn codebooks(&self) -> &[Array2<f32>] {
        self.quantizer.codebooks()
    }

    /// The quantizer, from latents to codes.
    pub fn quantizer(&self) -> &Quantizer {
        &self.quantizer
    }

    /// The projection, from standardised features to latents.
    pub fn projection(&self) -> &Network {
        &self.projection
    }

    /// Centring and scaling of the input.
    pub fn standardization(&self) -> &Standardization {
        &self.standardization
    }

    /// Codes and latents of feature rows `x (n, dim)`, modalities concatenated in the order of the config.
    /// `present (n, modalities)` marks the modalities that each item has; by default all.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a wrong width of `x` or shape of `present`; [`Error::Data`] for a row with NaN or infinity.
    pub fn encode(&self, x: ArrayView2<f32>, present: Option<ArrayView2<bool>>) -> Result<Encoded> {
        self.check_input(x, present)?;
        let n = x.nrows();
        let mut codes = Array2::zeros((n, self.config.levels()));
        let mut latents = Array2::zeros((n, self.config.latent_dim));
        codes
            .axis_chunks_iter_mut(Axis(0), BLOCK)
            .into_par_iter()
            .zip(latents.axis_chunks_iter_mut(Axis(0), BLOCK).into_par_iter())
            .enumerate()
            .try_for_each(|(block, (codes, mut latents))| {
                let z = self.latents_of_block(block, x, present)?;
                latents.assign(&z);
                self.quantizer.encode_block(z, codes, None);
                Ok::<(), Error>(())
            })?;
        Ok(Encoded { codes, latents })
    }

    /// The codes `(n, levels)` of [`Tokenizer::encode`], without the latents.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn codes(&self, x: ArrayView2<f32>, present: Option<ArrayView2<bool>>) -> Result<Array2<u16>> {
        self.check_input(x, present)?;
        let mut codes = Array2::zeros((x.nrows(), self.config.levels()));
        let blocks = codes.axis_chunks_iter_mut(Axis(0), BLOCK).into_par_iter().enumerate();
        blocks.try_for_each(|(block, codes)| {
            self.quantizer.encode_block(self.latents_of_block(block, x, present)?, codes, None);
            Ok::<(), Error>(())
        })?;
        Ok(codes)
    }

    fn latents_of_block(
        &self,
        block: usize,
        x: ArrayView2<f32>,
        present: Option<ArrayView2<bool>>,
    ) -> Result<Array2<f32>> {
        let rows = block * BLOCK..x.nrows().min((block + 1) * BLOCK);
        let present = present.map(|p| p.slice_move(s![rows.clone(), ..]));
        Ok(self.projection.forward(self.standardization.apply(x.slice(s![rows, ..]), present)?.view()))
    }

    /// The reconstruction `(n, dim)` of features from `codes (n, levels)`, in the units of the input.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a wrong number of levels, or a code outside its codebook.
    pub fn decode(&self, codes: ArrayView2<u16>) -> Result<Array2<f32>> {
        let mut out = self.decode_standardized(codes)?;
        self.standardization.invert(&mut out);
        Ok(out)
    }

    /// As [`Tokenizer::decode`], in standardised units, as [`Standardization::apply`] returns them.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn decode_standardized(&self, codes: ArrayView2<u16>) -> Result<Array2<f32>> {
        self.check_codes(codes)?;
        let mut out = Array2::zeros((codes.nrows(), self.config.dim()));
        out.axis_chunks_iter_mut(Axis(0), BLOCK)
            .into_par_iter()
            .zip(codes.axis_chunks_iter(Axis(0), BLOCK).into_par_iter())
            .for_each(|(mut out, codes)| {
                out.assign(&self.inverse.forward(self.quantizer.decode(codes).view()));
            });
        Ok(out)
    }

    /// Squared distances `(n,)` between the latents and the sums of their codewords.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn latent_errors(&self, latents: ArrayView2<f32>, codes: ArrayView2<u16>) -> Result<Vec<f32>> {
        self.check_codes(codes)?;
        let difference = &latents - &self.quantizer.decode(codes);
        Ok(difference.rows().into_iter().map(|row| row.dot(&row)).collect())
    }

    fn check_input(&self, x: ArrayView2<f32>, present: Option<ArrayView2<bool>>) -> Result<()> {
        if x.ncols() != self.config.dim() {
            return Err(Error::mismatch(
                "width of the features",
                format!("{} (the model's {})", self.config.dim(), describe(&self.config.modalities)),
                x.ncols(),
                "tokenize with the features the model was trained on, or train a new model",
            ));
        }
        let wanted = (x.nrows(), self.config.modalities.len());
        if let Some(present) = present.filter(|p| p.dim() != wanted) {
            return Err(Error::mismatch(
                "shape of the presence flags",
                format!("{wanted:?}"),
                format!("{:?}", present.dim()),
                "give one flag an item and modality",
            ));
        }
        // Without an early exit per row, the comparison is vectorized.
        let outside =
            |row: ndarray::ArrayView1<f32>| row.fold(false, |found, v| found | v.is_nan() | (v.abs() > MAX_INPUT));
        match x.rows().into_iter().position(outside) {
            Some(row) => Err(Error::data(
                format!("row {} of the features", row + 1),
                format!("finite numbers of at most {MAX_INPUT:e}"),
                "NaN, infinity or a larger number",
                "drop the item, or mark the modality as missing",
            )),
            None => Ok(()),
        }
    }

    fn check_codes(&self, codes: ArrayView2<u16>) -> Result<()> {
        if codes.ncols() != self.config.levels() {
            return Err(Error::mismatch(
                "levels of the codes",
                self.config.levels(),
                codes.ncols(),
                "decode with the model that gave the codes",
            ));
        }
        for (level, &size) in self.config.codebook_sizes.iter().enumerate() {
            if let Some(&code) = codes.column(level).iter().find(|&&code| usize::from(code) >= size) {
                return Err(Error::mismatch(
                    format!("codes of level {level}"),
                    format!("below {size}"),
                    code,
                    "decode with the model that gave the codes",
                ));
            }
        }
        Ok(())
    }
}

/// "text 384 + image 1280".
fn describe(modalities: &[ModalityShape]) -> String {
    modalities.iter().map(|m| format!("{} {}", m.name, m.dim)).collect::<Vec<_>>().join(" + ")
}
