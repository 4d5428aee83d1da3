//! A catalog's features part by part: a run that was killed goes on after the last part that it finished.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::embed::{BadImage, EncodedPart, Encoders, Inner, PART};
use crate::artifact::{Overwrite, sha256_file, write_file};
use crate::catalog::CatalogSpool;
use crate::error::{Error, Result};
use crate::features::{FeatureFile, FeatureSource, FeatureWriter};
use crate::progress::Progress;

/// What came of a catalog that was written to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedCatalog {
    /// Items that are in the file.
    pub items: usize,
    /// Name and length of each modality, and how many of the items lack it.
    pub modalities: Vec<(String, usize, usize)>,
    /// Texts that were longer than the encoder reads.
    pub truncated_texts: usize,
    /// Pictures that could not be read, in the order of the catalog.
    pub bad_images: Vec<BadImage>,
}

/// Where parts are kept until all are there.
#[derive(Debug, Clone)]
pub struct PartFolder {
    /// A folder of their own, which is there.
    pub folder: PathBuf,
    /// Items of a part; none for the usual number.
    pub items: Option<usize>,
}

/// What is kept beside a part's features.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartRecord {
    rows: usize,
    /// Of the features; none where no item of the part has any.
    sha256: Option<String>,
    truncated_texts: usize,
    bad_images: Vec<BadImage>,
}

/// Runs the encoders over a catalog and writes the features to `out`, with no more than a part of them in memory. Parts
/// that are in the folder, whole and of as many items, are not made again; the folder must be of the same catalog,
/// encoders and settings. It is left for the caller to remove.
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
    progress.begin("encode", Some(encoders.work(catalog)?), "texts and pictures");
    let mut kept = Vec::new();
    for (number, batch) in catalog.parts(folder.items.unwrap_or(PART))?.enumerate() {
        let batch = batch?;
        let rows = batch.item_ids.len();
        let record = match folder.finished(number, rows, progress)? {
            Some(record) => {
                let work = |each: Vec<usize>| each.into_iter().sum::<usize>() as u64;
                let texts = if encoders.text.is_some() { batch.texts.iter().map(Vec::len).collect() } else { vec![] };
                let images =
                    if encoders.image.is_some() { batch.images.iter().map(Vec::len).collect() } else { vec![] };
                progress.advance(work(texts) + work(images));
                record
            }
            None => folder.keep(number, rows, encoders.encode(batch, &Inner(progress))?)?,
        };
        kept.push(record);
    }
    progress.end();
    let shapes = encoders.shapes();
    let mut written = EncodedCatalog { items: 0, modalities: Vec::new(), truncated_texts: 0, bad_images: Vec::new() };
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

    /// What is known of a part that is there and whole.
    fn finished(&self, number: usize, rows: usize, progress: &dyn Progress) -> Result<Option<PartRecord>> {
        let (path, features) = (self.record(number), self.features(number));
        if !path.is_file() {
            return Ok(None);
        }
        let bytes = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
        let record: Option<PartRecord> = serde_json::from_slice(&bytes).ok();
        let whole = |record: &PartRecord| match &record.sha256 {
            Some(hash) => features.is_file() && sha256_file(&features).is_ok_and(|found| found == *hash),
            None => true,
        };
        let found = record.filter(|record| record.rows == rows && whole(record));
        if found.is_none() {
            progress.warn(&format!("{} is damaged; its items are encoded again", features.display()));
        }
        Ok(found)
    }

    /// Writes a part: first its features, then the record that says that they are there.
    fn keep(&self, number: usize, rows: usize, part: EncodedPart) -> Result<PartRecord> {
        let path = self.features(number);
        let sha256 = match &part.features {
            Some(features) => {
                features.write(&path, Overwrite::Replace)?;
                Some(sha256_file(&path)?)
            }
            None => None,
        };
        let (truncated_texts, bad_images) = (part.truncated_texts, part.bad_images);
        let record = PartRecord { rows, sha256, truncated_texts, bad_images };
        let path = self.record(number);
        let text = serde_json::to_vec(&record)
            .map_err(|e| Error::artifact(&path, "a record that JSON can hold", e, "report this as a bug"))?;
        write_file(&path, &text, Overwrite::Replace)?;
        Ok(record)
    }
}
