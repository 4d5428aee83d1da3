//! A file of a table that is being read.

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;

use crate::error::Result;

/// Most rows of a batch that a stream gives.
pub(super) const BATCH_ROWS: usize = 4_096;

/// Record batches, one after the other.
pub(super) type RecordBatches = Box<dyn Iterator<Item = Result<RecordBatch>>>;

/// A file being read.
pub(super) struct OpenTable {
    /// The column of each request; none for an optional one that is absent.
    pub(super) columns: Vec<Option<String>>,
    /// Their types. Of JSON Lines, those of the first batch.
    pub(super) types: Vec<Option<DataType>>,
    pub(super) batches: RecordBatches,
}
