//! Checks the hash of Parquet files that catalex wrote.

use std::path::Path;

use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::ChunkReader;

use crate::artifact::seal::{self, Seal};
use crate::error::{Error, Result};

/// Prefix of the `created_by` value of files that catalex wrote.
const WRITER: &[u8] = b"catalex ";

/// Checks the hash of a Parquet file if catalex wrote the file with a hash. If another program rewrites the file, it
/// can keep the metadata with the old hash, so the hash of such a file is ignored.
///
/// # Errors
/// [`Error::Artifact`] for a file that has changed; [`Error::Io`].
pub(crate) fn check_parquet(
    path: &Path,
    file: &impl ChunkReader,
    metadata: &ParquetMetaData,
    help: &str,
) -> Result<()> {
    let metadata = metadata.file_metadata();
    if metadata.created_by().is_some_and(|name| !is_ours(name.as_bytes())) {
        return Ok(());
    }
    let named = metadata.key_value_metadata().is_some_and(|pairs| pairs.iter().any(|pair| pair.key == seal::KEY));
    let length = file.len();
    let from = length.saturating_sub(seal::TAIL);
    let unreadable = |e| Error::io("read", path, std::io::Error::other(e));
    let tail = file.get_bytes(from, (length - from) as usize).map_err(unreadable)?;
    let whole = file.get_read(0).map_err(unreadable)?;
    match seal::check(length, &tail, whole).map_err(|e| Error::io("read", path, e))? {
        Seal::Whole if named => Ok(()),
        Seal::Absent if !named => Ok(()),
        _ => Err(seal::broken(path, help)),
    }
}

/// Whether `created_by` begins like that of a file that catalex wrote. Up to one flipped bit is accepted.
fn is_ours(created_by: &[u8]) -> bool {
    created_by.iter().zip(WRITER).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>() <= 1
}
