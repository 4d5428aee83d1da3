//! The native part of the Python package `catalex`: the features of the crate that need no libtorch.
//!
//! One file per class. Long work releases the interpreter lock. Errors of the crate become exceptions of `catalex.errors`.

mod arrays;
mod arrow_io;
mod attributes;
#[cfg(feature = "benchmarks")]
mod benchmarks;
mod decoder;
mod errors;
mod facets;
mod features;
mod fm_index;
mod item_rows;
mod parts;
mod pipeline;
mod quality;
mod ranking;
mod store;
mod subset;
mod token_ids;
mod token_table;
mod tokenizer;
mod training;
mod trie;
mod trie_attributes;
mod vocabulary;
mod work;

use pyo3::prelude::*;

/// `catalex._native`
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<token_ids::PyTokenIds>()?;
    module.add_class::<trie::PyTrie>()?;
    module.add_class::<subset::PySubset>()?;
    module.add_class::<attributes::PyAttributes>()?;
    module.add_class::<fm_index::PyFmIndex>()?;
    module.add_class::<fm_index::PyOccurrences>()?;
    module.add_class::<facets::PyFacetTokenizer>()?;
    module.add_function(wrap_pyfunction!(facets::trans_rec, module)?)?;
    module.add_class::<decoder::PyDecoder>()?;
    module.add_class::<features::PyFeatures>()?;
    module.add_class::<tokenizer::PyTokenizer>()?;
    module.add_class::<token_table::PyTokenTable>()?;
    module.add_function(wrap_pyfunction!(tokenizer::semantic_ids, module)?)?;
    module.add_function(wrap_pyfunction!(tokenizer::parse_ids, module)?)?;
    module.add_function(wrap_pyfunction!(training::train_settings, module)?)?;
    module.add_function(wrap_pyfunction!(arrow_io::write_arrow, module)?)?;
    module.add_function(wrap_pyfunction!(quality::evaluate, module)?)?;
    module.add_function(wrap_pyfunction!(quality::resolve, module)?)?;
    module.add_function(wrap_pyfunction!(parts::quantize, module)?)?;
    module.add_function(wrap_pyfunction!(parts::make_room, module)?)?;
    module.add_function(wrap_pyfunction!(parts::resolve_part, module)?)?;
    module.add_function(wrap_pyfunction!(vocabulary::vocabulary_tokens, module)?)?;
    module.add_function(wrap_pyfunction!(pipeline::tokenize, module)?)?;
    module.add_function(wrap_pyfunction!(pipeline::vocab, module)?)?;
    module.add_function(wrap_pyfunction!(pipeline::constrain, module)?)?;
    module.add_class::<ranking::PySubwordVocabulary>()?;
    module.add_function(wrap_pyfunction!(ranking::prefix_ids, module)?)?;
    module.add_function(wrap_pyfunction!(ranking::ranking_features, module)?)?;
    module.add_function(wrap_pyfunction!(pipeline::export, module)?)?;
    module.add_function(wrap_pyfunction!(pipeline::family_templates, module)?)?;
    module.add_function(wrap_pyfunction!(pipeline::inspect, module)?)?;
    module.add_function(wrap_pyfunction!(pipeline::check, module)?)?;
    module.add_function(wrap_pyfunction!(pipeline::lookup, module)?)?;
    module.add_class::<store::PyHold>()?;
    module.add_function(wrap_pyfunction!(store::resolve_index, module)?)?;
    module.add_function(wrap_pyfunction!(store::is_index, module)?)?;
    module.add_function(wrap_pyfunction!(store::publish, module)?)?;
    module.add_function(wrap_pyfunction!(store::rollback, module)?)?;
    module.add_function(wrap_pyfunction!(store::history, module)?)?;
    module.add_function(wrap_pyfunction!(store::verify, module)?)?;
    module.add_function(wrap_pyfunction!(pipeline::diff, module)?)?;
    module.add_function(wrap_pyfunction!(pipeline::compare, module)?)?;
    module.add_function(wrap_pyfunction!(pipeline::import_ids, module)?)?;
    module.add_function(wrap_pyfunction!(pipeline::adopt, module)?)?;
    module.add_function(wrap_pyfunction!(pipeline::settings, module)?)?;
    module.add_function(wrap_pyfunction!(pipeline::index_format_version, module)?)?;
    #[cfg(feature = "benchmarks")]
    module.add_function(wrap_pyfunction!(benchmarks::time_codes, module)?)?;
    Ok(())
}
