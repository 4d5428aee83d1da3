//! `catalex._native.Features`: vectors of a file, an Arrow table or numpy matrices.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use catalex::artifact::Overwrite;
use catalex::features::{Block, Blocks, FeatureFile, FeatureSource, Features as Whole, LayeredFeatures, Modality};
use catalex::index::{FEATURES, FEATURES_ADDED, Index, ResolvedIndex, TOKENS, resolve_index};
use catalex::item_ids::IdFault;
use catalex::semantic_id::TokenTable;
use catalex::{Error, ItemIds};
use ndarray::{Array2, s};
use numpy::{PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;

use crate::arrays::{NumpyMatrix, to_numpy, view};
use crate::arrow_io;
use crate::errors::{mismatch, to_py};
use crate::work;

/// Rows per block that is copied out of a matrix.
const ROWS_PER_BLOCK: usize = 8_192;

/// The vectors of a set of items.
#[pyclass(frozen, module = "catalex._native", name = "Features")]
pub(crate) struct PyFeatures {
    pub(crate) inner: Arc<dyn FeatureSource + Send + Sync>,
    /// Prevents the removal of a store's generation while its features are read.
    _held: Option<ResolvedIndex>,
}

#[pymethods]
impl PyFeatures {
    /// The features of a Parquet, Arrow or `.npy` file, or of an index; read on use.
    #[staticmethod]
    fn of_file(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let (file, held) = work::short(py, || {
            let held = resolve_index(&path)?;
            let features = match Index::is_index(&held) {
                true => {
                    let index = Index::open_for(&held, &[TOKENS, FEATURES, FEATURES_ADDED])?;
                    index.features(&TokenTable::read(&index.path(TOKENS))?.item_ids)?
                }
                false => LayeredFeatures::of_file(FeatureFile::open(&held)?),
            };
            Ok((features, held))
        })?;
        Ok(PyFeatures { inner: Arc::new(file), _held: Some(held) })
    }

    /// The features of an object with Arrow's PyCapsule protocol; ids from the column `id`.
    #[staticmethod]
    #[pyo3(signature = (data, id=None))]
    fn of_arrow(py: Python<'_>, data: &Bound<'_, PyAny>, id: Option<String>) -> PyResult<Self> {
        let (schema, batches) = arrow_io::batches(data)?;
        let whole = work::short(py, || Whole::of_batches(&schema, &batches, id.as_deref()))?;
        Ok(PyFeatures { inner: Arc::new(whole), _held: None })
    }

    /// The rows of float32 matrices, one per modality. `present (n, modalities)` marks the modalities that an item has.
    #[staticmethod]
    #[pyo3(signature = (names, matrices, item_ids=None, present=None))]
    fn of_matrices(
        names: Vec<String>,
        matrices: Vec<Bound<'_, PyArray2<f32>>>,
        item_ids: Option<&Bound<'_, PyAny>>,
        present: Option<PyReadonlyArray2<'_, bool>>,
    ) -> PyResult<Self> {
        let matrices: Vec<_> = matrices.iter().map(NumpyMatrix::of).collect();
        let n = matrices.first().map_or(0, |matrix| matrix.view().nrows());
        if let Some(other) = matrices.iter().map(|matrix| matrix.view().nrows()).find(|&rows| rows != n) {
            let expected = format!("{n} rows, as in the first");
            return Err(mismatch("rows of the modalities", &expected, other, "pass one row per item in each"));
        }
        if n == 0 || names.is_empty() {
            return Err(mismatch("features", "at least one item and one modality", "none", "check the input"));
        }
        let item_ids = item_ids.map_or_else(|| Ok(ItemIds::row_numbers(n)), ids)?;
        if item_ids.len() != n {
            return Err(mismatch("item_ids", &format!("{n}, one per row"), item_ids.len(), "pass one id per row"));
        }
        unique(&item_ids).map_err(to_py)?;
        let present = present.map(|present| view(&present).to_owned());
        if let Some(present) = present.as_ref().filter(|present| present.dim() != (n, names.len())) {
            let expected = format!("shape {:?}", (n, names.len()));
            return Err(mismatch(
                "present",
                &expected,
                format!("{:?}", present.dim()),
                "pass one flag per item and modality",
            ));
        }
        let present = (0..names.len())
            .map(|m| present.as_ref().map_or_else(|| vec![true; n], |present| present.column(m).to_vec()))
            .collect();
        Ok(PyFeatures { inner: Arc::new(NumpyFeatures { names, matrices, present, item_ids }), _held: None })
    }

    /// The same features in memory.
    fn whole(&self, py: Python<'_>) -> PyResult<Self> {
        let source = self.inner.clone();
        let read = work::long(py, move |_| Ok(whole(&*source)?.into_owned()))?;
        Ok(PyFeatures { inner: Arc::new(read), _held: None })
    }

    /// Name and vector length of each modality.
    #[getter]
    fn shapes(&self) -> Vec<(String, usize)> {
        self.inner.shapes()
    }

    /// The ids of the items, in order.
    fn item_ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let source = self.inner.clone();
        let ids = work::long(py, move |_| {
            let mut all = ItemIds::default();
            for block in source.all()? {
                all.append(block?.features.item_ids().clone());
            }
            Ok(all)
        })?;
        to_list(py, &ids)
    }

    /// Vectors `(n, dim)` of a modality, NaN where an item lacks it.
    fn vectors<'py>(&self, py: Python<'py>, modality: &str) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let shapes = self.inner.shapes();
        let Some(at) = shapes.iter().position(|(name, _)| name == modality) else {
            let names: Vec<_> = shapes.iter().map(|(name, _)| name.as_str()).collect();
            return Err(mismatch("modality", &format!("one of {}", names.join(", ")), modality, "check its spelling"));
        };
        let (source, dim) = (self.inner.clone(), shapes[at].1);
        let vectors = work::long(py, move |_| {
            let mut all = Array2::from_elem((source.rows(), dim), f32::NAN);
            for block in source.all()? {
                let block = block?;
                let modality = &block.features.modalities()[at];
                for (row, &present) in modality.present.iter().enumerate() {
                    if present {
                        all.row_mut(block.first_row + row).assign(&modality.vectors.row(row));
                    }
                }
            }
            Ok(all)
        })?;
        to_numpy(py, vectors)
    }

    fn __len__(&self) -> usize {
        self.inner.rows()
    }

    /// Writes the features as Parquet.
    #[pyo3(signature = (path, *, force=false))]
    fn write(&self, py: Python<'_>, path: PathBuf, force: bool) -> PyResult<()> {
        let overwrite = if force { Overwrite::Replace } else { Overwrite::Refuse };
        let source = self.inner.clone();
        work::long(py, move |_| whole(&*source)?.write(&path, overwrite))
    }
}

/// The whole source in memory.
pub(crate) fn whole(source: &dyn FeatureSource) -> catalex::Result<Cow<'_, Whole>> {
    if let Some(whole) = source.whole() {
        return Ok(Cow::Borrowed(whole));
    }
    let parts = source.all()?.map(|block| Ok(block?.features.into_owned()));
    Whole::joined(parts).map(Cow::Owned)
}

/// Refuses duplicate ids.
pub(crate) fn unique(ids: &ItemIds) -> catalex::Result<()> {
    let Err(fault) = ids.check_unique() else { return Ok(()) };
    let (item, got) = match fault {
        IdFault::Duplicate(first, row, id) => (id, format!("rows {} and {}", first + 1, row + 1)),
        other => ("of these".into(), format!("{other:?}")),
    };
    let help = "remove or rename one of them".into();
    Err(Error::Item { item, expected: "one row per item id".into(), got, help })
}

/// Item ids from Python: an array of int64 or a list of strings.
pub(crate) fn ids(given: &Bound<'_, PyAny>) -> PyResult<ItemIds> {
    if let Ok(integers) = given.extract::<numpy::PyReadonlyArray1<'_, i64>>() {
        return Ok(ItemIds::Integers(integers.as_array().to_vec()));
    }
    let strings: Vec<String> = given.extract()?;
    Ok(ItemIds::Strings(strings))
}

/// Ids as a Python list.
pub(crate) fn to_list<'py>(py: Python<'py>, ids: &ItemIds) -> PyResult<Bound<'py, PyAny>> {
    match ids {
        ItemIds::Integers(ids) => Ok(ids.into_pyobject(py)?.into_any()),
        ItemIds::Strings(ids) => Ok(ids.into_pyobject(py)?.into_any()),
    }
}

/// numpy matrices, copied block by block.
struct NumpyFeatures {
    names: Vec<String>,
    matrices: Vec<NumpyMatrix<f32>>,
    present: Vec<Vec<bool>>,
    item_ids: ItemIds,
}

impl FeatureSource for NumpyFeatures {
    fn shapes(&self) -> Vec<(String, usize)> {
        self.names.iter().zip(&self.matrices).map(|(name, matrix)| (name.clone(), matrix.view().ncols())).collect()
    }

    fn rows(&self) -> usize {
        self.item_ids.len()
    }

    fn parts(&self) -> usize {
        self.rows().div_ceil(ROWS_PER_BLOCK)
    }

    fn blocks(&self, parts: Vec<usize>) -> catalex::Result<Blocks<'_>> {
        Ok(Box::new(parts.into_iter().map(|part| {
            let (from, to) = (part * ROWS_PER_BLOCK, self.rows().min((part + 1) * ROWS_PER_BLOCK));
            let modality = |((name, matrix), present): ((&String, &NumpyMatrix<f32>), &Vec<bool>)| Modality {
                name: name.clone(),
                vectors: matrix.view().slice(s![from..to, ..]).to_owned(),
                present: present[from..to].to_vec(),
            };
            let modalities = self.names.iter().zip(&self.matrices).zip(&self.present).map(modality).collect();
            let ids = self.item_ids.take(&(from..to).collect::<Vec<_>>());
            Ok(Block { first_row: from, features: Cow::Owned(Whole::new(ids, modalities)?) })
        })))
    }

    fn check_ids(&self, _ids: &ItemIds) -> catalex::Result<()> {
        // Checked in `of_matrices`.
        Ok(())
    }
}
