//! Writes and reads token tables as Parquet files, as bytes in memory and as Arrow batches.

use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::{TableMetadata, TokenTable, table_io};
use crate::artifact::Overwrite;
use crate::error::Result;

/// Name of a table in memory in error messages.
const MEMORY: &str = "token table in memory";

impl TokenTable {
    /// Writes the table as Parquet. Equal tables give equal bytes.
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
