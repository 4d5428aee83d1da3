//! Writes features that need no encoder, that is, precomputed and behaviour vectors.

use std::path::Path;

use super::features_made::{FeaturesMade, ModalitySummary};
use crate::artifact::Overwrite;
use crate::error::Result;
use crate::features::{FeatureWriter, Features, Modality, ModalityRows};
use crate::item_ids::ItemIds;
use crate::progress::Progress;

/// Number of items per block.
const BLOCK: usize = 8_192;

/// Writes features that need no encoder, block by block.
pub(super) fn write_ready(
    ids: &ItemIds,
    mut ready: Vec<Box<dyn ModalityRows>>,
    left_out: &[usize],
    out: &Path,
    overwrite: Overwrite,
    progress: &dyn Progress,
) -> Result<FeaturesMade> {
    let shapes: Vec<(String, usize)> = ready.iter().map(|rows| (rows.name().to_owned(), rows.dim())).collect();
    let mut modalities: Vec<ModalitySummary> =
        shapes.iter().map(|(name, dim)| ModalitySummary { name: name.clone(), dim: *dim, missing: 0 }).collect();
    let mut writer = FeatureWriter::create(out, ids, shapes, overwrite)?;
    progress.begin("copy vectors", Some(ids.len() as u64), "items");
    for from in (0..ids.len()).step_by(BLOCK) {
        let rows = from..ids.len().min(from + BLOCK);
        let mut block: Vec<Modality> = ready.iter_mut().map(|ready| ready.rows(rows.clone())).collect::<Result<_>>()?;
        let here: Vec<usize> = rows.clone().filter(|row| left_out.binary_search(row).is_err()).collect();
        progress.advance(rows.len() as u64);
        if here.is_empty() {
            continue;
        }
        if here.len() < rows.len() {
            let kept: Vec<usize> = here.iter().map(|row| row - from).collect();
            block = block.into_iter().map(|modality| modality.select(&kept)).collect();
        }
        for (summary, modality) in modalities.iter_mut().zip(&block) {
            summary.missing += modality.present.iter().filter(|&&present| !present).count();
        }
        writer.write(&Features::new(ids.take(&here), block)?)?;
    }
    progress.end();
    writer.commit()?;
    let items = ids.len() - left_out.len();
    let (bad_images, bad_items, pictures) = (None, None, String::new());
    Ok(FeaturesMade { items, modalities, truncated_texts: 0, bad_images, bad_items, pictures })
}
