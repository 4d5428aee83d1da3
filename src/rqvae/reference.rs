//! The latents of the items in memory, and the residual errors of a finished model, which are stored in the model as a
//! reference for new items.

use ndarray::{Array2, ArrayView2, s};

use super::data::TrainingData;
use super::tensors::{ROWS_AT_ONCE, array};
use crate::error::Result;
use crate::tokenizer::{Network, Quantizer};
use crate::training::ResidualErrors;

/// The residual errors of the held-out items, or of the training items in memory if no items are held out.
pub(super) fn residual_errors(
    data: &TrainingData,
    projection: &Network,
    quantizer: &Quantizer,
) -> Result<Option<ResidualErrors>> {
    let items = data.validation.as_ref().unwrap_or(&data.training);
    let mut errors = Vec::with_capacity(items.x.size()[0] as usize);
    for rows in items.x.split(ROWS_AT_ONCE, 0) {
        errors.extend(errors_of(projection.forward(array(&rows)?.view()).view(), quantizer));
    }
    Ok(ResidualErrors::of(errors, data.validation.is_some()))
}

fn errors_of(latents: ArrayView2<f32>, quantizer: &Quantizer) -> Vec<f32> {
    let rest = &latents - &quantizer.decode(quantizer.encode(latents).view());
    rest.rows().into_iter().map(|row| row.dot(&row)).collect()
}

/// The latents of all items in memory, computed by the frozen projection.
pub(super) fn latents(data: &TrainingData, projection: &Network) -> Result<Array2<f32>> {
    let groups = [Some(&data.training), data.validation.as_ref()];
    let rows: i64 = groups.into_iter().flatten().map(|items| items.x.size()[0]).sum();
    let mut latents = Array2::zeros((rows as usize, projection.shape().1));
    let mut done = 0;
    for items in groups.into_iter().flatten() {
        for rows in items.x.split(ROWS_AT_ONCE, 0) {
            let block = projection.forward(array(&rows)?.view());
            latents.slice_mut(s![done..done + block.nrows(), ..]).assign(&block);
            done += block.nrows();
        }
    }
    Ok(latents)
}
