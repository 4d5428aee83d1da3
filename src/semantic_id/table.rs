//! The token table: every item's codes, semantic ID and error.

use std::path::Path;

use ndarray::{Array2, ArrayView2, s};

use super::{CollisionReport, Collisions, TokenFormat, table_io};
use crate::artifact::Overwrite;
use crate::error::Result;
use crate::item_ids::ItemIds;

/// What a token table says of its making.
#[derive(Debug, Clone, PartialEq)]
pub struct TableMetadata {
    /// Hash of the model that gave the codes.
    pub model_hash: String,
    /// Codes per level; those of a suffix last.
    pub codebook_sizes: Vec<usize>,
    /// How codes are written as tokens.
    pub token_format: TokenFormat,
    /// What became of items that the quantizer gave one code.
    pub policy: Collisions,
    /// What resolving the collisions did.
    pub collisions: Option<CollisionReport>,
}

/// The semantic IDs of a catalog.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenTable {
    /// The items, in the catalog's order.
    pub item_ids: ItemIds,
    /// `(n, levels)`.
    pub codes: Array2<u16>,
    /// Squared distance of each item's latent from the sum of its codewords.
    pub residual_error: Vec<f32>,
    /// Whether an item's code was changed to make it unique.
    pub reassigned: Vec<bool>,
    /// What the file says of itself.
    pub metadata: TableMetadata,
}

impl TokenTable {
    /// The codes that the model's quantizer has a say in: all but a suffix.
    pub fn quantized(&self) -> ArrayView2<'_, u16> {
        let suffix = usize::from(self.metadata.policy == Collisions::Suffix);
        self.codes.slice(s![.., ..self.codes.ncols() - suffix])
    }

    /// The semantic ID of a row.
    pub fn semantic_id(&self, row: usize) -> String {
        self.metadata.token_format.semantic_id(&self.codes.row(row).to_vec())
    }

    /// Writes the table as Parquet; the same table gives the same bytes.
    ///
    /// # Errors
    /// As [`crate::artifact::AtomicFile`].
    pub fn write(&self, path: &Path, overwrite: Overwrite) -> Result<()> {
        table_io::write(self, path, overwrite)
    }

    /// Reads a table and checks it: columns, types, codes within their codebooks, IDs that match the codes, items
    /// that stand once, and codes that do unless collisions were kept.
    ///
    /// # Errors
    /// Errors name file, column and row.
    pub fn read(path: &Path) -> Result<Self> {
        table_io::read(path)
    }
}
