//! A catalog's features: every item through the encoders.

use std::fmt;
use std::str::FromStr;

use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};

use super::{ImageEncoder, TextEncoder, image};
use crate::catalog::{CatalogReader, CatalogSpec, ImageSource, ItemBatch};
use crate::error::{Error, Result};
use crate::features::{Features, Modality};
use crate::item_ids::{IdFault, ItemIds};
use crate::progress::Progress;

/// Names of the modalities.
const TEXT: &str = "text";
const IMAGE: &str = "image";

/// What to do about a picture that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnBadImage {
    /// Stop, naming the item.
    #[default]
    Error,
    /// Go on as if it were not there. An item without any other picture, or text, is left out.
    Missing,
}

impl FromStr for OnBadImage {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "error" => Ok(OnBadImage::Error),
            "missing" => Ok(OnBadImage::Missing),
            _ => Err(Error::config("on-bad-image", "error or missing", name, "leave it out to stop at the first")),
        }
    }
}

impl fmt::Display for OnBadImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == OnBadImage::Error { "error" } else { "missing" })
    }
}

/// A picture that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadImage {
    /// Its item.
    pub item_id: String,
    /// What was expected of it, and where.
    pub expected: String,
    /// What it is.
    pub got: String,
    /// Whether the item has nothing else and is not among the features.
    pub left_out: bool,
}

/// What came of a catalog.
#[derive(Debug)]
pub struct Embedded {
    /// The items' vectors.
    pub features: Features,
    /// Texts that were longer than the encoder reads.
    pub truncated_texts: usize,
    /// Pictures that could not be read, in the order of the catalog.
    pub bad_images: Vec<BadImage>,
}

/// Runs the encoders over a catalog. An item without a text, or without a picture, lacks that modality; one with several
/// passages or pictures has the mean of their vectors. Modalities that are `ready`, with a row an item of the catalog, join
/// them.
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
    ready: Vec<Modality>,
    on_bad_image: OnBadImage,
    progress: &dyn Progress,
) -> Result<Embedded> {
    let (item_ids, texts) = ids_and_texts(spec)?;
    let (mut modalities, mut bad_images, mut truncated_texts) = (Vec::new(), Vec::new(), 0);
    if let Some(encoder) = text {
        let before = encoder.truncated();
        modalities.push(text_modality(encoder, texts, progress)?);
        truncated_texts = encoder.truncated() - before;
    }
    if let Some(encoder) = image {
        let (modality, bad) = image_modality(encoder, spec, item_ids.len(), on_bad_image, progress)?;
        modalities.push(modality);
        bad_images = bad;
    }
    modalities.extend(ready);
    let (item_ids, modalities) = leave_out(item_ids, modalities, &mut bad_images);
    Ok(Embedded { features: Features::new(item_ids, modalities)?, truncated_texts, bad_images })
}

fn ids_and_texts(spec: &CatalogSpec) -> Result<(ItemIds, Vec<Vec<String>>)> {
    let (mut ids, mut texts): (Option<ItemIds>, Vec<Vec<String>>) = (None, Vec::new());
    let without_pictures = CatalogSpec { images: Vec::new(), ..spec.clone() };
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

fn text_modality(encoder: &mut TextEncoder, texts: Vec<Vec<String>>, progress: &dyn Progress) -> Result<Modality> {
    let mut means = Means::new(texts.len(), encoder.dim());
    let rows: Vec<usize> =
        texts.iter().enumerate().flat_map(|(row, passages)| passages.iter().map(move |_| row)).collect();
    if rows.is_empty() {
        return Err(nobody_has(TEXT, "the text columns are empty; name others with --text"));
    }
    let passages: Vec<String> = texts.into_iter().flatten().collect();
    for (vector, &row) in encoder.encode(&passages, progress)?.rows().into_iter().zip(&rows) {
        means.add(row, vector);
    }
    Ok(means.modality(TEXT))
}

fn image_modality(
    encoder: &mut ImageEncoder,
    spec: &CatalogSpec,
    items: usize,
    on_bad_image: OnBadImage,
    progress: &dyn Progress,
) -> Result<(Modality, Vec<BadImage>)> {
    progress.begin("encode images", Some(items as u64), "items");
    let mut means = Means::new(items, encoder.dim());
    let (mut bad_images, mut seen) = (Vec::new(), false);
    for batch in CatalogReader::open(spec)? {
        let ItemBatch { first_row, item_ids, images, .. } = batch?;
        let without = images.iter().filter(|pictures| pictures.is_empty()).count();
        let pictures = images.into_iter().enumerate().flat_map(|(at, of)| of.into_iter().map(move |one| (at, one)));
        let (places, pictures): (Vec<usize>, Vec<ImageSource>) = pictures.unzip();
        seen |= !pictures.is_empty();
        // Batches of the catalog are long; the encoder's own are what progress counts.
        let mut last = None;
        for (pictures, places) in pictures.chunks(image::BATCH).zip(places.chunks(image::BATCH)) {
            let (vectors, faults) = encoder.encode_readable(pictures)?;
            for ((vector, fault), &at) in vectors.rows().into_iter().zip(faults).zip(places) {
                match fault {
                    None => means.add(first_row as usize + at, vector),
                    Some(fault) if on_bad_image == OnBadImage::Error => return Err(fault.of_item(&item_ids.text(at))),
                    Some(fault) => bad_images.push(BadImage {
                        item_id: item_ids.text(at),
                        expected: fault.expected,
                        got: fault.got,
                        left_out: false,
                    }),
                }
                progress.advance(u64::from(last.replace(at) != Some(at)));
            }
        }
        progress.advance(without as u64);
    }
    progress.end();
    if !seen {
        return Err(nobody_has(IMAGE, "the picture column is empty; name another with --image"));
    }
    if let Some(bad) = bad_images.first().filter(|_| means.counts.iter().all(|&count| count == 0)) {
        let got = format!("none; of item {}, expected {}, got {}", bad.item_id, bad.expected, bad.got);
        let help = "check the paths: relative ones start from the catalog's folder";
        return Err(Error::data(format!("modality {IMAGE}"), "at least one picture that can be read", got, help));
    }
    Ok((means.modality(IMAGE), bad_images))
}

fn nobody_has(modality: &str, help: &str) -> Error {
    Error::data(format!("modality {modality}"), "at least one item that has it", "none", help)
}

/// Removes the items that had nothing but pictures that cannot be read.
fn leave_out(ids: ItemIds, modalities: Vec<Modality>, bad_images: &mut [BadImage]) -> (ItemIds, Vec<Modality>) {
    let bare: std::collections::HashSet<String> =
        (0..ids.len()).filter(|&row| modalities.iter().all(|m| !m.present[row])).map(|row| ids.text(row)).collect();
    for bad in bad_images.iter_mut() {
        bad.left_out = bare.contains(&bad.item_id);
    }
    let gone: std::collections::HashSet<&str> =
        bad_images.iter().filter(|bad| bad.left_out).map(|bad| bad.item_id.as_str()).collect();
    if gone.is_empty() {
        return (ids, modalities);
    }
    let kept: Vec<usize> = (0..ids.len()).filter(|&row| !gone.contains(ids.text(row).as_str())).collect();
    let modalities = modalities.into_iter().map(|m| Modality {
        present: kept.iter().map(|&row| m.present[row]).collect(),
        vectors: m.vectors.select(Axis(0), &kept),
        name: m.name,
    });
    (ids.select(&kept), modalities.collect())
}

/// Means of the vectors of each item.
struct Means {
    sums: Array2<f32>,
    counts: Vec<u32>,
}

impl Means {
    fn new(items: usize, dim: usize) -> Self {
        Means { sums: Array2::zeros((items, dim)), counts: vec![0; items] }
    }

    fn add(&mut self, row: usize, vector: ndarray::ArrayView1<f32>) {
        let mut sum = self.sums.row_mut(row);
        sum += &vector;
        self.counts[row] += 1;
    }

    fn modality(mut self, name: &str) -> Modality {
        for (mut sum, &count) in self.sums.rows_mut().into_iter().zip(&self.counts).filter(|(_, count)| **count > 1) {
            sum /= count as f32;
        }
        Modality {
            name: name.into(),
            present: self.counts.iter().map(|&count| count > 0).collect(),
            vectors: self.sums,
        }
    }
}
