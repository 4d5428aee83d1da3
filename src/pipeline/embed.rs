//! From a catalog to features.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::catalog_features::CatalogFeatures;
use super::features_made::{FeaturesMade, ModalitySummary};
use super::spec::EmbedSpec;
use super::threads;
use crate::artifact::{OutputLock, Overwrite, refuse_existing, write_file};
use crate::error::{Error, Result};
use crate::index::Partial;
use crate::progress::Progress;

/// Result of [`embed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbedSummary {
    /// Number of items.
    pub items: usize,
    /// The modalities, in the order of the columns.
    pub modalities: Vec<ModalitySummary>,
    /// Number of texts that were longer than the encoder's maximum length.
    pub truncated_texts: usize,
    /// Images that could not be read, if any.
    pub bad_images: Option<BadImageSummary>,
    /// Items that were left out because they have no content, if any.
    pub bad_items: Option<BadItemSummary>,
}

/// Images that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadImageSummary {
    /// Number of images.
    pub count: usize,
    /// Number of items that have no other content and are therefore not in the features.
    pub left_out: usize,
    /// The file that lists them.
    pub list: PathBuf,
}

/// Items without content, which are not in the features.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadItemSummary {
    /// Number of items.
    pub count: usize,
    /// The ids of the first few items.
    pub first: Vec<String>,
    /// The file that lists them.
    pub list: PathBuf,
}

/// Encodes a catalog's texts and images, adds precomputed vectors and behaviour, and writes the features. A killed run
/// leaves finished parts next to the output. With `output.resume`, it continues and produces the same bytes.
///
/// # Errors
/// For a catalog, vectors or interactions that cannot be read or do not match; for encoders that cannot be loaded; for
/// an output that exists.
pub fn embed(spec: &EmbedSpec, progress: &dyn Progress) -> Result<EmbedSummary> {
    let (out, overwrite) = (&spec.output.out, spec.output.overwrite());
    let lists = Lists::beside(out);
    let _lock = OutputLock::claim(out, overwrite)?;
    for list in [&lists.bad_images, &lists.bad_items] {
        refuse_existing(list, overwrite)?;
        if list.exists() && !is_list(list) {
            let help = "move it away, or choose another output path";
            return Err(Error::file(list, "no file, or an earlier list of bad images or items", "another file", help));
        }
    }
    threads::with_threads(spec.threads, |threads| {
        let job = CatalogFeatures::new(spec, threads)?;
        // Both read the encoders: one computes their hashes, the other loads them.
        let (fingerprint, loaded) = rayon::join(|| job.fingerprint(), || job.load(progress));
        let partial = Partial::begin(out, &fingerprint?, spec.output.resume, overwrite)?;
        let made = loaded.and_then(|loaded| job.write(loaded, (out, overwrite), &partial, false, progress));
        // A run that failed before its first checkpoint leaves no state.
        if made.is_ok() || !partial.has_parts() {
            partial.remove()?;
        }
        let summary = lists.write(made?, overwrite)?;
        progress.end();
        Ok(summary)
    })
}

/// The paths of the lists of unreadable images and of items that were left out.
pub(super) struct Lists {
    pub(super) bad_images: PathBuf,
    pub(super) bad_items: PathBuf,
}

impl Lists {
    fn beside(out: &Path) -> Self {
        let with = |end: &str| {
            let mut path = out.as_os_str().to_owned();
            path.push(end);
            path.into()
        };
        Lists { bad_images: with(".bad-images.jsonl"), bad_items: with(".bad-items.jsonl") }
    }

    /// Writes the lists. Removes a list of an earlier run if this run has nothing to list.
    pub(super) fn write(self, made: FeaturesMade, overwrite: Overwrite) -> Result<EmbedSummary> {
        let write = |path: &Path, lines: Option<&[u8]>| match lines {
            Some(lines) => write_file(path, lines, overwrite),
            None => remove_stale(path),
        };
        write(&self.bad_images, made.bad_images.as_ref().map(|bad| bad.lines.as_slice()))?;
        write(&self.bad_items, made.bad_items.as_ref().map(|bad| bad.lines.as_slice()))?;
        let bad_images = made.bad_images.map(|bad| BadImageSummary {
            count: bad.count,
            left_out: bad.left_out,
            list: self.bad_images,
        });
        let bad_items =
            made.bad_items.map(|bad| BadItemSummary { count: bad.count, first: bad.first, list: self.bad_items });
        let (items, modalities, truncated_texts) = (made.items, made.modalities, made.truncated_texts);
        Ok(EmbedSummary { items, modalities, truncated_texts, bad_images, bad_items })
    }
}

/// Removes the list of an earlier run. A file that is not such a list is kept.
fn remove_stale(path: &Path) -> Result<()> {
    if !is_list(path) {
        return Ok(());
    }
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path, e)),
        _ => Ok(()),
    }
}

/// Whether a file looks like a list of unreadable images or of empty items. Reads its first line.
fn is_list(path: &Path) -> bool {
    use std::io::{BufRead, BufReader, Read};
    const LONGEST: u64 = 1 << 20;
    let Ok(file) = std::fs::File::open(path) else { return false };
    let mut line = Vec::new();
    let read = BufReader::new(file.take(LONGEST)).read_until(b'\n', &mut line);
    let entry = read.ok().and_then(|_| serde_json::from_slice::<serde_json::Value>(&line).ok());
    let has = |keys: [&str; 3]| entry.as_ref().is_some_and(|entry| keys.iter().all(|key| entry.get(key).is_some()));
    has(["item_id", "expected", "got"]) || has(["item_id", "file", "row"])
}
