//! An open file of a table.

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;

use crate::error::Result;

/// Maximum number of rows in a batch of a stream.
pub(super) const BATCH_ROWS: usize = 4_096;

/// Record batches, one after the other.
pub(super) type RecordBatches = Box<dyn Iterator<Item = Result<RecordBatch>>>;

/// A file being read.
pub(super) struct OpenTable {
    /// The column of each request; none for an optional one that is absent.
    pub(super) columns: Vec<Option<String>>,
    /// The types of these columns. For JSON Lines, the types in the first batch.
    pub(super) types: Vec<Option<DataType>>,
    pub(super) batches: RecordBatches,
}
