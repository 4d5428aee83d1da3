//! The native half of the Python package `catalex`: what the frozen half of the crate offers, without libtorch.
//!
//! One file a class. Long work releases the interpreter; errors of the crate become those of `catalex.errors`.

mod decoder;
mod errors;
mod facets;
mod fm_index;
mod subset;
mod token_ids;
mod trie;

use pyo3::prelude::*;

/// `catalex._native`
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<token_ids::TokenIds>()?;
    module.add_class::<trie::Trie>()?;
    module.add_class::<subset::Subset>()?;
    module.add_class::<fm_index::FmIndex>()?;
    module.add_class::<fm_index::Occurrences>()?;
    module.add_class::<facets::FacetTokenizer>()?;
    module.add_function(wrap_pyfunction!(facets::trans_rec, module)?)?;
    module.add_class::<decoder::Decoder>()
}
