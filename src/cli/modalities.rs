//! A catalog's features: what the encoders make of it, and modalities that are ready.

use std::path::Path;

use anyhow::Result;
use catalex::catalog::{CatalogReader, CatalogSpec};
use catalex::features::{Features, Modality, ReadyVectors};
use catalex::progress::Progress;
use catalex::{Error, ItemIds};

use super::behaviour::BehaviourOptions;
use super::embed::Made;
use super::options::EncodeOptions;

/// Modalities that the encoders and interactions make.
const TEXT: &str = "text";
const IMAGE: &str = "image";
const BEHAVIOUR: &str = "behaviour";

/// Runs all that was asked for over a catalog.
pub(super) fn features(
    catalog: &Path,
    encode: &EncodeOptions,
    behaviour: &BehaviourOptions,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Made> {
    let embeddings = embeddings(encode, behaviour)?;
    let columns = encode.text.is_some() || encode.template.is_some() || encode.image.is_some();
    let encoders = columns || encode.text_encoder.is_some() || encode.image_encoder.is_some();
    if embeddings.is_empty() && behaviour.interactions.is_none() {
        behaviour.modality(&ItemIds::row_numbers(0), progress)?;
        return encoded(catalog, encode, Vec::new(), threads, progress);
    }
    // Before the encoders: ids that do not match must not come to light after hours of encoding.
    let ids = ids(catalog, encode.id.clone())?;
    let mut ready = Vec::new();
    for embedding in &embeddings {
        let read = embedding.read(&ids, encode.id.as_deref())?;
        if let (rows, Some(item)) = read.unknown {
            let path = embedding.path.display();
            progress
                .warn(&format!("left out {rows} rows of {path}: items that are not in the catalog, such as {item:?}"));
        }
        ready.push(read.modality);
    }
    ready.extend(behaviour.modality(&ids, progress)?);
    if encoders {
        drop(ids);
        return encoded(catalog, encode, ready, threads, progress);
    }
    Ok(Made { features: Features::new(ids, ready)?, truncated_texts: 0, bad_images: None })
}

/// The vectors that are ready, each under a name of its own.
fn embeddings(encode: &EncodeOptions, behaviour: &BehaviourOptions) -> Result<Vec<ReadyVectors>> {
    let flags = encode.embedding.iter().flatten();
    let embeddings: Vec<ReadyVectors> = flags.map(|flag| flag.parse()).collect::<catalex::Result<_>>()?;
    let made = [
        (TEXT, encode.text_encoder.is_some()),
        (IMAGE, encode.image_encoder.is_some()),
        (BEHAVIOUR, behaviour.interactions.is_some()),
    ];
    let mut taken: Vec<&str> = made.into_iter().filter_map(|(name, made)| made.then_some(name)).collect();
    for embedding in &embeddings {
        if taken.contains(&embedding.name.as_str()) {
            let expected = "a name that no other modality has";
            return Err(Error::config("embedding", expected, embedding, "choose another name").into());
        }
        taken.push(&embedding.name);
    }
    Ok(embeddings)
}

/// What tells the content of the files of `--embedding` from others.
#[cfg(all(feature = "train", feature = "encoders"))]
pub(super) fn fingerprints(encode: &EncodeOptions) -> Result<Vec<String>> {
    let flags = encode.embedding.iter().flatten().map(|flag| flag.parse::<ReadyVectors>());
    flags.map(|flag| Ok(catalex::index::fingerprint(&flag?.path)?)).collect()
}

/// What the encoders make of the catalog, and the modalities that are there already.
#[cfg(feature = "encoders")]
fn encoded(
    catalog: &Path,
    encode: &EncodeOptions,
    ready: Vec<Modality>,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Made> {
    Made::of(super::sources::encode_catalog(catalog, encode, ready, threads, progress)?)
}

#[cfg(not(feature = "encoders"))]
fn encoded(_: &Path, _: &EncodeOptions, _: Vec<Modality>, _: usize, _: &dyn Progress) -> Result<Made> {
    Err(super::not_built("encoding text and pictures", "encoders"))
}

/// The ids of a catalog, which need not be unique yet.
fn ids(catalog: &Path, id: Option<String>) -> Result<ItemIds> {
    let spec = CatalogSpec { path: catalog.to_path_buf(), id, ..CatalogSpec::default() };
    let mut ids: Option<ItemIds> = None;
    for batch in CatalogReader::open(&spec)? {
        let batch = batch?.item_ids;
        match &mut ids {
            None => ids = Some(batch),
            Some(ids) => ids
                .append(batch)
                .map_err(|_| Error::mismatch("item ids", "one type throughout", "two", "write all ids alike"))?,
        }
    }
    Ok(ids.unwrap_or(ItemIds::Integers(Vec::new())))
}
