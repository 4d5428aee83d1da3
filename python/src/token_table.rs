//! `catalex._native.TokenTable`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use catalex::Error;
use catalex::artifact::Overwrite;
use catalex::index::{Index, TOKENS, resolve_index};
use catalex::semantic_id::{Collisions, TableMetadata, TokenTable as Inner};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray2, ToPyArray};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule, PyTuple};

use crate::arrays::{to_numpy, view};
use crate::arrow_io;
use crate::errors::to_py;
use crate::features;
use crate::work;

/// The metadata of a table of given codes.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct MetadataDict {
    codebook_sizes: Vec<usize>,
    token_format: String,
    collisions: String,
    model_hash: String,
}

/// The semantic IDs of a catalog.
#[pyclass(frozen, module = "catalex._native", name = "TokenTable")]
#[derive(Debug)]
pub(crate) struct PyTokenTable {
    pub(crate) inner: Arc<Inner>,
    /// Rows by item id, created on first use.
    row_of: OnceLock<HashMap<String, usize>>,
    /// Rows sorted by code, created on first use.
    sorted: OnceLock<Vec<usize>>,
}

impl PyTokenTable {
    pub(crate) fn new(table: Inner) -> Self {
        PyTokenTable { inner: Arc::new(table), row_of: OnceLock::new(), sorted: OnceLock::new() }
    }
}

#[pymethods]
impl PyTokenTable {
    /// Reads a token table, or the one of an index.
    #[staticmethod]
    fn read(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let table = work::short(py, || {
            // Prevents the removal of a store's generation until it has been read.
            let held = resolve_index(&path)?;
            let path = if Index::is_index(&held) {
                Index::open_for(&held, &[TOKENS])?.path(TOKENS)
            } else {
                held.to_path_buf()
            };
            Inner::read(&path)
        })?;
        Ok(Self::new(table))
    }

    /// The table of the bytes that `to_bytes` returned.
    #[staticmethod]
    fn of_bytes(py: Python<'_>, bytes: &[u8]) -> PyResult<Self> {
        work::short(py, || Inner::of_bytes(bytes.to_vec())).map(Self::new)
    }

    /// The table of Arrow data in the format of a token table. `like` gives the metadata where the schema lacks it.
    #[staticmethod]
    #[pyo3(signature = (data, like=None))]
    fn of_arrow(py: Python<'_>, data: &Bound<'_, PyAny>, like: Option<&PyTokenTable>) -> PyResult<Self> {
        let (schema, batches) = arrow_io::batches(data)?;
        let like = like.map(|like| like.inner.clone());
        let table = work::short(py, || match like {
            Some(like) => Inner::of_batches_like(&schema, &batches, &like.metadata),
            None => Inner::of_batches(&schema, &batches),
        })?;
        Ok(Self::new(table))
    }

    /// A table of codes `(n, levels)`, checked.
    #[staticmethod]
    fn of_codes(
        py: Python<'_>,
        codes: PyReadonlyArray2<'_, u16>,
        item_ids: Option<&Bound<'_, PyAny>>,
        metadata: MetadataDict,
    ) -> PyResult<Self> {
        let codes = view(&codes).to_owned();
        let n = codes.nrows();
        let item_ids = item_ids.map_or_else(|| Ok(catalex::ItemIds::row_numbers(n)), features::ids)?;
        let metadata = TableMetadata {
            model_hash: metadata.model_hash,
            codebook_sizes: metadata.codebook_sizes,
            token_format: metadata.token_format.parse().map_err(to_py)?,
            policy: metadata.collisions.parse().map_err(to_py)?,
            collisions: None,
        };
        let table = Inner {
            members: None,
            item_ids,
            residual_error: vec![0.0; n],
            reassigned: vec![false; n],
            codes,
            metadata,
        };
        let table = work::short(py, || {
            if table.codes.ncols() != table.metadata.codebook_sizes.len() {
                let (expected, got) = (table.metadata.codebook_sizes.len(), table.codes.ncols());
                return Err(Error::mismatch("levels of the codes", expected, got, "pass the size of each level"));
            }
            if table.item_ids.len() != n {
                return Err(Error::mismatch(
                    "item_ids",
                    format!("{n}, one per row"),
                    table.item_ids.len(),
                    "pass one id per row",
                ));
            }
            let batch = table.to_batch()?;
            Inner::of_batches(&batch.schema(), &[batch])
        })?;
        Ok(Self::new(table))
    }

    /// The table as Parquet in memory.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = work::short(py, || self.inner.to_bytes())?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Writes the table as Parquet.
    #[pyo3(signature = (path, *, force=false))]
    fn write(&self, py: Python<'_>, path: PathBuf, force: bool) -> PyResult<()> {
        let overwrite = if force { Overwrite::Replace } else { Overwrite::Refuse };
        work::short(py, || self.inner.write(&path, overwrite))
    }

    /// The items, in the catalog's order.
    #[getter]
    fn item_ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        features::to_list(py, &self.inner.item_ids)
    }

    /// Codes `(n, levels)`.
    #[getter]
    fn codes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<u16>>> {
        to_numpy(py, self.inner.codes.clone())
    }

    /// The semantic IDs, by row.
    #[getter]
    fn semantic_ids(&self, py: Python<'_>) -> Vec<String> {
        py.detach(|| (0..self.inner.codes.nrows()).map(|row| self.inner.semantic_id(row)).collect())
    }

    /// Squared distance between each item's latent and the sum of its codewords.
    #[getter]
    fn residual_error<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f32>> {
        self.inner.residual_error.to_pyarray(py)
    }

    /// Whether the resolver changed an item's code.
    #[getter]
    fn reassigned<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<bool>> {
        self.inner.reassigned.to_pyarray(py)
    }

    /// Codes per level.
    #[getter]
    fn codebook_sizes(&self) -> Vec<usize> {
        self.inner.metadata.codebook_sizes.clone()
    }

    /// Hash of the model that assigned the codes.
    #[getter]
    fn model_hash(&self) -> String {
        self.inner.metadata.model_hash.clone()
    }

    /// The format of tokens.
    #[getter]
    fn token_format(&self) -> String {
        self.inner.metadata.token_format.to_string()
    }

    /// How ID collisions were resolved.
    #[getter]
    fn collisions(&self) -> String {
        self.inner.metadata.policy.to_string()
    }

    /// Maximum number of items per ID; `None` if the policy does not limit it.
    #[getter]
    fn capacity(&self) -> Option<u16> {
        match self.inner.metadata.policy {
            Collisions::Share { capacity } => Some(capacity),
            policy => policy.unique().then_some(1),
        }
    }

    /// The rank of each item among the items of its ID, if items share IDs on purpose.
    #[getter]
    fn members<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyArray1<u16>>> {
        self.inner.members.as_ref().map(|members| members.ranks.to_pyarray(py))
    }

    /// Each item's values of the columns in which the items of an ID must agree, as JSON.
    #[getter]
    fn must_differ(&self) -> Option<Vec<String>> {
        let classes = self.inner.members.as_ref()?.classes.as_ref()?;
        Some((0..classes.class.len()).map(|row| classes.name(row).to_owned()).collect())
    }

    /// The report of the resolver, as JSON.
    #[getter]
    fn report_json(&self) -> Option<String> {
        self.inner.metadata.collisions.as_ref().map(|report| serde_json::json!(report).to_string())
    }

    /// The semantic ID of a row.
    fn semantic_id(&self, row: usize) -> PyResult<String> {
        if row >= self.inner.codes.nrows() {
            return Err(pyo3::exceptions::PyIndexError::new_err(format!("there is no row {row}")));
        }
        Ok(self.inner.semantic_id(row))
    }

    /// The row of an item, given its id as text.
    fn row(&self, py: Python<'_>, id: &str) -> PyResult<usize> {
        let ids = &self.inner.item_ids;
        let row_of = match self.row_of.get() {
            Some(row_of) => row_of,
            None => py.detach(|| self.row_of.get_or_init(|| ids.rows_by_text())),
        };
        row_of.get(id).copied().ok_or_else(|| {
            to_py(Error::Item {
                item: id.to_owned(),
                expected: "an item of the token table".into(),
                got: format!("none of its {} ids", ids.len()),
                help: "check the id; it must be an id of the catalog".into(),
            })
        })
    }

    /// The rows whose IDs start with this text, sorted by code.
    fn rows_of_text<'py>(&self, py: Python<'py>, prefix: &str) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let metadata = &self.inner.metadata;
        let codes = metadata.token_format.parse(prefix, &metadata.codebook_sizes).map_err(to_py)?;
        self.rows_of_codes(py, codes)
    }

    /// The rows whose codes start with these, sorted by code, then by their ranks in a shared ID.
    fn rows_of_codes<'py>(&self, py: Python<'py>, prefix: Vec<u16>) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let codes = &self.inner.codes;
        let sorted = match self.sorted.get() {
            Some(sorted) => sorted,
            None => py.detach(|| {
                self.sorted.get_or_init(|| {
                    let members = self.inner.members.as_ref();
                    let rank = |row: usize| members.map_or(0, |members| members.ranks[row]);
                    let mut rows: Vec<usize> = (0..codes.nrows()).collect();
                    rows.sort_by(|&a, &b| codes.row(a).iter().cmp(codes.row(b).iter()).then(rank(a).cmp(&rank(b))));
                    rows
                })
            }),
        };
        let compare = |row: usize| codes.row(row).iter().take(prefix.len()).cmp(&prefix);
        let from = sorted.partition_point(|&row| compare(row).is_lt());
        let to = sorted.partition_point(|&row| compare(row).is_le());
        Ok(sorted[from..to].iter().map(|&row| row as i64).collect::<Vec<_>>().into_pyarray(py))
    }

    fn __len__(&self) -> usize {
        self.inner.codes.nrows()
    }

    /// The table as an Arrow stream of one batch.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // The protocol allows the producer to ignore the requested schema.
        let _ = requested_schema;
        arrow_io::to_stream(py, work::short(py, || self.inner.to_batch())?)
    }

    /// The table as an Arrow struct array with its schema.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let _ = requested_schema;
        arrow_io::to_array(py, work::short(py, || self.inner.to_batch())?)
    }

    /// The Arrow schema of the table.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        arrow_io::to_schema(py, &work::short(py, || self.inner.to_batch())?)
    }
}
