//! `catalex.Trie`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, RwLock, Weak};

use catalex::ItemIds;
use catalex::artifact::{Overwrite, read_text};
use catalex::attributes::{ATTRIBUTES, Attributes};
use catalex::constraint::{Prefix, Subset, Trie as Inner, all_rows, tokens_of};
use catalex::index::{Index, ResolvedIndex, TOKENS, resolve_index};
use catalex::semantic_id::TokenTable;
use ndarray::Array2;
use numpy::{PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::attributes::PyAttributes;
use crate::errors::{mismatch, to_py};
use crate::item_rows::ItemRows;
use crate::subset::PySubset;
use crate::token_ids::{PyTokenIds, without_tokens};
use crate::token_table::PyTokenTable;
use crate::work;

/// The valid semantic IDs of a catalog.
#[pyclass(frozen, module = "catalex", name = "Trie")]
#[derive(Debug)]
pub(crate) struct PyTrie {
    pub(crate) inner: Arc<Inner>,
    /// Catalog ids of the items, for a trie of a token table.
    pub(crate) items: Option<ItemRows>,
    /// The index of the token table, which is not removed from its store while the trie exists.
    index: Option<ResolvedIndex>,
    /// All items, created on first use.
    all: OnceLock<Arc<Subset>>,
    /// The attributes of the index, read on first use.
    attributes: OnceLock<Option<Py<PyAttributes>>>,
    /// The attributes that were last found to be those of the items.
    pub(crate) checked: Mutex<Weak<RwLock<Attributes>>>,
}

#[pymethods]
impl PyTrie {
    /// The trie of a token table, or of its file or index; with token ids, given a vocabulary folder.
    #[staticmethod]
    #[pyo3(signature = (table, vocabulary=None))]
    fn from_table(py: Python<'_>, table: &Bound<'_, PyAny>, vocabulary: Option<PathBuf>) -> PyResult<Self> {
        // `catalex.TokenTable` has the native table as an attribute.
        let native = table.getattr("_native").ok();
        let native = native.and_then(|native| Some(native.cast::<PyTokenTable>().ok()?.get().inner.clone()));
        let path: Option<PathBuf> = if native.is_some() { None } else { Some(table.extract()?) };
        work::short(py, || -> catalex::Result<PyTrie> {
            let read = |path: PathBuf| {
                let held = resolve_index(&path)?;
                let path = if Index::is_index(&held) {
                    Index::open_for(&held, &[TOKENS])?.path(TOKENS)
                } else {
                    held.to_path_buf()
                };
                Ok::<_, catalex::Error>((Arc::new(TokenTable::read(&path)?), Index::is_index(&held).then_some(held)))
            };
            let (table, index) = match (native, path) {
                (Some(table), _) => (table, None),
                (None, path) => read(path.unwrap_or_default())?,
            };
            let mut trie = Inner::of_table(&table, &all_rows(&table))?;
            if let Some(folder) = vocabulary {
                trie = trie.with_tokens(tokens_of(&table, &folder)?)?;
            }
            Ok(PyTrie { index, ..PyTrie::new(trie, Some(table.item_ids.clone())) })
        })
    }

    /// The trie of the rows of a matrix of codes `(items, levels)`.
    #[staticmethod]
    #[pyo3(signature = (codes, tokens=None))]
    fn from_codes(py: Python<'_>, codes: PyReadonlyArray2<'_, u16>, tokens: Option<&PyTokenIds>) -> PyResult<Self> {
        let tokens = tokens.map(|tokens| tokens.inner.clone());
        let (items, levels) = (codes.shape()[0], codes.shape()[1]);
        let in_order: Vec<u16> = codes.as_array().iter().copied().collect();
        let made = work::short(py, || {
            let codes = Array2::from_shape_vec((items, levels), in_order)
                .map_err(|e| catalex::Error::mismatch("codes", "a matrix", e, "pass a contiguous array of uint16"))?;
            let trie = Inner::new(codes.view())?;
            match tokens {
                Some(tokens) => trie.with_tokens(tokens),
                None => Ok(trie),
            }
        });
        Ok(PyTrie::new(made?, None))
    }

    /// Maps a file that `save` or `catalex constrain --form trie` wrote into memory and verifies it. `table` is the file
    /// of the token table that it was made from, for a trie with item ids.
    #[staticmethod]
    #[pyo3(signature = (path, table=None))]
    fn load(py: Python<'_>, path: PathBuf, table: Option<PathBuf>) -> PyResult<Self> {
        work::short(py, || {
            let trie = Inner::load(&path)?;
            let Some(table) = table else { return Ok(PyTrie::new(trie, None)) };
            let table = TokenTable::read(&table)?;
            trie.check_table(&table)?;
            Ok(PyTrie::new(trie, Some(table.item_ids)))
        })
    }

    /// Writes the trie to a file.
    #[pyo3(signature = (path, *, force=false))]
    fn save(&self, py: Python<'_>, path: PathBuf, force: bool) -> PyResult<()> {
        let overwrite = if force { Overwrite::Replace } else { Overwrite::Refuse };
        py.detach(|| self.inner.save(&path, overwrite)).map_err(to_py)
    }

    /// Number of levels.
    #[getter]
    fn levels(&self) -> usize {
        self.inner.levels()
    }

    /// Size in bytes.
    #[getter]
    fn nbytes(&self) -> usize {
        self.inner.size()
    }

    /// The token ids of the language model, if known.
    #[getter]
    fn tokens(&self) -> Option<PyTokenIds> {
        self.inner.tokens().map(|inner| PyTokenIds { inner: inner.clone() })
    }

    /// The codes that may follow these, ascending.
    #[pyo3(signature = (codes, subset=None))]
    fn allowed<'py>(
        &self,
        py: Python<'py>,
        codes: Vec<u16>,
        subset: Option<&PySubset>,
    ) -> PyResult<Bound<'py, PyArray1<u16>>> {
        let prefix = self.inner.find(&codes);
        let next = match (prefix, self.of_this(subset)?) {
            (None, _) => Vec::new(),
            (Some(prefix), None) => self.inner.allowed(prefix).to_vec(),
            (Some(prefix), Some(subset)) => self.inner.allowed_in(prefix, &subset).collect(),
        };
        Ok(PyArray1::from_vec(py, next))
    }

    /// The token ids that may follow these, ascending.
    #[pyo3(signature = (tokens, subset=None))]
    fn allowed_tokens<'py>(
        &self,
        py: Python<'py>,
        tokens: Vec<u32>,
        subset: Option<&PySubset>,
    ) -> PyResult<Bound<'py, PyArray1<u32>>> {
        let trie = self.inner.by_tokens().ok_or_else(without_tokens)?;
        let next = match (trie.find(&tokens), self.of_this(subset)?) {
            (None, _) => Vec::new(),
            (Some(prefix), None) => trie.allowed(prefix).collect(),
            (Some(prefix), Some(subset)) => trie.allowed_in(prefix, &subset).collect(),
        };
        Ok(PyArray1::from_vec(py, next))
    }

    /// The row of the item with this ID; of several items that share it, the one of rank 0.
    fn find(&self, codes: Vec<u16>) -> Option<u32> {
        let whole = codes.len() == self.inner.levels();
        let prefix = self.inner.find(&codes).filter(|_| whole)?;
        self.inner.rows_under(prefix).first().copied()
    }

    /// The rows of the items whose IDs start with these codes, sorted by code, then by their ranks in a shared ID.
    fn rows<'py>(&self, py: Python<'py>, codes: Vec<u16>) -> Bound<'py, PyArray1<u32>> {
        let rows = self.inner.find(&codes).map(|prefix: Prefix| self.inner.rows_under(prefix).to_vec());
        PyArray1::from_vec(py, rows.unwrap_or_default())
    }

    /// Whether an item has this ID.
    fn contains(&self, codes: Vec<u16>) -> bool {
        self.find(codes).is_some()
    }

    fn __contains__(&self, codes: Vec<u16>) -> bool {
        self.contains(codes)
    }

    /// The items of these rows, or of the rows where a mask is true; with `invert` all other items.
    #[pyo3(signature = (rows, *, invert=false))]
    fn subset(&self, py: Python<'_>, rows: &Bound<'_, PyAny>, invert: bool) -> PyResult<PySubset> {
        let most = self.inner.rows_under(Prefix::EMPTY).iter().max().map_or(0, |&row| row as usize + 1);
        let mut chosen = vec![false; most];
        if let Ok(mask) = rows.extract::<PyReadonlyArray1<'_, bool>>() {
            if mask.len() < most {
                return Err(mismatch(
                    "mask of a subset",
                    &format!("{most} rows"),
                    mask.len(),
                    "pass one value per row",
                ));
            }
            chosen.iter_mut().zip(mask.as_array()).for_each(|(chosen, &here)| *chosen = here);
        } else {
            let rows: Vec<i64> = if let Ok(rows) = rows.extract::<PyReadonlyArray1<'_, i64>>() {
                rows.as_array().to_vec()
            } else if let Ok(rows) = rows.extract::<PyReadonlyArray1<'_, u32>>() {
                rows.as_array().iter().map(|&row| i64::from(row)).collect()
            } else {
                rows.extract()?
            };
            for row in rows {
                let place = usize::try_from(row).ok().and_then(|row| chosen.get_mut(row));
                let help = "rows are numbered as in the token table";
                *place.ok_or_else(|| mismatch("rows of a subset", &format!("rows below {most}"), row, help))? = true;
            }
        }
        self.chosen(py, &chosen, invert)
    }

    /// The items of these ids, with `invert` all others; for tries of a token table.
    #[pyo3(signature = (ids, *, invert=false))]
    fn subset_of(&self, py: Python<'_>, ids: &Bound<'_, PyAny>, invert: bool) -> PyResult<PySubset> {
        let items = self.items()?;
        let mut chosen = vec![false; items.ids.len()];
        items.find(ids)?.into_iter().for_each(|row| chosen[row as usize] = true);
        self.chosen(py, &chosen, invert)
    }

    /// The items whose ids a text file lists, one per line, and the number of lines that are no item of this trie.
    fn _subset_of_file(&self, py: Python<'_>, path: PathBuf) -> PyResult<(PySubset, usize)> {
        let items = self.items()?;
        let (inner, missing) = work::short(py, || {
            let text = read_text(&path).map_err(|e| catalex::Error::io("read", &path, e))?;
            let mut chosen = vec![false; items.ids.len()];
            let mut missing = 0;
            for id in text.lines().filter(|id| !id.is_empty()) {
                match items.row(id) {
                    Some(row) => chosen[row as usize] = true,
                    None => missing += 1,
                }
            }
            Ok((self.inner.subset(|row| chosen[row]), missing))
        })?;
        Ok((PySubset::new(inner, self.inner.clone()), missing))
    }

    /// A subset, or all items, without the items of these ids. It follows changes of the subset. With `ignore_missing`,
    /// ids that are no items are ignored.
    #[pyo3(signature = (ids, subset=None, *, ignore_missing=false))]
    fn without(
        &self,
        py: Python<'_>,
        ids: &Bound<'_, PyAny>,
        subset: Option<Py<PySubset>>,
        ignore_missing: bool,
    ) -> PyResult<PySubset> {
        let items = self.items()?;
        let rows = if ignore_missing { items.find_known(ids)? } else { items.find(ids)? };
        let Some(subset) = subset else {
            let all = self.all.get_or_init(|| Arc::new(self.inner.all())).clone();
            let inner = work::pooled(py, || self.inner.without(&all, &rows))?;
            return Ok(PySubset::new(inner, self.inner.clone()));
        };
        checked(&self.inner, subset.get())?;
        let trie = self.inner.clone();
        Ok(PySubset::derived(self.inner.clone(), vec![subset], move |sources| trie.without(&sources[0], &rows)))
    }

    /// The attributes of the index of the trie, if it has any.
    #[getter]
    pub(crate) fn attributes(&self, py: Python<'_>) -> PyResult<Option<Py<PyAttributes>>> {
        let read = || -> PyResult<Option<Py<PyAttributes>>> {
            let Some(held) = &self.index else { return Ok(None) };
            let index = Index::open_for(held, &[ATTRIBUTES]).map_err(to_py)?;
            if !index.manifest().files.contains_key(ATTRIBUTES) {
                return Ok(None);
            }
            let attributes = work::short(py, || Attributes::read(&index.path(ATTRIBUTES)))?;
            Py::new(py, PyAttributes::new(attributes, true)).map(Some)
        };
        if self.attributes.get().is_none() {
            // If another thread was faster, its object is kept.
            let _ = self.attributes.set(read()?);
        }
        Ok(self.attributes.get().and_then(|found| found.as_ref()).map(|attributes| attributes.clone_ref(py)))
    }

    /// Catalog ids of the items by row, for a trie of a token table.
    #[getter]
    fn item_ids<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(match self.items.as_ref().map(|items| &items.ids) {
            None => None,
            Some(ItemIds::Integers(ids)) => Some(ids.into_pyobject(py)?.into_any()),
            Some(ItemIds::Strings(ids)) => Some(ids.into_pyobject(py)?.into_any()),
        })
    }

    fn __len__(&self) -> usize {
        self.inner.len()
    }

    fn __repr__(&self) -> String {
        let tokens = if self.inner.tokens().is_some() { "with" } else { "without" };
        format!(
            "Trie({} items, {} levels, {} bytes, {tokens} token ids)",
            self.inner.len(),
            self.inner.levels(),
            self.inner.size()
        )
    }
}

impl PyTrie {
    fn new(trie: Inner, item_ids: Option<ItemIds>) -> Self {
        PyTrie {
            inner: Arc::new(trie),
            items: item_ids.map(ItemRows::new),
            index: None,
            all: OnceLock::new(),
            attributes: OnceLock::new(),
            checked: Mutex::new(Weak::new()),
        }
    }

    fn items(&self) -> PyResult<&ItemRows> {
        self.items.as_ref().ok_or_else(|| {
            let help = "make it with Trie.from_table, or name rows: Trie.subset";
            mismatch("trie", "the items' ids", "a trie that has only row numbers", help)
        })
    }

    fn chosen(&self, py: Python<'_>, chosen: &[bool], invert: bool) -> PyResult<PySubset> {
        let inner = work::pooled(py, || self.inner.subset(|row| chosen[row] != invert))?;
        Ok(PySubset::new(inner, self.inner.clone()))
    }

    fn of_this(&self, subset: Option<&PySubset>) -> PyResult<Option<Arc<Subset>>> {
        subset.map(|subset| checked(&self.inner, subset)).transpose()
    }
}

/// A subset, if it belongs to this trie.
pub(crate) fn checked(trie: &Arc<Inner>, subset: &PySubset) -> PyResult<Arc<Subset>> {
    if Arc::ptr_eq(trie, &subset.trie) {
        return Ok(subset.current());
    }
    let help = "create it with the subset method of the same trie";
    Err(mismatch("subset", "one of this trie", "one of another trie", help))
}
