//! Tables that are read part by part, in any order: the row groups of Parquet files, the record batches of Arrow IPC
//! files.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use arrow::ipc::writer::FileWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use tempfile::{NamedTempFile, TempPath};

use super::column_request::{ColumnRequest, list_columns};
use super::compression::{decompressed_to_disk, unpacked};
use super::files::TableFiles;
use super::foreign::{foreign, foreign_batches};
use super::open_table::RecordBatches;
use super::parquet_pages::check_pages;
use super::{TableFormat, arrow_file, check_parquet, damaged};
use crate::artifact::open_regular;
use crate::error::{Error, Result};

/// A table whose parts can be read separately. The parts of all files are numbered consecutively, in the order of the
/// files.
#[derive(Debug)]
pub(crate) struct TableParts {
    files: Vec<PartsFile>,
    /// File, index within the file and number of rows of each part.
    parts: Vec<(usize, usize, usize)>,
}

/// One file of the table.
#[derive(Debug)]
struct PartsFile {
    path: PathBuf,
    /// A temporary file that is read instead of `path`.
    unpacked: Option<TempPath>,
    container: PartsContainer,
    /// Indices of the columns that are read.
    columns: Vec<usize>,
}

#[derive(Debug)]
enum PartsContainer {
    Parquet(ArrowReaderMetadata),
    Arrow,
}

impl TableParts {
    /// Opens the files of a table. `select` receives the schema of each file and returns the names of the columns to
    /// read. Compressed files are decompressed to temporary files. Streams are copied to temporary files in parts of
    /// `part_rows`.
    ///
    /// # Errors
    /// Errors of `select`; [`Error::Column`] for a column that a file does not have; [`Error::File`] for CSV and JSON
    /// Lines, and for a damaged file.
    pub(crate) fn open(
        path: &Path,
        files: TableFiles,
        part_rows: usize,
        mut select: impl FnMut(&Path, &SchemaRef) -> Result<Vec<String>>,
    ) -> Result<Self> {
        let mut table = TableParts { files: Vec::new(), parts: Vec::new() };
        for file in files.files {
            let (file, rows) = match files.format {
                TableFormat::Parquet => open_parquet(file, &mut select)?,
                TableFormat::ArrowFile => open_arrow_file(file, &mut select)?,
                TableFormat::ArrowStream => open_arrow_stream(file, part_rows, &mut select)?,
                other @ (TableFormat::Csv | TableFormat::Tsv | TableFormat::JsonLines) => {
                    let help = "write the table as Parquet or Arrow IPC";
                    return Err(Error::file(path, "a Parquet or Arrow table", format!("a {other} table"), help));
                }
            };
            let number = table.files.len();
            table.parts.extend(rows.into_iter().enumerate().map(|(index, rows)| (number, index, rows)));
            table.files.push(file);
        }
        Ok(table)
    }

    /// Number of parts.
    pub(crate) fn len(&self) -> usize {
        self.parts.len()
    }

    /// Number of rows of all parts.
    pub(crate) fn rows(&self) -> usize {
        self.parts.iter().map(|part| part.2).sum()
    }

    /// The row of the table that each part begins with.
    pub(crate) fn first_rows(&self) -> Vec<usize> {
        let mut next = 0;
        let first = |part: &(usize, usize, usize)| {
            next += part.2;
            next - part.2
        };
        self.parts.iter().map(first).collect()
    }

    /// The file of a part, and the first row of the part within that file.
    pub(crate) fn file_of_part(&self, part: usize) -> (&Path, usize) {
        let (file, index, _) = self.parts[part];
        let before = self.parts.iter().filter(|part| part.0 == file && part.1 < index);
        (&self.files[file].path, before.map(|part| part.2).sum())
    }

    /// The file of a row of the table, and the row within that file.
    pub(crate) fn file_of_row(&self, row: usize) -> (&Path, usize) {
        let first_rows = self.first_rows();
        let part = first_rows.partition_point(|&first| first <= row).saturating_sub(1);
        let (path, first) = self.file_of_part(part);
        (path, first + row - first_rows[part])
    }

    /// The selected columns of a part, in batches of at most `batch_rows`.
    pub(crate) fn batches(&self, part: usize, batch_rows: usize) -> Result<RecordBatches> {
        let (file, index, _) = self.parts[part];
        let PartsFile { path, container, columns, .. } = &self.files[file];
        let opened = open_regular(self.files[file].readable()).map_err(|e| Error::io("read", path, e))?;
        let batches: Box<dyn Iterator<Item = std::result::Result<RecordBatch, ArrowError>>> = match container {
            PartsContainer::Parquet(metadata) => {
                let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(opened, metadata.clone());
                let projection = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
                let builder = builder.with_projection(projection).with_row_groups(vec![index]);
                Box::new(foreign(path, || builder.with_batch_size(batch_rows).build())?)
            }
            PartsContainer::Arrow => {
                let mut reader = foreign(path, || FileReader::try_new(BufReader::new(opened), Some(columns.clone())))?;
                foreign(path, || reader.set_index(index))?;
                Box::new(reader.take(1).flat_map(move |batch| slices(batch, batch_rows)))
            }
        };
        Ok(foreign_batches(path, batches))
    }
}

impl PartsFile {
    fn readable(&self) -> &Path {
        self.unpacked.as_deref().unwrap_or(&self.path)
    }
}

/// Slices of a batch of any size; they share its memory.
fn slices(
    batch: std::result::Result<RecordBatch, ArrowError>,
    rows: usize,
) -> Vec<std::result::Result<RecordBatch, ArrowError>> {
    match batch {
        Ok(batch) => (0..batch.num_rows())
            .step_by(rows)
            .map(|from| Ok(batch.slice(from, rows.min(batch.num_rows() - from))))
            .collect(),
        Err(error) => vec![Err(error)],
    }
}

/// Indices of columns in the schema, in ascending order.
fn places(path: &Path, schema: &Schema, names: &[String]) -> Result<Vec<usize>> {
    let place = |name: &String| {
        let available = || list_columns(schema.fields().iter().map(|field| field.name()));
        schema.index_of(name).map_err(|_| ColumnRequest::required(name).absent(path, &available()))
    };
    let mut places = names.iter().map(place).collect::<Result<Vec<usize>>>()?;
    places.sort_unstable();
    places.dedup();
    Ok(places)
}

type Select<'a> = &'a mut dyn FnMut(&Path, &SchemaRef) -> Result<Vec<String>>;

fn open_parquet(path: PathBuf, select: Select) -> Result<(PartsFile, Vec<usize>)> {
    let unpacked = unpacked(&path)?.map(NamedTempFile::into_temp_path);
    let file = open_regular(unpacked.as_deref().unwrap_or(&path)).map_err(|e| Error::io("read", &path, e))?;
    let metadata = foreign(&path, || ArrowReaderMetadata::load(&file, ArrowReaderOptions::default()))?;
    let columns = places(&path, metadata.schema(), &select(&path, metadata.schema())?)?;
    check_parquet(&path, &file, metadata.metadata(), "restore it from a copy, or create it again")?;
    let pages = check_pages(&path, &Arc::new(file), metadata.metadata(), Some(&columns))?;
    pages.refuse_long_values(&path, metadata.schema())?;
    let rows = metadata.metadata().row_groups().iter().map(|group| group.num_rows() as usize).collect();
    Ok((PartsFile { path, unpacked, container: PartsContainer::Parquet(metadata), columns }, rows))
}

fn open_arrow_file(path: PathBuf, select: Select) -> Result<(PartsFile, Vec<usize>)> {
    let unpacked = unpacked(&path)?.map(NamedTempFile::into_temp_path);
    let open = || open_regular(unpacked.as_deref().unwrap_or(&path)).map_err(|e| Error::io("read", &path, e));
    let mut file = open()?;
    foreign(&path, || arrow_file::check_file(&mut file))?;
    let schema = foreign(&path, || FileReader::try_new_buffered(file, None))?.schema();
    let columns = places(&path, &schema, &select(&path, &schema)?)?;
    let mut file = open()?;
    let rows = foreign(&path, || arrow_file::batch_rows(&mut file))?;
    Ok((PartsFile { path, unpacked, container: PartsContainer::Arrow, columns }, rows))
}

/// A stream has no random access: its selected columns are copied to a temporary Arrow IPC file.
fn open_arrow_stream(path: PathBuf, part_rows: usize, select: Select) -> Result<(PartsFile, Vec<usize>)> {
    let bytes = decompressed_to_disk(&path)?;
    foreign(&path, || arrow_file::check_stream(bytes))?;
    let reader = |places| {
        let bytes = decompressed_to_disk(&path)?;
        foreign(&path, || StreamReader::try_new_buffered(bytes, places))
    };
    let schema = reader(None)?.schema();
    let stream = reader(Some(places(&path, &schema, &select(&path, &schema)?)?))?;
    let fields: Vec<Field> = stream.schema().fields().iter().map(|field| without_dictionary(field)).collect();
    let schema = Arc::new(Schema::new(fields));
    let mut temporary = NamedTempFile::new().map_err(|e| Error::io("unpack", &path, e))?;
    let unpack = |e: ArrowError| Error::io("unpack", &path, std::io::Error::other(e));
    let mut writer = FileWriter::try_new_buffered(&mut temporary, &schema).map_err(unpack)?;
    let mut rows = Vec::new();
    for batch in foreign_batches(&path, stream.flat_map(move |batch| slices(batch, part_rows))) {
        let batch = batch?;
        let columns =
            batch.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
        let columns = columns.collect::<std::result::Result<_, _>>().map_err(|e| damaged(&path, e))?;
        writer.write(&RecordBatch::try_new(schema.clone(), columns).map_err(unpack)?).map_err(unpack)?;
        rows.push(batch.num_rows());
    }
    writer.finish().map_err(unpack)?;
    drop(writer);
    let columns = (0..schema.fields().len()).collect();
    let unpacked = Some(temporary.into_temp_path());
    Ok((PartsFile { path, unpacked, container: PartsContainer::Arrow, columns }, rows))
}

/// The field without dictionary encoding. Unlike a stream, a file cannot replace a dictionary.
fn without_dictionary(field: &Field) -> Field {
    match field.data_type() {
        DataType::Dictionary(_, value) => field.clone().with_data_type((**value).clone()),
        _ => field.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{find_tables, samples};
    use arrow::array::{AsArray, DictionaryArray, Int32Array, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;

    fn numbers(rows: std::ops::Range<i64>) -> RecordBatch {
        words(rows, ["even", "odd"])
    }

    fn words(rows: std::ops::Range<i64>, words: [&str; 2]) -> RecordBatch {
        let keys = Int32Array::from_iter_values(rows.clone().map(|row| (row % 2) as i32));
        let words = DictionaryArray::new(keys, Arc::new(StringArray::from_iter_values(words)));
        let columns: Vec<(&str, arrow::array::ArrayRef)> = vec![
            ("n", Arc::new(Int64Array::from_iter_values(rows.clone()))),
            ("unused", Arc::new(Int64Array::from_iter_values(rows))),
            ("word", Arc::new(words)),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn open(path: &Path) -> TableParts {
        let columns = |_: &Path, _: &SchemaRef| Ok(vec!["word".to_owned(), "n".into()]);
        TableParts::open(path, find_tables(path, "a table").unwrap(), 10, columns).unwrap()
    }

    #[test]
    fn parts_are_read_in_any_order_from_every_kind_of_file() {
        let folder = tempfile::tempdir().unwrap();
        for path in samples::binary_tables(folder.path(), &[numbers(0..25), numbers(25..40)]) {
            let table = open(&path);
            assert_eq!(table.rows(), 40, "{}", path.display());
            assert!(table.len() >= 2, "{}", path.display());
            for part in (0..table.len()).rev() {
                let mut row = table.first_rows()[part];
                let (file, in_file) = table.file_of_part(part);
                assert_eq!(table.file_of_row(row), (file, in_file));
                for batch in table.batches(part, 7).unwrap() {
                    let batch = batch.unwrap();
                    assert!(batch.num_rows() <= 7 && batch.column_by_name("unused").is_none());
                    let column = batch.column_by_name("n").unwrap();
                    for &n in column.as_primitive::<Int64Type>().values() {
                        assert_eq!(n, row as i64, "{}", path.display());
                        row += 1;
                    }
                    assert_eq!(batch.column_by_name("word").unwrap().len(), batch.num_rows());
                }
            }
        }
    }

    #[test]
    fn dictionaries_of_a_stream_may_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.arrows");
        let batches = [words(0..2, ["a", "b"]), words(2..4, ["c", "d"])];
        let mut writer =
            arrow::ipc::writer::StreamWriter::try_new(std::fs::File::create(&path).unwrap(), &batches[0].schema())
                .unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.finish().unwrap();
        let last = open(&path).batches(1, 10).unwrap().next().unwrap().unwrap();
        let words = last.column_by_name("word").unwrap().as_string::<i32>();
        assert_eq!(words.iter().flatten().collect::<Vec<_>>(), ["c", "d"]);
    }

    #[test]
    fn rows_of_several_files_are_found_in_their_file() {
        let folder = tempfile::tempdir().unwrap();
        samples::parquet(&folder.path().join("a.parquet"), &[numbers(0..3), numbers(3..5)]);
        samples::parquet(&folder.path().join("b.parquet"), &[numbers(5..9)]);
        let table = open(folder.path());
        assert_eq!(table.first_rows(), [0, 3, 5]);
        assert_eq!(table.file_of_row(4), (&*folder.path().join("a.parquet"), 4));
        assert_eq!(table.file_of_row(6), (&*folder.path().join("b.parquet"), 1));
    }

    #[test]
    fn missing_columns_and_other_formats_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let says = |name: &str| {
            let path = folder.path().join(name);
            let files = find_tables(&path, "a table").unwrap();
            TableParts::open(&path, files, 10, |_, _| Ok(vec!["x".into()])).unwrap_err().to_string()
        };
        samples::parquet(&folder.path().join("a.parquet"), &[numbers(0..3)]);
        assert!(says("a.parquet").contains("column \"x\": expected one of: n, unused, word"));
        std::fs::write(folder.path().join("a.csv"), "x\n1\n").unwrap();
        assert!(says("a.csv").contains("got a CSV table"));
    }
}
