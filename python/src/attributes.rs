//! `catalex.Attributes`, and conversion of Python values.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use catalex::ItemIds;
use catalex::attributes::{ATTRIBUTES, AttributeKind, AttributeValue, Attributes, NewValues, decimal};
use catalex::index::{Index, resolve_index};
use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString};

use crate::arrow_io;
use crate::errors::{mismatch, to_py};
use crate::item_rows::ItemRows;
use crate::work;

/// The attributes of the items of an index, which can be changed.
#[pyclass(frozen, module = "catalex", name = "Attributes")]
#[derive(Debug)]
pub(crate) struct PyAttributes {
    pub(crate) inner: Arc<RwLock<Attributes>>,
    rows: ItemRows,
    /// Whether the ids are those of items, and not row numbers.
    has_ids: bool,
}

#[pymethods]
impl PyAttributes {
    /// Reads the attributes of an index, or a file `attributes.parquet`.
    #[staticmethod]
    fn read(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let attributes = work::short(py, || {
            let held = resolve_index(&path)?;
            if !Index::is_index(&held) {
                return Attributes::read(&held);
            }
            let index = Index::open_for(&held, &[ATTRIBUTES])?;
            match index.manifest().files.contains_key(ATTRIBUTES) {
                true => Attributes::read(&index.path(ATTRIBUTES)),
                false => Err(catalex::Error::file(
                    &path,
                    "an index with attributes",
                    "one without",
                    "build it with --attributes",
                )),
            }
        })?;
        Ok(PyAttributes::new(attributes, true))
    }

    /// The attributes in a data frame or a table, in the order of the token table.
    #[staticmethod]
    #[pyo3(signature = (data, id=None))]
    fn from_table(data: &Bound<'_, PyAny>, id: Option<String>) -> PyResult<Self> {
        let (_, batches) = arrow_io::batches(data)?;
        let attributes = work::short(data.py(), || Attributes::of_arrow(&batches, id.as_deref()))?;
        Ok(PyAttributes::new(attributes, id.is_some()))
    }

    /// The type of each attribute.
    #[getter]
    fn schema<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (schema, columns) = (PyDict::new(py), self.current().schema().columns);
        for (name, kind) in columns {
            schema.set_item(name, kind.name())?;
        }
        Ok(schema)
    }

    /// Number of updates so far.
    #[getter]
    fn version(&self) -> u64 {
        self.current().version()
    }

    /// Changes attributes of some items: ids, or rows of the token table.
    #[pyo3(signature = (values, *, items=None, rows=None))]
    fn update(
        &self,
        py: Python<'_>,
        values: &Bound<'_, PyDict>,
        items: Option<&Bound<'_, PyAny>>,
        rows: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let rows = self.rows_of(items, rows)?;
        let changes: Vec<(String, NewValues)> =
            values.iter().map(|(name, values)| Ok((name.extract()?, new_values(&values)?))).collect::<PyResult<_>>()?;
        work::writing(py, &self.inner, |attributes| attributes.update(&rows, &changes))
    }

    /// The values of an attribute for some items.
    #[pyo3(signature = (name, *, items=None, rows=None))]
    fn values<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        items: Option<&Bound<'_, PyAny>>,
        rows: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let rows = self.rows_of(items, rows)?;
        // The attributes are not locked while values of Python are made: that can run other threads, which could wait for
        // the attributes.
        let (values, kind) = {
            let attributes = self.current();
            let Some(column) = attributes.columns().iter().find(|column| column.name() == name) else {
                return Err(PyKeyError::new_err(name.to_owned()));
            };
            if let Some(row) = rows.iter().find(|row| **row as usize >= attributes.len()) {
                return Err(mismatch("rows", &format!("rows below {}", attributes.len()), row, "check the rows"));
            }
            let values: Vec<AttributeValue> = rows.iter().map(|&row| column.value(row as usize)).collect();
            (values, column.kind())
        };
        values.into_iter().map(|value| to_python(py, value, kind)).collect()
    }

    fn __len__(&self) -> usize {
        self.len()
    }

    fn __repr__(&self) -> String {
        let attributes = self.current();
        let columns: Vec<String> =
            attributes.schema().columns.into_iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
        format!("Attributes({} items, {})", attributes.len(), columns.join(", "))
    }
}

impl PyAttributes {
    /// Attributes whose ids are those of items, or else row numbers.
    pub(crate) fn new(attributes: Attributes, has_ids: bool) -> Self {
        let rows = ItemRows::new(attributes.item_ids().clone());
        PyAttributes { inner: Arc::new(RwLock::new(attributes)), rows, has_ids }
    }

    /// The ids of the items, if they are known.
    pub(crate) fn ids(&self) -> Option<&ItemIds> {
        self.has_ids.then_some(&self.rows.ids)
    }

    /// Number of items. It never changes.
    pub(crate) fn len(&self) -> usize {
        self.rows.ids.len()
    }

    fn current(&self) -> RwLockReadGuard<'_, Attributes> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn rows_of(&self, items: Option<&Bound<'_, PyAny>>, rows: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<u32>> {
        match (items, rows) {
            (Some(items), None) => self.rows.find(items),
            (None, Some(rows)) => row_numbers(rows),
            (None, None) => Ok((0..self.len() as u32).collect()),
            (Some(_), Some(_)) => Err(mismatch("items of an update", "items or rows", "both", "pass one of them")),
        }
    }
}

fn row_numbers(rows: &Bound<'_, PyAny>) -> PyResult<Vec<u32>> {
    let wrong = |row: i64| mismatch("rows", "row numbers from 0", row, "rows are numbered as in the token table");
    if let Ok(rows) = rows.extract::<PyReadonlyArray1<'_, u32>>() {
        return Ok(rows.as_array().iter().copied().collect());
    }
    if let Ok(rows) = rows.extract::<PyReadonlyArray1<'_, i64>>() {
        return rows.as_array().iter().map(|&row| u32::try_from(row).map_err(|_| wrong(row))).collect();
    }
    let rows: Vec<i64> = rows.extract()?;
    rows.into_iter().map(|row| u32::try_from(row).map_err(|_| wrong(row))).collect()
}

/// New values: a value for all items, or an array or a list with one value per item.
fn new_values(values: &Bound<'_, PyAny>) -> PyResult<NewValues> {
    if let Ok(values) = values.cast::<PyArray1<i64>>() {
        return Ok(NewValues::Integers(values.try_readonly()?.as_array().to_vec()));
    }
    if let Ok(values) = values.cast::<PyArray1<f64>>() {
        return Ok(NewValues::Floats(values.try_readonly()?.as_array().to_vec()));
    }
    if let Ok(values) = values.cast::<PyArray1<f32>>() {
        return Ok(NewValues::Floats(values.try_readonly()?.as_array().iter().copied().map(decimal).collect()));
    }
    if let Ok(values) = values.cast::<PyArray1<bool>>() {
        return Ok(NewValues::Bools(values.try_readonly()?.as_array().to_vec()));
    }
    Ok(match value(values)? {
        AttributeValue::Values(values) => NewValues::Each(values),
        value => NewValues::Same(value),
    })
}

/// A value of Python: None, a bool, a number, a string, a date or a datetime, or a collection of these.
fn value(given: &Bound<'_, PyAny>) -> PyResult<AttributeValue> {
    if given.is_none() {
        return Ok(AttributeValue::Null);
    }
    if let Ok(value) = given.cast::<PyBool>() {
        return Ok(AttributeValue::Bool(value.is_true()));
    }
    if given.is_instance_of::<PyInt>() {
        let large = |_| given.extract().map(AttributeValue::Float);
        let help = "pass a number that fits in 64 bits";
        let number = given.extract().map(AttributeValue::Integer).or_else(large);
        return number.map_err(|_: PyErr| mismatch("value", "a number", "a larger one", help));
    }
    if given.is_instance_of::<PyFloat>() {
        return Ok(AttributeValue::Float(given.extract()?));
    }
    if given.is_instance_of::<PyString>() {
        return Ok(AttributeValue::Text(given.extract()?));
    }
    if given.hasattr("isoformat")? {
        return Ok(AttributeValue::Text(given.call_method0("isoformat")?.extract()?));
    }
    // Scalars and arrays of NumPy.
    if given.hasattr("tolist")? {
        let narrow = given.hasattr("dtype")? && given.getattr("dtype")?.str()?.to_str()? == "float32";
        return match value(&given.call_method0("tolist")?)? {
            AttributeValue::Float(wide) if narrow => Ok(AttributeValue::Float(decimal(wide as f32))),
            AttributeValue::Values(values) if narrow => {
                let narrowed = |value| match value {
                    AttributeValue::Float(wide) => AttributeValue::Float(decimal(wide as f32)),
                    other => other,
                };
                Ok(AttributeValue::Values(values.into_iter().map(narrowed).collect()))
            }
            value => Ok(value),
        };
    }
    let help = "pass None, a bool, a number, a string, a date, or a collection of these";
    let elements =
        given.try_iter().map_err(|_| mismatch("value", "a value of an attribute", given.get_type(), help))?;
    elements.map(|element| value(&element?)).collect::<PyResult<_>>().map(AttributeValue::Values)
}

/// The values of the parameters of a rule.
pub(crate) fn user_values(user: Option<&Bound<'_, PyDict>>) -> PyResult<HashMap<String, AttributeValue>> {
    let user = user.into_iter().flat_map(|user| user.iter());
    user.map(|(name, given)| Ok((name.extract()?, value(&given)?))).collect()
}

fn to_python<'py>(py: Python<'py>, value: AttributeValue, kind: AttributeKind) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        AttributeValue::Null | AttributeValue::Values(_) => py.None().into_bound(py),
        AttributeValue::Bool(value) => PyBool::new(py, value).to_owned().into_any(),
        AttributeValue::Integer(value) => value.into_pyobject(py)?.into_any(),
        AttributeValue::Float(value) => value.into_pyobject(py)?.into_any(),
        AttributeValue::Text(value) => value.into_pyobject(py)?.into_any(),
        AttributeValue::List(value) => value.into_pyobject(py)?.into_any(),
        AttributeValue::Timestamp(microseconds) => {
            debug_assert_eq!(kind, AttributeKind::Timestamp);
            let datetime = py.import("datetime")?;
            let zone = datetime.getattr("timezone")?.getattr("utc")?;
            let epoch = datetime.getattr("datetime")?.call1((1970, 1, 1, 0, 0, 0, 0, zone))?;
            epoch.add(datetime.getattr("timedelta")?.call1((0, 0, microseconds))?)?
        }
    })
}

/// The error for a trie without attributes.
pub(crate) fn without_attributes() -> PyErr {
    to_py(catalex::Error::mismatch(
        "attributes of a rule",
        "the attributes of the trie's index",
        "none",
        "make the trie from an index that was built with --attributes, or pass attributes",
    ))
}
