//! A catalog that was read, with the precomputed vectors of its items.

use std::path::Path;

use super::content::{ReadContent, content_hashes};
use crate::catalog::CatalogSpool;
use crate::error::Result;
use crate::features::{ContentHash, ModalityRows, PickedRows};
use crate::progress::Progress;

/// The items to encode: all items of a catalog, or a selection.
pub(super) struct ReadCatalog {
    pub(super) spool: CatalogSpool,
    /// Modalities that need no encoder, one row per item: first the precomputed vectors, then the behaviour vectors.
    pub(super) ready: Vec<Box<dyn ModalityRows>>,
    /// Number of modalities in `ready` that are precomputed vectors.
    pub(super) embeddings: usize,
    /// Whether this is a selection of the catalog's items.
    #[cfg_attr(not(feature = "encoders"), allow(dead_code, reason = "only encoders read it"))]
    pub(super) is_part: bool,
}

impl ReadCatalog {
    /// The content hash of every item.
    ///
    /// # Errors
    /// For precomputed vectors that cannot be read.
    pub(super) fn content(&mut self, read: ReadContent, progress: &dyn Progress) -> Result<Vec<ContentHash>> {
        content_hashes(&self.spool, read, &mut self.ready[..self.embeddings], progress)
    }

    /// Selects the items in these rows, in ascending order. `folder` is for temporary files.
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
