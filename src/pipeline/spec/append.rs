//! The next generation of an index: items are added, updated and deleted.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Embeddings, Environment, FarSettings, Output};
use crate::error::{Error, Result};
use crate::settings::{MAX_COUNT, Range, settings};

settings! {
    /// How an append handles changed, missing and deleted items, and how it encodes new ones.
    pub struct AppendSettings {
        /// Handling of an item whose content changed: keep encodes it again and keeps its ID; reassign encodes it again
        /// and gives it another ID if a nearer one is free.
        changed: String, "HOW", default "keep";
        /// Handling of an item of the index that is not in the catalog: keep or delete. With keep, the catalog may
        /// contain only the new and changed items.
        missing: String, "HOW", default "keep";
        /// Maximum share of the index's items that may be deleted. A larger share is an error, because the catalog may
        /// be incomplete.
        max_deleted: f64, "SHARE", default "0.5", range Range::Between(0.0, 1.0);
        /// Number of generations before the ID of a deleted item may be given to another item.
        quarantine: u64, "N", default "never given to another item", range Range::Between(0.0, MAX_COUNT);
        /// Handling of new items for which no ID is free: error stops; suffix adds tokens to the disambiguating level
        /// of an index that was built with --collisions suffix.
        overflow: String, "HOW", default "error";
        /// Reason for the change, recorded in the manifest.
        reason: String, "TEXT";
        /// Text encoder of the index, if its folder has moved: a folder, or a name on the Hugging Face Hub.
        text_encoder: PathBuf, "DIR|NAME", default "that of the build";
        /// Image encoder of the index, if its folder has moved: a folder, or a name on the Hugging Face Hub.
        image_encoder: PathBuf, "DIR|NAME", default "that of the build";
        /// Precomputed vectors of this catalog's items, for a modality of the index. Can be repeated.
        embedding: Embeddings, "NAME=FILE[:COLUMN]", default "the files of the build";
        /// Handling of an image that cannot be read: error stops; missing treats the image as absent and lists it in
        /// the new index.
        on_bad_image: String, "HOW", default "that of the build";
        /// Handling of an item without content (no text, image or vector): error stops; skip leaves out a new item, and
        /// keeps an existing item unchanged.
        on_bad_item: String, "HOW", default "that of the build";
        /// Constraint forms to write to the folder "constraint" of the new index. Later generations get the same forms
        /// for their own items.
        constraint_form: Vec<String>, "FORM,...", default "those of the index";
    }
}

settings! {
    /// How items of an index are deleted.
    pub struct DeleteSettings {
        /// Number of generations before the ID of a deleted item may be given to another item.
        quarantine: u64, "N", default "never given to another item", range Range::Between(0.0, MAX_COUNT);
        /// Reason for the change, recorded in the manifest.
        reason: String, "TEXT";
    }
}

/// Handling of an item whose content changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) enum ChangedItems {
    Keep,
    Reassign,
}

/// Handling of an item of the index that is not in the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) enum AbsentItems {
    Keep,
    Delete,
}

/// Handling of new items for which no ID is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) enum OverflowItems {
    Error,
    Suffix,
}

impl FromStr for OverflowItems {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "error" => Ok(OverflowItems::Error),
            "suffix" => Ok(OverflowItems::Suffix),
            _ => Err(Error::config("overflow", "error or suffix", name, "omit it to stop if no ID is free")),
        }
    }
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
    /// The handling of changed items, and of items that are missing in the catalog.
    ///
    /// # Errors
    /// [`Error::Config`] for an unknown name.
    pub(in crate::pipeline) fn policies(&self) -> Result<(ChangedItems, AbsentItems)> {
        let changed = self.changed.as_deref().unwrap_or("keep").parse()?;
        Ok((changed, self.missing.as_deref().unwrap_or("keep").parse()?))
    }
}

impl AppendSettings {
    /// The handling of new items for which no ID is free.
    ///
    /// # Errors
    /// [`Error::Config`] for an unknown name.
    pub(in crate::pipeline) fn overflow(&self) -> Result<OverflowItems> {
        self.overflow.as_deref().unwrap_or("error").parse()
    }
}

/// Default of `max-deleted`.
pub(in crate::pipeline) const MAX_DELETED: f64 = 0.5;

/// Add the items of a catalog to an index: [`append`](crate::pipeline::append()).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct AppendSpec {
    /// The index, or a store.
    pub index: PathBuf,
    /// The whole new catalog, or only its new and changed items; with the columns of the build.
    pub catalog: PathBuf,
    /// Handling of changed, missing and deleted items.
    pub settings: AppendSettings,
    /// Handling of items that are far from the training items.
    pub far: FarSettings,
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

/// Delete items of an index: [`delete`](crate::pipeline::delete()).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct DeleteSpec {
    /// The index, or a store.
    pub index: PathBuf,
    /// A text file with one item id per line.
    pub items: PathBuf,
    /// Handling of their IDs.
    pub settings: DeleteSettings,
    /// The index to write.
    pub output: Output,
    /// The store to publish in, instead of `output`.
    pub store: Option<PathBuf>,
    /// The environment.
    #[serde(skip)]
    pub environment: Environment,
}
