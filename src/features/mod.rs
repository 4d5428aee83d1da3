//! Feature vectors of items: one matrix per modality, and a mask of the items that have it.
//!
//! [`Features`] come from the encoders, or from a file of vectors: a Parquet or Arrow table with columns of float
//! lists, or a 2-D `.npy` or safetensors matrix, whose row numbers are the item ids. A [`FeatureSource`] returns them
//! block by block, so a [`FeatureFile`] can be larger than memory.

mod chosen;
mod columns;
mod content;
mod file;
mod integers;
mod layers;
mod memory;
mod npy;
mod npy_header;
mod ready;
mod ready_rows;
mod rows;
mod safetensors;
mod selected;
mod source;
mod table;
mod table_columns;
mod table_ids;
mod write;

use std::ops::Range;
use std::path::Path;

use ndarray::{Array2, ArrayView2, Axis, s};

use crate::artifact::Overwrite;
use crate::error::{Error, Result};
use crate::item_ids::ItemIds;

pub use chosen::ChosenRows;
pub(crate) use content::write_known_hashes;
pub use content::{ContentHash, ContentHashes, HASH_BYTES};
pub use file::FeatureFile;
pub use integers::integer_matrix;
pub use layers::{CompletedFeatures, LayeredFeatures};
pub use ready::{Ready, ReadyVectors};
pub use ready_rows::ReadyRows;
pub use rows::{ModalityRows, PickedRows};
pub use selected::SelectedRows;
pub use source::{Block, Blocks, FeatureSource, for_each_block, gather, gather_rows};
pub use write::FeatureWriter;

/// Name of the text modality.
pub const TEXT: &str = "text";
/// Name of the image modality.
pub const IMAGE: &str = "image";
/// Name of the modality of user behaviour.
pub const BEHAVIOUR: &str = "behaviour";

/// The id column in tables that catalex writes.
const ID: &str = "item_id";
/// Other names of the id column in tables of other programs.
const FOREIGN_IDS: [&str; 1] = ["id"];
const VERSION_KEY: &str = "catalex.format_version";
const FORMAT_VERSION: &str = "1";

/// One modality's vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Modality {
    /// Its name, which is also the name of its column: "text", "image", ...
    pub name: String,
    /// `(n_items, dim)`; zeros for items without the modality.
    pub vectors: Array2<f32>,
    /// Whether each item has the modality.
    pub present: Vec<bool>,
}

impl Modality {
    /// Dimension of the vectors.
    pub fn dim(&self) -> usize {
        self.vectors.ncols()
    }
}

/// The vectors of a set of items.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    item_ids: ItemIds,
    modalities: Vec<Modality>,
}

impl Features {
    /// Combines ids and modalities. Vectors of items without a modality are set to zero.
    ///
    /// # Errors
    /// [`Error::Data`] without items or modalities; [`Error::Mismatch`] for a modality with another number of rows,
    /// or a repeated name; [`Error::Item`] for a repeated id, a number that is not finite, or an item without any vector.
    pub fn new(item_ids: ItemIds, modalities: Vec<Modality>) -> Result<Self> {
        item_ids.check_unique().map_err(source::duplicate_item)?;
        Self::of_unchecked_ids(item_ids, modalities)
    }

    /// As [`Features::new`], but does not check that ids are unique.
    fn of_unchecked_ids(item_ids: ItemIds, mut modalities: Vec<Modality>) -> Result<Self> {
        let n = item_ids.len();
        if n == 0 || modalities.is_empty() {
            let got = if n == 0 { "no items" } else { "no vectors" };
            return Err(Error::data("features", "at least one item and one modality", got, "check the input"));
        }
        for (m, modality) in modalities.iter().enumerate() {
            let rows = (modality.vectors.nrows(), modality.present.len());
            if rows != (n, n) {
                let what = format!("rows of modality {}", modality.name);
                return Err(Error::mismatch(what, n, rows.0, "give every item a vector or mark it as missing"));
            }
            if modality.dim() == 0 {
                let what = format!("modality {}", modality.name);
                return Err(Error::data(what, "vectors of at least one number", "empty vectors", "check the input"));
            }
            if modalities[..m].iter().any(|other| other.name == modality.name) {
                return Err(Error::mismatch("modalities", "different names", &modality.name, "rename one of them"));
            }
        }
        for modality in &mut modalities {
            for (row, (mut vector, &has)) in modality.vectors.rows_mut().into_iter().zip(&modality.present).enumerate()
            {
                if !has {
                    vector.fill(0.0);
                } else if let Some(bad) = vector.iter().find(|v| !v.is_finite()) {
                    return Err(Error::Item {
                        item: item_ids.text(row),
                        expected: format!("finite numbers in its {} vector", modality.name),
                        got: bad.to_string(),
                        help: "correct or remove the vector".into(),
                    });
                }
            }
        }
        if let Some(row) = (0..n).find(|&row| modalities.iter().all(|m| !m.present[row])) {
            return Err(Error::Item {
                item: item_ids.text(row),
                expected: format!("a vector in at least one of: {}", names(&modalities)),
                got: "none".into(),
                help: "give the item a text, an image or a vector, or remove it".into(),
            });
        }
        Ok(Features { item_ids, modalities })
    }

    /// The items, in row order.
    pub fn item_ids(&self) -> &ItemIds {
        &self.item_ids
    }

    /// The modalities, in column order.
    pub fn modalities(&self) -> &[Modality] {
        &self.modalities
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.item_ids.len()
    }

    /// Always false: features hold at least one item.
    pub fn is_empty(&self) -> bool {
        self.item_ids.is_empty()
    }

    /// Dimension of each modality.
    pub fn dims(&self) -> Vec<usize> {
        self.modalities.iter().map(Modality::dim).collect()
    }

    /// All modalities concatenated, `(n_items, sum of dims)`.
    pub fn concatenated(&self) -> Array2<f32> {
        self.concatenated_in(&(0..self.modalities.len()).collect::<Vec<_>>())
    }

    /// The modalities with these indices concatenated, in this order.
    pub(crate) fn concatenated_in(&self, order: &[usize]) -> Array2<f32> {
        let mut x = Array2::zeros((self.len(), order.iter().map(|&m| self.modalities[m].dim()).sum()));
        let mut start = 0;
        for &m in order {
            let modality = &self.modalities[m];
            x.slice_mut(s![.., start..start + modality.dim()]).assign(&modality.vectors);
            start += modality.dim();
        }
        x
    }

    /// Whether each item has each modality, `(n_items, modalities)`.
    pub fn presence(&self) -> Array2<bool> {
        self.presence_in(&(0..self.modalities.len()).collect::<Vec<_>>())
    }

    /// Whether each item has each of the modalities with these indices, in this order.
    pub(crate) fn presence_in(&self, order: &[usize]) -> Array2<bool> {
        Array2::from_shape_fn((self.len(), order.len()), |(row, m)| self.modalities[order[m]].present[row])
    }

    /// The items in `rows`, which must be unique.
    ///
    /// # Errors
    /// [`Error::Data`] if `rows` is empty.
    pub fn take(&self, rows: &[usize]) -> Result<Features> {
        let modality = |m: &Modality| Modality {
            name: m.name.clone(),
            vectors: m.vectors.select(Axis(0), rows),
            present: rows.iter().map(|&row| m.present[row]).collect(),
        };
        Self::of_unchecked_ids(self.item_ids.take(rows), self.modalities.iter().map(modality).collect())
    }

    /// The items of a range of rows. They have already been checked.
    pub(crate) fn slice(&self, rows: Range<usize>) -> Features {
        let modality = |m: &Modality| Modality {
            name: m.name.clone(),
            vectors: m.vectors.slice(s![rows.clone(), ..]).to_owned(),
            present: m.present[rows.clone()].to_vec(),
        };
        let modalities = self.modalities.iter().map(modality).collect();
        Features { item_ids: self.item_ids.take(&rows.collect::<Vec<_>>()), modalities }
    }

    /// The items of several features, concatenated.
    ///
    /// # Errors
    /// As [`Features::new`]; [`Error::Mismatch`] for vectors of different dimensions.
    pub fn joined(parts: impl IntoIterator<Item = Result<Features>>) -> Result<Features> {
        let mut whole: Option<Features> = None;
        for part in parts {
            let part = part?;
            let Some(Features { item_ids, modalities }) = &mut whole else {
                whole = Some(part);
                continue;
            };
            item_ids.append(part.item_ids);
            for (all, more) in modalities.iter_mut().zip(part.modalities) {
                all.present.extend(more.present);
                let of_one_length =
                    |e| Error::mismatch("vectors", "the same dimension", e, "encode all items with the same encoder");
                all.vectors.append(Axis(0), more.vectors.view()).map_err(of_one_length)?;
            }
        }
        let (ids, modalities) = whole.map_or_else(Default::default, |f| (f.item_ids, f.modalities));
        Self::new(ids, modalities)
    }

    /// Reads features from a `.npy` or safetensors matrix, or from a Parquet or Arrow IPC table in one file or several.
    ///
    /// # Errors
    /// Errors name file, column and row.
    pub fn read(path: &Path) -> Result<Features> {
        FeatureFile::open(path)?.read()
    }

    /// Writes features as Parquet: `item_id` and one `fixed_size_list<float32>[dim]` per modality, null where missing.
    ///
    /// # Errors
    /// As [`crate::artifact::AtomicFile`].
    pub fn write(&self, path: &Path, overwrite: Overwrite) -> Result<()> {
        write::write(self, path, overwrite)
    }
}

/// The names for an error message: "text, image".
fn names(modalities: &[Modality]) -> String {
    modalities.iter().map(|m| m.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// A modality without missing vectors.
fn complete(name: &str, vectors: Array2<f32>) -> Modality {
    Modality { name: name.into(), present: vec![true; vectors.nrows()], vectors }
}

/// The first row with a number that is not finite, and that number.
fn first_not_finite(vectors: ArrayView2<f32>) -> Option<(usize, f32)> {
    let bad = |row: ndarray::ArrayView1<f32>| row.iter().copied().find(|v| !v.is_finite());
    vectors.axis_iter(Axis(0)).enumerate().find_map(|(row, vector)| bad(vector).map(|v| (row, v)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn faults_are_named() {
        let ids = || ItemIds::Integers(vec![7, 8]);
        let text = |v: Array2<f32>| complete("text", v);
        let fails = |ids, modalities| Features::new(ids, modalities).unwrap_err().to_string();
        assert!(fails(ids(), vec![]).contains("no vectors"));
        assert!(fails(ids(), vec![text(array![[1.0], [f32::NAN]])]).contains("item 8"));
        assert!(fails(ids(), vec![text(array![[1.0]])]).contains("rows of modality text"));
        assert!(fails(ItemIds::Integers(vec![7, 7]), vec![text(array![[1.0], [2.0]])]).contains("rows 1 and 2"));
        let mut missing = text(array![[1.0], [2.0]]);
        missing.present[1] = false;
        assert!(fails(ids(), vec![missing]).contains("at least one of: text"));
    }

    #[test]
    fn missing_vectors_are_zero_and_modalities_are_concatenated() {
        let mut image = complete("image", array![[1.0, 2.0], [f32::NAN, 4.0]]);
        image.present[1] = false;
        let features =
            Features::new(ItemIds::row_numbers(2), vec![complete("text", array![[5.0], [6.0]]), image]).unwrap();
        assert_eq!(features.concatenated(), array![[5.0, 1.0, 2.0], [6.0, 0.0, 0.0]]);
        assert_eq!(features.presence(), array![[true, true], [true, false]]);
        assert_eq!(features.concatenated_in(&[1, 0]), array![[1.0, 2.0, 5.0], [0.0, 0.0, 6.0]]);
        assert_eq!(features.take(&[1]).unwrap().item_ids().text(0), "1");
    }
}
