//! The first stage of a build: encodes the catalog. The features stay in the partial folder until the index is
//! complete.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::catalog_features::CatalogFeatures;
use super::embed::{EmbedSummary, Lists};
use crate::artifact::{Overwrite, read_description, write_file};
use crate::error::{Error, Result};
use crate::features::FeatureFile;
use crate::index::{BAD_IMAGES, BAD_ITEMS, FEATURES, IndexWriter, PARTS, Partial};
use crate::progress::Progress;

/// The file that describes the encoded features.
const RECORD: &str = "encoded.json";

/// The description of encoded features, for a resumed run.
#[derive(Serialize, Deserialize)]
struct EncodedRecord {
    summary: EmbedSummary,
    /// Digest of the image files.
    pictures: String,
}

/// Encodes the catalog, unless an earlier run has, and links the features into the index.
pub(super) fn features(
    job: &CatalogFeatures,
    partial: &Partial,
    writer: &IndexWriter,
    progress: &dyn Progress,
) -> Result<(FeatureFile, EmbedSummary)> {
    let (encoded, record) = (partial.path(FEATURES), partial.path(RECORD));
    let summary = match encoded.exists() {
        true => earlier(job, &record)?,
        false => encode(job, partial, progress)?,
    };
    partial.share(FEATURES, &writer.path(FEATURES))?;
    for list in [BAD_IMAGES, BAD_ITEMS] {
        if partial.path(list).exists() {
            partial.share(list, &writer.path(list))?;
        }
    }
    Ok((FeatureFile::open(&encoded)?, summary))
}

/// The summary of an earlier run, if the image files have not changed.
fn earlier(job: &CatalogFeatures, path: &Path) -> Result<EmbedSummary> {
    let bytes = read_description(path).map_err(|e| Error::io("read", path, e))?;
    let help = "start again with --force";
    let record: EncodedRecord =
        serde_json::from_slice(&bytes).map_err(|e| Error::artifact(path, "a record of encoded features", e, help))?;
    if job.picture_state()?.digest() != record.pictures {
        return Err(Error::artifact(path, "the image files of the interrupted run", "changed image files", help));
    }
    Ok(record.summary)
}

/// Encodes the catalog into the partial folder. The features are renamed last: if they exist, the lists and the record
/// exist as well.
fn encode(job: &CatalogFeatures, partial: &Partial, progress: &dyn Progress) -> Result<EmbedSummary> {
    let (parts, finished) = (partial.path(PARTS), partial.path("encoded.parquet"));
    let made = job.write(job.load(progress)?, (&finished, Overwrite::Replace), partial, true, progress)?;
    let lists = Lists { bad_images: partial.path(BAD_IMAGES), bad_items: partial.path(BAD_ITEMS) };
    let pictures = made.pictures.clone();
    let mut summary = lists.write(made, Overwrite::Replace)?;
    for (list, name) in [
        (summary.bad_images.as_mut().map(|bad| &mut bad.list), BAD_IMAGES),
        (summary.bad_items.as_mut().map(|bad| &mut bad.list), BAD_ITEMS),
    ] {
        list.into_iter().for_each(|list| *list = name.into());
    }
    let (path, record) = (partial.path(RECORD), EncodedRecord { summary, pictures });
    let json = serde_json::to_vec(&record).map_err(|e| Error::io("write", &path, e.into()))?;
    write_file(&path, &json, Overwrite::Replace)?;
    let encoded = partial.path(FEATURES);
    std::fs::rename(&finished, &encoded).map_err(|e| Error::io("rename", &finished, e))?;
    // Without encoders there are no parts to remove.
    let _ = std::fs::remove_dir_all(&parts);
    Ok(record.summary)
}
