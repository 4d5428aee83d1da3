//! Streaming the requested columns of all files of a table, one file after the other.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::DataType;

use super::cell_size::{check_cells, rows_at_once};
use super::column_request::ColumnRequest;
use super::files::TableFiles;
use super::folder::Partition;
use super::json_lines::{self, JsonPlan};
use super::open;
use super::open_table::{BATCH_ROWS, OpenTable};
use super::{TableFormat, TableNotes, damaged, partitioned};
use crate::error::{Error, Result};

/// Reads a table in batches of at most 4,096 rows. A batch never spans two files.
pub(crate) struct TableReader {
    requests: Vec<ColumnRequest>,
    /// All files, with the settings for reading them.
    files: TableFiles,
    notes: TableNotes,
    /// How the files of a JSON Lines table are read.
    json: Option<Arc<JsonPlan>>,
    /// The file being read.
    file: Arc<Path>,
    table: OpenTable,
    /// Partition columns of this file, with name and value, for each matching request.
    constants: Vec<Option<Partition>>,
    /// The folder that relative paths in this file start from.
    folder: Arc<Path>,
    /// Files to read afterwards.
    later: std::vec::IntoIter<PathBuf>,
    /// Rows of the current file so far.
    rows_read: u64,
    /// The rest of a longer batch.
    pending: Option<RecordBatch>,
}

/// Consecutive rows of one file.
pub(crate) struct TableBatch {
    /// The file.
    pub(crate) file: Arc<Path>,
    /// Its folder.
    pub(crate) folder: Arc<Path>,
    /// 0-based row of the first, within the file.
    pub(crate) first_row: u64,
    /// Number of rows.
    pub(crate) rows: usize,
    /// Name and values of each requested column; none for an optional one that is absent.
    pub(crate) columns: Vec<Option<(String, ArrayRef)>>,
}

impl TableReader {
    /// Opens the files of a path. The columns of the first file are checked now. The columns of a later file are
    /// checked when it is opened.
    ///
    /// # Errors
    /// [`Error::Column`] for an absent column; [`Error::File`] for a damaged file.
    pub(crate) fn open(path: &Path, files: TableFiles, requests: Vec<ColumnRequest>) -> Result<Self> {
        let notes = TableNotes::default();
        files.notes.iter().for_each(|note| notes.add(note.clone()));
        let mut later = files.files.clone().into_iter();
        let file = later.next().unwrap_or_default();
        let partitions = files.partitions(&file);
        let in_file = partitioned::left_to_file(&requests, &partitions);
        let (json, mut table) = match files.format {
            TableFormat::JsonLines => {
                let (plan, table) = json_lines::open_first(path, &files.files, &in_file)?;
                (Some(plan), table)
            }
            format => (None, open::open(format, &file, files.dialect, &in_file, &notes)?),
        };
        let constants = partitioned::complete(&file, &requests, partitions, &mut table)?;
        let (file, folder): (Arc<Path>, _) = (file.as_path().into(), folder_of(&file));
        Ok(TableReader {
            requests,
            files,
            notes,
            json,
            file,
            table,
            constants,
            folder,
            later,
            rows_read: 0,
            pending: None,
        })
    }

    /// A table in memory. Errors name `folder`, and relative paths start from it.
    pub(crate) fn in_memory(folder: &Path, batch: RecordBatch, requests: Vec<ColumnRequest>) -> Result<Self> {
        let table = open::in_memory(folder, batch, &requests)?;
        let (file, later) = (Arc::from(folder), Vec::new().into_iter());
        Ok(TableReader {
            constants: vec![None; requests.len()],
            requests,
            files: TableFiles::one(TableFormat::ArrowStream, folder),
            notes: TableNotes::default(),
            json: None,
            file,
            table,
            folder: Arc::from(folder),
            later,
            rows_read: 0,
            pending: None,
        })
    }

    /// Warnings so far. Reading further rows can add more.
    pub(crate) fn notes(&self) -> &TableNotes {
        &self.notes
    }

    /// The file being read.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Name and type of each requested column in the current file. Types of JSON Lines are those of the first batch;
    /// later batches may have others.
    pub(crate) fn columns(&self) -> impl Iterator<Item = Option<(&str, &DataType)>> {
        self.table
            .columns
            .iter()
            .zip(&self.table.types)
            .map(|(name, data_type)| name.as_deref().zip(data_type.as_ref()))
    }

    fn next_record_batch(&mut self) -> Option<Result<RecordBatch>> {
        loop {
            let batch = match self.pending.take().map(Ok).or_else(|| self.table.batches.next()) {
                Some(Ok(batch)) => batch,
                Some(Err(error)) => return Some(Err(error)),
                None => {
                    let file = self.later.next()?;
                    if let Err(error) = self.open_next(file) {
                        return Some(Err(error));
                    }
                    continue;
                }
            };
            if batch.num_rows() > 0 {
                let rows = rows_at_once(&batch.slice(0, batch.num_rows().min(BATCH_ROWS)));
                if rows < batch.num_rows() {
                    self.pending = Some(batch.slice(rows, batch.num_rows() - rows));
                }
                return Some(Ok(batch.slice(0, rows)));
            }
        }
    }

    fn open_next(&mut self, file: PathBuf) -> Result<()> {
        let partitions = self.files.partitions(&file);
        let mut table = match &self.json {
            Some(plan) => json_lines::open_next(plan, &file)?,
            None => {
                let in_file = partitioned::left_to_file(&self.requests, &partitions);
                open::open(self.files.format, &file, self.files.dialect, &in_file, &self.notes)?
            }
        };
        self.constants = partitioned::complete(&file, &self.requests, partitions, &mut table)?;
        // An optional column must be in all files or in none.
        for ((request, before), now) in self.requests.iter().zip(&self.table.columns).zip(&table.columns) {
            if before.is_some() != now.is_some() {
                let (with, without) = if now.is_some() { (&*file, &*self.file) } else { (&*self.file, &*file) };
                return Err(Error::Column {
                    path: without.to_path_buf(),
                    column: request.names.join(" or "),
                    expected: format!("the column that {} has", with.display()),
                    got: "no such column".into(),
                    help: "write the column in every file or in none".into(),
                });
            }
        }
        (self.file, self.table, self.rows_read) = (file.into(), table, 0);
        self.folder = folder_of(&self.file);
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<TableBatch> {
        let (first_row, rows) = (self.rows_read, batch.num_rows());
        let column = |(name, constant): (&Option<String>, &Option<Partition>)| {
            let Some(name) = name else { return Ok(None) };
            if let Some((_, value)) = constant {
                let column: ArrayRef = Arc::new(StringArray::from(vec![value.as_deref(); rows]));
                return Ok(Some((name.clone(), column)));
            }
            let column = batch.column_by_name(name);
            let column = column.ok_or_else(|| damaged(&self.file, format!("a batch without column {name}")))?;
            check_cells(&self.file, name, column, first_row)?;
            Ok(Some((name.clone(), column.clone())))
        };
        let columns = self.table.columns.iter().zip(&self.constants).map(column).collect::<Result<_>>()?;
        self.rows_read += rows as u64;
        Ok(TableBatch { file: self.file.clone(), folder: self.folder.clone(), first_row, rows, columns })
    }
}

impl Iterator for TableReader {
    type Item = Result<TableBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.next_record_batch()?.and_then(|batch| self.batch(&batch)))
    }
}

fn folder_of(file: &Path) -> Arc<Path> {
    file.parent().unwrap_or(Path::new("")).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{find_tables, samples};
    use arrow::array::Int64Array;
    use std::fs::{self, File};

    fn open(path: &Path, requests: Vec<ColumnRequest>) -> Result<TableReader> {
        TableReader::open(path, find_tables(path, "a table")?, requests)
    }

    #[test]
    fn a_column_that_is_not_requested_is_not_decoded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(Int64Array::from_iter_values(0..100))),
            ("text", Arc::new(StringArray::from_iter_values((0..100).map(|row| format!("unused text {row}"))))),
        ];
        samples::parquet(&path, &[RecordBatch::try_from_iter(columns).unwrap()]);
        // Damage the pages of the second column.
        let reader =
            parquet::arrow::arrow_reader::ArrowReaderMetadata::load(&File::open(&path).unwrap(), Default::default());
        let (start, length) = reader.unwrap().metadata().row_group(0).column(1).byte_range();
        let mut bytes = fs::read(&path).unwrap();
        bytes[start as usize..(start + length) as usize].fill(0xFF);
        fs::write(&path, bytes).unwrap();
        let rows = |name: &str| -> Result<usize> {
            open(&path, vec![ColumnRequest::required(name)])?.map(|batch| Ok(batch?.rows)).sum()
        };
        assert_eq!(rows("id").unwrap(), 100);
        assert!(rows("text").is_err());
    }

    #[test]
    fn an_optional_column_is_in_all_files_or_in_none() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.csv"), "id,time\n1,2\n").unwrap();
        fs::write(folder.path().join("b.csv"), "id\n1\n").unwrap();
        let requests = || vec![ColumnRequest::required("id"), ColumnRequest::optional(None, &["time"])];
        let error = open(folder.path(), requests()).unwrap().find_map(Result::err).unwrap().to_string();
        assert!(
            error.contains("b.csv, column \"time\": expected the column that") && error.contains("a.csv has"),
            "{error}"
        );
    }
}
