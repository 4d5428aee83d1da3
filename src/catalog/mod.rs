//! The catalog: rows of items from Parquet, Arrow IPC, CSV, JSONL, or a folder of pictures.
//!
//! A [`CatalogReader`] streams [`ItemBatch`]es in the order of the file: ids, one text an item put together from its
//! columns, and where its picture is. [`Interactions`] are what users did with the items, from a file of its own.

mod cells;
mod events;
mod interactions;
mod jsonl;
mod open;
mod reader;
mod text;

use std::path::PathBuf;

pub use interactions::{Event, InteractionSpec, Interactions};
pub use reader::CatalogReader;

use crate::item_ids::ItemIds;

/// What to read of a catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogSpec {
    /// A table, or a folder of pictures.
    pub path: PathBuf,
    /// The column of the ids; without one, `item_id` or `id`.
    pub id: Option<String>,
    /// Columns of text, joined by `". "` in this order.
    pub text: Vec<String>,
    /// The column of the pictures: paths, relative to the catalog's folder or absolute, or the files' bytes.
    pub image: Option<String>,
}

/// Where an item's picture is.
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
    /// The items' texts, cleaned; empty where an item has none.
    pub texts: Vec<String>,
    /// The items' pictures.
    pub images: Vec<Option<ImageSource>>,
}
