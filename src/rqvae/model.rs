//! The RQ-VAE in libtorch: projection, residual quantizer, inverse projection, and the losses.

use ndarray::Array2;
use tch::{Device, Kind, Tensor, no_grad};

use super::checkpoint::Saved;
use super::items::TrainingItems;
use super::tensors::{ROWS_AT_ONCE, array, tensor, tensor_of_vector, vector};
use crate::error::Result;
use crate::tokenizer::{Layer, Network, Offsets, Quantizer};
use crate::training::QuantizerConfig;

/// A fully connected layer: `weight (out, in)`, `bias (out,)`.
#[derive(Debug)]
pub(super) struct Linear {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
}

/// A [`Network`] in libtorch: a linear path plus a perceptron.
#[derive(Debug)]
pub(super) struct Net {
    pub(super) skip: Option<Tensor>,
    pub(super) layers: Vec<Linear>,
}

impl Net {
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let linear = self.skip.as_ref().map(|skip| x.matmul(&skip.tr()));
        let Some((last, hidden)) = self.layers.split_last() else { return linear.unwrap_or_else(|| x.shallow_clone()) };
        let mut activation = x.shallow_clone();
        for layer in hidden {
            activation = activation.linear(&layer.weight, Some(&layer.bias)).relu();
        }
        let perceptron = activation.linear(&last.weight, Some(&last.bias));
        match linear {
            Some(linear) => linear + perceptron,
            None => perceptron,
        }
    }

    /// The forward pass without gradients, in blocks of rows.
    pub(super) fn forward_in_blocks(&self, x: &Tensor) -> Tensor {
        no_grad(|| Tensor::cat(&x.split(ROWS_AT_ONCE, 0).iter().map(|rows| self.forward(rows)).collect::<Vec<_>>(), 0))
    }

    fn parameters(&self) -> impl Iterator<Item = &Tensor> {
        self.skip.iter().chain(self.layers.iter().flat_map(|layer| [&layer.weight, &layer.bias]))
    }

    /// A copy of a frozen network.
    pub(super) fn new(network: &Network, device: Device) -> Self {
        let layer = |l: &Layer| Linear {
            weight: tensor(&l.weight).to_device(device),
            bias: tensor_of_vector(&l.bias).to_device(device),
        };
        Net {
            skip: network.skip.as_ref().map(|skip| tensor(skip).to_device(device)),
            layers: network.layers.iter().map(layer).collect(),
        }
    }

    /// Whether the perceptron adds anything to the linear path; initially it does not.
    fn adds(&self) -> bool {
        let nonzero = |t: &Tensor| t.count_nonzero(None).int64_value(&[]) > 0;
        self.skip.is_none() || self.layers.last().is_some_and(|last| nonzero(&last.weight) || nonzero(&last.bias))
    }

    /// The frozen copy.
    fn freeze(&self) -> Result<Network> {
        let layer = |l: &Linear| Ok(Layer { weight: array(&l.weight)?, bias: vector(&l.bias)? });
        Ok(Network {
            skip: self.skip.as_ref().map(array).transpose()?,
            layers: self.layers.iter().map(layer).collect::<Result<_>>()?,
        })
    }
}

/// Projection, residual quantizer and inverse projection.
#[derive(Debug)]
pub(super) struct RqVae {
    pub(super) projection: Net,
    pub(super) inverse: Net,
    pub(super) quantizer: TensorQuantizer,
}

/// The sizes of an [`RqVae`].
#[derive(Debug, Clone, Copy)]
pub(super) struct RqVaeShape<'a> {
    /// Dimension of the features.
    pub(super) dim: usize,
    /// Widths of the hidden layers of the projection.
    pub(super) hidden: &'a [usize],
    pub(super) latent_dim: usize,
    pub(super) codebook_sizes: &'a [usize],
    /// Whether projection and inverse have a linear path.
    pub(super) linear_path: bool,
}

/// A residual [`Quantizer`] in libtorch. The codebooks are trained, the offsets are not.
#[derive(Debug)]
pub(super) struct TensorQuantizer {
    /// One `(size, latent_dim)` per level.
    pub(super) books: Vec<Tensor>,
    /// One `(size,)` per level.
    offsets: Vec<Tensor>,
    pairs: Option<Tensor>,
    /// Present in frozen models only.
    last: Option<Tensor>,
}

/// The result of quantizing a batch of latents.
pub(super) struct QuantizedBatch {
    /// Sum of the codewords, with gradients to them, `(n, latent_dim)`.
    pub(super) sum: Tensor,
    /// One `(n,)` per level.
    pub(super) codes: Vec<Tensor>,
    /// The residuals before each level, without gradients, `(n, latent_dim)`.
    pub(super) residuals: Vec<Tensor>,
}

/// The loss of a batch: mean squares, each relative to the variance of what it compares.
pub(super) struct BatchLoss {
    pub(super) total: Tensor,
    pub(super) quantized: QuantizedBatch,
}

impl RqVae {
    /// A model with random networks, and the codebooks of a quantizer.
    #[cfg(test)]
    pub(super) fn random(
        dim: usize,
        hidden: &[usize],
        latent_dim: usize,
        quantizer: &Quantizer,
        rng: &mut rand_xoshiro::Xoshiro256Plus,
    ) -> Self {
        use rand::Rng;
        let mut matrix = |rows: usize, columns: usize| {
            tensor(&Array2::from_shape_simple_fn((rows, columns), || rng.gen_range(-0.5f32..0.5)))
        };
        let mut net = |input: usize, hidden: &[usize], output: usize| {
            let widths: Vec<usize> = [input].iter().chain(hidden).chain(&[output]).copied().collect();
            let mut layer =
                |pair: &[usize]| Linear { weight: matrix(pair[1], pair[0]), bias: matrix(1, pair[1]).view(-1) };
            let layers = if hidden.is_empty() { Vec::new() } else { widths.windows(2).map(&mut layer).collect() };
            Net { skip: Some(matrix(output, input)), layers }
        };
        let reversed: Vec<usize> = hidden.iter().rev().copied().collect();
        let model = RqVae {
            projection: net(dim, hidden, latent_dim),
            inverse: net(latent_dim, &reversed, dim),
            quantizer: TensorQuantizer::new(quantizer, Device::Cpu),
        };
        for parameter in model.parameters() {
            let _ = parameter.set_requires_grad(true);
        }
        model
    }

    /// All trained tensors.
    pub(super) fn parameters(&self) -> Vec<&Tensor> {
        self.projection.parameters().chain(self.inverse.parameters()).chain(&self.quantizer.books).collect()
    }

    /// The loss of a batch of items whose mean squared length is `x_variance`. The input is `seen (n, dim)`; what is to be
    /// reconstructed are all modalities that the items have, whether `seen` shows them or not.
    ///
    /// The straight-through latent `sum + z - sg(z)` has the value of the codewords' sum, and passes the gradient of the
    /// reconstruction to both the projection and the codewords.
    pub(super) fn loss(
        &self,
        items: &TrainingItems,
        seen: &Tensor,
        x_variance: f64,
        config: &QuantizerConfig,
    ) -> BatchLoss {
        let x = &items.x;
        let z = self.projection.forward(seen);
        let quantized = self.quantizer.quantize(&z);
        let straight_through = &quantized.sum + &z - z.detach();
        let n = x.size()[0] as f64;
        let left = items.mask(self.inverse.forward(&straight_through) - x);
        let reconstruction = left.square().sum(Kind::Float) / (n * x_variance);
        let z_variance = n * z.size()[1] as f64;
        let zero = || Tensor::zeros([0i64; 0], (Kind::Float, z.device()));
        let (mut commitment, mut codebook) = (zero(), zero());
        let mut before = z.zeros_like();
        for ((book, code), residual) in self.quantizer.books.iter().zip(&quantized.codes).zip(&quantized.residuals) {
            let codeword = book.index_select(0, code);
            let fixed = codeword.detach();
            // The residual with gradients to z only: the codewords of the levels before are held fixed.
            commitment += (&z - &before - &fixed).square().sum(Kind::Float) / z_variance;
            codebook += (codeword - residual).square().sum(Kind::Float) / z_variance;
            before += fixed;
        }
        let total = reconstruction * config.reconstruction_weight + commitment * config.commitment_weight + codebook;
        BatchLoss { total, quantized }
    }

    /// The squared error of the reconstruction, summed over all values that the items have, without gradients.
    pub(super) fn squared_error(&self, items: &TrainingItems) -> f64 {
        no_grad(|| {
            items
                .blocks(ROWS_AT_ONCE)
                .map(|items| {
                    let sum = self.quantizer.quantize(&self.projection.forward(&items.x)).sum;
                    let left = items.mask(self.inverse.forward(&sum) - &items.x);
                    left.square().sum(Kind::Double).double_value(&[])
                })
                .sum()
        })
    }

    /// Frozen copies of projection and inverse projection, without their perceptrons if neither adds anything.
    pub(super) fn freeze_networks(&self) -> Result<(Network, Network)> {
        let (mut projection, mut inverse) = (self.projection.freeze()?, self.inverse.freeze()?);
        if !(self.projection.adds() || self.inverse.adds()) {
            (projection.layers, inverse.layers) = (Vec::new(), Vec::new());
        }
        Ok((projection, inverse))
    }

    /// All tensors by name: the trained ones and the offsets.
    pub(super) fn tensors(&self) -> Vec<(String, &Tensor)> {
        let numbered = |name: &str, i: usize| format!("{name}.{i}");
        let parameters = self.parameters().into_iter().enumerate().map(|(i, t)| (numbered("parameter", i), t));
        let offsets = self.quantizer.offsets.iter().enumerate().map(|(i, t)| (numbered("offset", i), t));
        let pairs = self.quantizer.pairs.iter().map(|t| ("pairs".to_owned(), t));
        parameters.chain(offsets).chain(pairs).collect()
    }

    /// A model with the tensors of a checkpoint.
    ///
    /// # Errors
    /// [`crate::Error::Artifact`] for a missing tensor.
    pub(super) fn restored(shape: RqVaeShape, device: Device, saved: &Saved) -> Result<Self> {
        let zeros =
            |shape: &[usize]| Tensor::zeros(shape.iter().map(|&d| d as i64).collect::<Vec<_>>(), (Kind::Float, device));
        let net = |input: usize, hidden: &[usize], output: usize| {
            let widths: Vec<usize> = [input].iter().chain(hidden).chain(&[output]).copied().collect();
            let layer = |pair: &[usize]| Linear { weight: zeros(&[pair[1], pair[0]]), bias: zeros(&[pair[1]]) };
            let layers = if hidden.is_empty() { Vec::new() } else { widths.windows(2).map(layer).collect() };
            Net { skip: shape.linear_path.then(|| zeros(&[output, input])), layers }
        };
        let reversed: Vec<usize> = shape.hidden.iter().rev().copied().collect();
        let offset = |level: usize| Ok(saved.tensor(&format!("offset.{level}"))?.to_device(device));
        let mut model = RqVae {
            projection: net(shape.dim, shape.hidden, shape.latent_dim),
            inverse: net(shape.latent_dim, &reversed, shape.dim),
            quantizer: TensorQuantizer {
                books: shape.codebook_sizes.iter().map(|&size| zeros(&[size, shape.latent_dim])).collect(),
                offsets: (0..shape.codebook_sizes.len()).map(offset).collect::<Result<_>>()?,
                pairs: saved.optional("pairs").map(|pairs| pairs.to_device(device)),
                last: None,
            },
        };
        let count = model.parameters().len();
        let parameters: Vec<Tensor> =
            (0..count).map(|i| saved.tensor(&format!("parameter.{i}"))).collect::<Result<_>>()?;
        model.restore(&parameters);
        for parameter in model.parameters() {
            let _ = parameter.set_requires_grad(true);
        }
        Ok(model)
    }

    /// A copy of every parameter.
    pub(super) fn snapshot(&self) -> Vec<Tensor> {
        self.parameters().into_iter().map(|p| p.detach().copy()).collect()
    }

    /// Restores a [`RqVae::snapshot`].
    pub(super) fn restore(&mut self, snapshot: &[Tensor]) {
        no_grad(|| {
            for (parameter, saved) in self.parameters().into_iter().zip(snapshot) {
                parameter.shallow_clone().copy_(saved);
            }
        });
    }
}

impl TensorQuantizer {
    /// A copy of a frozen quantizer.
    pub(super) fn new(quantizer: &Quantizer, device: Device) -> Self {
        let table = |table: &Option<Array2<f32>>| table.as_ref().map(|table| tensor(table).to_device(device));
        TensorQuantizer {
            books: quantizer.codebooks().iter().map(|book| tensor(book).to_device(device)).collect(),
            offsets: quantizer
                .offsets()
                .codes
                .iter()
                .map(|offsets| tensor_of_vector(offsets).to_device(device))
                .collect(),
            pairs: table(&quantizer.offsets().pairs),
            last: table(&quantizer.offsets().last),
        }
    }

    /// The offsets of each level's codes, and those on pairs of the first two codes.
    pub(super) fn fixed(&self) -> (&[Tensor], Option<&Tensor>) {
        (&self.offsets, self.pairs.as_ref())
    }

    /// A frozen copy of the offsets.
    pub(super) fn freeze_offsets(&self) -> Result<Offsets> {
        Ok(Offsets {
            codes: self.offsets.iter().map(vector).collect::<Result<_>>()?,
            pairs: self.pairs.as_ref().map(array).transpose()?,
            last: self.last.as_ref().map(array).transpose()?,
        })
    }

    /// Greedy residual quantization: at each level the codeword with the lowest cost for the residual, as
    /// [`Quantizer::encode`] chooses it.
    pub(super) fn quantize(&self, z: &Tensor) -> QuantizedBatch {
        let mut rest = z.detach();
        let mut sum = z.zeros_like();
        let (mut codes, mut residuals): (Vec<Tensor>, Vec<Tensor>) = (Vec::new(), Vec::new());
        for (level, (book, offsets)) in self.books.iter().zip(&self.offsets).enumerate() {
            let code = no_grad(|| {
                let halves = (book.square().sum_dim_intlist(1, false, Kind::Float) + offsets) * 0.5;
                let mut costs = halves - rest.matmul(&book.tr());
                let pairs = self.pairs.as_ref().filter(|_| level == 1);
                let last = self.last.as_ref().filter(|_| level > 0 && level + 1 == self.books.len());
                for table in [pairs, last].into_iter().flatten() {
                    costs += table.index_select(0, &codes[0]) * 0.5;
                }
                costs.argmin(1, false)
            });
            let codeword = book.index_select(0, &code);
            let next = &rest - codeword.detach();
            sum += codeword;
            codes.push(code);
            residuals.push(std::mem::replace(&mut rest, next));
        }
        QuantizedBatch { sum, codes, residuals }
    }
}
