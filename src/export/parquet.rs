//! Parquet files with columns of strings and of token id lists, written in batches.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Builder, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::error::{Error, Result};

/// Rows per batch.
const BATCH: usize = 8_192;

/// A column of the current batch.
pub(super) enum ParquetColumn {
    Text(StringBuilder),
    Tokens(ListBuilder<Int32Builder>),
}

/// The columns of a file, without null values.
pub(super) struct ParquetColumns(Vec<(&'static str, ParquetColumn)>);

impl ParquetColumns {
    /// Text columns, followed by token id columns.
    pub(super) fn new(texts: &[&'static str], tokens: &[&'static str]) -> Self {
        let texts = texts.iter().map(|&name| (name, ParquetColumn::Text(StringBuilder::new())));
        let tokens = tokens.iter().map(|&name| {
            let builder = ListBuilder::new(Int32Builder::new()).with_field(token_field());
            (name, ParquetColumn::Tokens(builder))
        });
        ParquetColumns(texts.chain(tokens).collect())
    }

    /// Appends a row: the values of the text columns and those of the token id columns.
    pub(super) fn push(&mut self, texts: &[&str], tokens: &[&[i32]]) {
        let (mut texts, mut tokens) = (texts.iter(), tokens.iter());
        for (_, column) in &mut self.0 {
            match column {
                ParquetColumn::Text(builder) => builder.append_value(texts.next().unwrap_or(&"")),
                ParquetColumn::Tokens(builder) => {
                    builder.values().append_slice(tokens.next().unwrap_or(&&[][..]));
                    builder.append(true);
                }
            }
        }
    }

    fn schema(&self) -> SchemaRef {
        let field = |(name, column): &(&'static str, ParquetColumn)| match column {
            ParquetColumn::Text(_) => Field::new(*name, DataType::Utf8, false),
            ParquetColumn::Tokens(_) => Field::new(*name, DataType::List(token_field()), false),
        };
        Arc::new(Schema::new(self.0.iter().map(field).collect::<Vec<_>>()))
    }

    fn take(&mut self) -> Vec<ArrayRef> {
        let take = |(_, column): &mut (&'static str, ParquetColumn)| -> ArrayRef {
            match column {
                ParquetColumn::Text(builder) => Arc::new(builder.finish()),
                ParquetColumn::Tokens(builder) => Arc::new(builder.finish()),
            }
        };
        self.0.iter_mut().map(take).collect()
    }
}

fn token_field() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Int32, false))
}

/// A Parquet file while it is written.
pub(super) struct ParquetFile {
    path: PathBuf,
    columns: ParquetColumns,
    schema: SchemaRef,
    rows: usize,
    writer: ArrowWriter<File>,
}

impl ParquetFile {
    pub(super) fn create(path: PathBuf, columns: ParquetColumns) -> Result<Self> {
        let failed = |e: parquet::errors::ParquetError| Error::io("write", &path, std::io::Error::other(e));
        let schema = columns.schema();
        let properties = WriterProperties::builder()
            .set_created_by(concat!("catalex ", env!("CARGO_PKG_VERSION")).into())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let file = File::create(&path).map_err(|e| Error::io("create", &path, e))?;
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties)).map_err(failed)?;
        Ok(ParquetFile { path, columns, schema, rows: 0, writer })
    }

    pub(super) fn add(&mut self, add: impl FnOnce(&mut ParquetColumns)) -> Result<()> {
        add(&mut self.columns);
        self.rows += 1;
        if self.rows < BATCH { Ok(()) } else { self.write() }
    }

    fn write(&mut self) -> Result<()> {
        let failed = |e: std::io::Error| Error::io("write", &self.path, e);
        let batch = RecordBatch::try_new(self.schema.clone(), self.columns.take())
            .map_err(|e| failed(std::io::Error::other(e)))?;
        self.rows = 0;
        self.writer.write(&batch).map_err(|e| failed(std::io::Error::other(e)))
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.write()?;
        let ParquetFile { path, writer, .. } = self;
        writer.close().map(|_| ()).map_err(|e| Error::io("write", &path, std::io::Error::other(e)))
    }
}
