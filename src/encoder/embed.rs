//! A catalog's features: every item through the encoders.

use ndarray::{Array2, Axis, concatenate};

use super::{ImageEncoder, TextEncoder, image};
use crate::catalog::{CatalogReader, CatalogSpec, ImageSource, ItemBatch};
use crate::error::{Error, Result};
use crate::features::{Features, Modality};
use crate::item_ids::{IdFault, ItemIds};
use crate::progress::Progress;

/// Names of the modalities.
const TEXT: &str = "text";
const IMAGE: &str = "image";

/// Runs the encoders over a catalog. An item without a text, or without a picture, lacks that modality.
///
/// Ids are checked in a pass of their own first: a repeated one must not come to light after hours of encoding.
///
/// # Errors
/// As [`CatalogReader`], [`TextEncoder::encode`] and [`ImageEncoder::encode`]; [`Error::Data`] for a modality that no
/// item has.
pub fn embed(
    spec: &CatalogSpec,
    text: Option<&mut TextEncoder>,
    image: Option<&mut ImageEncoder>,
    progress: &dyn Progress,
) -> Result<Features> {
    let (item_ids, texts) = ids_and_texts(spec)?;
    let mut modalities = Vec::new();
    if let Some(encoder) = text {
        modalities.push(text_modality(encoder, &texts, progress)?);
    }
    drop(texts);
    if let Some(encoder) = image {
        modalities.push(image_modality(encoder, spec, item_ids.len(), progress)?);
    }
    Features::new(item_ids, modalities)
}

fn ids_and_texts(spec: &CatalogSpec) -> Result<(ItemIds, Vec<String>)> {
    let (mut ids, mut texts): (Option<ItemIds>, Vec<String>) = (None, Vec::new());
    let mut without_pictures = spec.clone();
    without_pictures.image = None;
    for batch in CatalogReader::open(&without_pictures)? {
        let batch = batch?;
        match &mut ids {
            None => ids = Some(batch.item_ids),
            Some(ids) => ids
                .append(batch.item_ids)
                .map_err(|_| Error::mismatch("item ids", "one type throughout", "two", "write all ids alike"))?,
        }
        texts.extend(batch.texts);
    }
    let ids = ids.unwrap_or(ItemIds::Integers(Vec::new()));
    match ids.check_unique() {
        Ok(()) => Ok((ids, texts)),
        Err(IdFault::Duplicate(first, row, id)) => Err(Error::Row {
            path: spec.path.clone(),
            row: row as u64 + 1,
            column: spec.id.clone().unwrap_or_else(|| "id".into()),
            expected: "an id not used before".into(),
            got: format!("{id}, also in row {}", first + 1),
            help: "remove or rename one of the items".into(),
        }),
        Err(_) => Err(Error::mismatch("item ids", "one an item", "nulls", "give every item an id")),
    }
}

fn text_modality(encoder: &mut TextEncoder, texts: &[String], progress: &dyn Progress) -> Result<Modality> {
    let rows: Vec<usize> = (0..texts.len()).filter(|&row| !texts[row].is_empty()).collect();
    if rows.is_empty() {
        return Err(nobody_has(TEXT, "the text columns are empty; name others with --text"));
    }
    let wanted: Vec<String> = rows.iter().map(|&row| texts[row].clone()).collect();
    let encoded = encoder.encode(&wanted, progress)?;
    Ok(spread(TEXT, encoded, &rows, texts.len()))
}

fn image_modality(
    encoder: &mut ImageEncoder,
    spec: &CatalogSpec,
    items: usize,
    progress: &dyn Progress,
) -> Result<Modality> {
    progress.begin("encode images", Some(items as u64), "items");
    let mut rows = Vec::new();
    let mut encoded = vec![Array2::zeros((0, encoder.dim()))];
    for batch in CatalogReader::open(spec)? {
        let ItemBatch { first_row, item_ids, images, .. } = batch?;
        let there = |at: &usize| images[*at].is_some();
        let present: Vec<usize> = (0..images.len()).filter(there).collect();
        // Batches of the catalog are long; the encoder's own are what progress counts.
        for part in present.chunks(image::BATCH) {
            let pictures: Vec<ImageSource> = part.iter().filter_map(|&at| images[at].clone()).collect();
            let names: Vec<String> = part.iter().map(|&at| item_ids.text(at)).collect();
            encoded.push(encoder.encode(&pictures, &names)?);
            rows.extend(part.iter().map(|&at| first_row as usize + at));
            progress.advance(part.len() as u64);
        }
        progress.advance((images.len() - present.len()) as u64);
    }
    progress.end();
    if rows.is_empty() {
        return Err(nobody_has(IMAGE, "the picture column is empty; name another with --image"));
    }
    let views: Vec<_> = encoded.iter().map(Array2::view).collect();
    let encoded = concatenate(Axis(0), &views)
        .map_err(|e| Error::mismatch("image vectors", "one length", e, "check the image encoder"))?;
    Ok(spread(IMAGE, encoded, &rows, items))
}

fn nobody_has(modality: &str, help: &str) -> Error {
    Error::data(format!("modality {modality}"), "at least one item that has it", "none", help)
}

/// Vectors of the items that have one, at their rows.
fn spread(name: &str, encoded: Array2<f32>, rows: &[usize], items: usize) -> Modality {
    let mut present = vec![false; items];
    let mut vectors = Array2::zeros((items, encoded.ncols()));
    for (vector, &row) in encoded.rows().into_iter().zip(rows) {
        vectors.row_mut(row).assign(&vector);
        present[row] = true;
    }
    Modality { name: name.into(), vectors, present }
}
