//! Access to the latents of the items that collision resolution needs. The latents of other items are not kept in
//! memory.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;

use ndarray::{Array2, ArrayView2, Axis};

use crate::error::{Error, Result};

/// Maximum number of latent values in memory, 256 MB. More are written to a temporary file.
const MAX_IN_MEMORY: usize = 1 << 26;

/// A source of latents, which can be read several times.
pub trait Latents: Sync {
    /// Loads the latents of these rows, which are sorted and unique.
    ///
    /// # Errors
    /// If they cannot be read or computed.
    fn load(&self, rows: Vec<usize>) -> Result<Loaded>;
}

impl Latents for ArrayView2<'_, f32> {
    fn load(&self, rows: Vec<usize>) -> Result<Loaded> {
        let mut loaded = Loaded::new(rows, self.ncols())?;
        let latents = self.select(Axis(0), &loaded.rows);
        loaded.append(latents.view())?;
        Ok(loaded)
    }
}

/// The latents of some rows, in memory or in a temporary file that is deleted with this value.
#[derive(Debug)]
pub struct Loaded {
    /// Sorted.
    rows: Vec<usize>,
    dim: usize,
    store: LatentStore,
}

#[derive(Debug)]
enum LatentStore {
    Memory(Vec<f32>),
    File(BufWriter<File>),
}

impl Loaded {
    /// Empty storage for latents of length `dim` of these rows, which are sorted and unique.
    ///
    /// # Errors
    /// [`Error::Io`] if a temporary file cannot be created.
    pub fn new(rows: Vec<usize>, dim: usize) -> Result<Self> {
        let numbers = rows.len().saturating_mul(dim);
        let store = if numbers <= MAX_IN_MEMORY {
            LatentStore::Memory(Vec::with_capacity(numbers))
        } else {
            LatentStore::File(BufWriter::with_capacity(1 << 20, tempfile::tempfile().map_err(spill)?))
        };
        Ok(Loaded { rows, dim, store })
    }

    /// The rows in this range whose latents are requested.
    pub fn wanted(&self, range: std::ops::Range<usize>) -> &[usize] {
        let at = |row: usize| self.rows.partition_point(|&wanted| wanted < row);
        &self.rows[at(range.start)..at(range.end)]
    }

    /// Appends the latents of the next rows.
    ///
    /// # Errors
    /// [`Error::Io`] if the temporary file cannot be written.
    pub fn append(&mut self, latents: ArrayView2<f32>) -> Result<()> {
        match &mut self.store {
            LatentStore::Memory(numbers) => numbers.extend(latents.iter()),
            LatentStore::File(file) => {
                for number in &latents {
                    file.write_all(&number.to_ne_bytes()).map_err(spill)?;
                }
                file.flush().map_err(spill)?;
            }
        }
        Ok(())
    }

    /// The latents `(rows.len(), dim)` of some of the rows, in any order.
    ///
    /// # Errors
    /// [`Error::Io`] if the temporary file cannot be read; [`Error::Mismatch`] for a row that was not loaded.
    pub fn get(&self, rows: &[usize]) -> Result<Array2<f32>> {
        let mut latents = Array2::zeros((rows.len(), self.dim));
        let mut bytes = vec![0; 4 * self.dim];
        for (&row, mut latent) in rows.iter().zip(latents.rows_mut()) {
            let missing =
                || Error::mismatch("latents", format!("the latent of row {row}"), "none", "please report this");
            let at = self.rows.binary_search(&row).map_err(|_| missing())? * self.dim;
            match &self.store {
                LatentStore::Memory(numbers) => {
                    let numbers = numbers.get(at..at + self.dim).ok_or_else(missing)?;
                    latent.iter_mut().zip(numbers).for_each(|(to, &number)| *to = number);
                }
                LatentStore::File(file) => {
                    file.get_ref().read_exact_at(&mut bytes, 4 * at as u64).map_err(spill)?;
                    for (to, number) in latent.iter_mut().zip(bytes.chunks_exact(4)) {
                        *to = f32::from_ne_bytes([number[0], number[1], number[2], number[3]]);
                    }
                }
            }
        }
        Ok(latents)
    }
}

fn spill(error: std::io::Error) -> Error {
    Error::io("use a temporary file for latents in", &std::env::temp_dir(), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_file_return_what_was_appended() {
        let latents = Array2::from_shape_fn((40, 3), |(i, j)| (i * 10 + j) as f32);
        let rows = vec![2, 3, 11, 39];
        let memory = latents.view().load(rows.clone()).unwrap();
        let file = BufWriter::new(tempfile::tempfile().unwrap());
        let mut spilled = Loaded { rows: rows.clone(), dim: 3, store: LatentStore::File(file) };
        for part in [0..10, 10..40] {
            let wanted = spilled.wanted(part).to_vec();
            spilled.append(latents.select(Axis(0), &wanted).view()).unwrap();
        }
        for loaded in [memory, spilled] {
            assert_eq!(loaded.get(&[39, 2]).unwrap(), latents.select(Axis(0), &[39, 2]));
            assert!(loaded.get(&[4]).unwrap_err().to_string().contains("row 4"));
        }
    }
}
