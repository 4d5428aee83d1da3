//! Small files that would exhaust the memory or the disk when they are read.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray, StringDictionaryBuilder};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Int32Type};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};

use super::{ColumnRequest, TableReader, find_tables};
use crate::error::Result;

/// Number of rows of each batch of a table.
fn batches(path: &Path, column: &str) -> Result<Vec<usize>> {
    let table = TableReader::open(path, find_tables(path, "a table")?, vec![ColumnRequest::required(column)])?;
    table.map(|batch| Ok(batch?.rows)).collect()
}

fn parquet(path: &Path, column: ArrayRef, options: impl FnOnce(WriterPropertiesBuilder) -> WriterPropertiesBuilder) {
    let batch = RecordBatch::try_from_iter([("t", column)]).unwrap();
    let properties = options(WriterProperties::builder()).build();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// A column of `rows` rows with the same text of `length` bytes.
fn repeated(rows: usize, length: usize) -> ArrayRef {
    let mut column = StringDictionaryBuilder::<Int32Type>::new();
    let text = "x".repeat(length);
    (0..rows).for_each(|_| drop(column.append(&text)));
    Arc::new(column.finish())
}

/// Checks that the reader chooses plain text as the column's type. The file does not contain the Arrow schema.
fn read_as_text(path: &Path) {
    let bytes = fs::read(path).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes));
    assert_eq!(reader.unwrap().schema().field(0).data_type(), &DataType::Utf8);
}

/// Writes a text column with a dictionary so large that the writer does not fall back to plain encoding.
fn dictionary(path: &Path, column: ArrayRef) {
    let properties = WriterProperties::builder().set_dictionary_page_size_limit(64 << 20).build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let batch = RecordBatch::try_from_iter([("t", column)]).unwrap();
    let mut writer = ArrowWriter::try_new_with_options(File::create(path).unwrap(), batch.schema(), options).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    assert!(path.metadata().unwrap().len() < 2 << 20);
}

#[test]
fn a_long_dictionary_value_is_not_copied_to_all_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    dictionary(&path, repeated(200, 1 << 20));
    read_as_text(&path);
    assert_eq!(batches(&path, "t").unwrap(), [64, 64, 64, 8]);
}

#[test]
fn a_long_dictionary_value_in_lists_is_not_copied_to_all_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let values = repeated(300, 1 << 20);
    let field = Arc::new(Field::new("item", values.data_type().clone(), true));
    dictionary(&path, Arc::new(ListArray::new(field, OffsetBuffer::from_lengths([30; 10]), values, None)));
    assert_eq!(batches(&path, "t").unwrap(), [2; 5]);
}

#[test]
fn long_rows_are_read_in_small_batches() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let pictures: Vec<String> = (0..120).map(|row| format!("{row:03}").repeat(400_000)).collect();
    parquet(&path, Arc::new(StringArray::from(pictures)), |options| options.set_dictionary_enabled(false));
    let rows = batches(&path, "t").unwrap();
    assert!(rows.len() > 1 && rows.iter().sum::<usize>() == 120, "{rows:?}");
}

#[test]
fn a_page_with_a_high_compression_ratio_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let text = || -> ArrayRef { Arc::new(StringArray::from(vec!["x".repeat(70 << 20)])) };
    let gzip = Compression::GZIP(GzipLevel::default());
    for codec in [gzip, Compression::BROTLI(BrotliLevel::default()), Compression::ZSTD(ZstdLevel::default())] {
        parquet(&path, text(), |options| options.set_dictionary_enabled(false).set_compression(codec));
        assert!(path.metadata().unwrap().len() < 1 << 20);
        let error = batches(&path, "t").unwrap_err().to_string();
        assert!(error.contains("column \"t\": expected a page that decompresses to at most 64 MiB"), "{error}");
    }
    // A page of a column that is not read is not checked.
    let both =
        RecordBatch::try_from_iter([("t", text()), ("n", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), both.schema(), Some(properties)).unwrap();
    writer.write(&both).unwrap();
    writer.close().unwrap();
    assert_eq!(batches(&path, "n").unwrap(), [1]);
}

/// A header can declare any size. The decoders of gzip and Brotli decompress the whole page regardless.
#[test]
fn a_page_that_is_longer_than_its_header_declares_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    // Random hexadecimal digits compress poorly. So the page is larger than the gzip pages that the check skips.
    let mut state = 1u64;
    let mut word = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("{:x}", state >> 20)
    };
    let text: String = (0..40_000).map(|_| word()).collect();
    for codec in [Compression::GZIP(GzipLevel::default()), Compression::BROTLI(BrotliLevel::default())] {
        let column: ArrayRef = Arc::new(StringArray::from(vec![text.clone()]));
        parquet(&path, column, |options| options.set_dictionary_enabled(false).set_compression(codec));
        assert_eq!(batches(&path, "t").unwrap(), [1]);
        let bytes = fs::read(&path).unwrap();
        // The header begins with the page type 0 and the decompressed size, both as zigzag varints.
        let size = (text.len() as u64 + 4 + 6) * 2;
        let mut damaged = Vec::new();
        for levels in 0..16 {
            let varint = varint(size - 2 * levels);
            let wanted = [&[0x15, 0x00, 0x15], varint.as_slice()].concat();
            if let Some(at) = bytes.windows(wanted.len()).position(|window| window == wanted) {
                damaged = bytes.clone();
                // Half of the size, in the same number of bytes.
                damaged[at + 3..at + 3 + varint.len()].copy_from_slice(&self::varint(size / 4 * 2));
            }
        }
        assert!(!damaged.is_empty(), "no such header");
        fs::write(&path, damaged).unwrap();
        let error = batches(&path, "t").unwrap_err().to_string();
        assert!(error.contains("bytes that its header declares"), "{codec}: {error}");
    }
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[test]
fn compressed_arrow_with_a_huge_declared_size_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let column: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(100_000)]));
    let batch = RecordBatch::try_from_iter([("t", column)]).unwrap();
    for codec in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
        let options = || IpcWriteOptions::default().try_with_compression(Some(codec)).unwrap();
        let mut file = FileWriter::try_new_with_options(Vec::new(), &batch.schema(), options()).unwrap();
        file.write(&batch).unwrap();
        let mut stream = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options()).unwrap();
        stream.write(&batch).unwrap();
        for (name, bytes) in [("a.arrow", file.into_inner().unwrap()), ("a.arrows", stream.into_inner().unwrap())] {
            let path: PathBuf = folder.path().join(name);
            fs::write(&path, &bytes).unwrap();
            assert_eq!(batches(&path, "t").unwrap(), [1], "{name}");
            let length = 100_000i64.to_le_bytes();
            let at = bytes.windows(8).rposition(|window| window == length).unwrap();
            let grown = [&bytes[..at], &(1i64 << 42).to_le_bytes(), &bytes[at + 8..]].concat();
            fs::write(&path, grown).unwrap();
            let error = batches(&path, "t").unwrap_err().to_string();
            assert!(error.contains("bytes that decompresses to 43980465"), "{name}: {error}");
        }
    }
}
