//! The jobs of catalex as functions: from a catalog to an index, and from an index to what recommenders read.
//!
//! Each function takes a spec (plain data, with serde) and a [`Progress`](crate::progress::Progress), writes one file
//! or folder atomically, and returns a summary. The command line and Python call these functions.
//!
//! | function | from | to |
//! |---|---|---|
//! | `build` | a catalog | an index: all of the following |
//! | [`append()`] | an index, a catalog | the next generation of the index |
//! | [`delete()`] | an index, ids | the next generation of the index |
//! | [`check`] | a catalog | likely mistakes in it |
//! | [`embed`] | a catalog | features |
//! | `train` | features | a frozen model |
//! | [`tokenize`] | features, a model | a token table |
//! | [`vocab`] | a token table | a vocabulary folder |
//! | [`constrain`] | a token table | constraint files for decoders |
//! | [`ranking_features()`] | a token table | features of ranking models |
//! | [`export`] | a token table, interactions | training data for a family of LLM recommenders |
//! | [`import_ids`] | the IDs of another system | a token table |
//! | [`adopt`] | the IDs of another system, features | an index with a model fitted to them |
//! | [`diff`] | two token tables | the changes between them |
//! | [`compare`] | two token tables, interactions | which IDs predict the next item better |
//! | `retrain` | an index, a catalog | the next generation with new codebooks |
//! | [`drift()`] | an index, new items | how they differ from the training items |
//! | [`inspect`], [`lookup`] | a model, a table, an index | metrics and a report; items and IDs |
//! | [`answers`], [`ground`], [`aggregate`] | a language model's output | rankings of items |
//! | `serve` | an index | a Model Context Protocol server |
//! | [`publish`], [`rollback`], [`history`] | an index, a store | another current generation; the list of generations |
//! | [`verify`] | an index, a store, a file | a list of checks and problems |
//!
//! `build` and `train` need the feature `train`, `build` and `serve` the feature `encoders`.

mod adopt;
mod adopt_passes;
mod aggregate;
mod answers;
mod append;
mod append_ids;
mod append_members;
mod append_plan;
mod append_target;
mod attributes;
#[cfg(all(feature = "train", feature = "encoders"))]
mod build;
mod catalog_features;
mod check;
mod compare;
mod constrain;
mod constraint_folders;
mod content;
#[cfg(all(feature = "train", feature = "encoders"))]
mod costs;
mod delete;
mod diff;
mod drift;
mod embed;
#[cfg(all(feature = "train", feature = "encoders"))]
mod encode_stage;
#[cfg(feature = "encoders")]
mod encoders;
mod export;
mod far_items;
mod features_made;
mod generation_drift;
mod ground;
mod grown_index;
mod histories;
mod history;
mod import_ids;
mod inspect;
mod json_lines;
mod known_items;
mod lookup;
#[cfg(feature = "train")]
mod new_behaviour;
mod next_generation;
mod next_items;
mod parent_encoders;
#[cfg(feature = "train")]
mod prefix_changes;
mod publish;
mod ranking_features;
mod read_catalog;
mod ready_features;
mod report_items;
#[cfg(feature = "train")]
mod retrain;
#[cfg(feature = "train")]
mod retrain_suffixes;
mod rule_items;
#[cfg(all(feature = "serve", feature = "encoders"))]
mod serve;
mod sharing;
mod sources;
pub mod spec;
mod suffixes;
mod threads;
mod titles;
mod tokenize;
#[cfg(feature = "train")]
mod train;
mod verify;
mod vocab;

pub use adopt::{AdoptSettings, AdoptSpec, AdoptSummary, AdoptedLevel, adopt};
pub use aggregate::{AggregateSettings, AggregateSpec, aggregate};
pub use answers::{AnswersSpec, AnswersSummary, answers};
pub use append::{AddedDistortion, AppendSummary, append};
#[cfg(all(feature = "train", feature = "encoders"))]
pub use build::{IndexSummary, PrefixExample, build};
pub use check::{CheckEncoder, CheckSettings, CheckSpec, CheckedCatalog, check};
pub use compare::{CompareSummary, compare};
pub use constrain::constrain;
#[cfg(all(feature = "train", feature = "encoders"))]
pub use costs::StageCost;
pub use delete::{DeleteSummary, delete};
pub use diff::{DiffSettings, DiffSpec, diff};
pub use drift::drift;
pub use embed::{BadImageSummary, BadItemSummary, EmbedSummary, embed};
pub use export::{export, family_templates};
pub use features_made::ModalitySummary;
pub use ground::{GroundSettings, GroundSpec, ground};
pub use history::{GenerationRecord, HistoryEntry, history};
pub use import_ids::{ImportSettings, ImportSpec, import_ids};
pub use inspect::{Inspected, inspect};
pub use lookup::{LookupHit, LookupKey, LookupSpec, lookup};
#[cfg(feature = "train")]
pub use prefix_changes::PrefixChange;
pub use publish::{PublishSettings, PublishSpec, RollbackSpec, publish, rollback};
pub use ranking_features::{RankingSummary, SubwordSummary, ranking_features};
#[cfg(feature = "train")]
pub use retrain::{RetrainSummary, retrain};
#[cfg(all(feature = "serve", feature = "encoders"))]
pub use serve::serve;
pub use spec::{
    AppendSettings, AppendSpec, AttributeSettings, BehaviourSettings, BuildSpec, CatalogColumns, CompareSettings,
    CompareSpec, ConstrainSettings, ConstrainSpec, DeleteSettings, DeleteSpec, DriftSpec, EmbedSpec, EncodeSettings,
    Environment, ExportOptions, ExportSpec, FarSettings, HistorySettings, InspectSpec, LlmSettings,
    MemberCatalogSettings, Output, RankingSettings, RankingSpec, ReportColumns, RetrainSettings, RetrainSpec,
    ServeSettings, ServeSpec, SharingSettings, ShowSettings, ThreadSettings, TokenSettings, TokenizeSpec, TrainSpec,
    UserValues, VocabSpec, VocabularySettings,
};
pub use titles::LookupSettings;
pub use tokenize::{TokenizeSummary, tokenize};
#[cfg(feature = "train")]
pub use train::{TrainSummary, train};
pub use verify::{Verified, VerifyCheck, VerifySpec, verify};
pub use vocab::vocab;

// Types of other rooms that the functions take or return.
pub use crate::catalog::{Finding, FindingExample, FindingKind};
#[cfg(feature = "encoders")]
pub use crate::encoder::{EncoderKind, Hub, KNOWN_ENCODERS, KnownEncoder, PACKAGED};
pub use crate::export::{EXPORT_FILE, Exported};
pub use crate::index::{GenerationCounts, Published, RolledBack};
pub use crate::quality::{Advice, BetterIds, Drift, Figures, HistoryFigures, IdComparison, PairedFigure, ShuffledIds};
pub use crate::ranking::{RankingColumn, RankingForm};
pub use crate::semantic_id::{
    CodeRenaming, Collisions, DiffExamples, DiffItem, ImportReport, LevelDiff, PrefixDiff, SharedId, TableDiff,
    TableSide, UnknownToken,
};
pub use crate::tokenizer::Config as ModelConfig;

/// The error of a job that needs a feature of the crate that this build lacks.
#[cfg(not(feature = "encoders"))]
fn not_built(what: &str, feature: &str) -> crate::Error {
    crate::Error::Unavailable {
        what: what.into(),
        reason: format!("this catalex was built without the feature \"{feature}\""),
        help: "build it with its default features".into(),
    }
}
