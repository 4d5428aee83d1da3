//! Features block by block, so that only a block needs to be in memory.

use std::borrow::Cow;

use rand::Rng;

use super::{Features, Modality};
use crate::error::{Error, Result};
use crate::item_ids::{IdFault, ItemIds};

/// Number of rows per block, if the source can choose it.
pub(super) const ROWS_AT_ONCE: usize = 8_192;

/// Consecutive items of a source.
#[derive(Debug)]
pub struct Block<'a> {
    /// Row of the first item in the source.
    pub first_row: usize,
    /// The items' ids and vectors. [`FeatureSource::check_ids`] checks that ids are unique in the whole source.
    pub features: Cow<'a, Features>,
}

/// An iterator over blocks.
pub type Blocks<'a> = Box<dyn Iterator<Item = Result<Block<'a>>> + 'a>;

/// A source of features: memory, or a file that may be larger than memory. It can be read any number of times and
/// returns the same items each time.
pub trait FeatureSource: Sync {
    /// Name and vector length of each modality.
    fn shapes(&self) -> Vec<(String, usize)>;

    /// Number of items.
    fn rows(&self) -> usize;

    /// Number of parts that can be read independently; at least 1.
    fn parts(&self) -> usize;

    /// The blocks of these parts, in the given order.
    ///
    /// # Errors
    /// Errors name file, column and row.
    fn blocks(&self, parts: Vec<usize>) -> Result<Blocks<'_>>;

    /// All blocks, in row order.
    ///
    /// # Errors
    /// As [`FeatureSource::blocks`].
    fn all(&self) -> Result<Blocks<'_>> {
        self.blocks((0..self.parts()).collect())
    }

    /// All items, if the source holds them in memory.
    fn whole(&self) -> Option<&Features> {
        None
    }

    /// Checks the ids of all items.
    ///
    /// # Errors
    /// The error names an id that occurs twice.
    fn check_ids(&self, ids: &ItemIds) -> Result<()>;
}

impl<T: FeatureSource + ?Sized> FeatureSource for &T {
    fn shapes(&self) -> Vec<(String, usize)> {
        (**self).shapes()
    }

    fn rows(&self) -> usize {
        (**self).rows()
    }

    fn parts(&self) -> usize {
        (**self).parts()
    }

    fn blocks(&self, parts: Vec<usize>) -> Result<Blocks<'_>> {
        (**self).blocks(parts)
    }

    fn whole(&self) -> Option<&Features> {
        (**self).whole()
    }

    fn check_ids(&self, ids: &ItemIds) -> Result<()> {
        (**self).check_ids(ids)
    }
}

/// In memory, a part is a block of at most 8,192 items. This is the size of a row group in a file that catalex writes,
/// so both give the same blocks.
impl FeatureSource for Features {
    fn shapes(&self) -> Vec<(String, usize)> {
        self.modalities().iter().map(|m| (m.name.clone(), m.dim())).collect()
    }

    fn rows(&self) -> usize {
        self.len()
    }

    fn parts(&self) -> usize {
        self.len().div_ceil(ROWS_AT_ONCE)
    }

    fn blocks(&self, parts: Vec<usize>) -> Result<Blocks<'_>> {
        Ok(Box::new(parts.into_iter().map(|part| {
            let rows = part * ROWS_AT_ONCE..self.len().min((part + 1) * ROWS_AT_ONCE);
            let first_row = rows.start;
            let features = if rows.len() == self.len() { Cow::Borrowed(self) } else { Cow::Owned(self.slice(rows)) };
            Ok(Block { first_row, features })
        })))
    }

    fn whole(&self) -> Option<&Features> {
        Some(self)
    }

    fn check_ids(&self, ids: &ItemIds) -> Result<()> {
        ids.check_unique().map_err(duplicate_item)
    }
}

/// Calls `work` with all blocks in row order. A second thread reads the next block meanwhile, unless the source is in
/// memory: at most two blocks exist at a time.
///
/// # Errors
/// As [`FeatureSource::blocks`], and the errors of `work`.
pub fn for_each_block(source: &dyn FeatureSource, mut work: impl FnMut(&Block) -> Result<()>) -> Result<()> {
    if source.whole().is_some() {
        return source.all()?.try_for_each(|block| work(&block?));
    }
    std::thread::scope(|scope| {
        // No buffer: the reader holds one block until the previous block is taken.
        let (send, receive) = std::sync::mpsc::sync_channel(0);
        scope.spawn(move || {
            let blocks = source.all().unwrap_or_else(|error| Box::new(std::iter::once(Err(error))));
            for block in blocks {
                // The receiver is gone after an error of `work`.
                if send.send(block).is_err() {
                    return;
                }
            }
        });
        receive.into_iter().try_for_each(|block| work(&block?))
    })
}

/// The error for a duplicate id in memory, without a file name.
pub(super) fn duplicate_item(fault: IdFault) -> Error {
    let IdFault::Duplicate(first, row, item) = fault else {
        let help = "give every row an id: an integer or a text that is not empty";
        return Error::data("item ids of the features", "one id per row", fault, help);
    };
    let got = format!("rows {} and {}", first + 1, row + 1);
    Error::Item { item, expected: "one row per item id".into(), got, help: "remove or rename one of them".into() }
}

/// All items of a source, or a random sample of `most` items if there are more; in row order, with their rows.
///
/// # Errors
/// As [`FeatureSource::blocks`] and [`FeatureSource::check_ids`].
pub fn gather<'a>(
    source: &'a dyn FeatureSource,
    most: usize,
    rng: &mut impl Rng,
) -> Result<(Cow<'a, Features>, Vec<usize>)> {
    let n = source.rows();
    let rows: Vec<usize> = if n <= most {
        (0..n).collect()
    } else {
        let mut drawn = rand::seq::index::sample(rng, n, most).into_vec();
        drawn.sort_unstable();
        drawn
    };
    if let Some(whole) = source.whole().filter(|_| n <= most) {
        return Ok((Cow::Borrowed(whole), rows));
    }
    let features = gather_rows(source, &rows)?;
    source.check_ids(features.item_ids())?;
    Ok((Cow::Owned(features), rows))
}

/// The items in `rows`, which must be in ascending order without repetition. Memory holds only these items and one
/// block.
///
/// # Errors
/// As [`FeatureSource::blocks`]; [`Error::Data`] if `rows` is empty.
pub fn gather_rows(source: &dyn FeatureSource, rows: &[usize]) -> Result<Features> {
    let mut gathered = Gathered::new(&source.shapes(), rows.len());
    let mut wanted = rows;
    for_each_block(source, |block| {
        let end = block.first_row + block.features.len();
        let (here, later) = wanted.split_at(wanted.partition_point(|&row| row < end));
        gathered.append(&block.features, here.iter().map(|row| row - block.first_row))?;
        wanted = later;
        Ok(())
    })?;
    gathered.finish()
}

/// Items copied out of blocks.
struct Gathered {
    ids: ItemIds,
    names: Vec<String>,
    dims: Vec<usize>,
    values: Vec<Vec<f32>>,
    present: Vec<Vec<bool>>,
}

impl Gathered {
    fn new(shapes: &[(String, usize)], rows: usize) -> Self {
        Gathered {
            ids: ItemIds::default(),
            names: shapes.iter().map(|(name, _)| name.clone()).collect(),
            dims: shapes.iter().map(|&(_, dim)| dim).collect(),
            values: shapes.iter().map(|&(_, dim)| Vec::with_capacity(rows * dim)).collect(),
            present: shapes.iter().map(|_| Vec::with_capacity(rows)).collect(),
        }
    }

    fn append(&mut self, block: &Features, rows: impl Iterator<Item = usize>) -> Result<()> {
        let rows: Vec<usize> = rows.collect();
        self.ids.append(block.item_ids().take(&rows));
        for ((modality, values), present) in block.modalities().iter().zip(&mut self.values).zip(&mut self.present) {
            for &row in &rows {
                values.extend(modality.vectors.row(row));
                present.push(modality.present[row]);
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Features> {
        let columns = self.names.into_iter().zip(self.dims).zip(self.values.into_iter().zip(self.present));
        let modalities = columns.map(|((name, dim), (values, present))| {
            let vectors = ndarray::Array2::from_shape_vec((present.len(), dim), values)
                .map_err(|e| Error::mismatch("vectors", "one vector per item", e, "check the features"))?;
            Ok(Modality { name, vectors, present })
        });
        Features::of_unchecked_ids(self.ids, modalities.collect::<Result<_>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Overwrite;
    use crate::features::FeatureFile;
    use ndarray::Array2;

    fn features(n: usize) -> Features {
        let vectors = Array2::from_shape_fn((n, 3), |(i, j)| (i * 3 + j) as f32);
        let text = Modality { name: "text".into(), vectors, present: vec![true; n] };
        let image = Modality {
            name: "image".into(),
            vectors: Array2::ones((n, 2)),
            present: (0..n).map(|i| i % 3 > 0).collect(),
        };
        let ids = ItemIds::Strings((0..n).map(|i| format!("i{i}")).collect());
        Features::new(ids, vec![image, text]).unwrap()
    }

    #[test]
    fn blocks_in_memory_equal_those_of_the_file() {
        let features = features(20_000);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        features.write(&path, Overwrite::Refuse).unwrap();
        let file = FeatureFile::open(&path).unwrap();
        assert_eq!((features.parts(), file.parts()), (3, 3));
        for (a, b) in features.blocks(vec![2, 0, 1]).unwrap().zip(file.blocks(vec![2, 0, 1]).unwrap()) {
            let (a, b) = (a.unwrap(), b.unwrap());
            assert_eq!((a.first_row, a.features.into_owned()), (b.first_row, b.features.into_owned()));
        }
        let mut rows = 0;
        for_each_block(&file, |block| {
            assert_eq!(block.first_row, rows);
            assert_eq!(*block.features, features.slice(rows..rows + block.features.len()));
            rows += block.features.len();
            Ok(())
        })
        .unwrap();
        assert_eq!(rows, 20_000);
    }

    #[test]
    fn errors_end_the_pass() {
        let features = features(20_000);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        features.write(&path, Overwrite::Refuse).unwrap();
        let file = FeatureFile::open(&path).unwrap();
        let refuse = |_: &Block| Err(Error::data("a block", "nothing", "something", "stop"));
        for source in [&file as &dyn FeatureSource, &features] {
            assert!(for_each_block(source, refuse).unwrap_err().to_string().contains("a block"));
        }
        std::fs::remove_file(&path).unwrap();
        assert!(for_each_block(&file, |_| Ok(())).unwrap_err().to_string().contains("x.parquet"));
    }
}
