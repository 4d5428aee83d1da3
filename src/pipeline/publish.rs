//! Changes a store: publishes an index to it, or rolls back to an older generation.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::index::{PublishOptions, Published, RolledBack, Store};
use crate::settings::{Range, SettingGroup, settings};

settings! {
    /// How an index is published.
    pub struct PublishSettings {
        /// Reason for the change, which the history shows.
        reason: String, "TEXT", default "the reason in the manifest of the index";
        /// Number of generations to keep. Older ones are removed, except the current one and those being read.
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
    /// The store. It is created if the path does not exist.
    pub store: PathBuf,
    /// How it is published.
    pub settings: PublishSettings,
}

/// Publishes an index to a store as its next generation, and makes it the current one atomically. A killed run does not
/// change the current generation.
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
    /// Number of the generation. Default: the parent of the current one.
    pub to: Option<u64>,
}

/// Verifies all files of another generation of a store, and makes it the current one atomically.
///
/// # Errors
/// As [`StoreWriter::rollback`](crate::index::StoreWriter::rollback); [`Error::Busy`](crate::Error::Busy) while another
/// process changes the store.
pub fn rollback(spec: &RollbackSpec) -> Result<RolledBack> {
    Store::open(&spec.store)?.begin()?.rollback(spec.to)
}
