//! The features of an index in two files: the base, and the items that were added or changed later.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::Path;

use ndarray::Array2;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;

use super::chosen::ChosenRows;
use super::source::{Block, Blocks, FeatureSource, duplicate_item, gather};
use super::{FeatureFile, Features, Modality};
use crate::error::{Error, Result};
use crate::item_ids::ItemIds;

/// The features of an index: the remaining items of the base in its order, then the added or changed items.
#[derive(Debug)]
pub struct LayeredFeatures {
    base: ChosenRows<FeatureFile>,
    added: Option<CompletedFeatures<ChosenRows<FeatureFile>>>,
}

impl LayeredFeatures {
    /// The features of all items of one file.
    pub fn of_file(file: FeatureFile) -> Self {
        LayeredFeatures { base: ChosenRows::without(file, Vec::new()), added: None }
    }

    /// The features of `items`. A row of `added` replaces the row of the same item in `base`. Rows of items that are
    /// not in `items` are ignored. `items` must have the order of the two files: first the items of `base`, then those
    /// of `added`.
    ///
    /// # Errors
    /// [`Error::Artifact`] if the files lack an item or have another order; errors of reading the files.
    pub fn new(base: &Path, added: Option<&Path>, items: &ItemIds) -> Result<Self> {
        let base_file = FeatureFile::open(base)?;
        let Some(added) = added else {
            let (left_out, next) = walk(&base_file.ids()?, items, 0, |_| false);
            all_found(base, items, next)?;
            return Ok(LayeredFeatures { base: ChosenRows::without(base_file, left_out), added: None });
        };
        let added_file = FeatureFile::open(added)?;
        let ids = added_file.ids()?;
        let newer: HashSet<String> = (0..ids.len()).map(|row| ids.text(row)).collect();
        let (left_out, next) = walk(&base_file.ids()?, items, 0, |id| newer.contains(id));
        let (old_added, next) = walk(&ids, items, next, |_| false);
        all_found(added, items, next)?;
        let added = CompletedFeatures::new(ChosenRows::without(added_file, old_added), base_file.shapes());
        Ok(LayeredFeatures { base: ChosenRows::without(base_file, left_out), added: Some(added) })
    }

    /// The features of the remaining items of the base.
    pub fn base(&self) -> &dyn FeatureSource {
        &self.base
    }

    /// The features of the items that were added or changed later, if there are any.
    pub fn added(&self) -> Option<&dyn FeatureSource> {
        self.added.as_ref().map(|added| added as &dyn FeatureSource)
    }

    /// Number of rows in the file of the base, including those of replaced and deleted items.
    pub fn base_rows(&self) -> usize {
        self.base.source().rows()
    }

    /// Reads everything into memory.
    ///
    /// # Errors
    /// Errors name file, column and row.
    pub fn read(&self) -> Result<Features> {
        // Without a limit, no rows are sampled, so the seed has no effect.
        Ok(gather(self, usize::MAX, &mut Xoshiro256Plus::seed_from_u64(0))?.0.into_owned())
    }
}

/// Matches the rows of a file with `items` from `next` on, in order. Returns the rows without a match, and the index of
/// the first item without a match.
fn walk(ids: &ItemIds, items: &ItemIds, mut next: usize, superseded: impl Fn(&str) -> bool) -> (Vec<usize>, usize) {
    let mut left_out = Vec::new();
    for row in 0..ids.len() {
        let same = next < items.len()
            && match (ids, items) {
                (ItemIds::Integers(ids), ItemIds::Integers(items)) => ids[row] == items[next],
                (ItemIds::Strings(ids), ItemIds::Strings(items)) => ids[row] == items[next],
                _ => ids.text(row) == items.text(next),
            };
        if same && !superseded(&ids.text(row)) {
            next += 1;
        } else {
            left_out.push(row);
        }
    }
    (left_out, next)
}

fn all_found(path: &Path, items: &ItemIds, next: usize) -> Result<()> {
    if next == items.len() {
        return Ok(());
    }
    let expected = format!("vectors of item {}, with the items in the order of the token table", items.text(next));
    Err(Error::artifact(path, expected, "none at that position", "restore the index from a copy, or build it again"))
}

impl FeatureSource for LayeredFeatures {
    fn shapes(&self) -> Vec<(String, usize)> {
        self.base.shapes()
    }

    fn rows(&self) -> usize {
        self.base.rows() + self.added.as_ref().map_or(0, FeatureSource::rows)
    }

    fn parts(&self) -> usize {
        self.base.parts() + self.added.as_ref().map_or(0, FeatureSource::parts)
    }

    fn blocks(&self, parts: Vec<usize>) -> Result<Blocks<'_>> {
        let (of_base, before) = (self.base.parts(), self.base.rows());
        Ok(Box::new(parts.into_iter().flat_map(move |part| -> Blocks<'_> {
            let (blocks, before) = match &self.added {
                Some(added) if part >= of_base => (added.blocks(vec![part - of_base]), before),
                _ => (self.base.blocks(vec![part]), 0),
            };
            match blocks {
                Err(error) => Box::new(std::iter::once(Err(error))),
                Ok(blocks) => Box::new(blocks.map(move |block| {
                    let Block { first_row, features } = block?;
                    Ok(Block { first_row: before + first_row, features })
                })),
            }
        })))
    }

    fn check_ids(&self, ids: &ItemIds) -> Result<()> {
        match self.added.is_none() {
            true => self.base.check_ids(ids),
            false => ids.check_unique().map_err(duplicate_item),
        }
    }
}

/// A source with the given modalities, in the given order. If the source lacks a modality, no item has a vector of it.
#[derive(Debug)]
pub struct CompletedFeatures<S> {
    source: S,
    shapes: Vec<(String, usize)>,
}

impl<S: FeatureSource> CompletedFeatures<S> {
    /// A source with modalities of these names and dimensions.
    pub fn new(source: S, shapes: Vec<(String, usize)>) -> Self {
        CompletedFeatures { source, shapes }
    }
}

impl<S: FeatureSource> FeatureSource for CompletedFeatures<S> {
    fn shapes(&self) -> Vec<(String, usize)> {
        self.shapes.clone()
    }

    fn rows(&self) -> usize {
        self.source.rows()
    }

    fn parts(&self) -> usize {
        self.source.parts()
    }

    fn blocks(&self, parts: Vec<usize>) -> Result<Blocks<'_>> {
        Ok(Box::new(self.source.blocks(parts)?.map(|block| {
            let Block { first_row, features } = block?;
            let features = Cow::Owned(of_shapes(features.into_owned(), &self.shapes)?);
            Ok(Block { first_row, features })
        })))
    }

    fn check_ids(&self, ids: &ItemIds) -> Result<()> {
        self.source.check_ids(ids)
    }
}

/// Features with the given modalities, in the given order. If `features` lacks a modality, no item has a vector of it.
fn of_shapes(features: Features, shapes: &[(String, usize)]) -> Result<Features> {
    let alike = features.modalities().iter().map(|m| (m.name.as_str(), m.dim()));
    if alike.eq(shapes.iter().map(|(name, dim)| (name.as_str(), *dim))) {
        return Ok(features);
    }
    let modality = |(name, dim): &(String, usize)| match features.modalities().iter().find(|m| m.name == *name) {
        Some(found) if found.dim() == *dim => Ok(found.clone()),
        Some(found) => Err(Error::mismatch(
            format!("dimension of the {name} vectors"),
            dim,
            found.dim(),
            "use the encoder that the index was built with",
        )),
        None => Ok(Modality {
            name: name.clone(),
            vectors: Array2::zeros((features.len(), *dim)),
            present: vec![false; features.len()],
        }),
    };
    Features::of_unchecked_ids(features.item_ids().clone(), shapes.iter().map(modality).collect::<Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Overwrite;
    use crate::features::{FeatureWriter, gather_rows};
    use proptest::prelude::*;

    fn features(rows: &[(usize, f32)], modalities: &[&str]) -> Features {
        let ids = ItemIds::Strings(rows.iter().map(|(id, _)| format!("i{id}")).collect());
        let modality = |name: &&str| Modality {
            name: (*name).into(),
            vectors: Array2::from_shape_fn((rows.len(), 2), |(row, j)| rows[row].1 + j as f32),
            present: vec![true; rows.len()],
        };
        Features::new(ids, modalities.iter().map(modality).collect()).unwrap()
    }

    proptest! {
        /// Rows of replaced and deleted items are ignored.
        #[test]
        fn rows_of_the_second_file_replace_those_of_the_first(
            base in 1usize..30, states in prop::collection::vec(0u8..3, 30), new in 0usize..5, gone in 0usize..3,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let [first, second] = ["a.parquet", "b.parquet"].map(|name| folder.path().join(name));
            let all: Vec<(usize, f32)> = (0..base).map(|id| (id, id as f32)).collect();
            features(&all, &["text", "behaviour"]).write(&first, Overwrite::Replace).unwrap();
            // State 0: unchanged. 1: deleted. 2: changed. The second file also has rows of deleted items.
            let states = &states;
            let of = |state| all.iter().copied().filter(move |(id, _)| states[*id] == state);
            let changed = of(2).map(|(id, value)| (id, value + 100.0));
            let mut added: Vec<(usize, f32)> = changed.chain((0..new).map(|at| (base + at, 200.0))).collect();
            let mut items: Vec<(usize, f32)> = of(0).chain(added.iter().copied()).collect();
            added.extend((0..gone).map(|at| (1_000 + at, 300.0)));
            if items.is_empty() || added.is_empty() {
                return Ok(());
            }
            // The second file lacks the second modality.
            let shapes = vec![("text".into(), 2), ("behaviour".into(), 2)];
            let more = features(&added, &["text"]);
            let mut writer = FeatureWriter::create(&second, more.item_ids(), shapes, Overwrite::Replace).unwrap();
            writer.write(&more).unwrap();
            writer.commit().unwrap();
            let ids = |rows: &[(usize, f32)]| ItemIds::Strings(rows.iter().map(|(id, _)| format!("i{id}")).collect());
            let layers = LayeredFeatures::new(&first, Some(&second), &ids(&items)).unwrap();
            let read = layers.read().unwrap();
            prop_assert_eq!(read.item_ids(), &ids(&items));
            prop_assert_eq!(layers.rows(), items.len());
            let values: Vec<f32> = items.iter().map(|(_, value)| *value).collect();
            prop_assert_eq!(read.modalities()[0].vectors.column(0).to_vec(), values);
            let present = |row: usize| read.modalities()[1].present[row];
            prop_assert!((0..items.len()).all(|row| present(row) == (items[row].1 < 100.0)));
            prop_assert_eq!(gather_rows(&layers, &[items.len() - 1]).unwrap(), read.take(&[items.len() - 1]).unwrap());
            items.push((5_000, 0.0));
            prop_assert!(LayeredFeatures::new(&first, Some(&second), &ids(&items)).is_err());
        }
    }
}
