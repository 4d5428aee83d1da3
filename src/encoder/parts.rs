//! Encoding of a catalog in checkpointed parts: an interrupted run continues after the last finished part.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::bad_image::BadImage;
use super::embed::{EncodedPart, Encoders, PART_ITEMS, StageProgress};
use super::journal::BatchJournal;
use crate::artifact::{Overwrite, read_description, sha256_file, write_file};
use crate::catalog::{CatalogSpool, PictureState};
use crate::error::{Error, Result};
use crate::features::{FeatureFile, FeatureSource, FeatureWriter};
use crate::progress::Progress;

/// Version of how the items of a part are split into batches: a journal with another one is not continued.
const BATCHING: u32 = 2;

/// The result of encoding a catalog into a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedCatalog {
    /// Number of items in the file.
    pub items: usize,
    /// Name and vector length of each modality, and the number of items without it.
    pub modalities: Vec<(String, usize, usize)>,
    /// Number of texts that exceeded the encoder's maximum length.
    pub truncated_texts: usize,
    /// Images that could not be read, in the order of the catalog.
    pub bad_images: Vec<BadImage>,
    /// Rows of the items without content, which are not in the file.
    pub left_out: Vec<usize>,
    /// The state of the image files from which the vectors were computed.
    pub pictures: PictureState,
}

/// The folder of finished parts.
#[derive(Debug, Clone)]
pub struct PartFolder {
    /// An existing folder for these parts only.
    pub folder: PathBuf,
    /// Items per part (checkpoint); `None` for the default.
    pub items: Option<usize>,
    /// Hash of the catalog, the encoders and the settings that determine the vectors. Parts with another hash are
    /// encoded again.
    pub made_by: String,
}

/// The record of a finished part.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartRecord {
    /// [`PartFolder::made_by`].
    made_by: String,
    rows: usize,
    /// Hash of the features; `None` where no item of the part has any.
    sha256: Option<String>,
    truncated_texts: usize,
    bad_images: Vec<BadImage>,
    /// The state of the image files from which the vectors were computed.
    pictures: PictureState,
}

/// Encodes a catalog and writes the features to `out`, with at most one part in memory. Reuses intact parts in the
/// folder if their settings, size and image files are the same, and the batches of an unfinished part. The caller
/// removes the folder.
///
/// # Errors
/// As [`super::embed()`]; [`Error::Io`].
pub fn embed_to(
    out: &Path,
    overwrite: Overwrite,
    catalog: &CatalogSpool,
    mut encoders: Encoders,
    folder: &PartFolder,
    progress: &dyn Progress,
) -> Result<EncodedCatalog> {
    let left_out = encoders.left_out(catalog)?;
    progress.begin("encode", Some(encoders.work(catalog)?), "texts and images");
    let (mut kept, mut pictures) = (Vec::new(), PictureState::default());
    for (number, batch) in catalog.parts(folder.items.unwrap_or(PART_ITEMS))?.enumerate() {
        let batch = batch?;
        let rows = batch.item_ids.len();
        let mut state = PictureState::default();
        for images in batch.images.iter().filter(|_| encoders.image.is_some()) {
            state.add(images);
            pictures.add(images);
        }
        let record = match folder.finished(number, rows, &state, progress)? {
            Some(record) => {
                let work = |each: Vec<usize>| each.into_iter().sum::<usize>() as u64;
                let texts = if encoders.text.is_some() { batch.texts.iter().map(Vec::len).collect() } else { vec![] };
                let images =
                    if encoders.image.is_some() { batch.images.iter().map(Vec::len).collect() } else { vec![] };
                progress.advance(work(texts) + work(images));
                record
            }
            None => {
                let part = (&folder.made_by, rows, &state, BATCHING);
                let mut journal = BatchJournal::open(&folder.journal(number), &part)?;
                let part = encoders.encode(batch, Some(&mut journal), &StageProgress(progress))?;
                let record = folder.keep(number, rows, state, part)?;
                journal.remove()?;
                record
            }
        };
        kept.push(record);
    }
    progress.end();
    let shapes = encoders.shapes();
    let (modalities, bad_images) = (Vec::new(), Vec::new());
    let mut written = EncodedCatalog { items: 0, modalities, truncated_texts: 0, bad_images, left_out, pictures };
    let mut lacking = vec![0; shapes.len()];
    let mut writer = FeatureWriter::create(out, catalog.ids(), shapes.clone(), overwrite)?;
    for (number, record) in kept.into_iter().enumerate() {
        written.truncated_texts += record.truncated_texts;
        written.bad_images.extend(record.bad_images);
        if record.sha256.is_none() {
            continue;
        }
        for block in FeatureFile::open(&folder.features(number))?.all()? {
            let block = block?;
            written.items += block.features.len();
            for ((name, _), lacking) in shapes.iter().zip(&mut lacking) {
                let there = block.features.modalities().iter().find(|m| m.name == *name);
                let has = there.map_or(0, |m| m.present.iter().filter(|&&has| has).count());
                *lacking += block.features.len() - has;
            }
            writer.write(&block.features)?;
        }
    }
    let has = |name: &str| shapes.iter().zip(&lacking).any(|((n, _), &lacking)| n == name && lacking < written.items);
    encoders.check_found(has, &written.bad_images)?;
    writer.commit()?;
    written.modalities = shapes.into_iter().zip(lacking).map(|((name, dim), lacking)| (name, dim, lacking)).collect();
    Ok(written)
}

impl PartFolder {
    fn features(&self, number: usize) -> PathBuf {
        self.folder.join(format!("{number:06}.parquet"))
    }

    fn record(&self, number: usize) -> PathBuf {
        self.folder.join(format!("{number:06}.json"))
    }

    fn journal(&self, number: usize) -> PathBuf {
        self.folder.join(format!("{number:06}.journal"))
    }

    /// The record of a finished part, if its features are intact and its image files have not changed.
    fn finished(
        &self,
        number: usize,
        rows: usize,
        pictures: &PictureState,
        progress: &dyn Progress,
    ) -> Result<Option<PartRecord>> {
        let (path, features) = (self.record(number), self.features(number));
        if !path.is_file() {
            return Ok(None);
        }
        let bytes = read_description(&path).map_err(|e| Error::io("read", &path, e))?;
        let record: Option<PartRecord> = serde_json::from_slice(&bytes).ok();
        let whole = |record: &PartRecord| match &record.sha256 {
            Some(hash) => features.is_file() && sha256_file(&features).is_ok_and(|found| found == *hash),
            None => true,
        };
        if record.as_ref().is_some_and(|record| record.made_by != self.made_by) {
            progress.warn(&format!(
                "part {number} was made with another encoder or other settings; its items are encoded again"
            ));
            return Ok(None);
        }
        let found = record.filter(|record| record.rows == rows && whole(record));
        if found.as_ref().is_some_and(|record| record.pictures != *pictures) {
            progress.warn(&format!("image files of part {number} have changed; its items are encoded again"));
            return Ok(None);
        }
        if found.is_none() {
            progress.warn(&format!("{} is damaged; its items are encoded again", features.display()));
        }
        Ok(found)
    }

    /// Writes a part: first its features, then its record.
    fn keep(&self, number: usize, rows: usize, pictures: PictureState, part: EncodedPart) -> Result<PartRecord> {
        let path = self.features(number);
        let sha256 = match &part.features {
            Some(features) => {
                features.write(&path, Overwrite::Replace)?;
                Some(sha256_file(&path)?)
            }
            None => None,
        };
        let (truncated_texts, bad_images) = (part.truncated_texts, part.bad_images);
        let made_by = self.made_by.clone();
        let record = PartRecord { made_by, rows, sha256, truncated_texts, bad_images, pictures };
        let path = self.record(number);
        let text = serde_json::to_vec(&record)
            .map_err(|e| Error::artifact(&path, "a record that can be serialized", e, "report this as a bug"))?;
        write_file(&path, &text, Overwrite::Replace)?;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::ProgressEvents;
    use std::sync::Mutex;

    #[test]
    fn parts_with_different_settings_or_items_are_not_reused() {
        let folder = tempfile::tempdir().unwrap();
        let parts =
            |made_by: &str| PartFolder { folder: folder.path().to_path_buf(), items: None, made_by: made_by.into() };
        let part = EncodedPart { features: None, truncated_texts: 3, bad_images: Vec::new() };
        parts("a").keep(0, 7, PictureState::default(), part).unwrap();
        let found = |made_by: &str, rows: usize| {
            let events = Mutex::new(String::new());
            let progress = ProgressEvents::new(|event| *events.lock().unwrap() += &event.to_string());
            let found = parts(made_by).finished(0, rows, &PictureState::default(), &progress).unwrap();
            (found.map(|record| record.truncated_texts), events.lock().unwrap().clone())
        };
        assert_eq!(found("a", 7), (Some(3), String::new()));
        let (none, warning) = found("b", 7);
        assert!(none.is_none() && warning.contains("another encoder or other settings"), "{warning}");
        assert!(found("a", 8).0.is_none());
    }
}
