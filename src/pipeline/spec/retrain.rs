//! New training of the model of an index, and the figures that say whether one is needed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{AppendSettings, Environment, Output};
use crate::settings::{Range, settings};

settings! {
    /// How a model is trained anew for an index.
    pub struct RetrainSettings {
        /// How strongly items keep their codes, from 0 to 1: the price of another code, as a fraction of the mean squared
        /// residual of its level. 1 moves nothing and fits the codebooks to the IDs; 0 trains as if there were no IDs, and
        /// only names the codes alike.
        keep: f64, "STRENGTH", default "0.05", range Range::Between(0.0, 1.0);
        /// Tokenizer of the index, if its folder has moved.
        tokenizer: PathBuf, "HF_DIR", default "that of the build";
        /// Interactions: the changes are also counted by events.
        interactions: PathBuf, "FILE";
        /// Column of the users.
        interactions_user: String, "COLUMN", default "user_id or user";
        /// Column of the items.
        interactions_item: String, "COLUMN", default "item_id or item";
        /// Column of the times.
        interactions_time: String, "COLUMN", default "timestamp or time, else the order of the file";
    }
}

/// Train the model of an index anew: [`retrain`](crate::pipeline::retrain()).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct RetrainSpec {
    /// The index, or a store.
    pub index: PathBuf,
    /// The whole new catalog, or only its new and changed items; none for the items of the index.
    pub catalog: Option<PathBuf>,
    /// What is kept.
    pub settings: RetrainSettings,
    /// What becomes of which items of the catalog.
    pub append: AppendSettings,
    /// Number of threads; all cores if not given.
    pub threads: Option<usize>,
    /// The index to write.
    pub output: Output,
    /// The store to publish in, instead of `output`.
    pub store: Option<PathBuf>,
    /// What the machine provides.
    #[serde(skip)]
    pub environment: Environment,
}

/// Compare new items with those that a model was trained on: [`drift`](crate::pipeline::drift()).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct DriftSpec {
    /// The index, or a store.
    pub index: PathBuf,
    /// The new catalog, or features of new items (then items of the index are left out), or an index made of this one.
    pub items: PathBuf,
    /// How a catalog is read.
    pub append: AppendSettings,
    /// Number of threads; all cores if not given.
    pub threads: Option<usize>,
    /// What the machine provides.
    #[serde(skip)]
    pub environment: Environment,
}
