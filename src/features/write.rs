//! Writing features as Parquet.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::source::{FeatureSource, ROWS_AT_ONCE, for_each_block};
use super::{FORMAT_VERSION, Features, ID, VERSION_KEY, columns};
use crate::artifact::{AtomicFile, Overwrite, seal};
use crate::error::{Error, Result};
use crate::item_ids::ItemIds;

/// A file of features that is written block by block. It appears at its path when it is complete.
pub struct FeatureWriter {
    path: PathBuf,
    schema: Arc<Schema>,
    shapes: Vec<(String, usize)>,
    writer: ArrowWriter<seal::SealingWriter<AtomicFile>>,
}

impl FeatureWriter {
    /// Creates a file for ids of the type of `ids`, and modalities with these names and dimensions.
    ///
    /// # Errors
    /// As [`AtomicFile::create`].
    pub fn create(path: &Path, ids: &ItemIds, shapes: Vec<(String, usize)>, overwrite: Overwrite) -> Result<Self> {
        let id = Field::new(ID, ids.data_type(), false);
        let fields = shapes.iter().map(|(name, dim)| columns::field(name, *dim));
        let schema = Arc::new(Schema::new(std::iter::once(id).chain(fields).collect::<Vec<_>>()));
        let file = seal::SealingWriter::new(AtomicFile::create(path, overwrite)?);
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties(&shapes)));
        let writer = writer.map_err(|e| failed(path, e))?;
        Ok(FeatureWriter { path: path.to_path_buf(), schema, shapes, writer })
    }

    /// Appends items. Modalities that they do not have are null.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Mismatch`] for ids or vectors of another type or dimension.
    pub fn write(&mut self, features: &Features) -> Result<()> {
        let ids = match (self.schema.field(0).data_type(), features.item_ids().clone()) {
            (DataType::Utf8, ids) => ids.into_strings().to_arrow(),
            (_, ids) => ids.to_arrow(),
        };
        for from in (0..features.len()).step_by(ROWS_AT_ONCE) {
            let to = features.len().min(from + ROWS_AT_ONCE);
            let vectors = self.shapes.iter().map(|(name, dim)| {
                let there = features.modalities().iter().find(|modality| modality.name == *name);
                let column = match there {
                    Some(modality) => columns::to_arrow(modality, from, to),
                    None => columns::nulls(*dim, to - from),
                };
                Arc::new(column) as ArrayRef
            });
            let batch = std::iter::once(ids.slice(from, to - from)).chain(vectors).collect();
            let batch = RecordBatch::try_new(self.schema.clone(), batch)
                .map_err(|e| Error::mismatch("feature columns", "equal lengths", e, "check the features"))?;
            self.writer.write(&batch).map_err(|e| failed(&self.path, e))?;
            self.writer.flush().map_err(|e| failed(&self.path, e))?;
        }
        Ok(())
    }

    /// Appends all items of a source.
    ///
    /// # Errors
    /// As [`FeatureWriter::write`] and [`FeatureSource::blocks`].
    pub fn write_all(&mut self, source: &dyn FeatureSource) -> Result<()> {
        for_each_block(source, |block| self.write(&block.features))
    }

    /// Completes the file and moves it into place.
    ///
    /// # Errors
    /// As [`AtomicFile::commit`].
    pub fn commit(mut self) -> Result<()> {
        // The metadata, which contains the hash, is written last.
        self.writer.flush().map_err(|e| failed(&self.path, e))?;
        self.writer.inner_mut().hold();
        let sealing = self.writer.into_inner().map_err(|e| failed(&self.path, e))?;
        sealing.finish().map_err(|e| Error::io("write", &self.path, e))?.commit()
    }
}

fn failed(path: &Path, e: parquet::errors::ParquetError) -> Error {
    Error::io("write", path, std::io::Error::other(e))
}

pub(super) fn write(features: &Features, path: &Path, overwrite: Overwrite) -> Result<()> {
    let shapes = features.modalities().iter().map(|m| (m.name.clone(), m.dim())).collect();
    let mut writer = FeatureWriter::create(path, features.item_ids(), shapes, overwrite)?;
    writer.write(features)?;
    writer.commit()
}

/// No dictionary, because the mantissas of floats do not compress. Byte stream split groups the exponents, which do.
fn properties(shapes: &[(String, usize)]) -> WriterProperties {
    let metadata = vec![
        KeyValue::new(VERSION_KEY.into(), FORMAT_VERSION.to_owned()),
        KeyValue::new(seal::KEY.into(), seal::blank()),
    ];
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("catalex ", env!("CARGO_PKG_VERSION")).into())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(Some(metadata));
    for (name, _) in shapes {
        let column = ColumnPath::new(vec![name.clone(), "list".into(), "item".into()]);
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, Encoding::BYTE_STREAM_SPLIT);
    }
    properties.build()
}
