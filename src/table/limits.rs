//! What a table may contain at most, so that a small hostile file cannot take all memory.

/// Most bytes of one cell: of a text, an image in the table, or a value of JSON.
pub(crate) const MAX_CELL_BYTES: usize = 64 << 20;
/// Most bytes of one row of CSV, and of one line of JSON Lines.
pub(super) const MAX_ROW_BYTES: usize = 256 << 20;
/// Most columns of a CSV file.
pub(super) const MAX_COLUMNS: usize = 100_000;
/// Bytes of requested cells after which a batch of CSV or JSON Lines ends, though it has fewer rows than usual.
pub(super) const BATCH_BYTES: usize = 64 << 20;
/// Bytes of the cells of one column in a batch of any format.
pub(super) const MAX_BATCH_BYTES: usize = 1 << 30;
/// Nested arrays of a JSON value.
pub(super) const MAX_JSON_DEPTH: usize = 100;

/// A number of bytes in MiB, for errors.
pub(crate) fn mib(bytes: usize) -> String {
    format!("{} MiB", bytes >> 20)
}
