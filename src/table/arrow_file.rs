//! Arrow IPC files: the number of rows of each record batch, without decoding any.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use arrow::error::ArrowError;
use arrow::ipc::reader::read_footer_length;
use arrow::ipc::{root_as_footer, root_as_message};

/// Length of the end of a file: the footer's length and the magic bytes.
const TRAILER: usize = 10;
/// What precedes the length of a message, but in files of old versions.
const CONTINUATION: [u8; 4] = [0xFF; 4];

/// Rows of each record batch of a file, read from the footer and the batches' headers.
pub(super) fn batch_rows(file: &mut File) -> Result<Vec<usize>, ArrowError> {
    let mut trailer = [0; TRAILER];
    file.seek(SeekFrom::End(-(TRAILER as i64)))?;
    file.read_exact(&mut trailer)?;
    let length = read_footer_length(trailer)?;
    let footer = read_at(file, SeekFrom::End(-((TRAILER + length) as i64)), length)?;
    let damaged = |e: &dyn std::fmt::Display| ArrowError::ParseError(format!("the footer or a header: {e}"));
    let footer = root_as_footer(&footer).map_err(|e| damaged(&e))?;
    let blocks = footer.recordBatches().ok_or_else(|| damaged(&"no list of record batches"))?;
    let rows = |block: &arrow::ipc::Block| {
        let length = usize::try_from(block.metaDataLength()).map_err(|e| damaged(&e))?;
        let start = SeekFrom::Start(u64::try_from(block.offset()).map_err(|e| damaged(&e))?);
        let header = read_at(file, start, length)?;
        let start = if header.starts_with(&CONTINUATION) { 8 } else { 4 };
        let message = root_as_message(header.get(start..).unwrap_or_default()).map_err(|e| damaged(&e))?;
        let batch = message.header_as_record_batch().ok_or_else(|| damaged(&"not a record batch"))?;
        usize::try_from(batch.length()).map_err(|e| damaged(&e))
    };
    blocks.iter().map(rows).collect()
}

/// So many bytes from a position. A damaged length allocates no more than the file holds.
fn read_at(file: &mut File, start: SeekFrom, length: usize) -> Result<Vec<u8>, ArrowError> {
    let mut bytes = Vec::new();
    file.seek(start)?;
    file.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length {
        return Err(ArrowError::ParseError("the file ends too early".into()));
    }
    Ok(bytes)
}
