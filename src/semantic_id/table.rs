//! The token table: the codes, semantic ID and error of every item.

use std::fmt::Debug;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use ndarray::{Array2, ArrayView2, Axis, s};

use super::{CollisionReport, Collisions, Occupied, TokenFormat, table_io};
use crate::artifact::Overwrite;
use crate::error::{Error, Result};
use crate::item_ids::{IdFault, ItemIds};

/// The name of a table in memory in errors.
const MEMORY: &str = "token table in memory";

/// Metadata of a token table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableMetadata {
    /// Hash of the model that assigned the codes.
    pub model_hash: String,
    /// Codebook size per level, including the suffix.
    pub codebook_sizes: Vec<usize>,
    /// How codes are written as tokens.
    pub token_format: TokenFormat,
    /// How ID collisions were resolved.
    pub policy: Collisions,
    /// Statistics of the collision resolution.
    pub collisions: Option<CollisionReport>,
}

/// The semantic IDs of a catalog.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenTable {
    /// The items, in the catalog's order.
    pub item_ids: ItemIds,
    /// `(n, levels)`.
    pub codes: Array2<u16>,
    /// Squared distance between each item's latent and the sum of its codewords.
    pub residual_error: Vec<f32>,
    /// Whether collision resolution changed an item's codes.
    pub reassigned: Vec<bool>,
    /// The metadata of the file.
    pub metadata: TableMetadata,
}

impl TokenTable {
    /// The codes of the model's levels, without a suffix.
    pub fn quantized(&self) -> ArrayView2<'_, u16> {
        let suffix = usize::from(self.metadata.policy == Collisions::Suffix);
        self.codes.slice(s![.., ..self.codes.ncols() - suffix])
    }

    /// The semantic ID of a row.
    pub fn semantic_id(&self, row: usize) -> String {
        self.metadata.token_format.semantic_id(&self.codes.row(row).to_vec())
    }

    /// This table with further items after its own, which keep their IDs. If only one side has strings as item ids, the
    /// integers of the other become strings. Statistics of the collision resolution of a part are dropped.
    ///
    /// # Errors
    /// [`Error::Mismatch`](crate::Error::Mismatch) for items of another model or with other tokens;
    /// [`Error::Item`](crate::Error::Item) for an item that both tables have, or an ID that both have.
    pub fn joined(mut self, more: TokenTable) -> Result<Self> {
        let (own, other) = (&self.metadata, &more.metadata);
        let fits =
            |what: &str, expected: &dyn Debug, got: &dyn Debug| match format!("{expected:?}") == format!("{got:?}") {
                true => Ok(()),
                false => {
                    let help = "place the items with the model and the token format of the table";
                    Err(Error::mismatch(what, format!("{expected:?}"), format!("{got:?}"), help))
                }
            };
        fits("model of the new items", &own.model_hash, &other.model_hash)?;
        fits("codebook sizes of the new items", &own.codebook_sizes, &other.codebook_sizes)?;
        fits("token format of the new items", &own.token_format.to_string(), &other.token_format.to_string())?;
        let twice = |item: String, got: String| {
            let help = "place only items that the table does not have, beside its codes";
            Error::Item { item, expected: "one row and an ID of its own".into(), got, help: help.into() }
        };
        if own.policy.unique() {
            let taken = Occupied::of_codes(self.codes.view(), &own.codebook_sizes)?;
            if let Some(row) = (0..more.codes.nrows()).find(|&row| taken.has(more.codes.row(row))) {
                return Err(twice(more.item_ids.text(row), format!("{}, which the table has", more.semantic_id(row))));
            }
        }
        self.item_ids.append(more.item_ids);
        self.item_ids.check_unique().map_err(|fault| match fault {
            IdFault::Duplicate(first, row, id) => twice(id, format!("rows {} and {}", first + 1, row + 1)),
            other => twice("of the table".into(), format!("{other:?}")),
        })?;
        let shapes =
            |e: ndarray::ShapeError| Error::mismatch("codes of the new items", "one row per item", e, "check the call");
        self.codes.append(Axis(0), more.codes.view()).map_err(shapes)?;
        self.residual_error.extend(more.residual_error);
        self.reassigned.extend(more.reassigned);
        self.metadata.collisions = None;
        Ok(self)
    }

    /// Writes the table as Parquet; the same table gives the same bytes.
    ///
    /// # Errors
    /// As [`crate::artifact::AtomicFile`].
    pub fn write(&self, path: &Path, overwrite: Overwrite) -> Result<()> {
        table_io::write(self, path, overwrite)
    }

    /// Reads a table and checks it: columns, types, codes within their codebooks, IDs that match the codes, unique item
    /// ids, and unique codes unless the policy allows collisions.
    ///
    /// # Errors
    /// Errors name file, column and row.
    pub fn read(path: &Path) -> Result<Self> {
        table_io::read(path)
    }

    /// The bytes that [`TokenTable::write`] writes.
    ///
    /// # Errors
    /// [`crate::Error::Mismatch`] if the columns differ in length.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        table_io::write_to(self, Path::new(MEMORY), Vec::new())
    }

    /// Reads the bytes of [`TokenTable::to_bytes`], with the checks of [`TokenTable::read`].
    ///
    /// # Errors
    /// As [`TokenTable::read`].
    pub fn of_bytes(bytes: Vec<u8>) -> Result<Self> {
        table_io::parquet(Path::new(MEMORY), bytes::Bytes::from(bytes))
    }

    /// The table as one Arrow batch, with the file's metadata in the schema.
    ///
    /// # Errors
    /// [`crate::Error::Mismatch`] if the columns differ in length.
    pub fn to_batch(&self) -> Result<RecordBatch> {
        table_io::to_batch(self)
    }

    /// A table from batches like those of [`TokenTable::to_batch`], with the checks of [`TokenTable::read`]. Strings, lists
    /// and integers may have other Arrow types.
    ///
    /// # Errors
    /// As [`TokenTable::read`].
    pub fn of_batches(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Self> {
        table_io::of_foreign(Path::new(MEMORY), schema, batches, None)
    }

    /// As [`TokenTable::of_batches`], for batches without the schema's metadata, which some programs drop.
    ///
    /// # Errors
    /// As [`TokenTable::read`].
    pub fn of_batches_like(schema: &SchemaRef, batches: &[RecordBatch], like: &TableMetadata) -> Result<Self> {
        table_io::of_foreign(Path::new(MEMORY), schema, batches, Some(like))
    }
}
