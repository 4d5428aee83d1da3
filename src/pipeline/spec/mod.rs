//! What each function of the pipeline is asked to do. Specs are plain data: they serialise to JSON and TOML, unknown keys
//! are refused, and settings that are not given have the defaults of their declarations.

mod catalog;
mod decoding;
mod export;
mod index;
mod interactions;
mod output;
mod tokens;
mod use_models;

pub use catalog::{CatalogColumns, EncodeSettings};
pub use decoding::{ConstrainSettings, ConstrainSpec};
pub use export::{ExportSettings, ExportSpec};
pub use index::{BuildSpec, EmbedSpec, TrainSpec};
pub use interactions::BehaviourSettings;
pub use output::{Environment, Output};
pub use tokens::{TokenSettings, TokenizeSpec, VocabSpec, VocabularySettings};
pub use use_models::LlmSettings;
