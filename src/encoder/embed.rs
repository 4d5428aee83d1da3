//! Encoding of a catalog's items into features.

use super::bad_image::{BadImage, OnBadImage};
use super::journal::BatchJournal;
use super::modalities::{image_modality, text_modality};
use super::{ImageEncoder, TextEncoder};
use crate::catalog::{CatalogSpec, CatalogSpool, ItemBatch, OnBadItem};
use crate::error::{Error, Result};
use crate::features::{Features, IMAGE, Modality, ModalityRows, TEXT};
use crate::item_ids::ItemIds;
use crate::progress::Progress;

/// The result of encoding a catalog.
#[derive(Debug)]
pub struct Embedded {
    /// The features of the items.
    pub features: Features,
    /// Number of texts that exceeded the encoder's maximum length.
    pub truncated_texts: usize,
    /// Images that could not be read, in the order of the catalog.
    pub bad_images: Vec<BadImage>,
}

/// The sources of a catalog's features.
pub struct Encoders<'a> {
    /// Encoder of the texts.
    pub text: Option<&'a mut TextEncoder>,
    /// Encoder of the images.
    pub image: Option<&'a mut ImageEncoder>,
    /// Precomputed modalities, with one row per item of the catalog.
    pub ready: Vec<Box<dyn ModalityRows + 'a>>,
    /// What to do about images that cannot be read.
    pub on_bad_image: OnBadImage,
    /// Handling of items without content.
    pub on_bad_item: OnBadItem,
    /// Whether the items are only part of a catalog. In a part, a modality may be absent from all items.
    pub is_part: bool,
}

/// The result of encoding some items; without features where no item has any.
pub(super) struct EncodedPart {
    pub(super) features: Option<Features>,
    pub(super) truncated_texts: usize,
    pub(super) bad_images: Vec<BadImage>,
}

/// Runs the encoders over a catalog, with all vectors in memory; see [`embed_to`](super::embed_to) for files. An item
/// without a text, or without an image, lacks that modality; the vectors of several passages or images are averaged. The
/// modalities of `ready` are added.
///
/// # Errors
/// As [`CatalogSpool::read`], [`TextEncoder::encode`] and [`ImageEncoder::encode`]; [`Error::Data`] for a modality that no
/// item has.
pub fn embed(
    spec: &CatalogSpec,
    text: Option<&mut TextEncoder>,
    image: Option<&mut ImageEncoder>,
    ready: Vec<Modality>,
    on_bad_image: OnBadImage,
    progress: &dyn Progress,
) -> Result<Embedded> {
    let ready = ready.into_iter().map(|modality| Box::new(modality) as Box<dyn ModalityRows>).collect();
    let mut encoders = Encoders { text, image, ready, on_bad_image, on_bad_item: OnBadItem::Error, is_part: false };
    let mut catalog = CatalogSpool::read(spec, None)?;
    catalog.take_notes().iter().for_each(|note| progress.warn(note));
    encoders.left_out(&catalog)?;
    progress.begin("encode", Some(encoders.work(&catalog)?), "texts and images");
    let (mut found, mut truncated_texts, mut bad_images) = (Vec::new(), 0, Vec::new());
    for batch in catalog.parts(PART_ITEMS)? {
        let part = encoders.encode(batch?, None, &StageProgress(progress))?;
        found.extend(part.features);
        truncated_texts += part.truncated_texts;
        bad_images.extend(part.bad_images);
    }
    progress.end();
    if found.is_empty() {
        return Err(bad_images.first().map_or_else(|| nobody_has(TEXT, "check the catalog"), no_picture));
    }
    let features = Features::joined(found.into_iter().map(Ok))?;
    let has = |name: &str| features.modalities().iter().any(|m| m.name == name && m.present.contains(&true));
    encoders.check_found(has, &bad_images)?;
    Ok(Embedded { features, truncated_texts, bad_images })
}

/// Items that are encoded together.
pub(super) const PART_ITEMS: usize = 8_192;

impl Encoders<'_> {
    /// Names and vector lengths of the resulting modalities.
    pub(super) fn shapes(&self) -> Vec<(String, usize)> {
        let text = self.text.iter().map(|encoder| (TEXT.to_owned(), encoder.dim()));
        let image = self.image.iter().map(|encoder| (IMAGE.to_owned(), encoder.dim()));
        text.chain(image).chain(self.ready.iter().map(|m| (m.name().to_owned(), m.dim()))).collect()
    }

    /// Number of passages and images to encode.
    ///
    /// # Errors
    /// [`Error::Data`] for a modality that no item has.
    pub(super) fn work(&self, catalog: &CatalogSpool) -> Result<u64> {
        let (with_text, with_images, whole) = (self.text.is_some(), self.image.is_some(), !self.is_part);
        if whole && with_text && catalog.texts() == 0 {
            return Err(nobody_has(TEXT, "the text columns are empty; name others with --text"));
        }
        if whole && with_images && catalog.images() == 0 {
            return Err(nobody_has(IMAGE, "the image columns are empty; name others with --image"));
        }
        Ok(u64::from(with_text) * catalog.texts() + u64::from(with_images) * catalog.images())
    }

    /// Rows of the items without content, which are left out.
    ///
    /// # Errors
    /// [`Error::Row`] for the first such item and for the first image that is neither a path nor bytes, if these are
    /// errors.
    pub(super) fn left_out(&self, catalog: &CatalogSpool) -> Result<Vec<usize>> {
        let unusable = || catalog.unusable_image().filter(|_| self.image.is_some());
        if let Some(error) = unusable().filter(|_| self.on_bad_image == OnBadImage::Error) {
            return Err(error);
        }
        catalog.bare_items(|row| self.ready.iter().any(|ready| ready.has(row)), self.on_bad_item)
    }

    /// Encodes some items. Items without content are left out.
    pub(super) fn encode(
        &mut self,
        batch: ItemBatch,
        mut journal: Option<&mut BatchJournal>,
        progress: &dyn Progress,
    ) -> Result<EncodedPart> {
        let ItemBatch { first_row, item_ids, texts, images, .. } = batch;
        let (mut modalities, mut bad_images, mut truncated_texts) = (Vec::new(), Vec::new(), 0);
        if let Some(encoder) = &mut self.text {
            let before = encoder.truncated();
            modalities.push(text_modality(encoder, texts, journal.as_deref_mut(), progress)?);
            truncated_texts = encoder.truncated() - before;
        }
        if let Some(encoder) = &mut self.image {
            let (modality, bad) = image_modality(encoder, &item_ids, images, self.on_bad_image, journal, progress)?;
            modalities.push(modality);
            bad_images = bad;
        }
        let rows = first_row as usize..first_row as usize + item_ids.len();
        for ready in &mut self.ready {
            modalities.push(ready.rows(rows.clone())?);
        }
        let (item_ids, modalities) = drop_bare_items(item_ids, modalities, &mut bad_images);
        let features = if item_ids.is_empty() { None } else { Some(Features::new(item_ids, modalities)?) };
        Ok(EncodedPart { features, truncated_texts, bad_images })
    }

    /// Checks that at least one image could be read.
    pub(super) fn check_found(&self, has: impl Fn(&str) -> bool, bad_images: &[BadImage]) -> Result<()> {
        match bad_images.first().filter(|_| !self.is_part && self.image.is_some() && !has(IMAGE)) {
            Some(bad) => Err(no_picture(bad)),
            None => Ok(()),
        }
    }
}

fn nobody_has(modality: &str, help: &str) -> Error {
    Error::data(format!("modality {modality}"), "at least one item that has it", "none", help)
}

fn no_picture(bad: &BadImage) -> Error {
    let got = format!("none; item {}: expected {}, got {}", bad.item_id, bad.expected, bad.got);
    let help = "check the paths: relative ones start from the catalog's folder";
    Error::data(format!("modality {IMAGE}"), "at least one image that can be read", got, help)
}

/// Removes items without content, and items with only unreadable images.
fn drop_bare_items(ids: ItemIds, modalities: Vec<Modality>, bad_images: &mut [BadImage]) -> (ItemIds, Vec<Modality>) {
    let has = |row: usize| modalities.iter().any(|m| m.present[row]);
    let (kept, bare): (Vec<usize>, Vec<usize>) = (0..ids.len()).partition(|&row| has(row));
    if bare.is_empty() {
        return (ids, modalities);
    }
    let bare: std::collections::HashSet<String> = bare.into_iter().map(|row| ids.text(row)).collect();
    for bad in bad_images.iter_mut() {
        bad.left_out = bare.contains(&bad.item_id);
    }
    (ids.take(&kept), modalities.into_iter().map(|modality| modality.select(&kept)).collect())
}

/// Progress within a stage that the caller has started.
pub(super) struct StageProgress<'a>(pub(super) &'a dyn Progress);

impl Progress for StageProgress<'_> {
    fn begin(&self, _stage: &str, _total: Option<u64>, _unit: &str) {}
    fn advance(&self, n: u64) {
        self.0.advance(n);
    }
    fn figure(&self, name: &str, value: f64) {
        self.0.figure(name, value);
    }
    fn end(&self) {}
    fn warn(&self, message: &str) {
        self.0.warn(message);
    }
}
