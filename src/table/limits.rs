//! Limits of tables, so that a small malicious file cannot exhaust the memory.

/// Maximum number of bytes of one cell: a text, an embedded image, or a JSON value.
pub(crate) const MAX_CELL_BYTES: usize = 64 << 20;
/// Maximum number of bytes of one CSV row or JSON line.
pub(super) const MAX_ROW_BYTES: usize = 256 << 20;
/// Maximum number of columns of a CSV file.
pub(super) const MAX_COLUMNS: usize = 100_000;
/// Number of bytes of requested cells after which a batch ends before it has the maximum number of rows.
pub(super) const BATCH_BYTES: usize = 64 << 20;
/// Decompressed size of a Parquet page, in bytes, up to which any compression ratio is allowed.
pub(super) const MAX_SMALL_PAGE: u64 = 64 << 20;
/// Decompressed size of an Arrow batch, in bytes, up to which any compression ratio is allowed.
pub(super) const MAX_SMALL_BATCH: u64 = 256 << 20;
/// Maximum compression ratio of larger pages, batches and files.
pub(super) const MAX_EXPANSION: u64 = 64;
/// Maximum number of list values in a column of a Parquet row group, unless there are at most [`MAX_EXPANSION`] values
/// per byte.
pub(super) const MAX_PACKED_VALUES: u64 = 1 << 26;
/// Maximum length, in bytes, of a Parquet dictionary value that is copied to each row that has it.
pub(super) const MAX_LONG_VALUE: usize = 64 << 10;
/// Decompressed size of a gzip or Zstandard file, in bytes, up to which any compression ratio is allowed.
pub(super) const MAX_SMALL_FILE: u64 = 1 << 30;
/// Maximum compression ratio of larger files that are decompressed while they are read, without a temporary file.
pub(super) const MAX_TEXT_EXPANSION: u64 = 1_000;
/// Maximum nesting depth of the arrays in a JSON value.
pub(super) const MAX_JSON_DEPTH: usize = 100;

/// A number of bytes in MiB, for errors.
pub(crate) fn mib(bytes: usize) -> String {
    format!("{} MiB", bytes >> 20)
}
