//! Tables that other programs wrote: all compressions, and many kinds of damage.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::{ColumnRequest, CsvDialect, TableReader, find_tables};
use crate::error::Result;

fn batch() -> RecordBatch {
    let words = DictionaryArray::new(
        Int32Array::from_iter_values((0..500).map(|row| row % 2)),
        Arc::new(StringArray::from(vec!["odd", "even"])),
    );
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..500))),
        ("t", Arc::new(StringArray::from_iter_values((0..500).map(|row| format!("thing {row}"))))),
        ("word", Arc::new(words)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Rows and notes of a path; the requested columns are decoded.
fn read(path: &Path, columns: &[&str], dialect: CsvDialect) -> Result<(Vec<Vec<String>>, Vec<String>)> {
    let requests = columns.iter().map(|name| ColumnRequest::required(name)).collect();
    let mut reader = TableReader::open(path, find_tables(path, "a table")?.with_dialect(dialect), requests)?;
    let mut rows = Vec::new();
    for batch in &mut reader {
        let batch = batch?;
        let text = |column: &ArrayRef| arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8).unwrap();
        let cells: Vec<ArrayRef> = batch.columns.iter().flatten().map(|(_, column)| text(column)).collect();
        rows.extend((0..batch.rows).map(|row| {
            let cell =
                |column: &ArrayRef| column.as_string::<i32>().iter().nth(row).flatten().unwrap_or("-").to_owned();
            cells.iter().map(cell).collect::<Vec<String>>()
        }));
    }
    Ok((rows, reader.notes().take()))
}

fn rows(path: &Path, columns: &[&str]) -> Result<Vec<Vec<String>>> {
    read(path, columns, CsvDialect::default()).map(|(rows, _)| rows)
}

fn parquet(compression: Compression) -> Vec<u8> {
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch().schema(), Some(properties)).unwrap();
    writer.write(&batch()).unwrap();
    writer.into_inner().unwrap()
}

fn ipc(compression: Option<CompressionType>) -> [Vec<u8>; 2] {
    let options = || IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let mut file = FileWriter::try_new_with_options(Vec::new(), &batch().schema(), options()).unwrap();
    file.write(&batch()).unwrap();
    let mut stream = StreamWriter::try_new_with_options(Vec::new(), &batch().schema(), options()).unwrap();
    stream.write(&batch()).unwrap();
    [file.into_inner().unwrap(), stream.into_inner().unwrap()]
}

#[test]
fn every_compression_within_a_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut files: Vec<Vec<u8>> = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ]
    .map(parquet)
    .into();
    for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
        files.extend(ipc(compression));
    }
    for (number, bytes) in files.iter().enumerate() {
        // The format is detected by content, whatever the file name.
        let path = folder.path().join(format!("{number}.arrow"));
        fs::write(&path, bytes).unwrap();
        let rows = rows(&path, &["t", "word"]).unwrap_or_else(|e| panic!("{number}: {e}"));
        assert_eq!((rows.len(), &rows[499]), (500, &vec!["thing 499".to_owned(), "even".into()]), "{number}");
    }
}

#[test]
fn damaged_files_give_errors_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.arrow");
    let [file, stream] = ipc(None);
    let [packed, _] = ipc(Some(CompressionType::LZ4_FRAME));
    let mut draws = 1_u64;
    let mut draw = |below: usize| {
        // A random number generator (Knuth's MMIX).
        draws = draws.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (draws >> 33) as usize % below
    };
    let mut refused = 0;
    for sound in [file, stream, packed, parquet(Compression::SNAPPY)] {
        for _ in 0..250 {
            let mut bytes = sound.clone();
            match draw(3) {
                0 => bytes.truncate(8 + draw(bytes.len() - 8)),
                1 => {
                    let at = 8 + draw(bytes.len() - 8);
                    bytes[at] ^= 1 << draw(8);
                }
                _ => {
                    // Lengths and offsets are at the end of files and at the start of messages.
                    let at = if draw(2) == 0 { 8 + draw(400) } else { bytes.len() - 8 - draw(400) };
                    bytes[at..at + 4].copy_from_slice(&[[0xFF; 4], [0x7F; 4], [0; 4]][draw(3)]);
                }
            }
            fs::write(&path, bytes).unwrap();
            refused += usize::from(rows(&path, &["t", "word"]).is_err());
        }
    }
    assert!(refused > 200, "{refused}");
}

#[test]
fn hive_folders_give_columns_and_other_entries_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    write("year=2023/a.csv", "id,t\n1,x\n");
    write("year=2024/b.csv", "id,t\n2,y\n");
    write("notes.txt", "");
    let (found, notes) = read(folder.path(), &["id", "year"], CsvDialect::default()).unwrap();
    assert_eq!(found, [["1", "2023"], ["2", "2024"]]);
    assert!(notes[0].contains("skipped 1 other file (notes.txt)"), "{notes:?}");
    let pattern = folder.path().join("year=*/*.csv");
    assert_eq!(rows(&pattern, &["year", "t"]).unwrap(), [["2023", "x"], ["2024", "y"]]);
    // A column in the file takes precedence over a partition column. A folder that does not name the column is an
    // error.
    write("year=2024/b.csv", "id,year\n2,7\n");
    assert_eq!(rows(folder.path(), &["year"]).unwrap(), [["2023"], ["7"]]);
    write("c.csv", "id,t\n3,z\n");
    let error = rows(folder.path(), &["year"]).unwrap_err().to_string();
    assert!(error.contains("c.csv, column \"year\""), "{error}");
    fs::remove_file(folder.path().join("c.csv")).unwrap();
    fs::remove_dir_all(folder.path().join("year=2023")).unwrap();
    fs::remove_dir_all(folder.path().join("year=2024")).unwrap();
    write("month=__HIVE_DEFAULT_PARTITION__/a.jsonl", "{\"id\": 1}\n");
    assert_eq!(rows(folder.path(), &["id", "month"]).unwrap(), [["1", "-"]]);
}

#[test]
fn quote_characters_follow_the_format_or_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let cells = |name: &str, content: &str, dialect: CsvDialect| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        read(&path, &["id", "t"], dialect).map_err(|e| e.to_string())
    };
    let usual = CsvDialect::default();
    let with = |quote: &str, escape: &str| CsvDialect {
        quote: Some(quote.parse().unwrap()),
        escape: Some(escape.parse().unwrap()),
    };
    let tsv = "id\tt\n1\t\"Foo\" bar\n2\t\"Opening only\n3\t5\" disk\n4\t\n";
    let (found, notes) = cells("a.tsv", tsv, usual).unwrap();
    assert_eq!(found, [["1", "\"Foo\" bar"], ["2", "\"Opening only"], ["3", "5\" disk"], ["4", "-"]]);
    assert!(notes.is_empty(), "{notes:?}");
    let (found, notes) = cells("b.tsv", "id\tt\n1\t\"a b\"\n", usual).unwrap();
    assert_eq!((&found[0][1][..], notes.len()), ("\"a b\"", 1));
    assert!(notes[0].contains("line 2: quotes around cells are kept") && notes[0].contains("--csv-quote"), "{notes:?}");
    assert_eq!(cells("b.tsv", "id\tt\n1\t\"a\tb\"\n", with("\"", "none")).unwrap().0, [["1", "a\tb"]]);
    let spark = "id,t,u\n1,\"a \\\"quoted\\\" word, and more\",x\n2,plain,y\n";
    assert!(cells("c.csv", spark, usual).unwrap_err().contains("--csv-escape '\\'"));
    let (found, _) = cells("c.csv", spark, with("\"", "\\")).unwrap();
    assert_eq!(found, [["1", "a \"quoted\" word, and more"], ["2", "plain"]]);
    assert_eq!(cells("c.csv", "id,t\n1,\"x\n", with("none", "none")).unwrap().0, [["1", "\"x"]]);
    assert!(cells("c.csv", "id,t\n1,x\n", with("'", "'")).unwrap_err().contains("a character other than the quote"));
    let (found, notes) = cells("d.csv", "id,t,t\n1,x,y\n", usual).unwrap();
    assert_eq!((&found[0][1][..], notes.len()), ("x", 1));
    assert!(notes[0].contains("several columns are named \"t\"; the first is read"), "{notes:?}");
    let error = cells("e.csv", "id,t\n1,x\n\n2,\"a\nb\",c\n", usual).unwrap_err();
    assert!(error.contains("expected 2 cells in line 4, as in the header, got 3 cells"), "{error}");
}

#[test]
fn a_file_of_many_columns_takes_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    let names: String = (0..70_000).map(|column| format!(",c{column}")).collect();
    fs::write(&path, format!("id{names}\n7{}\n", ",x".repeat(70_000))).unwrap();
    assert_eq!(rows(&path, &["id", "c69999"]).unwrap(), [["7", "x"]]);
    let keys: String = (0..120_000).map(|key| format!(",\"k{key}\":{key}")).collect();
    let path = folder.path().join("a.jsonl");
    fs::write(&path, format!("{{\"id\":7{keys}}}\n")).unwrap();
    assert_eq!(rows(&path, &["id", "k119999"]).unwrap(), [["7", "119999"]]);
}

#[test]
fn json_that_python_writes_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    fs::write(&path, "{\"id\":1,\"t\":NaN,\"x\":Infinity}\n{\"id\":2,\"t\":\"hat \\ud83d\"}\n").unwrap();
    assert_eq!(rows(&path, &["id", "t"]).unwrap(), [["1", "-"], ["2", "hat \u{fffd}"]]);
}
