//! Standardised items as tensors.

use ndarray::{Array2, ArrayView2};
use tch::{Device, Tensor};

use super::tensors::tensor;

/// Standardised items.
#[derive(Debug)]
pub(super) struct TrainingItems {
    /// Vectors `(n, dim)`. A missing modality has its predicted values, or its mean.
    pub(super) x: Tensor,
    /// 1 for values of the item itself, 0 for values of a missing modality, `(n, dim)`; `None` where no modality is
    /// missing.
    pub(super) known: Option<Tensor>,
}

/// One batch of a pass over the training items.
pub(super) struct TrainingBatch {
    pub(super) items: TrainingItems,
    /// Input of the projection `(n, dim)`: the items' vectors, of which some modalities are replaced by predictions.
    pub(super) seen: Tensor,
}

impl TrainingItems {
    pub(super) fn new(x: &Array2<f32>, present: ArrayView2<bool>, dims: &[usize], device: Device) -> Self {
        let known = present.iter().any(|&has| !has).then(|| tensor(&spread(present, dims)).to_device(device));
        TrainingItems { x: tensor(x).to_device(device), known }
    }

    /// Sets those of `numbers (n, dim)` to zero that belong to a missing modality.
    pub(super) fn mask(&self, numbers: Tensor) -> Tensor {
        match &self.known {
            Some(known) => numbers * known,
            None => numbers,
        }
    }

    /// The items of these rows, whose numbers are on the device of the items.
    pub(super) fn select(&self, rows: &Tensor) -> Self {
        let select = |t: &Tensor| t.index_select(0, rows);
        TrainingItems { x: select(&self.x), known: self.known.as_ref().map(select) }
    }

    /// The items on a device.
    pub(super) fn to_device(&self, device: Device) -> Self {
        TrainingItems { x: self.x.to_device(device), known: self.known.as_ref().map(|known| known.to_device(device)) }
    }

    /// The items in blocks of at most `rows`.
    pub(super) fn blocks(&self, rows: i64) -> impl Iterator<Item = TrainingItems> {
        let n = self.x.size()[0];
        (0..n).step_by(rows as usize).map(move |from| {
            let block = |t: &Tensor| t.narrow(0, from, rows.min(n - from));
            TrainingItems { x: block(&self.x), known: self.known.as_ref().map(block) }
        })
    }
}

/// One flag per item and modality as one number per value of the modality.
pub(super) fn spread(present: ArrayView2<bool>, dims: &[usize]) -> Array2<f32> {
    let modality: Vec<usize> = dims.iter().enumerate().flat_map(|(m, &dim)| vec![m; dim]).collect();
    Array2::from_shape_fn((present.nrows(), modality.len()), |(row, at)| f32::from(present[[row, modality[at]]]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rqvae::tensors::array;
    use ndarray::array;

    #[test]
    fn values_of_missing_modalities_are_masked_in_every_block() {
        let x = array![[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]];
        let present = array![[true, true], [true, false], [false, true]];
        let items = TrainingItems::new(&x, present.view(), &[1, 2], Device::Cpu);
        let masked: Vec<_> =
            items.blocks(2).map(|block| array(&block.mask(block.x.shallow_clone())).unwrap()).collect();
        assert_eq!(masked, [array![[1.0, 2.0, 3.0], [4.0, 0.0, 0.0]], array![[0.0, 8.0, 9.0]]]);
        let chosen = items.select(&Tensor::from_slice(&[2i64]));
        assert_eq!(array(&chosen.mask(chosen.x.shallow_clone())).unwrap(), array![[0.0, 8.0, 9.0]]);
    }
}
