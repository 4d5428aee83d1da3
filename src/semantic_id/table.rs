//! The token table: every item's codes, semantic ID and error.

use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use ndarray::{Array2, ArrayView2, s};

use super::{CollisionReport, Collisions, TokenFormat, table_io};
use crate::artifact::Overwrite;
use crate::error::Result;
use crate::item_ids::ItemIds;

/// What errors call a table that is no file.
const MEMORY: &str = "token table in memory";

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

    /// What [`TokenTable::write`] writes.
    ///
    /// # Errors
    /// [`crate::Error::Mismatch`] where the columns differ in length.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        table_io::write_to(self, Path::new(MEMORY), Vec::new())
    }

    /// Reads what [`TokenTable::to_bytes`] gave, with the checks of [`TokenTable::read`].
    ///
    /// # Errors
    /// As [`TokenTable::read`].
    pub fn of_bytes(bytes: Vec<u8>) -> Result<Self> {
        table_io::parquet(Path::new(MEMORY), bytes::Bytes::from(bytes))
    }

    /// The table as one Arrow batch, with what the file says of itself in the schema's metadata.
    ///
    /// # Errors
    /// [`crate::Error::Mismatch`] where the columns differ in length.
    pub fn to_batch(&self) -> Result<RecordBatch> {
        table_io::to_batch(self)
    }

    /// The table of batches like those of [`TokenTable::to_batch`], with the checks of [`TokenTable::read`]. Strings,
    /// lists and integers may be of other kinds.
    ///
    /// # Errors
    /// As [`TokenTable::read`].
    pub fn of_batches(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Self> {
        table_io::of_foreign(Path::new(MEMORY), schema, batches, None)
    }

    /// As [`TokenTable::of_batches`], for batches that went through a program that drops a schema's metadata.
    ///
    /// # Errors
    /// As [`TokenTable::read`].
    pub fn of_batches_like(schema: &SchemaRef, batches: &[RecordBatch], like: &TableMetadata) -> Result<Self> {
        table_io::of_foreign(Path::new(MEMORY), schema, batches, Some(like))
    }
}
