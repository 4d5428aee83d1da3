//! From a catalog to features.

use std::path::{Path, PathBuf};

use super::catalog_features::CatalogFeatures;
use super::spec::EmbedSpec;
use super::threads;
use crate::artifact::{OutputLock, refuse_existing, write_file};
use crate::error::{Error, Result};
use crate::index::{PARTS, Partial};
use crate::progress::Progress;

/// What [`embed`] wrote.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct EmbedSummary {
    /// Number of items.
    pub items: usize,
    /// The modalities, in the order of the columns.
    pub modalities: Vec<ModalitySummary>,
    /// Texts that were longer than the encoder reads.
    pub truncated_texts: usize,
    /// Images that could not be read, if any.
    pub bad_images: Option<BadImageSummary>,
}

/// One modality of the features.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ModalitySummary {
    /// Its name.
    pub name: String,
    /// Dimension of its vectors.
    pub dim: usize,
    /// Items that lack it.
    pub missing: usize,
}

/// Images that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct BadImageSummary {
    /// How many.
    pub count: usize,
    /// Items that have no other content and are not among the features.
    pub left_out: usize,
    /// The file that lists them.
    pub list: PathBuf,
}

/// Encodes a catalog's texts and images, adds ready vectors and behaviour, and writes the features. A killed run leaves
/// finished parts beside the output; with `output.resume` it continues, to the same bytes.
///
/// # Errors
/// For a catalog, vectors or interactions that cannot be read or do not match; for encoders that cannot be loaded; for
/// an output that exists.
pub fn embed(spec: &EmbedSpec, progress: &dyn Progress) -> Result<EmbedSummary> {
    let (out, overwrite) = (&spec.output.out, spec.output.overwrite());
    let list = beside(out);
    let _lock = OutputLock::claim(out, overwrite)?;
    refuse_existing(&list, overwrite)?;
    if list.exists() && !is_list(&list) {
        let help = "move it away, or choose another output path";
        return Err(Error::file(&list, "no file, or a list of unreadable images", "something else", help));
    }
    threads::with_threads(spec.threads, |threads| {
        let job = CatalogFeatures::new(spec, threads)?;
        let partial = Partial::begin(out, &job.fingerprint()?, spec.output.resume, overwrite)?;
        let made = job.write(out, overwrite, &partial.path(PARTS), progress);
        // A run that failed before its first part leaves nothing.
        let entries = std::fs::read_dir(partial.path(PARTS)).into_iter().flatten().flatten();
        let finished = entries.into_iter().any(|entry| entry.path().extension().is_some_and(|e| e == "parquet"));
        if made.is_ok() || !finished {
            partial.remove()?;
        }
        let made = made?;
        let bad_images = match made.bad_images {
            Some(bad) => {
                write_file(&list, &bad.lines, overwrite)?;
                Some(BadImageSummary { count: bad.count, left_out: bad.left_out, list })
            }
            None => {
                remove_stale(&list)?;
                None
            }
        };
        progress.end();
        let (items, modalities, truncated_texts) = (made.items, made.modalities, made.truncated_texts);
        Ok(EmbedSummary { items, modalities, truncated_texts, bad_images })
    })
}

/// Where the images that could not be read are listed.
fn beside(out: &Path) -> PathBuf {
    let mut path = out.as_os_str().to_owned();
    path.push(".bad-images.jsonl");
    path.into()
}

/// Removes the list of a run that this one replaces. What is no such list stays.
fn remove_stale(path: &Path) -> Result<()> {
    if !is_list(path) {
        return Ok(());
    }
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path, e)),
        _ => Ok(()),
    }
}

/// Whether a file is a list of unreadable images, from its first line.
fn is_list(path: &Path) -> bool {
    use std::io::{BufRead, BufReader, Read};
    const LONGEST: u64 = 1 << 20;
    let Ok(file) = std::fs::File::open(path) else { return false };
    let mut line = Vec::new();
    let read = BufReader::new(file.take(LONGEST)).read_until(b'\n', &mut line);
    let image = read.ok().and_then(|_| serde_json::from_slice::<serde_json::Value>(&line).ok());
    image.is_some_and(|image| ["item_id", "expected", "got"].iter().all(|key| image.get(key).is_some()))
}
