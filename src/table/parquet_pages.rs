//! Checks the pages of a Parquet file before they are decompressed.
//!
//! The Parquet library allocates the size that a page header declares, decompresses pages of some codecs beyond that
//! size, and copies a dictionary value to each row that has it. So a small file could exhaust the memory.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::Schema;
use parquet::basic::{Compression, Type};
use parquet::column::page::{Page, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;

use super::damaged;
use super::limits::{BATCH_BYTES, MAX_EXPANSION, MAX_LONG_VALUE, MAX_PACKED_VALUES, MAX_SMALL_PAGE, mib};
use super::open_table::BATCH_ROWS;
use super::page_header::PageHeader;
use crate::error::{Error, Result};
use crate::guard::guarded;

/// Maximum size of a batch in bytes, estimated from the mean size of its rows.
const READ_AT_ONCE: u64 = 4 * BATCH_BYTES as u64;
/// First bytes of an LZ4 frame.
const LZ4_FRAME: [u8; 4] = [0x04, 0x22, 0x4D, 0x18];

/// Properties of the checked columns that determine how they can be read.
#[derive(Debug, Default)]
pub(crate) struct CheckedPages {
    /// Indices of top-level columns whose dictionaries have values that should not be copied to each row.
    pub(super) long_values: Vec<usize>,
    /// Mean size of a row in bytes, in the row group where it is largest.
    row_bytes: u64,
}

impl CheckedPages {
    /// Refuses columns whose dictionaries have long values, for readers that copy such a value to each row.
    ///
    /// # Errors
    /// [`Error::Column`] for the first such column.
    pub(crate) fn refuse_long_values(&self, path: &Path, schema: &Schema) -> Result<()> {
        let Some(&column) = self.long_values.first() else { return Ok(()) };
        Err(Error::Column {
            path: path.to_path_buf(),
            column: schema.field(column).name().clone(),
            expected: format!("values of at most {} KiB", MAX_LONG_VALUE >> 10),
            got: "a longer value".into(),
            help: "shorten the values of this column".into(),
        })
    }

    /// Number of rows per batch.
    pub(super) fn batch_rows(&self) -> usize {
        (READ_AT_ONCE / self.row_bytes.max(1)).clamp(1, BATCH_ROWS as u64) as usize
    }
}

/// Checks the pages of the top-level columns with these indices, or of all columns.
///
/// # Errors
/// [`Error::Column`] for a page with too high a compression ratio, too many list values, or too long a fixed length;
/// [`Error::File`] for a damaged file.
pub(crate) fn check_pages<R: ChunkReader + 'static>(
    path: &Path,
    file: &Arc<R>,
    metadata: &ParquetMetaData,
    columns: Option<&[usize]>,
) -> Result<CheckedPages> {
    guarded(|| PageCheck { path, file }.check(metadata, columns))
        .unwrap_or_else(|panicked| Err(damaged(path, panicked)))
}

struct PageCheck<'a, R> {
    path: &'a Path,
    file: &'a Arc<R>,
}

impl<R: ChunkReader + 'static> PageCheck<'_, R> {
    fn check(&self, metadata: &ParquetMetaData, columns: Option<&[usize]>) -> Result<CheckedPages> {
        let schema = metadata.file_metadata().schema_descr();
        let mut checked = CheckedPages::default();
        let mut left = self.file.len();
        for group in metadata.row_groups() {
            let mut of_group = BTreeMap::new();
            for (leaf, chunk) in group.columns().iter().enumerate() {
                let column = schema.get_column_root_idx(leaf);
                if columns.is_some_and(|columns| !columns.contains(&column)) {
                    continue;
                }
                // Column chunks must not share bytes. Otherwise, a short file could have many pages.
                left = left
                    .checked_sub(chunk.byte_range().1)
                    .ok_or_else(|| damaged(self.path, "column chunks that are longer than the file"))?;
                let (bytes, long) = self.chunk(chunk, group.num_rows())?;
                *of_group.entry(column).or_insert(0u64) += bytes;
                if long && !checked.long_values.contains(&column) {
                    checked.long_values.push(column);
                }
            }
            let rows = u64::try_from(group.num_rows()).unwrap_or(0).max(1);
            checked.row_bytes = checked.row_bytes.max(of_group.into_values().sum::<u64>() / rows);
        }
        Ok(checked)
    }

    /// Decompressed size of the pages of a chunk in bytes, and whether its dictionary has long values.
    fn chunk(&self, chunk: &ColumnChunkMetaData, rows: i64) -> Result<(u64, bool)> {
        let (mut at, length) = chunk.byte_range();
        let (end, mut bytes, mut values, mut dictionary) = (at.saturating_add(length), 0u64, 0u64, false);
        while at < end {
            let header = self.file.get_read(at).and_then(|read| Ok(PageHeader::read(read)?));
            let header = header.map_err(|e| damaged(self.path, e))?;
            at = at.saturating_add(header.length);
            if at.saturating_add(header.packed) > self.file.len() {
                return Err(damaged(self.path, "a page that ends after the file"));
            }
            self.check_page(chunk, &header, at)?;
            at += header.packed;
            bytes = bytes.saturating_add(header.unpacked);
            values = values.saturating_add(header.values);
            dictionary |= header.is_dictionary;
        }
        let nested = chunk.column_descr().max_rep_level() > 0;
        if nested && values > MAX_PACKED_VALUES.max(length.saturating_mul(MAX_EXPANSION)) {
            let expected = format!("lists of at most {MAX_PACKED_VALUES} values in a column chunk of {length} bytes");
            return Err(self.column(chunk, expected, format!("{values} values")));
        }
        let long = match chunk.column_type() {
            Type::FIXED_LEN_BYTE_ARRAY => {
                let length = chunk.column_descr().type_length();
                if usize::try_from(length).is_ok_and(|length| length > MAX_LONG_VALUE) {
                    let expected = format!("values of a fixed length of at most {MAX_LONG_VALUE} bytes");
                    return Err(self.column(chunk, expected, format!("{length} bytes")));
                }
                false
            }
            Type::BYTE_ARRAY if dictionary => {
                let longest = self.longest(chunk, rows).map_err(|e| damaged(self.path, e))?;
                longest > MAX_LONG_VALUE || nested && values.saturating_mul(longest as u64) > READ_AT_ONCE
            }
            _ => false,
        };
        Ok((bytes, long))
    }

    /// Checks the decompressed size of a page. `start` is the position of its data, after the header.
    fn check_page(&self, chunk: &ColumnChunkMetaData, header: &PageHeader, start: u64) -> Result<()> {
        let codec = chunk.compression();
        if codec == Compression::UNCOMPRESSED || !header.is_compressed {
            return Ok(());
        }
        let grown = |got: String| {
            let most = format!("{} or {MAX_EXPANSION} times its size", mib(MAX_SMALL_PAGE as usize));
            Err(self.column(chunk, format!("a page that decompresses to at most {most}"), got))
        };
        if header.unpacked > MAX_SMALL_PAGE.max(header.packed.saturating_mul(MAX_EXPANSION)) {
            return grown(format!("{} from {} bytes", mib(header.unpacked as usize), header.packed));
        }
        let (skip, most) = (header.levels.min(header.packed), header.unpacked.saturating_sub(header.levels));
        let packed = || self.file.get_bytes(start + skip, (header.packed - skip) as usize);
        let unpacked = match codec {
            // The compression ratio of gzip is below 1,100.
            Compression::GZIP(_) if header.packed.saturating_mul(1_100) <= MAX_SMALL_PAGE => return Ok(()),
            Compression::GZIP(_) => packed().map(|data| count(flate2::read::MultiGzDecoder::new(&data[..]), most)),
            Compression::BROTLI(_) => packed().map(|data| count(brotli::Decompressor::new(&data[..], 1 << 16), most)),
            Compression::LZ4 => packed().map(|data| match data.starts_with(&LZ4_FRAME) {
                true => count(lz4_flex::frame::FrameDecoder::new(&data[..]), most),
                false => 0,
            }),
            _ => return Ok(()),
        };
        match unpacked.map_err(|e| damaged(self.path, e))? {
            bytes if bytes > most => grown(format!("more than the {most} bytes that its header declares")),
            _ => Ok(()),
        }
    }

    /// Length of the longest value in the dictionary of a chunk.
    fn longest(&self, chunk: &ColumnChunkMetaData, rows: i64) -> std::result::Result<usize, ParquetError> {
        let rows = usize::try_from(rows).unwrap_or(0);
        let mut pages = SerializedPageReader::new(self.file.clone(), chunk, rows, None)?;
        let Some(Page::DictionaryPage { buf, .. }) = pages.get_next_page()? else { return Ok(0) };
        let (mut rest, mut longest) = (&buf[..], 0);
        while let Some((length, after)) = rest.split_first_chunk() {
            let length = u32::from_le_bytes(*length) as usize;
            longest = longest.max(length);
            rest = after.get(length..).unwrap_or_default();
        }
        Ok(longest)
    }

    fn column(&self, chunk: &ColumnChunkMetaData, expected: String, got: String) -> Error {
        Error::Column {
            path: self.path.to_path_buf(),
            column: chunk.column_path().string(),
            expected,
            got,
            help: "write the column with shorter values or in smaller row groups, or leave it out".into(),
        }
    }
}

/// Number of bytes that a reader returns, at most `most + 1`. Ignores errors: the Parquet reader reports them later.
fn count(reader: impl Read, most: u64) -> u64 {
    let mut counted = CountedBytes(0);
    let _ = io::copy(&mut reader.take(most.saturating_add(1)), &mut counted);
    counted.0
}

struct CountedBytes(u64);

impl io::Write for CountedBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
