//! Features block by block, so that no more of them than a block need be in memory.

use std::borrow::Cow;

use rand::Rng;

use super::{Features, Modality};
use crate::error::{Error, Result};
use crate::item_ids::{IdFault, ItemIds};

/// Rows of a block, where a source can choose.
pub(super) const ROWS_AT_ONCE: usize = 8_192;

/// Some items that follow each other.
#[derive(Debug)]
pub struct Block<'a> {
    /// Row of its first item in the source.
    pub first_row: usize,
    /// Their vectors. That ids are unique is checked within the whole source only, by [`FeatureSource::check_ids`].
    pub features: Cow<'a, Features>,
}

/// Blocks, one after the other.
pub type Blocks<'a> = Box<dyn Iterator<Item = Result<Block<'a>>> + 'a>;

/// Where features come from: memory, or a file that may be larger. It can be read any number of times, and gives the
/// same each time.
pub trait FeatureSource: Sync {
    /// Name and length of the vectors of each modality.
    fn shapes(&self) -> Vec<(String, usize)>;

    /// Number of items.
    fn rows(&self) -> usize;

    /// Number of parts that can be read on their own; at least 1.
    fn parts(&self) -> usize;

    /// The blocks of these parts, in the order asked for.
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

    /// All of it, where it is in memory.
    fn whole(&self) -> Option<&Features> {
        None
    }

    /// Checks the ids of all items.
    ///
    /// # Errors
    /// Says where an id stands twice.
    fn check_ids(&self, ids: &ItemIds) -> Result<()>;
}

impl FeatureSource for Features {
    fn shapes(&self) -> Vec<(String, usize)> {
        self.modalities().iter().map(|m| (m.name.clone(), m.dim())).collect()
    }

    fn rows(&self) -> usize {
        self.len()
    }

    fn parts(&self) -> usize {
        1
    }

    fn blocks(&self, parts: Vec<usize>) -> Result<Blocks<'_>> {
        Ok(Box::new(parts.into_iter().map(|_| Ok(Block { first_row: 0, features: Cow::Borrowed(self) }))))
    }

    fn whole(&self) -> Option<&Features> {
        Some(self)
    }

    fn check_ids(&self, ids: &ItemIds) -> Result<()> {
        ids.check_unique().map_err(duplicate_item)
    }
}

/// An id that stands twice where there is no file to name.
pub(super) fn duplicate_item(fault: IdFault) -> Error {
    let (item, got) = match fault {
        IdFault::Duplicate(first, row, id) => (id, format!("rows {} and {}", first + 1, row + 1)),
        IdFault::Null(row) => ("without an id".into(), format!("null in row {}", row + 1)),
        IdFault::Type(data_type) => ("of another type".into(), data_type.to_string()),
    };
    Error::Item { item, expected: "one row an item id".into(), got, help: "remove or rename one of them".into() }
}

/// All items of a source, or `most` of them drawn by lot where there are more; in row order, with their rows.
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
    let mut gathered = Gathered::new(&source.shapes(), rows.len());
    let mut wanted = rows.as_slice();
    for block in source.all()? {
        let block = block?;
        let end = block.first_row + block.features.len();
        let (here, later) = wanted.split_at(wanted.partition_point(|&row| row < end));
        gathered.append(&block.features, here.iter().map(|row| row - block.first_row))?;
        wanted = later;
    }
    let features = gathered.finish()?;
    source.check_ids(features.item_ids())?;
    Ok((Cow::Owned(features), rows))
}

/// Items being copied out of blocks.
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
                .map_err(|e| Error::mismatch("vectors", "one an item", e, "check the features"))?;
            Ok(Modality { name, vectors, present })
        });
        Features::of_unchecked_ids(self.ids, modalities.collect::<Result<_>>()?)
    }
}
