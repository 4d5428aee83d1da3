//! The passes of [`adopt`](super::adopt()) over the features: means, moments per code, and the codes that the model
//! assigns.

use std::path::Path;

use ndarray::{Array1, Array2, Axis, s};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;

use crate::artifact::Overwrite;
use crate::error::{Error, Result, quoted};
use crate::features::{Block, FeatureSource, FeatureWriter, for_each_block};
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::semantic_id::TokenTable;
use crate::tokenizer::{CodeMoments, ModalityShape, OwnCodes, Standardization, Tokenizer, fitted_to_codes};
use crate::training::{ResidualErrors, TrainingRecord};

/// One in this many items is held out.
const HELD_OUT: usize = 10;
/// Approximate maximum number of held-out items.
const MOST_HELD_OUT: usize = 8_192;
/// Random seed for the choice of held-out items.
const SEED: u64 = 42;
/// Minimum number of items for a held-out sample. With fewer items, none are held out.
const FEWEST: usize = 200;

/// A model, and the rows of the features that it was fitted to.
pub(super) struct AdoptedModel {
    pub(super) model: Tokenizer,
    /// The table row of each row of the features; `None` for items that are not in the table.
    places: Vec<Option<usize>>,
    /// Number of rows of the features whose items are not in the table.
    pub(super) left_out: usize,
    /// How well a model fitted without the held-out items reproduces their codes.
    pub(super) held_out: Option<OwnCodes>,
}

/// How well a model reproduces the codes of the table's items.
pub(super) struct AdoptedItems {
    pub(super) own: OwnCodes,
    pub(super) relative_error: f64,
}

/// Fits a model to the codes of a table.
pub(super) fn fit(
    table: &TokenTable,
    features: &dyn FeatureSource,
    latent_dim: usize,
    progress: &dyn Progress,
) -> Result<AdoptedModel> {
    let codes = table.quantized();
    let sizes = &table.metadata.codebook_sizes[..codes.ncols()];
    let shapes = features.shapes();
    let dims: Vec<usize> = shapes.iter().map(|&(_, dim)| dim).collect();
    let (places, mean, present) = means(table, features, &dims, progress)?;
    let kept = table.item_ids.len();
    let every = HELD_OUT.max(kept / MOST_HELD_OUT);
    // A random sample: regularities in the order of a catalog must not affect it.
    let mut rng = Xoshiro256Plus::seed_from_u64(SEED);
    let held_out: Vec<bool> = (0..kept).map(|_| kept >= FEWEST && rng.gen_range(0..every) == 0).collect();
    let centring = Standardization { mean: mean.clone(), ..Standardization::none(&dims) };
    let dim: usize = dims.iter().sum();
    let mut moments = CodeMoments::new(sizes, dim);
    let mut apart: Vec<(Array2<f32>, Array2<u16>)> = Vec::new();
    progress.begin("fit", Some(features.rows() as u64), "items");
    for_each_block(features, |block| {
        let x = centring.apply_with_gaps(block.features.concatenated().view(), Some(block.features.presence().view()));
        let rows = |apart: bool| {
            let all = rows_in(&places, block).filter(|&(_, place)| held_out[place] == apart);
            let (rows, places): (Vec<usize>, Vec<usize>) = all.unzip();
            (x.select(Axis(0), &rows), codes.select(Axis(0), &places))
        };
        let (x, codes) = rows(false);
        moments.add(x.view(), codes.view());
        apart.push(rows(true));
        progress.advance(block.features.len() as u64);
        Ok(())
    })?;
    progress.end();
    let mut of_held_out = CodeMoments::new(sizes, dim);
    apart.iter().for_each(|(x, codes)| of_held_out.add(x.view(), codes.view()));
    // One factor per modality, so that each has a mean squared length of 1, as in training.
    let mut scale = Array1::<f64>::zeros(dim);
    let mut start = 0;
    for (&dim, &count) in dims.iter().zip(&present) {
        let squares = moments.squares(start..start + dim) + of_held_out.squares(start..start + dim);
        let spread = (squares / count.max(1) as f64).sqrt();
        let level = mean.slice(s![start..start + dim]).mapv(f64::from);
        let rounding = f64::from(f32::EPSILON) * level.dot(&level).sqrt();
        scale.slice_mut(s![start..start + dim]).fill(if spread > rounding { spread.recip() } else { 0.0 });
        start += dim;
    }
    moments.scale(&scale);
    of_held_out.scale(&scale);
    let standardization = Standardization { scale: scale.mapv(|v| v as f32), ..centring };
    let modalities: Vec<ModalityShape> = shapes.into_iter().map(|(name, dim)| ModalityShape { name, dim }).collect();
    let model = |moments: &CodeMoments, training: Option<TrainingRecord>| {
        fitted_to_codes(moments, modalities.clone(), standardization.clone(), latent_dim, training)
    };
    let mut measured = None;
    let mut record = TrainingRecord {
        config: None,
        items: kept,
        held_out: 0,
        best_epoch: 0,
        history: Vec::new(),
        residual_errors: None,
    };
    if apart.iter().any(|(x, _)| x.nrows() > 0) {
        let without = model(&moments, None)?;
        let mut errors = Vec::new();
        let mut own = OwnCodes::new(codes.ncols());
        for (x, codes) in &apart {
            let latents = without.projection().forward((x * &standardization.scale).view());
            let found = own.count(without.quantizer(), latents.view(), codes.view());
            errors.extend(without.latent_errors(latents.view(), found.view())?);
        }
        record.held_out = own.items();
        record.residual_errors = ResidualErrors::of(errors, true);
        measured = Some(own);
        moments.merge(of_held_out);
    }
    let left_out = places.iter().filter(|place| place.is_none()).count();
    Ok(AdoptedModel { model: model(&moments, Some(record))?, places, left_out, held_out: measured })
}

/// The rows of a block whose items are in the table, with their table rows.
fn rows_in<'a>(places: &'a [Option<usize>], block: &Block) -> impl Iterator<Item = (usize, usize)> + 'a {
    let places = &places[block.first_row..block.first_row + block.features.len()];
    places.iter().enumerate().filter_map(|(row, place)| Some((row, (*place)?)))
}

/// Table rows, means, and number of items per modality.
type FirstPass = (Vec<Option<usize>>, Array1<f32>, Vec<usize>);

/// The first pass: the table row of each item, the mean of each dimension over the items that have its modality, and
/// the number of items that have each modality.
fn means(
    table: &TokenTable,
    features: &dyn FeatureSource,
    dims: &[usize],
    progress: &dyn Progress,
) -> Result<FirstPass> {
    let row_of = table.item_ids.rows_by_text();
    let mut places = Vec::with_capacity(features.rows());
    let mut ids = ItemIds::default();
    let (mut sums, mut present) = (Array1::<f64>::zeros(dims.iter().sum::<usize>()), vec![0usize; dims.len()]);
    progress.begin("read", Some(features.rows() as u64), "items");
    for_each_block(features, |block| {
        let block = &block.features;
        let mut start = 0;
        let here: Vec<Option<usize>> =
            (0..block.len()).map(|row| row_of.get(&block.item_ids().text(row)).copied()).collect();
        for (modality, count) in block.modalities().iter().zip(&mut present) {
            let mut sums = sums.slice_mut(s![start..start + modality.dim()]);
            let rows = modality.vectors.rows().into_iter().zip(&modality.present).zip(&here);
            for ((x, _), _) in rows.filter(|((_, has), place)| **has && place.is_some()) {
                sums.zip_mut_with(&x, |sum, &x| *sum += f64::from(x));
                *count += 1;
            }
            start += modality.dim();
        }
        ids.append(block.item_ids().clone());
        places.extend(here);
        progress.advance(block.len() as u64);
        Ok(())
    })?;
    progress.end();
    features.check_ids(&ids)?;
    let mut found = vec![false; table.item_ids.len()];
    places.iter().flatten().for_each(|&place| found[place] = true);
    if let Some(row) = found.iter().position(|found| !found) {
        let missing = found.iter().filter(|found| !**found).count();
        return Err(Error::Item {
            item: table.item_ids.text(row),
            expected: format!("features of all {} items of the token table", found.len()),
            got: format!(
                "no features for {missing} of them, including this one; ids in the features look like {}",
                quoted(&first(&ids))
            ),
            help: "embed the catalog that the IDs belong to, with the same item ids".into(),
        });
    }
    let mut start = 0;
    for (&dim, &count) in dims.iter().zip(&present) {
        sums.slice_mut(s![start..start + dim]).mapv_inplace(|sum| sum / count.max(1) as f64);
        start += dim;
    }
    Ok((places, sums.mapv(|v| v as f32), present))
}

fn first(ids: &ItemIds) -> String {
    if ids.is_empty() { String::new() } else { ids.text(0) }
}

/// The last pass: writes the features of the table's items, and returns the table in the order of the features, with
/// the residual errors of its codes. A row is marked as reassigned if the quantizer assigns other codes to it.
pub(super) fn write(
    fitted: &AdoptedModel,
    table: TokenTable,
    features: &dyn FeatureSource,
    path: &Path,
    progress: &dyn Progress,
) -> Result<(TokenTable, AdoptedItems)> {
    let model = &fitted.model;
    let order: Vec<usize> = fitted.places.iter().flatten().copied().collect();
    let quantized = table.quantized().to_owned();
    let mut writer = FeatureWriter::create(path, &table.item_ids, features.shapes(), Overwrite::Refuse)?;
    let mut own = OwnCodes::new(quantized.ncols());
    let (mut errors, mut reassigned) = (Vec::with_capacity(order.len()), Vec::with_capacity(order.len()));
    let (mut left, mut length) = (0.0, 0.0);
    progress.begin("write", Some(features.rows() as u64), "items");
    for_each_block(features, |block| {
        let (rows, places): (Vec<usize>, Vec<usize>) = rows_in(&fitted.places, block).unzip();
        if rows.is_empty() {
            return Ok(());
        }
        let kept = block.features.take(&rows)?;
        writer.write(&kept)?;
        let encoded = model.encode(kept.concatenated().view(), Some(kept.presence().view()))?;
        let codes = quantized.select(Axis(0), &places);
        let found = own.count(model.quantizer(), encoded.latents.view(), codes.view());
        reassigned.extend(codes.rows().into_iter().zip(found.rows()).map(|(given, found)| given != found));
        let of_block = model.latent_errors(encoded.latents.view(), codes.view())?;
        left += of_block.iter().map(|&error| f64::from(error)).sum::<f64>();
        length += encoded.latents.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>();
        errors.extend(of_block);
        progress.advance(block.features.len() as u64);
        Ok(())
    })?;
    writer.commit()?;
    progress.end();
    let mut metadata = table.metadata.clone();
    metadata.model_hash = model.hash().to_owned();
    let ordered = TokenTable {
        members: table.members.as_ref().map(|members| members.take(&order)),
        item_ids: table.item_ids.take(&order),
        codes: table.codes.select(Axis(0), &order),
        residual_error: errors,
        reassigned,
        metadata,
    };
    Ok((ordered, AdoptedItems { own, relative_error: left / length.max(f64::MIN_POSITIVE) }))
}
