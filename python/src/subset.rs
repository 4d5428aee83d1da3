//! `catalex.Subset`.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use catalex::attributes::{Attributes, Rule};
use catalex::constraint::{RuleSubset, Subset, Trie};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::attributes::{PyAttributes, user_values, without_attributes};
use crate::trie::{PyTrie, checked};
use crate::work;

/// A subset of a trie's items, created by `Trie.subset` or by a rule; valid for that trie only.
#[pyclass(frozen, module = "catalex", name = "Subset")]
#[derive(Debug)]
pub(crate) struct PySubset {
    /// The items. A refresh replaces them, and a step that has already begun keeps the items it began with.
    inner: RwLock<Arc<Subset>>,
    pub(crate) trie: Arc<Trie>,
    /// The rule of the subset and the attributes that it follows.
    rule: Option<(Mutex<RuleSubset>, Arc<RwLock<Attributes>>)>,
}

#[pymethods]
impl PySubset {
    /// The items of a trie for which a rule is true.
    #[staticmethod]
    #[pyo3(signature = (trie, rule, *, user=None, attributes=None))]
    fn from_rules(
        py: Python<'_>,
        trie: &PyTrie,
        rule: &str,
        user: Option<&Bound<'_, PyDict>>,
        attributes: Option<&PyAttributes>,
    ) -> PyResult<Self> {
        let user = user_values(user)?;
        let own = if attributes.is_none() { trie.attributes(py)? } else { None };
        let attributes = match (attributes, &own) {
            (Some(attributes), _) => attributes.inner.clone(),
            (None, Some(attributes)) => attributes.get().inner.clone(),
            (None, None) => return Err(without_attributes()),
        };
        let subset = work::short(py, || {
            let attributes = attributes.read().unwrap_or_else(PoisonError::into_inner);
            let rule = Rule::compile(rule, &attributes.schema())?.bind(&user)?;
            RuleSubset::new(&trie.inner, rule, &attributes)
        })?;
        Ok(PySubset {
            inner: RwLock::new(Arc::new(subset.subset().clone())),
            trie: trie.inner.clone(),
            rule: Some((Mutex::new(subset), attributes)),
        })
    }

    /// Evaluates the rule again for the items whose attributes changed. Returns the number of these changes.
    fn refresh(&self, py: Python<'_>) -> PyResult<usize> {
        let Some((rule, attributes)) = &self.rule else { return Ok(0) };
        work::short(py, || {
            let attributes = attributes.read().unwrap_or_else(PoisonError::into_inner);
            let mut rule = rule.lock().unwrap_or_else(PoisonError::into_inner);
            let changes = rule.refresh(&self.trie, &attributes)?;
            if changes > 0 {
                *self.inner.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rule.subset().clone());
            }
            Ok(changes)
        })
    }

    fn __and__(&self, other: &PySubset) -> PyResult<Self> {
        self.with(other, Subset::and)
    }

    fn __or__(&self, other: &PySubset) -> PyResult<Self> {
        self.with(other, Subset::or)
    }

    fn __sub__(&self, other: &PySubset) -> PyResult<Self> {
        self.with(other, Subset::minus)
    }

    fn __invert__(&self) -> Self {
        PySubset::new(self.current().complement(), self.trie.clone())
    }

    fn __len__(&self) -> usize {
        self.current().len()
    }

    fn __repr__(&self) -> String {
        format!("Subset({} of {} items)", self.current().len(), self.trie.len())
    }
}

impl PySubset {
    pub(crate) fn new(subset: Subset, trie: Arc<Trie>) -> Self {
        PySubset { inner: RwLock::new(Arc::new(subset)), trie, rule: None }
    }

    /// The items now.
    pub(crate) fn current(&self) -> Arc<Subset> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn with(&self, other: &PySubset, combine: impl Fn(&Subset, &Subset) -> Subset) -> PyResult<Self> {
        let other = checked(&self.trie, other)?;
        Ok(PySubset::new(combine(&self.current(), &other), self.trie.clone()))
    }
}
