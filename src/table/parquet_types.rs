//! Arrow types of Parquet columns that differ from Arrow's defaults.
//!
//! - Times of Parquet's old type INT96, which Spark and Impala write, are read as microseconds. By default, Arrow reads
//!   them as
//!   nanoseconds, and times after 2262 wrap around to 1677.
//! - Columns with long dictionary values are read as views. Rows share a value instead of copying it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Type;
use parquet::errors::Result;

/// The metadata of a file, with a schema that reads columns of INT96 in microseconds.
pub(super) fn in_microseconds(metadata: ArrowReaderMetadata) -> Result<ArrowReaderMetadata> {
    if !has_int96(&metadata) {
        return Ok(metadata);
    }
    let roots = metadata.parquet_schema().root_schema().get_fields();
    let is_int96 = |at: usize| roots[at].is_primitive() && roots[at].get_physical_type() == Type::INT96;
    with_fields(&metadata, |at, field| match field.data_type() {
        DataType::Timestamp(_, zone) if is_int96(at) => {
            let read = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
            Arc::new(field.as_ref().clone().with_data_type(read))
        }
        _ => field.clone(),
    })
}

/// Whether a top-level column has the type INT96.
pub(super) fn has_int96(metadata: &ArrowReaderMetadata) -> bool {
    let roots = metadata.parquet_schema().root_schema().get_fields();
    roots.iter().any(|root| root.is_primitive() && root.get_physical_type() == Type::INT96)
}

/// The metadata of a file, with a schema that reads strings and binary values of these columns as views.
pub(super) fn in_views(metadata: ArrowReaderMetadata, columns: &[usize]) -> Result<ArrowReaderMetadata> {
    if columns.is_empty() {
        return Ok(metadata);
    }
    with_fields(&metadata, |at, field| if columns.contains(&at) { in_view(field) } else { field.clone() })
}

fn in_view(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::List(inner) => DataType::List(in_view(inner)),
        DataType::LargeList(inner) => DataType::LargeList(in_view(inner)),
        DataType::FixedSizeList(inner, length) => DataType::FixedSizeList(in_view(inner), *length),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(in_view).collect()),
        other => other.clone(),
    };
    Arc::new(Field::clone(field).with_data_type(data_type))
}

fn with_fields(
    metadata: &ArrowReaderMetadata,
    change: impl Fn(usize, &FieldRef) -> FieldRef,
) -> Result<ArrowReaderMetadata> {
    let fields: Vec<FieldRef> =
        metadata.schema().fields().iter().enumerate().map(|(at, field)| change(at, field)).collect();
    let schema: SchemaRef = Arc::new(Schema::new_with_metadata(fields, metadata.schema().metadata().clone()));
    ArrowReaderMetadata::try_new(metadata.metadata().clone(), ArrowReaderOptions::new().with_schema(schema))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;
    use std::sync::Arc;

    use parquet::data_type::{Int64Type, Int96, Int96Type};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use crate::catalog::{InteractionSpec, Interactions};
    use crate::progress::Silent;

    /// Writes events of one user with the items 10, 11, ... and these times: Julian day and nanoseconds, or null.
    fn events(path: &Path, times: &[Option<(i32, i64)>]) {
        let schema = "message m { optional int96 time; required int64 user; required int64 item; }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let values: Vec<Int96> = times
            .iter()
            .flatten()
            .map(|&(day, nanoseconds)| {
                let mut time = Int96::new();
                time.set_data(nanoseconds as u32, (nanoseconds >> 32) as u32, day as u32);
                time
            })
            .collect();
        let levels: Vec<i16> = times.iter().map(|time| i16::from(time.is_some())).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int96Type>().write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
        for values in [vec![1; times.len()], (10..10 + times.len() as i64).collect()] {
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<Int64Type>().write_batch(&values, None, None).unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
        writer.close().unwrap();
    }

    fn read(path: &Path) -> crate::error::Result<Interactions> {
        Interactions::read(&InteractionSpec { path: path.into(), ..InteractionSpec::default() }, &Silent)
    }

    /// The Julian day of 1970-01-01.
    const EPOCH: i32 = 2_440_588;

    #[test]
    fn times_after_2262_keep_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        events(&path, &[9_999, 2_024, 2_300].map(|year| Some((EPOCH + (year - 1970) * 365, 0))));
        let read = read(&path).unwrap();
        let order: Vec<&str> = read.histories[0].iter().map(|event| &*read.items[event.item as usize]).collect();
        assert_eq!(order, ["11", "12", "10"]);
        assert_eq!(read.histories[0][2].time, f64::from((9_999 - 1_970) * 365) * 86_400.0);
    }

    #[test]
    fn times_outside_the_range_of_microseconds_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let most = EPOCH + 106_751_990;
        events(&path, &[Some((EPOCH, 0)), Some((most, 0)), Some((-106_751_990 + EPOCH, 0))]);
        assert!(read(&path).is_ok());
        for time in [(most + 2, 0), (EPOCH - 110_000_000, 0), (i32::MAX, 0), (i32::MIN, 0), (most, i64::MAX)] {
            events(&path, &[Some((EPOCH, 0)), None, Some(time)]);
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("row 3, column \"time\": expected a time between the years"), "{time:?}: {error}");
        }
    }
}
