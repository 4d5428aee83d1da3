//! CSV and TSV files as Arrow batches. Every cell is text, so `007` stays `007`.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use csv::{ByteRecord, Reader, ReaderBuilder};

use super::column_request::ColumnRequest;
use super::compression::{Bytes, decompressed};
use super::csv_check::CsvCheck;
use super::damaged;
use super::dialect::CsvDialect;
use super::limits::BATCH_BYTES;
use super::notes::TableNotes;
use super::open_table::{BATCH_ROWS, OpenTable};
use super::selection::Selection;
use super::text_check::read_error;
use crate::error::{Error, Result};

/// Opens a file and reads its header.
pub(super) fn open(
    path: &Path,
    delimiter: u8,
    dialect: CsvDialect,
    requests: &[ColumnRequest],
    notes: &TableNotes,
) -> Result<OpenTable> {
    let mut file = CsvFile::open(path, delimiter, dialect)?;
    let names = file.header()?;
    let fields: Vec<Field> = names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    let schema = Schema::new(fields);
    let selection = Selection::new(path, &schema, requests, notes)?;
    let schema = Arc::new(schema.project(&selection.places).map_err(|e| damaged(path, e))?);
    let unquoted = delimiter == b'\t' && dialect.quote.is_none();
    let batches = CsvBatches {
        file,
        width: names.len(),
        places: selection.places,
        schema,
        notes: unquoted.then(|| notes.clone()),
        ended: false,
    };
    Ok(OpenTable { columns: selection.columns, types: selection.types, batches: Box::new(batches) })
}

/// The names of the columns.
pub(super) fn header(path: &Path, delimiter: u8, dialect: CsvDialect) -> Result<Vec<String>> {
    CsvFile::open(path, delimiter, dialect)?.header()
}

/// A file whose rows are read one by one.
struct CsvFile {
    path: PathBuf,
    reader: Reader<CsvCheck<Bytes>>,
    record: ByteRecord,
}

impl CsvFile {
    fn open(path: &Path, delimiter: u8, dialect: CsvDialect) -> Result<Self> {
        let (quote, escape) = (dialect.quote_for(delimiter), dialect.escape_byte());
        if quote.is_some() && quote == escape {
            let help = "omit --csv-escape if quotes are doubled; otherwise choose another --csv-quote";
            return Err(Error::config("csv-escape", "a character other than the quote character", "the same", help));
        }
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true).delimiter(delimiter).escape(escape).quoting(quote.is_some());
        builder.quote(quote.unwrap_or(b'"')).buffer_capacity(1 << 16);
        let reader = builder.from_reader(CsvCheck::new(decompressed(path)?, delimiter, quote, escape));
        Ok(CsvFile { path: path.to_path_buf(), reader, record: ByteRecord::new() })
    }

    /// Reads the next row into `record`. Returns false at the end.
    fn next(&mut self) -> Result<bool> {
        self.reader.read_byte_record(&mut self.record).map_err(|e| match e.into_kind() {
            csv::ErrorKind::Io(e) => read_error(&self.path, &e),
            other => damaged(&self.path, format!("{other:?}")),
        })
    }

    /// The line of the last row, for messages. The parser reports a position before skipped empty lines, so the file is
    /// read again up to that position.
    fn line(&self) -> u64 {
        let Some(position) = self.record.position() else { return 0 };
        let empty = || {
            let mut bytes = BufReader::new(decompressed(&self.path).ok()?);
            std::io::copy(&mut (&mut bytes).take(position.byte()), &mut std::io::sink()).ok()?;
            let breaks = bytes.bytes().map_while(|byte| byte.ok().filter(|byte| b"\r\n".contains(byte)));
            Some(breaks.filter(|&byte| byte == b'\n').count() as u64)
        };
        position.line() + empty().unwrap_or_default()
    }

    fn header(&mut self) -> Result<Vec<String>> {
        if !self.next()? {
            let help = "write the names of the columns in the first line";
            return Err(Error::file(&self.path, "a line with the names of the columns", "none", help));
        }
        let name = |cell: &[u8]| String::from_utf8_lossy(cell).trim_start_matches('\u{feff}').to_owned();
        Ok(self.record.iter().map(name).collect())
    }
}

/// The requested columns of the rows, in batches.
struct CsvBatches {
    file: CsvFile,
    /// Columns of the header.
    width: usize,
    places: Vec<usize>,
    schema: SchemaRef,
    /// The notes for the warning that a cell seems to be quoted although the file has no quoting. `None` after the
    /// warning.
    notes: Option<TableNotes>,
    ended: bool,
}

impl CsvBatches {
    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut columns: Vec<StringBuilder> = self.places.iter().map(|_| StringBuilder::new()).collect();
        let (mut rows, mut bytes, mut quoted) = (0, 0, false);
        while rows < BATCH_ROWS && bytes < BATCH_BYTES && self.file.next()? {
            if self.file.record.len() != self.width {
                return Err(self.wrong_width());
            }
            for (column, &place) in columns.iter_mut().zip(&self.places) {
                let cell = &self.file.record[place];
                bytes += cell.len();
                // An empty cell is a missing value.
                let text = Some(String::from_utf8_lossy(cell)).filter(|cell| !cell.is_empty());
                quoted |= cell.len() > 1 && cell[0] == b'"' && cell[cell.len() - 1] == b'"';
                column.append_option(text);
            }
            if std::mem::take(&mut quoted) {
                self.say_quoted();
            }
            rows += 1;
        }
        if rows == 0 {
            return Ok(None);
        }
        let arrays = columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options);
        batch.map(Some).map_err(|e| damaged(&self.file.path, e))
    }

    fn say_quoted(&mut self) {
        if let Some(notes) = self.notes.take() {
            let (path, line) = (self.file.path.display(), self.file.line());
            notes.add(format!(
                "{path}, line {line}: quotes around cells are kept, because TSV has no quoting; pass --csv-quote '\"' if \
                 this file is quoted"
            ));
        }
    }

    fn wrong_width(&self) -> Error {
        let (line, got) = (self.file.line(), self.file.record.len());
        let expected = format!("{} cells in line {line}, as in the header", self.width);
        let help = "correct this line; quote cells that contain the delimiter or a line break";
        Error::file(&self.file.path, expected, format!("{got} cells"), help)
    }
}

impl Iterator for CsvBatches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let batch = self.batch().transpose();
        self.ended = !matches!(batch, Some(Ok(_)));
        batch
    }
}
