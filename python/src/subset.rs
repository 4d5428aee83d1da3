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
    rule: Option<(RwLock<RuleSubset>, Arc<RwLock<Attributes>>)>,
    /// The subsets of which this one is made. It follows their changes.
    derived: Option<Derived>,
}

/// Makes a subset of the items of others.
type MakeSubset = dyn Fn(&[Arc<Subset>]) -> Subset + Send + Sync;

/// How a subset is made of others.
struct Derived {
    sources: Vec<Py<PySubset>>,
    /// The items of the sources of which the subset was made last.
    seen: Mutex<Vec<Arc<Subset>>>,
    make: Box<MakeSubset>,
}

impl std::fmt::Debug for Derived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Derived").field("sources", &self.sources).finish_non_exhaustive()
    }
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
        let Some(attributes) = attributes.or(own.as_ref().map(|own| own.get())) else {
            return Err(without_attributes());
        };
        trie.check_attributes(py, attributes)?;
        let attributes = attributes.inner.clone();
        let subset = work::reading(py, &attributes, |attributes| {
            let rule = Rule::compile(rule, &attributes.schema())?.bind(&user)?;
            RuleSubset::new(&trie.inner, rule, attributes)
        })?;
        Ok(PySubset {
            inner: RwLock::new(Arc::new(subset.subset().clone())),
            trie: trie.inner.clone(),
            rule: Some((RwLock::new(subset), attributes)),
            derived: None,
        })
    }

    /// Evaluates the rule again for the items whose attributes changed, or the rules of the subsets of which this one is
    /// made. Returns the number of these changes.
    fn refresh(&self, py: Python<'_>) -> PyResult<usize> {
        if let Some(derived) = &self.derived {
            return derived.sources.iter().map(|source| source.get().refresh(py)).sum();
        }
        let Some((rule, attributes)) = &self.rule else { return Ok(0) };
        work::refreshing(py, (rule, attributes), |rule, attributes| {
            let changes = rule.refresh(&self.trie, attributes)?;
            if changes > 0 {
                *self.inner.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rule.subset().clone());
            }
            Ok(changes)
        })
    }

    fn __and__(slf: Py<Self>, other: Py<Self>) -> PyResult<Self> {
        Self::combined(slf, other, Subset::and)
    }

    fn __or__(slf: Py<Self>, other: Py<Self>) -> PyResult<Self> {
        Self::combined(slf, other, Subset::or)
    }

    fn __sub__(slf: Py<Self>, other: Py<Self>) -> PyResult<Self> {
        Self::combined(slf, other, Subset::minus)
    }

    fn __invert__(slf: Py<Self>) -> Self {
        let trie = slf.get().trie.clone();
        Self::derived(trie, vec![slf], |sources| sources[0].complement())
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
        PySubset { inner: RwLock::new(Arc::new(subset)), trie, rule: None, derived: None }
    }

    /// A subset that `make` makes of other subsets, and makes again when they change.
    pub(crate) fn derived(
        trie: Arc<Trie>,
        sources: Vec<Py<Self>>,
        make: impl Fn(&[Arc<Subset>]) -> Subset + Send + Sync + 'static,
    ) -> Self {
        let seen: Vec<Arc<Subset>> = sources.iter().map(|source| source.get().current()).collect();
        let subset = PySubset::new(make(&seen), trie);
        PySubset { derived: Some(Derived { sources, seen: Mutex::new(seen), make: Box::new(make) }), ..subset }
    }

    /// The items now.
    pub(crate) fn current(&self) -> Arc<Subset> {
        if let Some(derived) = &self.derived {
            let now: Vec<Arc<Subset>> = derived.sources.iter().map(|source| source.get().current()).collect();
            let mut seen = derived.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if !seen.iter().zip(&now).all(|(seen, now)| Arc::ptr_eq(seen, now)) {
                *self.inner.write().unwrap_or_else(PoisonError::into_inner) = Arc::new((derived.make)(&now));
                *seen = now;
            }
        }
        self.inner.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn combined(
        one: Py<Self>,
        other: Py<Self>,
        combine: impl Fn(&Subset, &Subset) -> Subset + Send + Sync + 'static,
    ) -> PyResult<Self> {
        let trie = one.get().trie.clone();
        checked(&trie, other.get())?;
        Ok(Self::derived(trie, vec![one, other], move |sources| combine(&sources[0], &sources[1])))
    }
}
