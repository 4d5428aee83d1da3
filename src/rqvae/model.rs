//! The network in tch: projection, residual quantizer, inverse projection, and the losses.

use ndarray::{Array1, Array2, Axis};
use tch::{Device, Kind, Tensor, no_grad};

use super::checkpoint::Saved;
use super::config::Method;
use super::data::Items;
use super::init::{ROWS_AT_ONCE, array, tensor, vector};
use super::valid_config::ValidTrainConfig;
use crate::error::Result;
use crate::tokenizer::{Layer, Network, Offsets, Quantizer};

/// A fully connected layer: `weight (out, in)`, `bias (out,)`.
#[derive(Debug)]
pub(super) struct Linear {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
}

/// The trained twin of [`Network`]: a linear path plus a perceptron.
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
        let bent = activation.linear(&last.weight, Some(&last.bias));
        match linear {
            Some(linear) => linear + bent,
            None => bent,
        }
    }

    /// Forward without gradient, a block of rows at a time.
    pub(super) fn forward_in_blocks(&self, x: &Tensor) -> Tensor {
        no_grad(|| Tensor::cat(&x.split(ROWS_AT_ONCE, 0).iter().map(|rows| self.forward(rows)).collect::<Vec<_>>(), 0))
    }

    fn parameters(&self) -> impl Iterator<Item = &Tensor> {
        self.skip.iter().chain(self.layers.iter().flat_map(|layer| [&layer.weight, &layer.bias]))
    }

    /// A frozen network, back in libtorch.
    pub(super) fn thaw(network: &Network, device: Device) -> Self {
        let layer = |l: &Layer| Linear {
            weight: tensor(&l.weight).to_device(device),
            bias: tensor(&l.bias.view().insert_axis(Axis(0)).to_owned()).view(-1).to_device(device),
        };
        Net {
            skip: network.skip.as_ref().map(|skip| tensor(skip).to_device(device)),
            layers: network.layers.iter().map(layer).collect(),
        }
    }

    /// Whether the perceptron adds anything to the linear path; at the start it does not.
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

/// Projection, codebooks and inverse projection.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) projection: Net,
    pub(super) inverse: Net,
    pub(super) codebooks: Codebooks,
}

/// The codewords, which are trained, and their offsets, which are not.
#[derive(Debug)]
pub(super) struct Codebooks {
    /// One `(size, latent_dim)` a level.
    pub(super) books: Vec<Tensor>,
    /// One `(size,)` a level.
    offsets: Vec<Tensor>,
    pairs: Option<Tensor>,
    /// Of a frozen model; what is trained has none yet.
    last: Option<Tensor>,
}

/// What quantizing a batch of latents gives.
pub(super) struct Quantized {
    /// Sum of the codewords, with gradient to them, `(n, latent_dim)`.
    pub(super) sum: Tensor,
    /// One `(n,)` a level.
    pub(super) codes: Vec<Tensor>,
    /// What is left before each level, without gradient, `(n, latent_dim)`.
    pub(super) residuals: Vec<Tensor>,
}

/// The losses of a batch, each a mean square relative to the variance of what it compares.
pub(super) struct Losses {
    pub(super) total: Tensor,
    pub(super) quantized: Quantized,
}

impl Model {
    /// All tensors that are trained.
    pub(super) fn parameters(&self) -> Vec<&Tensor> {
        self.projection.parameters().chain(self.inverse.parameters()).chain(&self.codebooks.books).collect()
    }

    /// Losses on a batch `(n, dim)` of standardised features whose mean squared length is `x_variance`. Every modality is
    /// reconstructed, by its part of the inverse projection, whatever of the item was `seen`; none counts that the item
    /// does not have.
    ///
    /// The straight-through latent `sum + z - sg(z)` has the value of the codewords' sum and hands the gradient of the
    /// reconstruction both to the projection and to the codewords.
    pub(super) fn losses(&self, items: &Items, seen: &Tensor, x_variance: f64, config: &ValidTrainConfig) -> Losses {
        let x = &items.x;
        let z = self.projection.forward(seen);
        let quantized = self.codebooks.quantize(&z);
        let straight_through = &quantized.sum + &z - z.detach();
        let n = x.size()[0] as f64;
        let left = items.there(self.inverse.forward(&straight_through) - x);
        let reconstruction = left.square().sum(Kind::Float) / (n * x_variance);
        let z_variance = n * z.size()[1] as f64;
        let nothing = || Tensor::zeros([0i64; 0], (Kind::Float, z.device()));
        let (mut commitment, mut codebook) = (nothing(), nothing());
        let mut before = z.zeros_like();
        for ((book, code), residual) in self.codebooks.books.iter().zip(&quantized.codes).zip(&quantized.residuals) {
            let codeword = book.index_select(0, code);
            let fixed = codeword.detach();
            // The residual with gradient to z: what the levels before took away is held fixed.
            commitment += (&z - &before - &fixed).square().sum(Kind::Float) / z_variance;
            codebook += (codeword - residual).square().sum(Kind::Float) / z_variance;
            before += fixed;
        }
        let total = reconstruction * config.reconstruction_weight + commitment * config.commitment_weight + codebook;
        Losses { total, quantized }
    }

    /// Sum of squared errors of the reconstruction of what items have, without gradient.
    pub(super) fn squared_error(&self, items: &Items) -> f64 {
        no_grad(|| {
            items
                .blocks(ROWS_AT_ONCE)
                .map(|items| {
                    let sum = self.codebooks.quantize(&self.projection.forward(&items.x)).sum;
                    let left = items.there(self.inverse.forward(&sum) - &items.x);
                    left.square().sum(Kind::Double).double_value(&[])
                })
                .sum()
        })
    }

    /// The frozen copies of projection and inverse projection, without perceptrons where neither adds anything.
    pub(super) fn freeze_networks(&self) -> Result<(Network, Network)> {
        let (mut projection, mut inverse) = (self.projection.freeze()?, self.inverse.freeze()?);
        if !(self.projection.adds() || self.inverse.adds()) {
            (projection.layers, inverse.layers) = (Vec::new(), Vec::new());
        }
        Ok((projection, inverse))
    }

    /// All tensors by name: those that are trained, and the offsets.
    pub(super) fn tensors(&self) -> Vec<(String, &Tensor)> {
        let numbered = |name: &str, i: usize| format!("{name}.{i}");
        let parameters = self.parameters().into_iter().enumerate().map(|(i, t)| (numbered("parameter", i), t));
        let offsets = self.codebooks.offsets.iter().enumerate().map(|(i, t)| (numbered("offset", i), t));
        let pairs = self.codebooks.pairs.iter().map(|t| ("pairs".to_owned(), t));
        parameters.chain(offsets).chain(pairs).collect()
    }

    /// A model with the tensors of a checkpoint.
    ///
    /// # Errors
    /// [`crate::Error::Artifact`] where one is not there.
    pub(super) fn restored(dim: i64, config: &ValidTrainConfig, device: Device, saved: &Saved) -> Result<Self> {
        let zeros =
            |shape: &[usize]| Tensor::zeros(shape.iter().map(|&d| d as i64).collect::<Vec<_>>(), (Kind::Float, device));
        let net = |input: usize, hidden: &[usize], output: usize| {
            let widths: Vec<usize> = [input].iter().chain(hidden).chain(&[output]).copied().collect();
            let layer = |pair: &[usize]| Linear { weight: zeros(&[pair[1], pair[0]]), bias: zeros(&[pair[1]]) };
            let layers = if hidden.is_empty() { Vec::new() } else { widths.windows(2).map(layer).collect() };
            Net { skip: (config.method == Method::Refine).then(|| zeros(&[output, input])), layers }
        };
        let dim = dim as usize;
        let reversed: Vec<usize> = config.hidden.iter().rev().copied().collect();
        let offset = |level: usize| Ok(saved.tensor(&format!("offset.{level}"))?.to_device(device));
        let mut model = Model {
            projection: net(dim, &config.hidden, config.latent_dim),
            inverse: net(config.latent_dim, &reversed, dim),
            codebooks: Codebooks {
                books: config.codebook_sizes.iter().map(|&size| zeros(&[size, config.latent_dim])).collect(),
                offsets: (0..config.codebook_sizes.len()).map(offset).collect::<Result<_>>()?,
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

    /// Puts a [`Model::snapshot`] back.
    pub(super) fn restore(&mut self, snapshot: &[Tensor]) {
        no_grad(|| {
            for (parameter, saved) in self.parameters().into_iter().zip(snapshot) {
                parameter.shallow_clone().copy_(saved);
            }
        });
    }
}

impl Codebooks {
    /// Frozen codebooks, back in libtorch.
    pub(super) fn thaw(quantizer: &Quantizer, device: Device) -> Self {
        let table = |table: &Option<Array2<f32>>| table.as_ref().map(|table| tensor(table).to_device(device));
        let row = |offsets: &Array1<f32>| tensor(&offsets.view().insert_axis(Axis(0)).to_owned()).view(-1);
        Codebooks {
            books: quantizer.codebooks().iter().map(|book| tensor(book).to_device(device)).collect(),
            offsets: quantizer.offsets().codes.iter().map(|offsets| row(offsets).to_device(device)).collect(),
            pairs: table(&quantizer.offsets().pairs),
            last: table(&quantizer.offsets().last),
        }
    }

    /// The frozen copies of the offsets.
    pub(super) fn freeze_offsets(&self) -> Result<Offsets> {
        Ok(Offsets {
            codes: self.offsets.iter().map(vector).collect::<Result<_>>()?,
            pairs: self.pairs.as_ref().map(array).transpose()?,
            last: self.last.as_ref().map(array).transpose()?,
        })
    }

    /// Greedy residual quantization: at each level the best codeword for what is left, as
    /// [`Quantizer::encode`] chooses it.
    pub(super) fn quantize(&self, z: &Tensor) -> Quantized {
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
        Quantized { sum, codes, residuals }
    }
}
