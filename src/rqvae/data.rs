//! The training data: the items in memory (all, or a random sample) and, of a larger catalog, a way to pass over all items.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis, s};
use rand::Rng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256Plus;
use tch::{Device, Tensor};

use super::device::TrainingPlace;
use super::items::{TrainingBatch, TrainingItems, spread};
use super::relations;
use super::tensors::{array, tensor};
use crate::error::{Error, Result};
use crate::features::{FeatureSource, Features, gather};
use crate::tokenizer::{MAX_INPUT, Standardization};

/// Numbers per window, 256 MB. The rows of a file are shuffled within a window.
const WINDOW: usize = 1 << 26;

/// How features are read for training.
#[derive(Debug, Clone)]
pub(super) struct DataSettings {
    /// Maximum number of items in memory.
    pub(super) sample_items: usize,
    /// Number of items that are held out of training.
    pub(super) held_out: usize,
    /// Weight of each modality in the standardisation; `None` takes the features as they are.
    pub(super) weights: Option<Vec<ModalityWeight>>,
    /// Number of common axes, at least, by which missing modalities are predicted; `None` leaves them at their mean.
    pub(super) completion: Option<usize>,
    /// Fraction of the items of a batch of which one modality is replaced by its prediction.
    pub(super) dropout: f64,
}

/// The weight of a modality in the standardisation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum ModalityWeight {
    /// This weight.
    Fixed(f32),
    /// This factor times the root mean square length (at most 1) of the modality's vectors. Shorter vectors mean that
    /// less is known about the items.
    OfLength(f32),
}

impl ModalityWeight {
    /// The weight of a modality with these vectors. `present` says which items have a vector.
    fn of(self, vectors: ArrayView2<f32>, present: ArrayView1<bool>) -> f32 {
        let factor = match self {
            ModalityWeight::Fixed(weight) => return weight,
            ModalityWeight::OfLength(factor) => factor,
        };
        let squares = vectors.rows().into_iter().zip(present).filter(|&(_, &has)| has);
        let (sum, count) = squares.fold((0.0, 0.0), |(sum, count), (row, _)| {
            (sum + row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>(), count + 1.0)
        });
        factor * (sum / f64::max(count, 1.0)).sqrt().min(1.0) as f32
    }
}

/// The data that training reads.
pub(super) struct TrainingData<'a> {
    pub(super) standardization: Standardization,
    /// The training items in memory, in row order.
    pub(super) training: TrainingItems,
    /// The rows of the training items in the features.
    pub(super) rows: Vec<usize>,
    /// The items that are held out of training, if any.
    pub(super) validation: Option<TrainingItems>,
    /// See [`DataSettings::dropout`]; 0 where modalities cannot be predicted.
    dropout: f64,
    /// Where training computes.
    pub(super) place: TrainingPlace,
    /// SHA-256 of the items in memory, held-out ones included.
    pub(super) hash: Option<String>,
    /// All items, where only a sample is in memory.
    stream: Option<ItemStream<'a>>,
}

struct ItemStream<'a> {
    source: &'a dyn FeatureSource,
    /// Rows that are held out of training, sorted.
    held_out: Vec<usize>,
}

impl<'a> TrainingData<'a> {
    /// Reads and standardises the features. `hashed` asks for [`TrainingData::hash`].
    ///
    /// # Errors
    /// As [`FeatureSource::blocks`]; [`Error::Data`] for features without variance.
    pub(super) fn read(
        source: &'a dyn FeatureSource,
        settings: &DataSettings,
        rng: &mut Xoshiro256Plus,
        place: TrainingPlace,
        hashed: bool,
    ) -> Result<Self> {
        let dims: Vec<usize> = source.shapes().iter().map(|&(_, dim)| dim).collect();
        let (features, rows) = gather(source, settings.sample_items, rng)?;
        let (x, present) = (features.concatenated(), features.presence());
        drop(features);
        check_numbers(x.view(), |row| rows[row])?;
        let mut standardization = match &settings.weights {
            Some(weights) => {
                let mut start = 0;
                let weight = |(m, (&dim, weight)): (usize, (&usize, &ModalityWeight))| {
                    start += dim;
                    weight.of(x.slice(s![.., start - dim..start]), present.column(m))
                };
                let weights: Vec<f32> = dims.iter().zip(weights).enumerate().map(weight).collect();
                Standardization::measure(x.view(), present.view(), &dims, &weights)
            }
            None => Standardization::none(&dims),
        };
        if standardization.is_flat() || x.rows().into_iter().all(|row| row == x.row(0)) {
            return Err(Error::data(
                "training",
                "items whose vectors differ",
                format!("{} equal vectors", rows.len()),
                "check the encoders' input: the fields may be empty or the same everywhere",
            ));
        }
        let raw = x;
        let mut x = standardization.apply_with_gaps(raw.view(), Some(present.view()));
        drop(raw);
        let hash = hashed.then(|| crate::artifact::sha256(bytemuck::cast_slice(x.as_slice().unwrap_or_default())));
        if let Some(axes) = settings.completion.filter(|_| dims.len() > 1) {
            let full: Vec<usize> = (0..rows.len()).filter(|&row| present.row(row).iter().all(|&has| has)).collect();
            let of_full = x.select(Axis(0), &full);
            standardization.completion = relations::completion(&of_full, &dims, axes)?;
        }
        if let Some(completion) = &standardization.completion {
            completion.fill(&mut x, present.view())?;
        }
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.shuffle(rng);
        let (held_out, training) = order.split_at(settings.held_out);
        let stream = (rows.len() < source.rows()).then(|| {
            let mut held_out: Vec<usize> = held_out.iter().map(|&at| rows[at]).collect();
            held_out.sort_unstable();
            ItemStream { source, held_out }
        });
        let mut training = training.to_vec();
        training.sort_unstable();
        let validation = (!held_out.is_empty()).then(|| {
            let present = present.select(Axis(0), held_out);
            TrainingItems::new(&x.select(Axis(0), held_out), present.view(), &dims, place.device)
        });
        // The rows are compacted in place, because a second matrix would dominate the memory of training.
        keep_rows(&mut x, &training);
        let of_training = training.iter().map(|&at| rows[at]).collect();
        let training = TrainingItems::new(&x, present.select(Axis(0), &training).view(), &dims, place.device);
        let dropout = if standardization.completion.is_some() { settings.dropout } else { 0.0 };
        Ok(TrainingData { standardization, training, rows: of_training, validation, dropout, place, hash, stream })
    }

    /// Number of items that [`TrainingData::each_batch`] passes over.
    pub(super) fn len(&self) -> usize {
        match &self.stream {
            Some(stream) => stream.source.rows() - stream.held_out.len(),
            None => self.training.x.size()[0] as usize,
        }
    }

    /// One pass over all training items in batches. Items in memory come in random order; those of a file part by part,
    /// parts in random order and rows shuffled within a window.
    pub(super) fn each_batch(
        &self,
        batch_size: usize,
        rng: &mut Xoshiro256Plus,
        mut work: impl FnMut(TrainingBatch) -> Result<()>,
    ) -> Result<()> {
        let mut shuffled = |items: &TrainingItems, rng: &mut Xoshiro256Plus| {
            let mut order: Vec<i64> = (0..items.x.size()[0]).collect();
            order.shuffle(rng);
            // The whole order goes to the device at once.
            let order = Tensor::from_slice(&order).to_device(items.x.device());
            order
                .split(i64::try_from(batch_size).unwrap_or(i64::MAX), 0)
                .iter()
                .try_for_each(|rows| work(self.batch(&items.select(rows), rng)?))
        };
        let Some(stream) = &self.stream else { return shuffled(&self.training, rng) };
        stream.each_window(&self.standardization, rng, |(window, present), rng| {
            // A window may be too large for the device: only batches go there.
            let window = TrainingItems::new(&window, present.view(), &self.standardization.dims, Device::Cpu);
            shuffled(&window, rng)
        })
    }

    /// A batch on the device, with some modalities replaced by predictions.
    fn batch(&self, items: &TrainingItems, rng: &mut Xoshiro256Plus) -> Result<TrainingBatch> {
        let device = self.training.x.device();
        let items = items.to_device(device);
        let Some(completion) = self.standardization.completion.as_ref().filter(|_| self.dropout > 0.0) else {
            let seen = items.x.shallow_clone();
            return Ok(TrainingBatch { items, seen });
        };
        let known = items.known.as_ref().map(array).transpose()?;
        let (mut seen, columns) = (array(&items.x)?, completion.columns());
        let mut present = Array2::from_shape_fn((seen.nrows(), columns.len()), |(row, m)| {
            known.as_ref().is_none_or(|known| known[[row, columns[m].start]] > 0.0)
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
        Ok(TrainingBatch { items, seen: tensor(&seen).to_device(device) })
    }
}

/// Refuses numbers whose squares overflow. `row_of` gives the row in the features.
fn check_numbers(x: ArrayView2<f32>, row_of: impl Fn(usize) -> usize) -> Result<()> {
    let mut rows = x.rows().into_iter().enumerate();
    let large = rows.find_map(|(row, vector)| Some((row, *vector.iter().find(|v| v.abs() > MAX_INPUT)?)));
    match large {
        None => Ok(()),
        Some((row, number)) => Err(Error::data(
            format!("row {} of the features", row_of(row) + 1),
            format!("numbers of at most {MAX_INPUT:e}"),
            format!("{number:e}"),
            "correct the vector; write null for a missing one",
        )),
    }
}

/// Keeps some rows of a matrix, given in ascending order.
fn keep_rows(x: &mut Array2<f32>, rows: &[usize]) {
    for (to, &from) in rows.iter().enumerate().filter(|&(to, &from)| to != from) {
        let (mut kept, moved) = x.multi_slice_mut((s![to, ..], s![from, ..]));
        kept.assign(&moved);
    }
    x.slice_collapse(s![..rows.len(), ..]);
}

impl ItemStream<'_> {
    /// The standardised training items and which modalities they have, one window after the other.
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
            let fault = |e| Error::mismatch("a window of items", "whole rows", e, "this is a bug; please report it");
            let n = values.len() / dim;
            let present = Array2::from_shape_vec((n, modalities), flags).map_err(fault)?;
            Ok::<_, Error>((Array2::from_shape_vec((n, dim), values).map_err(fault)?, present))
        };
        for block in self.source.blocks(parts)? {
            let block = block?;
            let features: &Features = &block.features;
            let present = features.presence();
            let x = features.concatenated();
            check_numbers(x.view(), |row| block.first_row + row)?;
            let rows = standardization.apply(x.view(), Some(present.view()))?;
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
    use rand::SeedableRng;

    #[test]
    fn a_pass_over_a_file_returns_every_training_item_once() {
        let n = 10_000;
        let vectors = Array2::from_shape_fn((n, 2), |(row, j)| if j == 0 { row as f32 } else { 1.0 });
        let modality = Modality { name: "text".into(), vectors, present: vec![true; n] };
        let features = Features::new(ItemIds::row_numbers(n), vec![modality]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        features.write(&path, crate::artifact::Overwrite::Refuse).unwrap();
        let file = FeatureFile::open(&path).unwrap();
        let settings = DataSettings {
            sample_items: 2_000,
            held_out: 100,
            weights: Some(vec![ModalityWeight::Fixed(1.0)]),
            completion: None,
            dropout: 0.0,
        };
        let mut rng = Xoshiro256Plus::seed_from_u64(1);
        let data = TrainingData::read(&file, &settings, &mut rng, TrainingPlace::HOST, false).unwrap();
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

    #[test]
    fn a_weight_by_length_uses_only_items_with_the_modality() {
        let vectors = ndarray::array![[0.3, 0.4], [0.0, 0.0], [0.0, 0.1]];
        let present = ndarray::array![true, false, true];
        let of = |weight: ModalityWeight, scale: f32| weight.of((&vectors * scale).view(), present.view());
        assert_eq!(of(ModalityWeight::Fixed(3.0), 1.0), 3.0);
        let expected = 2.0 * (0.26f32 / 2.0).sqrt();
        assert!((of(ModalityWeight::OfLength(2.0), 1.0) - expected).abs() < 1e-6);
        assert_eq!(of(ModalityWeight::OfLength(2.0), 100.0), 2.0, "longer vectors weigh no more");
    }
}
