//! Parquet tables other than features and token tables, with a kind, a format version and a hash of the file in the metadata.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::foreign::foreign_batches;
use super::{check_pages, check_parquet};
use crate::artifact::{AtomicFile, Overwrite, open_regular, seal};
use crate::error::{Error, Result};
use crate::guard::guarded;

const VERSION_KEY: &str = "catalex.format_version";
const KIND_KEY: &str = "catalex.kind";
const FORMAT_VERSION: &str = "1";
const HELP: &str = "restore it from a copy, or build the index again";

/// A kind of Parquet table other than the features and the token table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnTable {
    /// The kind in the file's metadata.
    pub(crate) kind: &'static str,
    /// A description for error messages, with an article.
    pub(crate) name: &'static str,
}

impl OwnTable {
    /// Writes batches with the columns `fields`. The same batches give the same bytes.
    ///
    /// # Errors
    /// As [`AtomicFile`]; errors of the batches.
    pub(crate) fn write(
        self,
        path: &Path,
        fields: Vec<Field>,
        batches: impl IntoIterator<Item = Result<RecordBatch>>,
        overwrite: Overwrite,
    ) -> Result<()> {
        self.write_with(path, fields, Vec::new(), batches, overwrite)
    }

    /// As [`OwnTable::write`], with further key-value metadata.
    ///
    /// # Errors
    /// As [`OwnTable::write`].
    pub(crate) fn write_with(
        self,
        path: &Path,
        fields: Vec<Field>,
        pairs: Vec<(&'static str, String)>,
        batches: impl IntoIterator<Item = Result<RecordBatch>>,
        overwrite: Overwrite,
    ) -> Result<()> {
        let failed = |e: ParquetError| Error::io("write", path, std::io::Error::other(e));
        let own = [(VERSION_KEY, FORMAT_VERSION.to_owned()), (KIND_KEY, self.kind.to_owned())];
        let pairs = own.into_iter().chain(pairs).chain([(seal::KEY, seal::blank())]);
        let properties = WriterProperties::builder()
            .set_created_by(concat!("catalex ", env!("CARGO_PKG_VERSION")).into())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_key_value_metadata(Some(pairs.map(|(key, value)| KeyValue::new(key.into(), value)).collect()))
            .build();
        let out = seal::SealingWriter::new(AtomicFile::create(path, overwrite)?);
        let mut writer = ArrowWriter::try_new(out, Arc::new(Schema::new(fields)), Some(properties)).map_err(failed)?;
        for batch in batches {
            writer.write(&batch?).map_err(failed)?;
        }
        // The metadata, which contains the hash, is written last.
        writer.flush().map_err(failed)?;
        writer.inner_mut().hold();
        writer.into_inner().map_err(failed)?.finish().map_err(|e| Error::io("write", path, e))?.commit()
    }

    /// Reads the batches of a table of this kind. Checks that each of `columns` exists with an accepted type, and that
    /// columns that are not nullable have no nulls.
    ///
    /// # Errors
    /// [`Error::Artifact`] for a file of another kind or version, and for one that has changed since it was written.
    pub(crate) fn read(self, path: &Path, columns: &[OwnColumn]) -> Result<Vec<RecordBatch>> {
        let wrong = |expected: String, got: &dyn std::fmt::Display| Error::artifact(path, expected, got, HELP);
        let damaged = |got: &dyn std::fmt::Display| wrong(self.name.into(), got);
        let file = open_regular(path).map_err(|e| Error::io("read", path, e))?;
        let metadata = guarded(|| ArrowReaderMetadata::load(&file, ArrowReaderOptions::default()))
            .map_err(|e| damaged(&e))?
            .map_err(|e| damaged(&e))?;
        check_parquet(path, &file, metadata.metadata(), HELP)?;
        let pairs = metadata.metadata().file_metadata().key_value_metadata();
        let value = |key: &str| pairs?.iter().find(|pair| pair.key == key)?.value.clone();
        for (key, expected) in [(KIND_KEY, self.kind), (VERSION_KEY, FORMAT_VERSION)] {
            let got = value(key);
            if got.as_deref() != Some(expected) {
                let got = got.unwrap_or_else(|| "none".into());
                return Err(wrong(format!("{} with {key} {expected}", self.name), &got));
            }
        }
        let file = Arc::new(file);
        let pages = check_pages(path, &file, metadata.metadata(), None)?;
        pages.refuse_long_values(path, metadata.schema())?;
        let file = Arc::into_inner(file).ok_or_else(|| damaged(&"a file that is still being read"))?;
        let reader = guarded(|| ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata).build())
            .map_err(|e| damaged(&e))?
            .map_err(|e| damaged(&e))?;
        let batches = foreign_batches(path, reader).collect::<Result<Vec<_>>>()?;
        for batch in &batches {
            for column in columns {
                let found = batch.column_by_name(column.name);
                let fits = found.is_some_and(|found| {
                    (column.fits)(found.data_type()) && (column.nullable || found.null_count() == 0)
                });
                if !fits {
                    let got = found.map_or("no such column".into(), |found| {
                        format!("{} with {} nulls", found.data_type(), found.null_count())
                    });
                    return Err(wrong(
                        format!("{} with a column {} of {}", self.name, column.name, column.expected),
                        &got,
                    ));
                }
            }
        }
        Ok(batches)
    }
}

/// A column that [`OwnTable::read`] checks.
pub(crate) struct OwnColumn {
    pub(crate) name: &'static str,
    pub(crate) nullable: bool,
    /// The expected type, for error messages.
    pub(crate) expected: &'static str,
    pub(crate) fits: fn(&DataType) -> bool,
}

impl OwnColumn {
    /// A column of item ids.
    pub(crate) fn ids(name: &'static str) -> Self {
        let fits = |t: &DataType| matches!(t, DataType::Int64 | DataType::Utf8);
        OwnColumn { name, nullable: false, expected: "integers or strings", fits }
    }

    /// A column of strings.
    pub(crate) fn texts(name: &'static str, nullable: bool) -> Self {
        OwnColumn { name, nullable, expected: "strings", fits: |t| *t == DataType::Utf8 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;

    const LISTS: OwnTable = OwnTable { kind: "list", name: "a list" };

    #[test]
    fn large_pages_and_long_repeated_values_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.parquet");
        let fields = || vec![Field::new("text", DataType::Utf8, true)];
        let write = |texts: Vec<String>| {
            let batch = RecordBatch::try_new(Arc::new(Schema::new(fields())), vec![Arc::new(StringArray::from(texts))]);
            LISTS.write(&path, fields(), [Ok(batch.unwrap())], Overwrite::Replace).unwrap();
            LISTS.read(&path, &[OwnColumn::texts("text", true)]).unwrap_err().to_string()
        };
        assert!(write(vec!["x".repeat(70 << 20)]).contains("a page that decompresses to at most 64 MiB"));
        assert!(write(vec!["x".repeat(100 << 10); 1000]).contains("values of at most 64 KiB"));
    }

    #[test]
    fn a_table_round_trips_and_every_flipped_bit_is_detected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.parquet");
        let fields = || vec![Field::new("text", DataType::Utf8, true)];
        let batch = |texts: Vec<Option<&str>>| {
            let column = Arc::new(StringArray::from(texts));
            Ok(RecordBatch::try_new(Arc::new(Schema::new(fields())), vec![column]).unwrap())
        };
        let write = |texts| LISTS.write(&path, fields(), [batch(texts)], Overwrite::Replace);
        write(vec![Some("a"), None]).unwrap();
        let columns = |nullable| [OwnColumn::texts("text", nullable)];
        let read = LISTS.read(&path, &columns(true)).unwrap();
        assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
        let says = |table: OwnTable, nullable| table.read(&path, &columns(nullable)).unwrap_err().to_string();
        assert!(says(LISTS, false).contains("a column text of strings, got Utf8 with 1 nulls"));
        assert!(says(OwnTable { kind: "other", name: "another" }, true).contains("catalex.kind other, got list"));
        let whole = std::fs::read(&path).unwrap();
        write(vec![Some("a"), None]).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            std::fs::write(&path, flipped).unwrap();
            assert!(LISTS.read(&path, &columns(true)).is_err(), "byte {at}");
        }
    }
}
