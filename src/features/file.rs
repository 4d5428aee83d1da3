//! A file of features, opened: read whole, or block by block.

use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;

use super::npy::{self, MatrixFile};
use super::source::{Blocks, FeatureSource, gather};
use super::table::FeatureTable;
use super::{Features, safetensors};
use crate::error::Result;
use crate::item_ids::ItemIds;

/// A `.npy` or safetensors matrix, or a Parquet or Arrow IPC table with vector columns, in one file or several. Header and
/// columns have been checked; vectors are checked as they are read.
#[derive(Debug)]
pub struct FeatureFile {
    path: PathBuf,
    content: FeatureContent,
}

#[derive(Debug)]
enum FeatureContent {
    Matrix(MatrixFile),
    Table(FeatureTable),
}

impl FeatureFile {
    /// Opens a file, whose format is detected by its content, or a folder or a pattern of tables.
    ///
    /// # Errors
    /// [`Error::Missing`](crate::Error::Missing) if nothing exists at the path; [`Error::File`](crate::Error::File) for
    /// a file without vectors or a damaged file; [`Error::Column`](crate::Error::Column) for files with different
    /// columns.
    pub fn open(path: &Path) -> Result<Self> {
        let content = match open_matrix(path)? {
            Some(matrix) => FeatureContent::Matrix(matrix),
            None => FeatureContent::Table(FeatureTable::open(path)?),
        };
        Ok(FeatureFile { path: path.to_path_buf(), content })
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

impl FeatureFile {
    /// Reads the ids of all items without their vectors.
    ///
    /// # Errors
    /// Errors name file, column and row.
    pub fn ids(&self) -> Result<ItemIds> {
        match &self.content {
            FeatureContent::Matrix(matrix) => Ok(ItemIds::row_numbers(matrix.rows)),
            FeatureContent::Table(table) => table.ids(),
        }
    }
}

impl FeatureSource for FeatureFile {
    fn shapes(&self) -> Vec<(String, usize)> {
        match &self.content {
            FeatureContent::Matrix(matrix) => matrix.shapes(),
            FeatureContent::Table(table) => table.shapes.clone(),
        }
    }

    fn rows(&self) -> usize {
        match &self.content {
            FeatureContent::Matrix(matrix) => matrix.rows,
            FeatureContent::Table(table) => table.parts.rows(),
        }
    }

    fn parts(&self) -> usize {
        match &self.content {
            FeatureContent::Matrix(matrix) => matrix.parts(),
            FeatureContent::Table(table) => table.parts.len(),
        }
    }

    fn blocks(&self, parts: Vec<usize>) -> Result<Blocks<'_>> {
        match &self.content {
            FeatureContent::Matrix(matrix) => {
                Ok(Box::new(parts.into_iter().map(move |part| matrix.block(&self.path, part))))
            }
            FeatureContent::Table(table) => table.blocks(parts),
        }
    }

    fn check_ids(&self, ids: &ItemIds) -> Result<()> {
        match &self.content {
            // Ids are row numbers.
            FeatureContent::Matrix(_) => Ok(()),
            FeatureContent::Table(table) => table.check_ids(ids),
        }
    }
}

/// Opens a `.npy` or safetensors matrix; none for a path that may be a table.
pub(super) fn open_matrix(path: &Path) -> Result<Option<MatrixFile>> {
    if !path.is_file() {
        return Ok(None);
    }
    if safetensors::is_safetensors(path) {
        return safetensors::open(path).map(Some);
    }
    npy::is_npy(path)?.then(|| MatrixFile::open(path)).transpose()
}
