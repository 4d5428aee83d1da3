//! New behaviour vectors for the items of an index.

use std::path::Path;

use crate::artifact::Overwrite;
use crate::behaviour::{self, BehaviourConfig};
use crate::catalog::Interactions;
use crate::error::Result;
use crate::features::{BEHAVIOUR, FeatureSource, FeatureWriter, Features, ModalityRows, for_each_block};
use crate::item_ids::ItemIds;
use crate::progress::Progress;

/// Share of the items with behaviour vectors that can lose them without a warning.
const MAX_LOST: f64 = 0.1;

/// Writes features of these items to `out`: their vectors in `features`, but behaviour vectors from `interactions`. All
/// behaviour vectors are replaced, because vectors from different interactions have different axes.
///
/// # Errors
/// As [`behaviour::vectors`] and [`FeatureWriter`].
pub(super) fn write_features(
    (features, ids): (&dyn FeatureSource, &ItemIds),
    interactions: &Interactions,
    config: &BehaviourConfig,
    out: &Path,
    progress: &dyn Progress,
) -> Result<()> {
    let (vectors, usage) = behaviour::vectors(interactions, ids, config, progress)?;
    if !usage.is_whole() {
        progress.warn(&usage.to_string());
    }
    let folder = out.parent().unwrap_or(Path::new("."));
    let mut vectors = vectors.into_rows(folder)?;
    let mut shapes = features.shapes();
    let place = shapes.iter().position(|(name, _)| name == BEHAVIOUR);
    match place {
        Some(place) => shapes[place].1 = vectors.dim(),
        None => shapes.push((BEHAVIOUR.to_owned(), vectors.dim())),
    }
    let (mut before, mut lost) = (0u64, 0u64);
    let mut writer = FeatureWriter::create(out, ids, shapes, Overwrite::Refuse)?;
    progress.begin("copy vectors", Some(ids.len() as u64), "items");
    for_each_block(features, |block| {
        let rows = block.first_row..block.first_row + block.features.len();
        let mut modalities = block.features.modalities().to_vec();
        let here = vectors.rows(rows.clone())?;
        match place {
            Some(place) => {
                let old = std::mem::replace(&mut modalities[place], here).present;
                let now = &modalities[place].present;
                before += old.iter().filter(|&&present| present).count() as u64;
                lost += old.iter().zip(now).filter(|&(&old, &now)| old && !now).count() as u64;
            }
            None => modalities.push(here),
        }
        progress.advance(rows.len() as u64);
        writer.write(&Features::new(block.features.item_ids().clone(), modalities)?)
    })?;
    progress.end();
    if lost as f64 > MAX_LOST * before as f64 {
        progress.warn(&format!(
            "{lost} of {before} items with a behaviour vector lose it, because {} has too few of their events. Pass all \
             interactions, not only new ones, or use --behaviour keep",
            interactions.path.display()
        ));
    }
    writer.commit()
}
