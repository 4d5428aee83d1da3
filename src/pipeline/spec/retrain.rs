//! Retraining the model of an index, and measuring whether it is needed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{AppendSettings, Environment, Output};
use crate::settings::{Range, settings};

settings! {
    /// How the model of an index is retrained.
    pub struct RetrainSettings {
        /// How strongly items keep their codes, from 0 to 1: the cost of changing a code, as a fraction of the mean
        /// squared residual of its level. 1 keeps all codes and fits the codebooks to them; 0 trains without regard to
        /// the old codes, and only renumbers the new codes to match them.
        keep: f64, "STRENGTH", default "0.4", range Range::Between(0.0, 1.0);
        /// Tokenizer of the index, if its folder has moved.
        tokenizer: PathBuf, "HF_DIR", default "that of the build";
        /// All interactions up to now: report the share of events whose items get another prefix, and compute the
        /// behaviour vectors of all items anew, if the index has such vectors.
        interactions: PathBuf, "FILE";
        /// Behaviour vectors: keep uses those of the index; renew computes vectors of all items from the interactions,
        /// with the behaviour settings of the build, also if the index has none.
        behaviour: String, "HOW", default "renew if the index has behaviour vectors and interactions are given";
        /// Column of the users.
        interactions_user: String, "COLUMN", default "user_id or user";
        /// Column of the items.
        interactions_item: String, "COLUMN", default "item_id or item";
        /// Column of the times.
        interactions_time: String, "COLUMN", default "timestamp or time, else the order of the file";
    }
}

/// Retrain the model of an index: [`retrain`](crate::pipeline::retrain()).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct RetrainSpec {
    /// The index, or a store.
    pub index: PathBuf,
    /// The whole new catalog, or only its new and changed items. Without it, the items of the index are used.
    pub catalog: Option<PathBuf>,
    /// How strongly codes are kept, and what to report.
    pub settings: RetrainSettings,
    /// Handling of changed, missing and deleted items of the catalog.
    pub append: AppendSettings,
    /// Number of threads; all cores if not given.
    pub threads: Option<usize>,
    /// The index to write.
    pub output: Output,
    /// The store to publish in, instead of `output`.
    pub store: Option<PathBuf>,
    /// The environment.
    #[serde(skip)]
    pub environment: Environment,
}

/// Compare new items with the training items of a model: [`drift`](crate::pipeline::drift()).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct DriftSpec {
    /// The index, or a store.
    pub index: PathBuf,
    /// The new catalog, the features of new items (items of the index are ignored), or an index made from this one.
    pub items: PathBuf,
    /// How a catalog is read.
    pub append: AppendSettings,
    /// Number of threads; all cores if not given.
    pub threads: Option<usize>,
    /// The environment.
    #[serde(skip)]
    pub environment: Environment,
}
