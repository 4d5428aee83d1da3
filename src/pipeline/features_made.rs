//! Result of the encoding stage: the written features, and lists of unreadable images and of items that were left out.

use serde::{Deserialize, Serialize};

use crate::catalog::CatalogSpool;
#[cfg(feature = "encoders")]
use crate::error::{Error, Result};

/// Number of ids of left-out items in a summary.
const FIRST: usize = 3;

/// One modality of the features.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModalitySummary {
    /// Name of the modality.
    pub name: String,
    /// Dimension of the vectors.
    pub dim: usize,
    /// Number of items without this modality.
    pub missing: usize,
}

/// The written features.
pub(super) struct FeaturesMade {
    pub(super) items: usize,
    pub(super) modalities: Vec<ModalitySummary>,
    /// Number of texts that were longer than the encoder's maximum length.
    pub(super) truncated_texts: usize,
    pub(super) bad_images: Option<BadImageList>,
    pub(super) bad_items: Option<BadItemList>,
    /// Digest of the image files.
    #[cfg_attr(not(all(feature = "train", feature = "encoders")), allow(dead_code, reason = "only a build keeps it"))]
    pub(super) pictures: String,
}

/// Items that were left out because they have no content.
pub(super) struct BadItemList {
    pub(super) count: usize,
    /// The ids of the first few items.
    pub(super) first: Vec<String>,
    /// One item per line, as JSON.
    pub(super) lines: Vec<u8>,
}

/// Images that could not be read.
pub(super) struct BadImageList {
    pub(super) count: usize,
    /// Number of items that have no other content.
    pub(super) left_out: usize,
    /// One image per line, as JSON.
    pub(super) lines: Vec<u8>,
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
