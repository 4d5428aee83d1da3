//! The latents of the items in memory, and the residual errors of a finished model, which are stored in the model as a
//! reference for new items.

use ndarray::{Array2, s};
use tch::Tensor;

use super::data::TrainingData;
use super::items::TrainingItems;
use super::model::Net;
use super::points::{DevicePoints, LatentPoints};
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
    let on_device = (!data.place.on_host).then(|| Net::new(projection, items.x.device()));
    for rows in items.x.split(ROWS_AT_ONCE, 0) {
        errors.extend(match &on_device {
            None => projection.forward(array(&rows)?.view()).errors(quantizer)?,
            Some(projection) => DevicePoints::new(projection.forward_in_blocks(&rows)).errors(quantizer)?,
        });
    }
    Ok(ResidualErrors::of(errors, data.validation.is_some()))
}

/// The items in memory: the training items, then the held-out ones.
fn groups<'a>(data: &'a TrainingData) -> impl Iterator<Item = &'a TrainingItems> + Clone {
    [Some(&data.training), data.validation.as_ref()].into_iter().flatten()
}

/// The latents of all items in memory, computed by the frozen projection.
pub(super) fn latents(data: &TrainingData, projection: &Network) -> Result<Array2<f32>> {
    let rows: i64 = groups(data).map(|items| items.x.size()[0]).sum();
    let mut latents = Array2::zeros((rows as usize, projection.shape().1));
    let mut done = 0;
    for items in groups(data) {
        for rows in items.x.split(ROWS_AT_ONCE, 0) {
            let block = projection.forward(array(&rows)?.view());
            latents.slice_mut(s![done..done + block.nrows(), ..]).assign(&block);
            done += block.nrows();
        }
    }
    Ok(latents)
}

/// As [`latents`], on the device of the items.
pub(super) fn latents_on_device(data: &TrainingData, projection: &Network) -> DevicePoints {
    let projection = Net::new(projection, data.training.x.device());
    let blocks = groups(data).flat_map(|items| items.x.split(ROWS_AT_ONCE, 0));
    DevicePoints::new(Tensor::cat(&blocks.map(|rows| projection.forward_in_blocks(&rows)).collect::<Vec<_>>(), 0))
}
