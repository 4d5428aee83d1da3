//! Content hashes. The hash of an item covers everything from which its vectors are computed.

use ndarray::ArrayView1;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::catalog::{CatalogSpool, ImageSource};
use crate::error::Result;
use crate::features::{ContentHash, HASH_BYTES, Modality, ModalityRows};
use crate::progress::Progress;

/// Number of items per batch.
const ITEMS_AT_ONCE: usize = 8_192;

/// Which parts of an item's content are encoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadContent {
    pub(super) texts: bool,
    pub(super) images: bool,
}

/// The content hash of every item of a catalog. It covers the texts and the bytes of the images, if they are encoded,
/// and the precomputed vectors `ready`. It does not cover behaviour vectors.
pub(super) fn content_hashes(
    catalog: &CatalogSpool,
    read: ReadContent,
    ready: &mut [Box<dyn ModalityRows>],
    progress: &dyn Progress,
) -> Result<Vec<ContentHash>> {
    let mut hashes = Vec::with_capacity(catalog.ids().len());
    progress.begin("hash content", Some(catalog.ids().len() as u64), "items");
    for batch in catalog.parts(ITEMS_AT_ONCE)? {
        let batch = batch?;
        let first = batch.first_row as usize;
        let rows = first..first + batch.item_ids.len();
        let vectors: Vec<Modality> = ready.iter_mut().map(|ready| ready.rows(rows.clone())).collect::<Result<_>>()?;
        let hash = |(row, (texts, images)): (usize, (&Vec<String>, &Vec<ImageSource>))| {
            let mut hash = ContentHasher::default();
            if read.texts {
                hash.texts(texts);
            }
            if read.images {
                hash.images(images);
            }
            vectors.iter().for_each(|modality| hash.vector(modality, row));
            hash.finish()
        };
        let both: Vec<_> = batch.texts.iter().zip(&batch.images).enumerate().collect();
        hashes.par_extend(both.into_par_iter().map(hash));
        progress.advance(rows.len() as u64);
    }
    progress.end();
    Ok(hashes)
}

/// The hash of one item. Each part is preceded by its kind and its length, so that different contents never produce the
/// same bytes.
#[derive(Default)]
struct ContentHasher(Sha256);

impl ContentHasher {
    fn part(&mut self, kind: &str, bytes: &[u8]) {
        self.0.update(kind.as_bytes());
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn texts(&mut self, texts: &[String]) {
        self.part("texts", &(texts.len() as u64).to_le_bytes());
        texts.iter().for_each(|text| self.part("text", text.as_bytes()));
    }

    fn images(&mut self, images: &[ImageSource]) {
        self.part("images", &(images.len() as u64).to_le_bytes());
        images.iter().for_each(|image| self.part("image", &digest(image)));
    }

    fn vector(&mut self, modality: &Modality, row: usize) {
        self.part("vector of", modality.name.as_bytes());
        let vector: ArrayView1<f32> = modality.vectors.row(row);
        let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.part("vector", if modality.present[row] { &bytes } else { &[] });
    }

    fn finish(self) -> ContentHash {
        let whole = self.0.finalize();
        let mut hash = [0; HASH_BYTES];
        hash.copy_from_slice(&whole[..HASH_BYTES]);
        hash
    }
}

/// The hash of an image; empty if it cannot be read, so that the item counts as changed once it can be read.
#[cfg(feature = "encoders")]
fn digest(image: &ImageSource) -> Vec<u8> {
    crate::encoder::picture_digest(image).map(Vec::from).unwrap_or_default()
}

/// Without the feature "encoders", images are not read.
#[cfg(not(feature = "encoders"))]
fn digest(_: &ImageSource) -> Vec<u8> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{CatalogSpec, TextSpec};
    use crate::progress::Silent;
    use ndarray::array;

    fn hashes(csv: &str, read: ReadContent, vectors: Option<(&str, [f32; 2], bool)>) -> Vec<ContentHash> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.csv");
        std::fs::write(&path, csv).unwrap();
        std::fs::write(folder.path().join("a.png"), "one").unwrap();
        let text = TextSpec::Separate(vec!["title".into(), "brand".into()]);
        let spec = CatalogSpec { path, text, images: vec!["image".into()], ..CatalogSpec::default() };
        let spool = CatalogSpool::read(&spec, None).unwrap();
        let modality = vectors.map(|(name, [a, b], present)| -> Box<dyn ModalityRows> {
            Box::new(Modality { name: name.into(), vectors: array![[a, b]], present: vec![present] })
        });
        content_hashes(&spool, read, &mut modality.into_iter().collect::<Vec<_>>(), &Silent).unwrap()
    }

    #[test]
    fn content_hash_covers_encoded_fields_only() {
        let both = ReadContent { texts: true, images: true };
        let of = |row: &str, read| hashes(&format!("id,title,brand,image,price\n{row}\n"), read, None)[0];
        let base = of("1,Pen,Bic,a.png,2", both);
        // The hash does not cover the id, the price and the path of the image. Markup is removed before hashing.
        assert_eq!(base, of("2,<b>Pen</b>,Bic,./a.png,3", both));
        for other in ["1,Pen,,a.png,2", "1,PenBic,,a.png,2", "1,Bic,Pen,a.png,2", "1,Pen,Bic,,2"] {
            assert_ne!(base, of(other, both), "{other}");
        }
        // Without the feature "encoders", images are not read: the hash covers only their number.
        assert_eq!(cfg!(feature = "encoders"), base != of("1,Pen,Bic,none.png,2", both));
        let texts = ReadContent { texts: true, images: false };
        assert_eq!(of("1,Pen,Bic,a.png,2", texts), of("1,Pen,Bic,,2", texts));
        assert_ne!(base, of("1,Pen,Bic,a.png,2", texts));
    }

    #[test]
    fn content_hash_covers_precomputed_vectors_and_their_modality() {
        let none = ReadContent { texts: false, images: false };
        let of = |name, vector, present| hashes("id,title,brand,image\n1,,,\n", none, Some((name, vector, present)))[0];
        let base = of("x", [1.0, 2.0], true);
        assert_eq!(base, of("x", [1.0, 2.0], true));
        for other in [of("y", [1.0, 2.0], true), of("x", [1.0, 3.0], true), of("x", [1.0, 2.0], false)] {
            assert_ne!(base, other);
        }
    }
}
