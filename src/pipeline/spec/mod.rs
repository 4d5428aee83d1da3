//! Specs: the arguments of the functions of the pipeline. Specs are plain data. They serialise to JSON and TOML,
//! unknown keys are refused, and settings that are not given have their declared defaults.

mod append;
mod catalog;
mod decoding;
mod export;
mod histories;
mod index;
mod inspect;
mod interactions;
mod language_model;
mod output;
mod ranking;
mod reading;
mod retrain;
mod serve;
mod tokens;

pub(super) use append::{AbsentItems, ChangedItems, MAX_DELETED, OverflowItems};
pub use append::{AppendSettings, AppendSpec, DeleteSettings, DeleteSpec};
pub use catalog::{AttributeSettings, CatalogColumns, Embeddings, EncodeSettings, ShowSettings};
pub use decoding::{ConstrainSettings, ConstrainSpec, UserValues};
pub use export::{ExportOptions, ExportSpec};
pub use histories::{CompareSettings, CompareSpec, HistorySettings};
pub use index::{BuildSpec, EmbedSpec, TrainSpec};
pub use inspect::{InspectSpec, ReportColumns};
pub use interactions::BehaviourSettings;
pub use language_model::LlmSettings;
pub use output::{Environment, Output, ThreadSettings};
pub use ranking::{RankingSettings, RankingSpec};
pub(super) use reading::{ReadsTexts, text_settings};
pub use retrain::{DriftSpec, RetrainSettings, RetrainSpec};
pub use serve::{ServeSettings, ServeSpec};
pub use tokens::{
    FarSettings, MemberCatalogSettings, SharingSettings, TokenSettings, TokenizeSpec, VocabSpec, VocabularySettings,
};

use crate::error::Error;

/// The usual advice for a setting that requires another one.
pub(super) const NAME_BOTH: &str = "set both";

/// The error for a setting that requires another one.
pub(super) fn needs(setting: &str, other: &str, help: &str) -> Error {
    Error::config(setting, format!("a value for --{other} as well"), "none", help)
}
