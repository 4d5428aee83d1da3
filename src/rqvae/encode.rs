//! The frozen model's forward pass in libtorch: on a CUDA device, and to hold the ndarray one against.

use ndarray::{Array2, ArrayView2};
use tch::{Device, no_grad};

use super::init::{ROWS_AT_ONCE, array, tensor};
use super::model::{Codebooks, Net};
use crate::error::{Error, Result};
use crate::tokenizer::{Encoded, Tokenizer};

/// Codes and latents of feature rows `x (n, dim)` as [`Tokenizer::encode`] gives them, computed by libtorch on a
/// device (`cpu`, `cuda` or `cuda:N`).
///
/// # Errors
/// [`Error::Unavailable`] for a device that is not there; [`Error::Mismatch`] for features of another width.
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
    let device = super::device(device)?;
    let projection = Net::thaw(tokenizer.projection(), device);
    let codebooks = Codebooks::thaw(tokenizer.quantizer(), device);
    let x = tensor(&tokenizer.standardization().apply(x, present)?).to_device(device);
    let latents = projection.forward_in_blocks(&x);
    let mut codes = Array2::zeros((x.size()[0] as usize, codebooks.books.len()));
    let mut from = 0;
    for block in latents.split(ROWS_AT_ONCE, 0) {
        let quantized = no_grad(|| codebooks.quantize(&block));
        for (level, found) in quantized.codes.iter().enumerate() {
            let found: Vec<i64> = Vec::try_from(found.to_device(Device::Cpu))
                .map_err(|e| Error::mismatch("codes of libtorch", "integers", e, "please report this"))?;
            found.iter().enumerate().for_each(|(at, &code)| codes[[from + at, level]] = code as u16);
        }
        from += block.size()[0] as usize;
    }
    Ok(Encoded { codes, latents: array(&latents)? })
}
