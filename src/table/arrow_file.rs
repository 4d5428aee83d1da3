//! Checks Arrow IPC files and streams without decoding them: the number of rows of each record batch, truncation, and
//! the declared size of compressed batches.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::ipc::convert::try_fb_to_schema;
use arrow::ipc::reader::read_footer_length;
use arrow::ipc::{Message, root_as_footer, root_as_message};

use super::limits::{MAX_EXPANSION, MAX_SMALL_BATCH, mib};

/// Length of the end of a file: the footer's length and the magic bytes.
const TRAILER: usize = 10;
/// Marker before the length of a message. Files of old versions do not have it.
const CONTINUATION: [u8; 4] = [0xFF; 4];

/// Refuses a file with a block that ends after the file. The reader would allocate memory for the block before reading
/// it.
pub(super) fn check_file(file: &mut File) -> Result<(), ArrowError> {
    let whole = file.seek(SeekFrom::End(0))?;
    let footer = read_footer(file)?;
    let footer = root_as_footer(&footer).map_err(|e| damaged(&e))?;
    let blocks = footer.recordBatches().into_iter().chain(footer.dictionaries()).flatten();
    for block in blocks {
        let numbers = [block.offset(), block.metaDataLength().into(), block.bodyLength()];
        let end = numbers.into_iter().try_fold(0u64, |sum, n| sum.checked_add(u64::try_from(n).ok()?));
        if end.is_none_or(|end| end > whole) {
            return Err(damaged(&format!("a block of {} bytes in a file of {whole}", block.bodyLength())));
        }
        let header = block_header(file, block)?;
        // The reader would accept a header that continues in the body.
        let message = root_as_message(message_of(&header)).map_err(|e| damaged(&e))?;
        let body = block.offset() as u64 + block.metaDataLength() as u64;
        file.seek(SeekFrom::Start(body))?;
        check_growth(&message, file.take(block.bodyLength() as u64))?;
    }
    Ok(())
}

/// The header of a block, including the length that precedes it.
fn block_header(file: &mut File, block: &arrow::ipc::Block) -> Result<Vec<u8>, ArrowError> {
    let length = usize::try_from(block.metaDataLength()).map_err(|e| damaged(&e))?;
    let start = SeekFrom::Start(u64::try_from(block.offset()).map_err(|e| damaged(&e))?);
    read_at(file, start, length)
}

fn message_of(header: &[u8]) -> &[u8] {
    let start = if header.starts_with(&CONTINUATION) { 8 } else { 4 };
    header.get(start..).unwrap_or_default()
}

/// Refuses a compressed batch whose buffers declare too large a decompressed size, because the reader allocates the
/// declared size. Returns the number of bytes of the body that were read.
fn check_growth(message: &Message, mut body: impl Read) -> Result<u64, ArrowError> {
    let batch = message.header_as_record_batch().or_else(|| message.header_as_dictionary_batch()?.data());
    let Some(batch) = batch.filter(|batch| batch.compression().is_some()) else { return Ok(0) };
    let number = |n: i64| u64::try_from(n).map_err(|e| damaged(&e));
    let mut buffers = Vec::new();
    for buffer in batch.buffers().into_iter().flatten() {
        buffers.push((number(buffer.offset())?, number(buffer.length())?));
    }
    buffers.sort_unstable();
    let (mut at, mut packed, mut unpacked) = (0u64, 0u64, 0u64);
    // A buffer shorter than the prefix has no declared size.
    for (offset, length) in buffers.into_iter().filter(|buffer| buffer.1 >= PREFIX) {
        let skip = offset.checked_sub(at).ok_or_else(|| damaged(&"buffers that overlap"))?;
        io::copy(&mut (&mut body).take(skip), &mut io::sink())?;
        let mut grown = [0; PREFIX as usize];
        body.read_exact(&mut grown)?;
        let rest = io::copy(&mut (&mut body).take(length - PREFIX), &mut io::sink())?;
        // Otherwise, a false length would raise the limit on the decompressed size.
        if rest < length - PREFIX {
            return Err(damaged(&format!(
                "a buffer of {length} bytes, of which the message has only {}",
                rest + PREFIX
            )));
        }
        at = offset + length;
        // A declared size of -1 marks a buffer that is not compressed.
        let grown = u64::try_from(i64::from_le_bytes(grown)).unwrap_or(length);
        (packed, unpacked) = (packed.saturating_add(length), unpacked.saturating_add(grown));
    }
    if unpacked > MAX_SMALL_BATCH.max(packed.saturating_mul(MAX_EXPANSION)) {
        let most = mib(MAX_SMALL_BATCH as usize);
        let what = format!(
            "a batch of {packed} bytes that decompresses to {unpacked}, above {most} and {MAX_EXPANSION} times its size"
        );
        return Err(ArrowError::ParseError(what));
    }
    Ok(at)
}

/// Length in bytes of the declared size before a compressed buffer.
const PREFIX: u64 = 8;

/// Refuses a stream with a message that is longer than the rest of the stream. The reader would allocate memory for the
/// message before reading it.
pub(super) fn check_stream(mut stream: impl Read) -> Result<(), ArrowError> {
    // A stream ends with a length of 0, or without one.
    while let Some(length) = message_length(&mut stream)?.filter(|&length| length != 0) {
        let length = u64::try_from(length).map_err(|e| damaged(&e))?;
        let mut header = Vec::new();
        (&mut stream).take(length).read_to_end(&mut header)?;
        if (header.len() as u64) < length {
            return Err(damaged(&format!("a header of {length} bytes, of which the stream has only {}", header.len())));
        }
        let message = root_as_message(&header).map_err(|e| damaged(&e))?;
        let body = u64::try_from(message.bodyLength()).map_err(|e| damaged(&e))?;
        let read = check_growth(&message, (&mut stream).take(body))?;
        let left = read + io::copy(&mut (&mut stream).take(body - read), &mut io::sink())?;
        if left < body {
            return Err(damaged(&format!("a message of {body} bytes, of which the stream has only {left}")));
        }
    }
    Ok(())
}

/// The schema of a file. Does not decode its dictionaries, unlike `FileReader` of the arrow crate.
pub(super) fn file_schema(file: &mut File) -> Result<Schema, ArrowError> {
    let footer = read_footer(file)?;
    let footer = root_as_footer(&footer).map_err(|e| damaged(&e))?;
    try_fb_to_schema(footer.schema().ok_or_else(|| damaged(&"no schema"))?)
}

/// The schema of a stream, from its first message.
pub(super) fn stream_schema(mut stream: impl Read) -> Result<Schema, ArrowError> {
    let length = message_length(&mut stream)?.ok_or_else(|| damaged(&"no schema"))?;
    let mut header = Vec::new();
    stream.take(u64::try_from(length).map_err(|e| damaged(&e))?).read_to_end(&mut header)?;
    let message = root_as_message(&header).map_err(|e| damaged(&e))?;
    try_fb_to_schema(message.header_as_schema().ok_or_else(|| damaged(&"no schema"))?)
}

/// The length before a message. A marker can precede it.
fn message_length(stream: &mut impl Read) -> io::Result<Option<i32>> {
    let mut number = || -> io::Result<Option<i32>> {
        let mut bytes = Vec::new();
        (&mut *stream).take(4).read_to_end(&mut bytes)?;
        Ok(<[u8; 4]>::try_from(bytes).ok().map(i32::from_le_bytes))
    };
    match number()? {
        Some(-1) => number(),
        length => Ok(length),
    }
}

fn damaged(reason: &dyn std::fmt::Display) -> ArrowError {
    ArrowError::ParseError(format!("the footer or a header: {reason}"))
}

/// The bytes of a file's footer.
fn read_footer(file: &mut File) -> Result<Vec<u8>, ArrowError> {
    let mut trailer = [0; TRAILER];
    file.seek(SeekFrom::End(-(TRAILER as i64)))?;
    file.read_exact(&mut trailer)?;
    let length = read_footer_length(trailer)?;
    read_at(file, SeekFrom::End(-((TRAILER + length) as i64)), length)
}

/// Rows of each record batch of a file, read from the footer and the batches' headers.
pub(super) fn batch_rows(file: &mut File) -> Result<Vec<usize>, ArrowError> {
    let footer = read_footer(file)?;
    let footer = root_as_footer(&footer).map_err(|e| damaged(&e))?;
    let blocks = footer.recordBatches().ok_or_else(|| damaged(&"no list of record batches"))?;
    let rows = |block: &arrow::ipc::Block| {
        let header = block_header(file, block)?;
        let message = root_as_message(message_of(&header)).map_err(|e| damaged(&e))?;
        let batch = message.header_as_record_batch().ok_or_else(|| damaged(&"not a record batch"))?;
        usize::try_from(batch.length()).map_err(|e| damaged(&e))
    };
    blocks.iter().map(rows).collect()
}

/// Reads `length` bytes from a position. A damaged length allocates no more memory than the file has bytes.
fn read_at(file: &mut File, start: SeekFrom, length: usize) -> Result<Vec<u8>, ArrowError> {
    let mut bytes = Vec::new();
    file.seek(start)?;
    file.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length {
        return Err(ArrowError::ParseError("the file ends too early".into()));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use arrow::ipc::writer::{FileWriter, StreamWriter};

    use super::*;

    fn table() -> RecordBatch {
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        RecordBatch::try_from_iter([("id", ids)]).unwrap()
    }

    /// Copies of `bytes` with each occurrence of this number replaced by a huge one.
    fn grown(bytes: &[u8], number: i64) -> Vec<Vec<u8>> {
        let at = |at: &usize| bytes[*at..].starts_with(&number.to_le_bytes());
        let grow = |at: usize| [&bytes[..at], &(1i64 << 40).to_le_bytes(), &bytes[at + 8..]].concat();
        (0..bytes.len()).filter(at).map(grow).collect()
    }

    #[test]
    fn a_block_that_ends_after_its_file_is_refused() {
        let check = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            check_file(&mut file).map_err(|e| e.to_string())
        };
        let mut writer = FileWriter::try_new(Vec::new(), &table().schema()).unwrap();
        writer.write(&table()).unwrap();
        let bytes = writer.into_inner().unwrap();
        check(&bytes).unwrap();
        // The length occurs in the message and in the footer. This check uses only the footer.
        let errors: Vec<String> = grown(&bytes, 8_000).iter().filter_map(|grown| check(grown).err()).collect();
        let errors = [errors, grown(&bytes, 8_064).iter().filter_map(|grown| check(grown).err()).collect()].concat();
        assert!(errors.iter().any(|error| error.contains("a block of 1099511627776 bytes")), "{errors:?}");
    }

    #[test]
    fn a_message_that_is_longer_than_its_stream_is_refused() {
        let mut writer = StreamWriter::try_new(Vec::new(), &table().schema()).unwrap();
        writer.write(&table()).unwrap();
        let bytes = writer.into_inner().unwrap();
        check_stream(&bytes[..]).unwrap();
        let huge = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F];
        assert!(check_stream(&huge[..]).unwrap_err().to_string().contains("the stream has only 0"));
        let error = check_stream(&bytes[..bytes.len() - 100]).unwrap_err().to_string();
        assert!(error.contains("the stream has only"), "{error}");
    }
}
