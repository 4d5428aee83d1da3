//! Removing old generations.

use std::fs;

use super::super::MANIFEST;
use super::{GENERATIONS, StoreWriter, folder_name};
use crate::artifact::ReadLock;
use crate::error::{Error, Result};

impl StoreWriter {
    /// Removes all generations except the newest `keep` and the current one. A generation that is being read is kept; a
    /// later call removes it. Returns the numbers of the removed generations.
    ///
    /// # Errors
    /// [`Error::Config`] if `keep` is 0; [`Error::Io`].
    pub fn prune(&self, keep: usize) -> Result<Vec<u64>> {
        if keep == 0 {
            return Err(Error::config("keep", "a number of at least 1", keep, "the current generation is always kept"));
        }
        let (numbers, current) = (self.store.numbers()?, self.store.current_number()?);
        let old = &numbers[..numbers.len().saturating_sub(keep)];
        let mut removed = Vec::new();
        for &number in old.iter().filter(|number| Some(**number) != current) {
            if self.remove(number)? {
                removed.push(number);
            }
        }
        Ok(removed)
    }

    /// Removes a generation atomically, unless it is being read. Returns whether it was removed.
    fn remove(&self, number: u64) -> Result<bool> {
        let path = self.store.path_of(number);
        let fail = |e| Error::io("remove", &path, e);
        let prefix = format!(".{}.part-", folder_name(number));
        // The generation is renamed to a temporary name first. If this run is killed, the next writer removes it.
        let mut builder = tempfile::Builder::new();
        let aside = builder.prefix(&prefix).rand_bytes(6).tempdir_in(self.store.folder.join(GENERATIONS));
        let aside = aside.map_err(fail)?;
        let moved = || fs::rename(&path, aside.path()).map_err(fail);
        let removed = ReadLock::unless_read(&path.join(MANIFEST), moved)?;
        aside.close().map_err(fail)?;
        Ok(removed)
    }
}
