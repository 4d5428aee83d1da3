//! The catalog: rows of items from Parquet, Arrow IPC, CSV, JSONL, plain or compressed, in one file or many, or from a
//! folder of pictures.
//!
//! A [`CatalogReader`] streams [`ItemBatch`]es in the order of the file: ids, each item's passages of text, and where its
//! pictures are. [`Interactions`] are what users did with the items, from a file of its own.

mod batches;
mod cells;
mod clean;
mod event_columns;
mod events;
mod interaction_spec;
mod interactions;
mod join;
mod pictures;
mod reader;
mod spool;
mod template;
mod texts;

use std::path::PathBuf;

pub use interaction_spec::InteractionSpec;
pub use interactions::{Event, Interactions};
pub use join::{CatalogJoin, MissingItems};
pub use reader::CatalogReader;
pub use spool::{CatalogSpool, check_unique};
pub use template::Template;
pub use texts::TextSpec;

use crate::item_ids::ItemIds;

/// What to read of a catalog.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CatalogSpec {
    /// A table, a folder of tables, a pattern of their names, or a folder of pictures.
    pub path: PathBuf,
    /// The column of the ids; without one, `item_id` or `id`.
    pub id: Option<String>,
    /// Columns of text, and how an item's text comes of them.
    pub text: TextSpec,
    /// Whether texts are left as they are: markup, entities and white space.
    pub raw_text: bool,
    /// Columns of text that are wanted by themselves, part by part.
    pub fields: Vec<String>,
    /// Columns of the pictures: paths, relative to the table's folder or absolute, the files' bytes, or lists of these.
    pub images: Vec<String>,
}

/// Where a picture is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    /// In a file.
    Path(PathBuf),
    /// In the table.
    Bytes(Vec<u8>),
}

/// Consecutive items of a catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemBatch {
    /// 0-based row of the first.
    pub first_row: u64,
    /// The items' ids.
    pub item_ids: ItemIds,
    /// The passages of each item's text, to be encoded one by one; none where an item has no text.
    pub texts: Vec<Vec<String>>,
    /// The parts of each field of [`CatalogSpec::fields`], item by item, cleaned and none of them empty.
    pub fields: Vec<Vec<Vec<String>>>,
    /// The pictures of each item.
    pub images: Vec<Vec<ImageSource>>,
}
