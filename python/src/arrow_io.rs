//! Exchange of tables with other libraries by Arrow's PyCapsule protocol.

use std::ffi::CStr;
use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use arrow::array::{Array, RecordBatch, RecordBatchIterator, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi};
use arrow::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use arrow::ipc::writer::FileWriter;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};

use crate::errors::mismatch;

const SCHEMA: &CStr = c"arrow_schema";
const ARRAY: &CStr = c"arrow_array";
const STREAM: &CStr = c"arrow_array_stream";

/// A schema and its batches.
pub(crate) type ArrowBatches = (SchemaRef, Vec<RecordBatch>);

fn refused(reason: impl ToString) -> PyErr {
    mismatch("Arrow data", "a table", reason, "pass a table, data frame or record batch")
}

/// The batches of any object that has `__arrow_c_stream__` or `__arrow_c_array__`.
pub(crate) fn batches(data: &Bound<'_, PyAny>) -> PyResult<ArrowBatches> {
    if data.hasattr("__arrow_c_stream__")? {
        let capsule = data.call_method0("__arrow_c_stream__")?;
        let capsule = capsule.cast::<PyCapsule>()?;
        let pointer = capsule.pointer_checked(Some(STREAM))?.cast::<FFI_ArrowArrayStream>();
        // SAFETY: a capsule with this name holds a stream, which is moved out of it.
        let reader = unsafe { RecordBatchStreamReader::from_raw(pointer.as_ptr()) }.map_err(refused)?;
        let read = data.py().detach(|| {
            let schema = arrow::array::RecordBatchReader::schema(&reader);
            Ok::<_, arrow::error::ArrowError>((schema, reader.collect::<Result<Vec<_>, _>>()?))
        });
        return read.map_err(refused);
    }
    if data.hasattr("__arrow_c_array__")? {
        let pair = data.call_method0("__arrow_c_array__")?;
        let (schema, array): (Bound<'_, PyCapsule>, Bound<'_, PyCapsule>) = pair.extract()?;
        let schema = schema.pointer_checked(Some(SCHEMA))?.cast::<FFI_ArrowSchema>();
        let array = array.pointer_checked(Some(ARRAY))?.cast::<FFI_ArrowArray>();
        // SAFETY: capsules with these names hold a schema and an array, which is moved out of it.
        let (schema, mut data) = unsafe {
            let schema = schema.as_ref();
            let array = FFI_ArrowArray::from_raw(array.as_ptr());
            (Schema::try_from(schema).map_err(refused)?, from_ffi(array, schema).map_err(refused)?)
        };
        data.align_buffers();
        let rows = StructArray::from(data);
        if rows.null_count() > 0 {
            return Err(refused("null rows"));
        }
        let (_, columns, _) = rows.into_parts();
        let schema = SchemaRef::from(schema);
        let batch = RecordBatch::try_new(schema.clone(), columns).map_err(refused)?;
        return Ok((schema, vec![batch]));
    }
    Err(refused(data.get_type()))
}

/// Writes a table as an Arrow file, with string types that catalogs support.
#[pyfunction]
pub(crate) fn write_arrow(data: &Bound<'_, PyAny>, path: PathBuf) -> PyResult<()> {
    let (schema, batches) = batches(data)?;
    let plain = |there: &DataType| match there {
        DataType::Utf8View | DataType::LargeUtf8 | DataType::Dictionary(..) => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        other => other.clone(),
    };
    let failed = |e: ArrowError| refused(format!("a table that cannot be written to {} ({e})", path.display()));
    let fields = schema.fields().iter().map(|f| Field::new(f.name(), plain(f.data_type()), true));
    let schema = SchemaRef::from(Schema::new(fields.collect::<Vec<_>>()));
    data.py()
        .detach(|| {
            let file = File::create(&path).map_err(|e| ArrowError::ExternalError(e.into()))?;
            let mut writer = FileWriter::try_new(BufWriter::new(file), &schema)?;
            for batch in &batches {
                let columns =
                    batch.columns().iter().zip(schema.fields()).map(|(column, f)| cast(column, f.data_type()));
                writer.write(&RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)?)?;
            }
            writer.finish()
        })
        .map_err(failed)
}

/// `__arrow_c_stream__` of a batch.
pub(crate) fn to_stream(py: Python<'_>, batch: RecordBatch) -> PyResult<Bound<'_, PyCapsule>> {
    let schema = batch.schema();
    let stream = FFI_ArrowArrayStream::new(Box::new(RecordBatchIterator::new([Ok(batch)], schema)));
    PyCapsule::new_with_value(py, stream, STREAM)
}

/// `__arrow_c_array__` of a batch: schema and array.
pub(crate) fn to_array(py: Python<'_>, batch: RecordBatch) -> PyResult<Bound<'_, PyTuple>> {
    let schema = to_schema(py, &batch)?;
    let (array, _) = to_ffi(&StructArray::from(batch).into_data()).map_err(refused)?;
    PyTuple::new(py, [schema, PyCapsule::new_with_value(py, array, ARRAY)?])
}

/// `__arrow_c_schema__` of a batch.
pub(crate) fn to_schema<'py>(py: Python<'py>, batch: &RecordBatch) -> PyResult<Bound<'py, PyCapsule>> {
    let schema = FFI_ArrowSchema::try_from(batch.schema().as_ref()).map_err(refused)?;
    PyCapsule::new_with_value(py, schema, SCHEMA)
}
