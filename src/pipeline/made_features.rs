//! Features as they were made: what was written, and what was left out.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::artifact::Overwrite;
use crate::catalog::CatalogSpool;
#[cfg(feature = "encoders")]
use crate::error::Error;
use crate::error::Result;
use crate::features::{FeatureWriter, Features, Modality, ModalityRows};
use crate::item_ids::ItemIds;
use crate::progress::Progress;

/// Ids of items that are left out, in a summary.
const FIRST: usize = 3;

/// One modality of the features.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModalitySummary {
    /// Its name.
    pub name: String,
    /// Dimension of its vectors.
    pub dim: usize,
    /// Items that lack it.
    pub missing: usize,
}

/// Items that are copied together.
const BLOCK: usize = 8_192;

/// What was written.
pub(super) struct FeaturesMade {
    pub(super) items: usize,
    pub(super) modalities: Vec<ModalitySummary>,
    /// Texts that were longer than the encoder reads.
    pub(super) truncated_texts: usize,
    pub(super) bad_images: Option<BadImageList>,
    pub(super) bad_items: Option<BadItemList>,
    /// Digest of the picture files.
    #[cfg_attr(not(all(feature = "train", feature = "encoders")), allow(dead_code, reason = "only a build keeps it"))]
    pub(super) pictures: String,
}

/// Items without any content, which were left out.
pub(super) struct BadItemList {
    pub(super) count: usize,
    /// The ids of the first.
    pub(super) first: Vec<String>,
    /// One item per line, as JSON.
    pub(super) lines: Vec<u8>,
}

/// Images that could not be read.
pub(super) struct BadImageList {
    pub(super) count: usize,
    /// Items that have nothing else.
    pub(super) left_out: usize,
    /// One image per line, as JSON.
    pub(super) lines: Vec<u8>,
}

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

impl BadItemList {
    pub(super) fn of(catalog: &CatalogSpool, rows: &[usize]) -> Option<Self> {
        let line = |&row: &usize| {
            let (file, place) = catalog.place(row);
            let file = file.to_string_lossy();
            serde_json::json!({ "item_id": catalog.ids().text(row), "file": file, "row": place }).to_string() + "\n"
        };
        let first = rows.iter().take(FIRST).map(|&row| catalog.ids().text(row)).collect();
        let lines = rows.iter().map(line).collect::<String>().into_bytes();
        (!rows.is_empty()).then_some(BadItemList { count: rows.len(), first, lines })
    }
}

impl FeaturesMade {
    #[cfg(feature = "encoders")]
    pub(super) fn of(catalog: &CatalogSpool, written: crate::encoder::EncodedCatalog) -> Result<Self> {
        let bad = &written.bad_images;
        let lines: Vec<String> = bad
            .iter()
            .map(serde_json::to_string)
            .collect::<Result<_, _>>()
            .map_err(|e| Error::data("the list of unreadable images", "text", e, "report this as a bug"))?;
        let left_out: std::collections::BTreeSet<&str> =
            bad.iter().filter(|bad| bad.left_out).map(|bad| bad.item_id.as_str()).collect();
        let bad_images = (!bad.is_empty()).then(|| BadImageList {
            count: bad.len(),
            left_out: left_out.len(),
            lines: (lines.join("\n") + "\n").into_bytes(),
        });
        let modality = |(name, dim, missing)| ModalitySummary { name, dim, missing };
        Ok(FeaturesMade {
            items: written.items,
            truncated_texts: written.truncated_texts,
            bad_images,
            bad_items: BadItemList::of(catalog, &written.left_out),
            pictures: written.pictures.digest().to_owned(),
            modalities: written.modalities.into_iter().map(modality).collect(),
        })
    }
}
