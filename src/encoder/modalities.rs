//! Encoding of texts and images into modalities: one vector per item, or the mean of several.

use ndarray::{Array2, ArrayView1};

use super::bad_image::{BadImage, OnBadImage};
use super::journal::BatchJournal;
use super::{ImageEncoder, TextEncoder};
use crate::catalog::ImageSource;
use crate::error::Result;
use crate::features::{IMAGE, Modality, TEXT};
use crate::item_ids::ItemIds;
use crate::progress::Progress;

/// Encodes the passages of each item. An item without any lacks the modality.
pub(super) fn text_modality(
    encoder: &mut TextEncoder,
    texts: Vec<Vec<String>>,
    journal: Option<&mut BatchJournal>,
    progress: &dyn Progress,
) -> Result<Modality> {
    let mut means = ItemMeans::new(texts.len(), encoder.dim());
    let rows: Vec<usize> =
        texts.iter().enumerate().flat_map(|(row, passages)| passages.iter().map(move |_| row)).collect();
    let passages: Vec<String> = texts.into_iter().flatten().collect();
    if !passages.is_empty() {
        for (vector, &row) in encoder.encode_kept(&passages, journal, progress)?.rows().into_iter().zip(&rows) {
            means.add(row, vector);
        }
    }
    Ok(means.modality(TEXT))
}

/// Encodes the images of each item. Also returns the images that cannot be read.
///
/// # Errors
/// [`crate::Error::Item`] for the first of these, unless they count as missing.
pub(super) fn image_modality(
    encoder: &mut ImageEncoder,
    item_ids: &ItemIds,
    images: Vec<Vec<ImageSource>>,
    on_bad_image: OnBadImage,
    journal: Option<&mut BatchJournal>,
    progress: &dyn Progress,
) -> Result<(Modality, Vec<BadImage>)> {
    let mut means = ItemMeans::new(item_ids.len(), encoder.dim());
    let mut bad_images = Vec::new();
    let pictures = images.into_iter().enumerate().flat_map(|(at, of)| of.into_iter().map(move |one| (at, one)));
    let (rows, pictures): (Vec<usize>, Vec<ImageSource>) = pictures.unzip();
    encoder.encode_readable(&pictures, journal, |first, vectors, faults| {
        let rows = &rows[first..first + faults.len()];
        for ((vector, fault), &at) in vectors.rows().into_iter().zip(faults).zip(rows) {
            match fault {
                None => means.add(at, vector),
                Some(fault) if on_bad_image == OnBadImage::Error => return Err(fault.of_item(&item_ids.text(at))),
                Some(fault) => bad_images.push(BadImage {
                    item_id: item_ids.text(at),
                    expected: fault.expected,
                    got: fault.got,
                    left_out: false,
                }),
            }
        }
        progress.advance(rows.len() as u64);
        Ok(())
    })?;
    Ok((means.modality(IMAGE), bad_images))
}

/// The mean of each item's vectors.
struct ItemMeans {
    sums: Array2<f32>,
    counts: Vec<u32>,
}

impl ItemMeans {
    fn new(items: usize, dim: usize) -> Self {
        ItemMeans { sums: Array2::zeros((items, dim)), counts: vec![0; items] }
    }

    fn add(&mut self, row: usize, vector: ArrayView1<f32>) {
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
