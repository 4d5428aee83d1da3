//! The loss of a batch and its gradients, without automatic differentiation.
//!
//! On a GPU, a step on a small batch takes as long as the host needs to start its kernels, and automatic differentiation
//! starts several times as many. It also adds up the gradients of codewords with atomic operations, in an order that
//! differs between runs. On the CPU, training uses automatic differentiation ([`RqVae::loss`]).

use tch::{Kind, Tensor, no_grad_guard};

use super::items::TrainingItems;
use super::model::{Net, RqVae, TensorQuantizer};

/// Factors on the sums of squares of a loss.
pub(super) struct LossWeights {
    /// For the error of the reconstruction.
    pub(super) reconstruction: f64,
    /// For the residual after each level, which moves the codewords.
    pub(super) codebook: f64,
    /// For the residual after each level, which moves the latents.
    pub(super) commitment: f64,
    /// Whether the residuals of all levels move the latents; otherwise only that of the first.
    pub(super) every_level: bool,
    /// Whether the error of the reconstruction also moves the codewords.
    pub(super) straight_through: bool,
}

/// The loss of a batch with its gradients.
pub(super) struct DirectLoss {
    /// Without dimensions.
    pub(super) total: Tensor,
    /// One per tensor of [`RqVae::parameters`], in that order.
    pub(super) gradients: Vec<Tensor>,
    /// The codes of all levels, each moved by the number of codes of the levels before, `(levels * n,)`.
    pub(super) codes: Tensor,
    /// The residuals before each level, `(n, latent_dim)`.
    pub(super) residuals: Vec<Tensor>,
}

/// Assigns the codes of the last level, by squared distances `(n, size)`.
pub(super) type LastCodes<'a> = &'a dyn Fn(&Tensor) -> Tensor;

/// The part of the quantizer that training does not change.
#[derive(Debug)]
pub(super) struct DirectStep {
    /// The offsets of all codes, level after level.
    offsets: Tensor,
    /// Half of the offsets on pairs of the first two codes.
    pairs: Option<Tensor>,
    /// The first code of each level among all codes.
    starts: Vec<i64>,
    sizes: Vec<i64>,
}

impl DirectStep {
    pub(super) fn new(quantizer: &TensorQuantizer) -> Self {
        let sizes: Vec<i64> = quantizer.books.iter().map(|book| book.size()[0]).collect();
        let (offsets, pairs) = quantizer.fixed();
        let starts = (0..sizes.len()).map(|level| sizes[..level].iter().sum()).collect();
        DirectStep { offsets: Tensor::cat(offsets, 0), pairs: pairs.map(|pairs| pairs * 0.5), starts, sizes }
    }

    /// The loss of a batch: items, and the input of the projection.
    pub(super) fn loss(
        &self,
        model: &RqVae,
        items: &TrainingItems,
        seen: &Tensor,
        weights: &LossWeights,
        last_codes: Option<LastCodes>,
    ) -> DirectLoss {
        let _guard = no_grad_guard();
        let projected = Pass::new(&model.projection, seen);
        let z = &projected.output;
        let (codes, mut residuals) = self.quantize(&model.quantizer.books, z, last_codes);
        let levels = self.sizes.len();
        let restored = Pass::new(&model.inverse, &(z - &residuals[levels]));
        let left = items.mask(&restored.output - &items.x);
        // What each level leaves, `(levels, n, latent_dim)`.
        let after = Tensor::stack(&residuals[1..], 0);
        let total = left.square().sum(Kind::Float) * weights.reconstruction
            + after.square().sum(Kind::Float) * (weights.codebook + weights.commitment);

        let (of_inverse, of_sum) = restored.gradients(&model.inverse, &(left * (2.0 * weights.reconstruction)), true);
        let of_sum = of_sum.unwrap_or_else(|| z.zeros_like());
        let pulling = if weights.every_level { after.sum_dim_intlist(0, false, Kind::Float) } else { after.get(0) };
        let of_z = pulling * (2.0 * weights.commitment) + &of_sum;
        let (mut gradients, _) = projected.gradients(&model.projection, &of_z, false);
        gradients.extend(of_inverse);
        let mut of_codewords = after * (-2.0 * weights.codebook);
        if weights.straight_through {
            of_codewords += &of_sum;
        }
        let codes = Tensor::cat(&codes, 0);
        let of_codewords = of_codewords.view([-1, z.size()[1]]);
        // The order in which this function adds is always the same.
        let of_books = Tensor::embedding_dense_backward(&of_codewords, &codes, self.all_codes(), -1, false);
        gradients.extend(self.of_levels(&of_books));
        residuals.truncate(levels);
        DirectLoss { total, gradients, codes, residuals }
    }

    /// The codes of each level as [`DirectLoss::codes`] has them, and the residuals before each level and after the last.
    fn quantize(&self, books: &[Tensor], z: &Tensor, last_codes: Option<LastCodes>) -> (Vec<Tensor>, Vec<Tensor>) {
        let lengths = Tensor::cat(books, 0).square().sum_dim_intlist(1, false, Kind::Float);
        let minus_halves = (lengths + &self.offsets) * -0.5;
        let (mut codes, mut residuals) = (Vec::new(), vec![z.shallow_clone()]);
        for (level, book) in books.iter().enumerate() {
            let rest = &residuals[level];
            let mut scores = minus_halves.narrow(0, self.starts[level], self.sizes[level]).addmm(rest, &book.tr());
            if let (1, Some(pairs)) = (level, &self.pairs) {
                scores -= pairs.index_select(0, &codes[0]);
            }
            let code = match last_codes.filter(|_| level + 1 == books.len()) {
                Some(last_codes) => {
                    let lengths = rest.square().sum_dim_intlist(1, true, Kind::Float);
                    last_codes(&(lengths - scores * 2.0))
                }
                None => scores.argmax(1, false),
            };
            let next = rest - book.index_select(0, &code);
            residuals.push(next);
            codes.push(if level == 0 { code } else { code + self.starts[level] });
        }
        (codes, residuals)
    }

    /// Numbers or rows of all codes, split into those of each level.
    pub(super) fn of_levels(&self, numbers: &Tensor) -> Vec<Tensor> {
        self.starts.iter().zip(&self.sizes).map(|(&start, &size)| numbers.narrow(0, start, size)).collect()
    }

    /// The number of codes of all levels.
    pub(super) fn all_codes(&self) -> i64 {
        self.sizes.iter().sum()
    }
}

/// A forward pass with what its gradients need.
struct Pass {
    input: Tensor,
    /// The activations after each hidden layer.
    hidden: Vec<Tensor>,
    output: Tensor,
}

impl Pass {
    fn new(net: &Net, x: &Tensor) -> Self {
        let linear = net.skip.as_ref().map(|skip| x.matmul(&skip.tr()));
        let mut hidden: Vec<Tensor> = Vec::new();
        let mut output = None;
        for (at, layer) in net.layers.iter().enumerate() {
            let next = layer.bias.addmm(hidden.last().unwrap_or(x), &layer.weight.tr());
            if at + 1 == net.layers.len() { output = Some(next) } else { hidden.push(next.relu()) }
        }
        let output = match (linear, output) {
            (Some(linear), Some(perceptron)) => linear + perceptron,
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => x.shallow_clone(),
        };
        Pass { input: x.shallow_clone(), hidden, output }
    }

    /// The gradients of the network's parameters, in their order, given that of the output; and that of the input, if
    /// asked for.
    fn gradients(&self, net: &Net, of_output: &Tensor, of_input: bool) -> (Vec<Tensor>, Option<Tensor>) {
        let mut parameters: Vec<Tensor> = net.skip.iter().map(|_| of_output.tr().matmul(&self.input)).collect();
        let mut back = net.skip.as_ref().filter(|_| of_input).map(|skip| of_output.matmul(skip));
        let mut of_layers = Vec::new();
        let mut gradient = of_output.shallow_clone();
        for (at, layer) in net.layers.iter().enumerate().rev() {
            let input = if at == 0 { &self.input } else { &self.hidden[at - 1] };
            of_layers.push([gradient.tr().matmul(input), gradient.sum_dim_intlist(0, false, Kind::Float)]);
            if at > 0 {
                gradient = input.threshold_backward(&gradient.matmul(&layer.weight), 0.0);
            } else if of_input {
                let through = gradient.matmul(&layer.weight);
                back = Some(back.map_or_else(|| through.shallow_clone(), |back| back + &through));
            }
        }
        parameters.extend(of_layers.into_iter().rev().flatten());
        (parameters, back)
    }
}
