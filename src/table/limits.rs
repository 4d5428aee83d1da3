//! Limits of tables, so that a small malicious file cannot exhaust the memory.

/// Maximum number of bytes of one cell: a text, an embedded image, or a JSON value.
pub(crate) const MAX_CELL_BYTES: usize = 64 << 20;
/// Maximum number of bytes of one CSV row or JSON line.
pub(super) const MAX_ROW_BYTES: usize = 256 << 20;
/// Maximum number of columns of a CSV file.
pub(super) const MAX_COLUMNS: usize = 100_000;
/// Number of bytes of requested cells after which a batch of CSV or JSON Lines ends early.
pub(super) const BATCH_BYTES: usize = 64 << 20;
/// Maximum number of bytes of one column in a batch.
pub(super) const MAX_BATCH_BYTES: usize = 1 << 30;
/// Maximum nesting depth of a JSON value.
pub(super) const MAX_JSON_DEPTH: usize = 100;

/// A number of bytes in MiB, for errors.
pub(crate) fn mib(bytes: usize) -> String {
    format!("{} MiB", bytes >> 20)
}
