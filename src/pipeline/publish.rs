//! Changing a store: taking an index into it, and going back to an older generation.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::index::{PublishOptions, Published, RolledBack, Store};
use crate::settings::{Range, SettingGroup, settings};

settings! {
    /// How an index is published.
    pub struct PublishSettings {
        /// Why, for the history.
        reason: String, "TEXT", default "what the index says";
        /// Number of generations to keep; older ones are removed, but not the current one and those being read.
        keep: usize, "N", default "all", range Range::AtLeast(1.0);
        /// Accept an index that was not made from the current generation, such as a new build. All its IDs may be new.
        rebuild: bool, "BOOL";
    }
}

/// Publish an index to a store: [`publish`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct PublishSpec {
    /// The index.
    pub index: PathBuf,
    /// The store; it is created where nothing is.
    pub store: PathBuf,
    /// How it is published.
    pub settings: PublishSettings,
}

/// Takes an index into a store as its next generation, and makes it the current one in one step. A killed run leaves
/// the current generation as it was.
///
/// # Errors
/// As [`StoreWriter::publish`](crate::index::StoreWriter::publish); [`Error::Busy`](crate::Error::Busy) while another
/// process changes the store.
pub fn publish(spec: &PublishSpec) -> Result<Published> {
    spec.settings.check()?;
    let settings = &spec.settings;
    let options = PublishOptions {
        reason: settings.reason.clone(),
        keep: settings.keep,
        rebuild: settings.rebuild.unwrap_or_default(),
    };
    Store::create(&spec.store)?.publish(&spec.index, &options)
}

/// Go back to another generation of a store: [`rollback`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct RollbackSpec {
    /// The store.
    pub store: PathBuf,
    /// Number of the generation; the parent of the current one, if not given.
    pub to: Option<u64>,
}

/// Makes another generation of a store the current one in one step, after a check of all its files.
///
/// # Errors
/// As [`StoreWriter::rollback`](crate::index::StoreWriter::rollback); [`Error::Busy`](crate::Error::Busy) while another
/// process changes the store.
pub fn rollback(spec: &RollbackSpec) -> Result<RolledBack> {
    Store::open(&spec.store)?.begin()?.rollback(spec.to)
}
