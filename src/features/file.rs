//! A file of features, opened: read whole, or block by block.

use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;

use super::source::{Blocks, FeatureSource, gather};
use super::{Features, npy, safetensors, table};
use crate::error::{Error, Result};
use crate::item_ids::ItemIds;

/// A `.npy` or safetensors matrix, or a Parquet or Arrow IPC table with vector columns. What it says of itself has been checked;
/// the vectors are checked as they are read.
#[derive(Debug)]
pub struct FeatureFile {
    path: PathBuf,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Matrix(npy::Matrix),
    Table(table::Table),
}

impl FeatureFile {
    /// Opens a file, by content.
    ///
    /// # Errors
    /// Says what is wrong with the file: its type, its columns, or that there is none.
    pub fn open(path: &Path) -> Result<Self> {
        refuse_non_file(path)?;
        let form = if safetensors::is_safetensors(path) {
            Form::Matrix(safetensors::open(path)?)
        } else if npy::is_npy(path)? {
            Form::Matrix(npy::Matrix::open(path)?)
        } else {
            Form::Table(table::Table::open(path)?)
        };
        Ok(FeatureFile { path: path.to_path_buf(), form })
    }

    /// All of it in memory.
    ///
    /// # Errors
    /// Errors name file, column and row.
    pub fn read(&self) -> Result<Features> {
        // Nothing is drawn by lot where all are wanted.
        Ok(gather(self, usize::MAX, &mut Xoshiro256Plus::seed_from_u64(0))?.0.into_owned())
    }
}

impl FeatureSource for FeatureFile {
    fn shapes(&self) -> Vec<(String, usize)> {
        match &self.form {
            Form::Matrix(matrix) => matrix.shapes(),
            Form::Table(table) => table.shapes.clone(),
        }
    }

    fn rows(&self) -> usize {
        match &self.form {
            Form::Matrix(matrix) => matrix.rows,
            Form::Table(table) => table.parts.iter().sum(),
        }
    }

    fn parts(&self) -> usize {
        match &self.form {
            Form::Matrix(matrix) => matrix.parts(),
            Form::Table(table) => table.parts.len(),
        }
    }

    fn blocks(&self, parts: Vec<usize>) -> Result<Blocks<'_>> {
        match &self.form {
            Form::Matrix(matrix) => Ok(Box::new(parts.into_iter().map(move |part| matrix.block(&self.path, part)))),
            Form::Table(table) => table.blocks(&self.path, parts),
        }
    }

    fn check_ids(&self, ids: &ItemIds) -> Result<()> {
        match &self.form {
            // The rows' numbers.
            Form::Matrix(_) => Ok(()),
            Form::Table(table) => table.check_ids(&self.path, ids),
        }
    }
}

/// Says clearly that a path is no file before a reader stumbles over it.
pub(super) fn refuse_non_file(path: &Path) -> Result<()> {
    if !path.exists() {
        return Err(Error::Missing {
            path: path.to_path_buf(),
            expected: "features: a Parquet or Arrow table, or a .npy or safetensors matrix".into(),
            help: "check the path; `catalex embed` makes features from a catalog".into(),
        });
    }
    if path.is_dir() {
        return Err(Error::file(path, "a file with features", "a folder", "name the file inside it"));
    }
    Ok(())
}
