//! The next generation of an index: items are added, updated and deleted.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Embeddings, Environment, FarSettings, Output};
use crate::error::{Error, Result};
use crate::settings::{MAX_COUNT, Range, settings};

settings! {
    /// How the items of a catalog become the next generation of an index.
    pub struct AppendSettings {
        /// What becomes of an item whose content changed: keep encodes it again and leaves its ID; reassign gives it another
        /// ID where a nearer one is free.
        changed: String, "HOW", default "keep";
        /// What becomes of an item of the index that the catalog does not have: keep leaves it; delete deletes it. With keep,
        /// the catalog may hold only what is new.
        missing: String, "HOW", default "keep";
        /// Fail if more than this share of the items would be deleted: the catalog may be incomplete.
        max_deleted: f64, "SHARE", default "0.5", range Range::Between(0.0, 1.0);
        /// Number of generations in which the ID of a deleted item is not given to another.
        quarantine: u64, "N", default "never given again", range Range::Between(0.0, MAX_COUNT);
        /// Why the index changes, for its manifest.
        reason: String, "TEXT";
        /// Text encoder of the index, if its folder has moved: a folder, or a name on the Hugging Face Hub.
        text_encoder: PathBuf, "DIR|NAME", default "that of the build";
        /// Image encoder of the index, if its folder has moved: a folder, or a name on the Hugging Face Hub.
        image_encoder: PathBuf, "DIR|NAME", default "that of the build";
        /// Precomputed vectors of a modality of the index for this catalog. May be given several times.
        embedding: Embeddings, "NAME=FILE[:COLUMN]", default "the files of the build";
        /// What to do about an image that cannot be read: error or missing.
        on_bad_image: String, "HOW", default "that of the build";
        /// What to do about an item without any content: error; skip leaves out new ones, and leaves others as they are.
        on_bad_item: String, "HOW", default "that of the build";
    }
}

settings! {
    /// How items of an index are deleted.
    pub struct DeleteSettings {
        /// Number of generations in which the ID of a deleted item is not given to another.
        quarantine: u64, "N", default "never given again", range Range::Between(0.0, MAX_COUNT);
        /// Why the index changes, for its manifest.
        reason: String, "TEXT";
    }
}

/// What becomes of an item whose content changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) enum ChangedItems {
    Keep,
    Reassign,
}

/// What becomes of an item that the catalog does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) enum AbsentItems {
    Keep,
    Delete,
}

impl FromStr for ChangedItems {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "keep" => Ok(ChangedItems::Keep),
            "reassign" => Ok(ChangedItems::Reassign),
            _ => Err(Error::config("changed", "keep or reassign", name, "omit it to keep the IDs of changed items")),
        }
    }
}

impl FromStr for AbsentItems {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "keep" => Ok(AbsentItems::Keep),
            "delete" => Ok(AbsentItems::Delete),
            _ => Err(Error::config("missing", "keep or delete", name, "omit it to keep the items")),
        }
    }
}

impl AppendSettings {
    /// What becomes of changed items, and of those that are missing.
    ///
    /// # Errors
    /// [`Error::Config`] for another name.
    pub(in crate::pipeline) fn policies(&self) -> Result<(ChangedItems, AbsentItems)> {
        let changed = self.changed.as_deref().unwrap_or("keep").parse()?;
        Ok((changed, self.missing.as_deref().unwrap_or("keep").parse()?))
    }
}

/// The largest share of the items that is deleted without a word of the user.
pub(in crate::pipeline) const MAX_DELETED: f64 = 0.5;

/// Add the items of a catalog to an index: [`append`](crate::pipeline::append()).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct AppendSpec {
    /// The index, or a store.
    pub index: PathBuf,
    /// The whole new catalog, or only its new and changed items; with the columns of the build.
    pub catalog: PathBuf,
    /// What becomes of which items.
    pub settings: AppendSettings,
    /// What to do about items far from those of training.
    pub far: FarSettings,
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

/// Delete items of an index: [`delete`](crate::pipeline::delete()).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct DeleteSpec {
    /// The index, or a store.
    pub index: PathBuf,
    /// A text file with one item id per line.
    pub items: PathBuf,
    /// What becomes of their IDs.
    pub settings: DeleteSettings,
    /// The index to write.
    pub output: Output,
    /// The store to publish in, instead of `output`.
    pub store: Option<PathBuf>,
    /// What the machine provides.
    #[serde(skip)]
    pub environment: Environment,
}
