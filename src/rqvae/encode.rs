//! The forward pass of a frozen model in libtorch: for CUDA devices, and to compare with the one in ndarray.

use ndarray::{Array2, ArrayView2};
use tch::{Device, no_grad};

use super::device::{on_device, place};
use super::model::{Net, TensorQuantizer};
use super::tensors::{ROWS_AT_ONCE, array, integers, tensor};
use crate::error::{Error, Result};
use crate::tokenizer::{Encoded, Tokenizer};

/// Codes and latents of feature rows `x (n, dim)`, as [`Tokenizer::encode`] computes them, by libtorch on a device (`cpu`,
/// `cuda` or `cuda:N`).
///
/// # Errors
/// [`Error::Unavailable`] for a device that does not exist; [`Error::Mismatch`] for features of another width.
pub fn encode(
    tokenizer: &Tokenizer,
    x: ArrayView2<f32>,
    present: Option<ArrayView2<bool>>,
    device: &str,
) -> Result<Encoded> {
    if x.ncols() != tokenizer.config().dim() {
        let help = "tokenize with the features the model was trained on";
        return Err(Error::mismatch("width of the features", tokenizer.config().dim(), x.ncols(), help));
    }
    on_device(device, || encode_on(tokenizer, x, present, place(device)?.device))
}

fn encode_on(
    tokenizer: &Tokenizer,
    x: ArrayView2<f32>,
    present: Option<ArrayView2<bool>>,
    device: Device,
) -> Result<Encoded> {
    let projection = Net::new(tokenizer.projection(), device);
    let quantizer = TensorQuantizer::new(tokenizer.quantizer(), device);
    let x = tensor(&tokenizer.standardization().apply(x, present)?).to_device(device);
    let latents = projection.forward_in_blocks(&x);
    let mut codes = Array2::zeros((x.size()[0] as usize, quantizer.books.len()));
    let mut from = 0;
    for block in latents.split(ROWS_AT_ONCE, 0) {
        let quantized = no_grad(|| quantizer.quantize(&block));
        for (level, found) in quantized.codes.iter().enumerate() {
            integers(found)?.iter().enumerate().for_each(|(at, &code)| codes[[from + at, level]] = code as u16);
        }
        from += block.size()[0] as usize;
    }
    Ok(Encoded { codes, latents: array(&latents)? })
}
