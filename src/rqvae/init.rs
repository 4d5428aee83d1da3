//! Initialisation: a projection onto principal axes, and codebooks by k-means and refinement.

use ndarray::Array2;
use rand::Rng;
use rand_xoshiro::Xoshiro256Plus;
use tch::{Device, Kind, Tensor};

use super::crowding::Crowding;
use super::keep::KeptItems;
use super::kmeans;
use super::model::{Linear, Net, RqVae, TensorQuantizer};
use super::points::{DevicePoints, LatentPoints};
use super::refine::{refine, ridges};
use super::relations::agreeing_axes;
use super::tensors::{array, tensor};
use super::valid_config::ValidQuantizerConfig;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::tokenizer::{Completion, Offsets, Quantizer};

/// A model for `x (n, dim)`. The projection is the principal axes (with several modalities, those of the cross-modally
/// smoothed items). The codebooks are fitted to the latents of all of `x`: k-means level by level, then refinement.
/// With `kept` codes, regression on these codes replaces k-means. The latents stay on the device unless `on_host`.
///
/// # Errors
/// [`Error::Data`] for features without variance.
pub(super) fn start(
    x: &Tensor,
    on_host: bool,
    completion: Option<(&Completion, &[f64])>,
    kept: Option<&KeptItems>,
    config: &ValidQuantizerConfig,
    rng: &mut Xoshiro256Plus,
    progress: &dyn Progress,
) -> Result<RqVae> {
    let (axes, back) = match completion {
        Some((completion, agreements)) if agreements.iter().filter(|&&a| a > 0.0).nth(1).is_some() => {
            let (axes, back) = agreeing_axes(completion, config.latent_dim, agreements)?;
            (axes.to_device(x.device()), back.to_device(x.device()))
        }
        _ => {
            let (axes, scale) = principal_axes(x, config.latent_dim as i64)?;
            ((&axes * scale).contiguous(), (axes.tr() / scale).contiguous())
        }
    };
    let dim = x.size()[1] as usize;
    let reversed: Vec<usize> = config.hidden.iter().rev().copied().collect();
    let device = x.device();
    let projection = Net { skip: Some(axes), layers: perceptron(dim, &config.hidden, config.latent_dim, device, rng) };
    let inverse = Net { skip: Some(back), layers: perceptron(config.latent_dim, &reversed, dim, device, rng) };
    let latents = projection.forward_in_blocks(x);
    let quantizer = if on_host {
        quantizer(&array(&latents)?, kept, config, rng, progress)?
    } else {
        quantizer(&DevicePoints::new(latents), kept, config, rng, progress)?
    };
    let model = RqVae { projection, inverse, quantizer: TensorQuantizer::new(&quantizer, device) };
    for parameter in model.parameters() {
        let _ = parameter.set_requires_grad(true);
    }
    Ok(model)
}

/// The codebooks and offsets for latents.
pub(super) fn quantizer(
    latents: &impl LatentPoints,
    kept: Option<&KeptItems>,
    config: &ValidQuantizerConfig,
    rng: &mut Xoshiro256Plus,
    progress: &dyn Progress,
) -> Result<Quantizer> {
    let sizes = &config.codebook_sizes;
    let books = match kept {
        Some(kept) => kept.codebooks(latents, sizes, &ridges(latents, config.ridge as f32, sizes.len())?)?,
        None => codebooks(latents.duplicate(), config, rng, progress)?,
    };
    refine(latents, books, kept, config, rng, progress)
}

/// The `latent_dim` leading eigenvectors of the covariance, `(latent_dim, dim)`, and the factor that scales latents to a
/// mean square of 1 per dimension. One factor for all dimensions preserves the ratios of distances, so that k-means on the
/// latents is k-means on the features.
fn principal_axes(x: &Tensor, latent_dim: i64) -> Result<(Tensor, f64)> {
    let no_axes = |got: String| {
        Error::data(
            "principal axes of the features",
            "vectors that differ",
            got,
            "check the features for extreme values",
        )
    };
    let covariance = x.tr().matmul(x).to_kind(Kind::Double) / x.size()[0] as f64;
    let (values, vectors) = covariance.to_device(Device::Cpu).f_linalg_eigh("L").map_err(|e| no_axes(e.to_string()))?;
    let axes = vectors.tr().flip([0]).narrow(0, 0, latent_dim).to_kind(Kind::Float).to_device(x.device());
    let variance = values.flip([0]).narrow(0, 0, latent_dim).sum(Kind::Double).double_value(&[]);
    if !(variance.is_finite() && variance > 0.0) {
        return Err(no_axes(format!("a variance of {variance}")));
    }
    Ok((axes.contiguous(), (latent_dim as f64 / variance).sqrt()))
}

/// Layers with the uniform weights of He et al. (2015). The last layer is zero: initially the perceptron adds nothing to
/// the linear path.
fn perceptron(input: usize, hidden: &[usize], output: usize, device: Device, rng: &mut Xoshiro256Plus) -> Vec<Linear> {
    if hidden.is_empty() {
        return Vec::new();
    }
    let mut width = input;
    let mut layers = Vec::new();
    for &next in hidden {
        let bound = (6.0 / width as f32).sqrt();
        let weights = Array2::from_shape_simple_fn((next, width), || rng.gen_range(-bound..bound));
        layers.push(Linear { weight: tensor(&weights).to_device(device), bias: zeros(&[next as i64], device) });
        width = next;
    }
    let last = Linear { weight: zeros(&[output as i64, width as i64], device), bias: zeros(&[output as i64], device) };
    layers.push(last);
    layers
}

/// Codebooks by k-means, level by level, each on the residuals of the levels before it.
fn codebooks(
    latents: impl LatentPoints,
    config: &ValidQuantizerConfig,
    rng: &mut Xoshiro256Plus,
    progress: &dyn Progress,
) -> Result<Vec<Array2<f32>>> {
    progress.begin("k-means", Some(config.codebook_sizes.len() as u64), "levels");
    let mut residual = latents;
    let mut books = Vec::new();
    for (level, &size) in config.codebook_sizes.iter().enumerate() {
        let sample = size.saturating_mul(config.kmeans_items_per_code);
        let limits = if level == 0 { Crowding::EVEN } else { Crowding::FAR };
        let crowding = config.cut_crowded.then_some(limits);
        let book = kmeans::codebook(&residual, size, config.kmeans_iterations, sample, crowding, rng)?;
        let codes = residual.encode(&Quantizer::new(vec![book.clone()], Offsets::zero([size])));
        residual.subtract(&codes, 0, &book);
        books.push(book);
        progress.advance(1);
    }
    progress.end();
    Ok(books)
}

fn zeros(shape: &[i64], device: Device) -> Tensor {
    Tensor::zeros(shape, (Kind::Float, device))
}
