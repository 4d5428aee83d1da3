//! Features as Parquet.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::source::ROWS_AT_ONCE;
use super::{FORMAT_VERSION, Features, ID, Modality, VERSION_KEY, columns};
use crate::artifact::{AtomicFile, Overwrite};
use crate::error::{Error, Result};

pub(super) fn write(features: &Features, path: &Path, overwrite: Overwrite) -> Result<()> {
    let failed = |e: parquet::errors::ParquetError| Error::io("write", path, std::io::Error::other(e));
    let id = Field::new(ID, features.item_ids().data_type(), false);
    let fields: Vec<Field> = std::iter::once(id).chain(features.modalities().iter().map(columns::field)).collect();
    let schema = Arc::new(Schema::new(fields));
    let ids = features.item_ids().to_arrow();
    let file = AtomicFile::create(path, overwrite)?;
    let mut writer =
        ArrowWriter::try_new(file, schema.clone(), Some(properties(features.modalities()))).map_err(failed)?;
    for from in (0..features.len()).step_by(ROWS_AT_ONCE) {
        let to = features.len().min(from + ROWS_AT_ONCE);
        let vectors = features.modalities().iter().map(|m| Arc::new(columns::to_arrow(m, from, to)) as ArrayRef);
        let batch = std::iter::once(ids.slice(from, to - from)).chain(vectors).collect();
        let batch = RecordBatch::try_new(schema.clone(), batch)
            .map_err(|e| Error::mismatch("feature columns", "of equal length", e, "check the features"))?;
        writer.write(&batch).map_err(failed)?;
        writer.flush().map_err(failed)?;
    }
    writer.into_inner().map_err(failed)?.commit()
}

/// Floats are near noise: no dictionary; their bytes split by place, so that the exponents compress.
fn properties(modalities: &[Modality]) -> WriterProperties {
    let metadata = vec![KeyValue::new(VERSION_KEY.into(), FORMAT_VERSION.to_owned())];
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("catalex ", env!("CARGO_PKG_VERSION")).into())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(Some(metadata));
    for modality in modalities {
        let column = ColumnPath::new(vec![modality.name.clone(), "list".into(), "item".into()]);
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, Encoding::BYTE_STREAM_SPLIT);
    }
    properties.build()
}
