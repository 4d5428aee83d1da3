//! A catalog that was read, and the ready vectors of its items.

use std::path::Path;

use super::content::{ReadContent, content_hashes};
use crate::catalog::CatalogSpool;
use crate::error::Result;
use crate::features::{ContentHash, ModalityRows, PickedRows};
use crate::progress::Progress;

/// What is encoded: the items of a catalog, or some of them.
pub(super) struct ReadCatalog {
    pub(super) spool: CatalogSpool,
    /// Ready vectors, one row per item: those that were given, and then those of behaviour.
    pub(super) ready: Vec<Box<dyn ModalityRows>>,
    /// How many of `ready` were given.
    pub(super) embeddings: usize,
    /// Whether these are only some of the items.
    #[cfg_attr(not(feature = "encoders"), allow(dead_code, reason = "only encoders read it"))]
    pub(super) is_part: bool,
}

impl ReadCatalog {
    /// The hash of every item's content.
    ///
    /// # Errors
    /// For ready vectors that cannot be read.
    pub(super) fn content(&mut self, read: ReadContent, progress: &dyn Progress) -> Result<Vec<ContentHash>> {
        content_hashes(&self.spool, read, &mut self.ready[..self.embeddings], progress)
    }

    /// The items in these rows, which ascend. `folder` is for temporary files.
    ///
    /// # Errors
    /// [`crate::Error::Io`].
    pub(super) fn select(self, rows: &[usize], folder: &Path) -> Result<Self> {
        let spool = self.spool.select(rows, Some(folder))?;
        let select = |of| -> Box<dyn ModalityRows> { Box::new(PickedRows::new(of, rows.to_vec())) };
        let ready = self.ready.into_iter().map(select).collect();
        Ok(ReadCatalog { spool, ready, embeddings: self.embeddings, is_part: true })
    }
}
