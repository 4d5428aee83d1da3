//! Limits of tables, so that a small malicious file cannot exhaust the memory.

/// Maximum number of bytes of one cell: a text, an embedded image, or a JSON value.
pub(crate) const MAX_CELL_BYTES: usize = 64 << 20;
/// Maximum number of bytes of one CSV row or JSON line.
pub(super) const MAX_ROW_BYTES: usize = 256 << 20;
/// Maximum number of columns of a CSV file.
pub(super) const MAX_COLUMNS: usize = 100_000;
/// Bytes of requested cells after which a batch ends, though it has fewer rows than usual.
pub(super) const BATCH_BYTES: usize = 64 << 20;
/// Most bytes of a Parquet page that grows more than [`MAX_EXPANSION`] times when it is unpacked.
pub(super) const MAX_SMALL_PAGE: u64 = 64 << 20;
/// Most bytes of a batch of compressed Arrow that grows more than that.
pub(super) const MAX_SMALL_BATCH: u64 = 256 << 20;
/// How many times its size anything larger may grow.
pub(super) const MAX_EXPANSION: u64 = 64;
/// Most values of the lists in a Parquet row group, unless it has a byte for each [`MAX_EXPANSION`].
pub(super) const MAX_PACKED_VALUES: u64 = 1 << 26;
/// Longest value of a Parquet dictionary that is copied to each row that has it.
pub(super) const MAX_LONG_VALUE: usize = 64 << 10;
/// Most bytes of a file that gzip or Zstandard has made more than [`MAX_EXPANSION`] times smaller, where it is unpacked to a
/// temporary file.
pub(super) const MAX_SMALL_FILE: u64 = 1 << 30;
/// How many times the size of a larger one text may grow, which is read as it is unpacked.
pub(super) const MAX_TEXT_EXPANSION: u64 = 1_000;
/// Nested arrays of a JSON value.
pub(super) const MAX_JSON_DEPTH: usize = 100;

/// A number of bytes in MiB, for errors.
pub(crate) fn mib(bytes: usize) -> String {
    format!("{} MiB", bytes >> 20)
}
