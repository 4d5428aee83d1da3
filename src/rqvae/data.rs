//! What training sees: items in memory, all or drawn by lot, and where there are more, a way to pass over all of them.

use ndarray::{Array2, Axis};
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256Plus;
use tch::{Device, Tensor};

use super::config::ValidTrainConfig;
use super::init::tensor;
use crate::error::{Error, Result};
use crate::features::{FeatureSource, Features, gather};
use crate::tokenizer::Standardization;

/// Numbers that a window of shuffled rows holds, 256 MB: rows of a file mix within it.
const WINDOW: usize = 1 << 26;

/// Standardised items.
pub(super) struct TrainingData<'a> {
    pub(super) standardization: Standardization,
    /// Those in memory, `(n, dim)`, in row order.
    pub(super) training: Tensor,
    /// Those kept out of training, if any.
    pub(super) validation: Option<Tensor>,
    /// SHA-256 of the items in memory before the cut into training and validation.
    pub(super) hash: Option<String>,
    /// All items, where those in memory are a part of them.
    stream: Option<Stream<'a>>,
}

struct Stream<'a> {
    source: &'a dyn FeatureSource,
    /// Rows kept out of training, sorted.
    held_out: Vec<usize>,
}

impl<'a> TrainingData<'a> {
    /// Reads and standardises. `hashed` asks for [`TrainingData::hash`].
    ///
    /// # Errors
    /// As [`FeatureSource::blocks`]; [`Error::Data`] for features without any spread.
    pub(super) fn read(
        source: &'a dyn FeatureSource,
        config: &ValidTrainConfig,
        rng: &mut Xoshiro256Plus,
        device: Device,
        hashed: bool,
    ) -> Result<Self> {
        let shapes = source.shapes();
        let weights = config.weights_of(shapes.iter().map(|(name, _)| name.as_str()))?;
        let dims: Vec<usize> = shapes.iter().map(|&(_, dim)| dim).collect();
        let (features, rows) = gather(source, config.sample_items, rng)?;
        let (x, present) = (features.concatenated(), features.presence());
        drop(features);
        let standardization = if config.standardize {
            Standardization::measure(x.view(), present.view(), &dims, &weights)
        } else {
            Standardization::none(&dims)
        };
        if standardization.is_flat() || x.rows().into_iter().all(|row| row == x.row(0)) {
            return Err(Error::data(
                "training",
                "items whose vectors differ",
                format!("{} equal vectors", rows.len()),
                "check the encoders' input: the fields may be empty or the same everywhere",
            ));
        }
        let x = standardization.apply(x.view(), Some(present.view()));
        let hash = hashed.then(|| crate::artifact::sha256(bytemuck::cast_slice(x.as_slice().unwrap_or_default())));
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.shuffle(rng);
        let (held_out, training) = order.split_at(config.held_out());
        let stream = (rows.len() < source.rows()).then(|| {
            let mut held_out: Vec<usize> = held_out.iter().map(|&at| rows[at]).collect();
            held_out.sort_unstable();
            Stream { source, held_out }
        });
        let mut training = training.to_vec();
        training.sort_unstable();
        let validation = (!held_out.is_empty()).then(|| tensor(&x.select(Axis(0), held_out)).to_device(device));
        let training = tensor(&if validation.is_some() { x.select(Axis(0), &training) } else { x }).to_device(device);
        Ok(TrainingData { standardization, training, validation, hash, stream })
    }

    /// Number of items that [`TrainingData::each_batch`] passes over.
    pub(super) fn len(&self) -> usize {
        match &self.stream {
            Some(stream) => stream.source.rows() - stream.held_out.len(),
            None => self.training.size()[0] as usize,
        }
    }

    /// One pass over all training items in batches, in a fresh order: any where they are in memory; those of a file
    /// part by part in any order, mixed within a window.
    pub(super) fn each_batch(
        &self,
        batch_size: usize,
        rng: &mut Xoshiro256Plus,
        mut work: impl FnMut(Tensor) -> Result<()>,
    ) -> Result<()> {
        let device = self.training.device();
        let Some(stream) = &self.stream else {
            let mut order: Vec<i64> = (0..self.training.size()[0]).collect();
            order.shuffle(rng);
            return order
                .chunks(batch_size)
                .try_for_each(|rows| work(self.training.index_select(0, &Tensor::from_slice(rows).to_device(device))));
        };
        stream.each_window(&self.standardization, rng, |window, rng| {
            let window = tensor(&window);
            let mut order: Vec<i64> = (0..window.size()[0]).collect();
            order.shuffle(rng);
            order
                .chunks(batch_size)
                .try_for_each(|rows| work(window.index_select(0, &Tensor::from_slice(rows)).to_device(device)))
        })
    }
}

impl Stream<'_> {
    /// The standardised training items, some at a time, parts in a fresh order.
    fn each_window(
        &self,
        standardization: &Standardization,
        rng: &mut Xoshiro256Plus,
        mut work: impl FnMut(Array2<f32>, &mut Xoshiro256Plus) -> Result<()>,
    ) -> Result<()> {
        let dim = standardization.mean.len();
        let room = (WINDOW / dim).max(1);
        let mut parts: Vec<usize> = (0..self.source.parts()).collect();
        parts.shuffle(rng);
        let mut window: Vec<f32> = Vec::with_capacity(room.min(self.source.rows()) * dim);
        let shaped = |values: Vec<f32>| {
            Array2::from_shape_vec((values.len() / dim, dim), values)
                .map_err(|e| Error::mismatch("a window of items", "whole rows", e, "please report this"))
        };
        for block in self.source.blocks(parts)? {
            let block = block?;
            let features: &Features = &block.features;
            let rows = standardization.apply(features.concatenated().view(), Some(features.presence().view()));
            let kept = |&at: &usize| self.held_out.binary_search(&(block.first_row + at)).is_err();
            for at in (0..rows.nrows()).filter(kept) {
                window.extend_from_slice(rows.row(at).as_slice().unwrap_or_default());
                if window.len() >= room * dim {
                    work(shaped(std::mem::replace(&mut window, Vec::with_capacity(room * dim)))?, rng)?;
                }
            }
        }
        if window.is_empty() { Ok(()) } else { work(shaped(window)?, rng) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{FeatureFile, Modality};
    use crate::item_ids::ItemIds;
    use crate::rqvae::TrainConfig;
    use rand::SeedableRng;

    #[test]
    fn a_pass_over_a_file_meets_every_training_item_once() {
        let n = 10_000;
        let vectors = Array2::from_shape_fn((n, 2), |(row, j)| if j == 0 { row as f32 } else { 1.0 });
        let modality = Modality { name: "text".into(), vectors, present: vec![true; n] };
        let features = Features::new(ItemIds::row_numbers(n), vec![modality]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        features.write(&path, crate::artifact::Overwrite::Refuse).unwrap();
        let file = FeatureFile::open(&path).unwrap();
        let config = TrainConfig { sample_items: 2_000, ..TrainConfig::default() }.validate(n, 2).unwrap();
        let mut rng = Xoshiro256Plus::seed_from_u64(1);
        let data = TrainingData::read(&file, &config, &mut rng, Device::Cpu, false).unwrap();
        assert_eq!((data.training.size()[0], data.validation.as_ref().unwrap().size()[0]), (1_900, 100));
        let standardization = &data.standardization;
        let row = |value: f32| (value / standardization.scale[0] + standardization.mean[0]).round() as usize;
        let firsts = |batch: &Tensor| Vec::<f32>::try_from(batch.select(1, 0)).unwrap();
        let mut seen = vec![0; n];
        let mut first_batch = Vec::new();
        data.each_batch(64, &mut rng, |batch| {
            firsts(&batch).into_iter().for_each(|value| seen[row(value)] += 1);
            if first_batch.is_empty() {
                first_batch = firsts(&batch).into_iter().map(row).collect();
            }
            Ok(())
        })
        .unwrap();
        for value in firsts(data.validation.as_ref().unwrap()) {
            assert_eq!(std::mem::replace(&mut seen[row(value)], 1), 0, "held out");
        }
        assert!(seen.iter().all(|&times| times == 1));
        assert_eq!(data.len(), n - 100);
        let spread = first_batch.iter().max().unwrap() - first_batch.iter().min().unwrap();
        assert!(spread > n / 2, "mixed: {first_batch:?}");
    }
}
