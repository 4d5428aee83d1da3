//! What training sees: items in memory, all or drawn by lot, and where there are more, a way to pass over all of them.

use ndarray::{Array2, ArrayView2, Axis};
use rand::Rng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256Plus;
use tch::{Device, Tensor};

use super::init::{array, tensor};
use super::relations;
use super::valid_config::ValidTrainConfig;
use crate::error::{Error, Result};
use crate::features::{FeatureSource, Features, gather};
use crate::tokenizer::Standardization;

/// Numbers that a window of shuffled rows holds, 256 MB: rows of a file mix within it.
const WINDOW: usize = 1 << 26;

/// Standardised items.
#[derive(Debug)]
pub(super) struct Items {
    /// `(n, dim)`; where a modality is missing, what stands for it.
    pub(super) x: Tensor,
    /// 1 where a number is the item's own, 0 where it stands for a missing one, `(n, dim)`; none where all are there.
    there: Option<Tensor>,
}

/// Some items of a pass.
pub(super) struct Batch {
    pub(super) items: Items,
    /// What the projection is shown of them, `(n, dim)`: some modalities are hidden, and completed.
    pub(super) seen: Tensor,
}

impl Items {
    fn new(x: &Array2<f32>, present: ArrayView2<bool>, dims: &[usize], device: Device) -> Self {
        let there = present.iter().any(|&has| !has).then(|| tensor(&spread(present, dims)).to_device(device));
        Items { x: tensor(x).to_device(device), there }
    }

    /// Of numbers about the items `(n, dim)` those that are about what they have, the others zero.
    pub(super) fn there(&self, numbers: Tensor) -> Tensor {
        match &self.there {
            Some(there) => numbers * there,
            None => numbers,
        }
    }

    fn select(&self, rows: &[i64]) -> Self {
        let rows = Tensor::from_slice(rows).to_device(self.x.device());
        let select = |t: &Tensor| t.index_select(0, &rows);
        Items { x: select(&self.x), there: self.there.as_ref().map(select) }
    }

    /// Some of them after the other.
    pub(super) fn blocks(&self, rows: i64) -> impl Iterator<Item = Items> {
        let n = self.x.size()[0];
        (0..n).step_by(rows as usize).map(move |from| {
            let some = |t: &Tensor| t.narrow(0, from, rows.min(n - from));
            Items { x: some(&self.x), there: self.there.as_ref().map(some) }
        })
    }
}

/// A flag an item and modality, for each of the modality's numbers.
fn spread(present: ArrayView2<bool>, dims: &[usize]) -> Array2<f32> {
    let modality: Vec<usize> = dims.iter().enumerate().flat_map(|(m, &dim)| vec![m; dim]).collect();
    Array2::from_shape_fn((present.nrows(), modality.len()), |(row, at)| f32::from(present[[row, modality[at]]]))
}

/// What training sees.
pub(super) struct TrainingData<'a> {
    pub(super) standardization: Standardization,
    /// How much of what others say is added to each modality.
    pub(super) agreements: Vec<f64>,
    /// Items in memory, in row order.
    pub(super) training: Items,
    /// Those kept out of training, if any.
    pub(super) validation: Option<Items>,
    /// Share of the items that lose a modality in a batch.
    dropout: f64,
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
        let agreements = config.agreements(shapes.iter().map(|(name, _)| name.as_str()));
        let dims: Vec<usize> = shapes.iter().map(|&(_, dim)| dim).collect();
        let (features, rows) = gather(source, config.sample_items, rng)?;
        let (x, present) = (features.concatenated(), features.presence());
        drop(features);
        let mut standardization = if config.standardize {
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
        let mut x = standardization.apply_with_gaps(x.view(), Some(present.view()));
        let hash = hashed.then(|| crate::artifact::sha256(bytemuck::cast_slice(x.as_slice().unwrap_or_default())));
        if config.complete && dims.len() > 1 {
            let full: Vec<usize> = (0..rows.len()).filter(|&row| present.row(row).iter().all(|&has| has)).collect();
            let of_full = x.select(Axis(0), &full);
            standardization.completion = relations::completion(&of_full, &dims, config.latent_dim)?;
        }
        if let Some(completion) = &standardization.completion {
            completion.fill(&mut x, present.view())?;
        }
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
        let of =
            |rows: &[usize]| Items::new(&x.select(Axis(0), rows), present.select(Axis(0), rows).view(), &dims, device);
        let validation = (!held_out.is_empty()).then(|| of(held_out));
        let training = if validation.is_some() { of(&training) } else { Items::new(&x, present.view(), &dims, device) };
        let dropout = if standardization.completion.is_some() { config.modality_dropout } else { 0.0 };
        Ok(TrainingData { standardization, agreements, training, validation, dropout, hash, stream })
    }

    /// Number of items that [`TrainingData::each_batch`] passes over.
    pub(super) fn len(&self) -> usize {
        match &self.stream {
            Some(stream) => stream.source.rows() - stream.held_out.len(),
            None => self.training.x.size()[0] as usize,
        }
    }

    /// One pass over all training items in batches, in a fresh order: any where they are in memory; those of a file
    /// part by part in any order, mixed within a window.
    pub(super) fn each_batch(
        &self,
        batch_size: usize,
        rng: &mut Xoshiro256Plus,
        mut work: impl FnMut(Batch) -> Result<()>,
    ) -> Result<()> {
        let mut shuffled = |items: &Items, rng: &mut Xoshiro256Plus| {
            let mut order: Vec<i64> = (0..items.x.size()[0]).collect();
            order.shuffle(rng);
            order.chunks(batch_size).try_for_each(|rows| work(self.batch(items.select(rows), rng)?))
        };
        let Some(stream) = &self.stream else { return shuffled(&self.training, rng) };
        stream.each_window(&self.standardization, rng, |(window, present), rng| {
            // Windows are as large as memory allows for: they stay where they are, batches move.
            let window = Items::new(&window, present.view(), &self.standardization.dims, Device::Cpu);
            shuffled(&window, rng)
        })
    }

    /// A batch of items, some of which lose a modality.
    fn batch(&self, items: Items, rng: &mut Xoshiro256Plus) -> Result<Batch> {
        let device = self.training.x.device();
        let there = items.there.map(|there| there.to_device(device));
        let items = Items { x: items.x.to_device(device), there };
        let Some(completion) = self.standardization.completion.as_ref().filter(|_| self.dropout > 0.0) else {
            let seen = items.x.shallow_clone();
            return Ok(Batch { items, seen });
        };
        let own = items.there.as_ref().map(array).transpose()?;
        let (mut seen, columns) = (array(&items.x)?, completion.columns());
        let mut present = Array2::from_shape_fn((seen.nrows(), columns.len()), |(row, m)| {
            own.as_ref().is_none_or(|own| own[[row, columns[m].start]] > 0.0)
        });
        let mut changed = Vec::new();
        for row in 0..seen.nrows() {
            let has: Vec<usize> = (0..columns.len()).filter(|&m| present[[row, m]]).collect();
            if has.len() > 1 && rng.gen_bool(self.dropout) {
                present[[row, has[rng.gen_range(0..has.len())]]] = false;
                changed.push(row);
            }
        }
        let mut hidden = seen.select(Axis(0), &changed);
        let hidden_present = present.select(Axis(0), &changed);
        hidden *= &spread(hidden_present.view(), &completion.dims);
        completion.fill(&mut hidden, hidden_present.view())?;
        for (row, hidden) in changed.into_iter().zip(hidden.rows()) {
            seen.row_mut(row).assign(&hidden);
        }
        Ok(Batch { items, seen: tensor(&seen).to_device(device) })
    }
}

impl Stream<'_> {
    /// The standardised training items, some at a time, parts in a fresh order.
    fn each_window(
        &self,
        standardization: &Standardization,
        rng: &mut Xoshiro256Plus,
        mut work: impl FnMut((Array2<f32>, Array2<bool>), &mut Xoshiro256Plus) -> Result<()>,
    ) -> Result<()> {
        let dim = standardization.mean.len();
        let room = (WINDOW / dim).max(1);
        let mut parts: Vec<usize> = (0..self.source.parts()).collect();
        parts.shuffle(rng);
        let mut window: Vec<f32> = Vec::with_capacity(room.min(self.source.rows()) * dim);
        let modalities = standardization.dims.len();
        let mut flags: Vec<bool> = Vec::new();
        let shaped = |values: Vec<f32>, flags: Vec<bool>| {
            let fault = |e| Error::mismatch("a window of items", "whole rows", e, "please report this");
            let n = values.len() / dim;
            let present = Array2::from_shape_vec((n, modalities), flags).map_err(fault)?;
            Ok::<_, Error>((Array2::from_shape_vec((n, dim), values).map_err(fault)?, present))
        };
        for block in self.source.blocks(parts)? {
            let block = block?;
            let features: &Features = &block.features;
            let present = features.presence();
            let rows = standardization.apply(features.concatenated().view(), Some(present.view()))?;
            let kept = |&at: &usize| self.held_out.binary_search(&(block.first_row + at)).is_err();
            for at in (0..rows.nrows()).filter(kept) {
                window.extend_from_slice(rows.row(at).as_slice().unwrap_or_default());
                flags.extend(present.row(at));
                if window.len() >= room * dim {
                    let full = std::mem::replace(&mut window, Vec::with_capacity(room * dim));
                    work(shaped(full, std::mem::take(&mut flags))?, rng)?;
                }
            }
        }
        if window.is_empty() { Ok(()) } else { work(shaped(window, flags)?, rng) }
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
        let config =
            TrainConfig { sample_items: 2_000, ..TrainConfig::default() }.validate(n, &[("text".into(), 2)]).unwrap();
        let mut rng = Xoshiro256Plus::seed_from_u64(1);
        let data = TrainingData::read(&file, &config, &mut rng, Device::Cpu, false).unwrap();
        assert_eq!((data.training.x.size()[0], data.validation.as_ref().unwrap().x.size()[0]), (1_900, 100));
        let standardization = &data.standardization;
        let row = |value: f32| (value / standardization.scale[0] + standardization.mean[0]).round() as usize;
        let firsts = |batch: &Tensor| Vec::<f32>::try_from(batch.select(1, 0)).unwrap();
        let mut seen = vec![0; n];
        let mut first_batch = Vec::new();
        data.each_batch(64, &mut rng, |batch| {
            firsts(&batch.seen).into_iter().for_each(|value| seen[row(value)] += 1);
            if first_batch.is_empty() {
                first_batch = firsts(&batch.items.x).into_iter().map(row).collect();
            }
            Ok(())
        })
        .unwrap();
        for value in firsts(&data.validation.as_ref().unwrap().x) {
            assert_eq!(std::mem::replace(&mut seen[row(value)], 1), 0, "held out");
        }
        assert!(seen.iter().all(|&times| times == 1));
        assert_eq!(data.len(), n - 100);
        let spread = first_batch.iter().max().unwrap() - first_batch.iter().min().unwrap();
        assert!(spread > n / 2, "mixed: {first_batch:?}");
    }
}
