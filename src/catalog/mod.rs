//! The catalog: items from Parquet, Arrow IPC, CSV or JSON Lines, plain or compressed, in one file or several, or from a
//! folder of images.
//!
//! A [`CatalogReader`] streams [`ItemBatch`]es in the order of the rows: ids, text passages and image sources of each item.
//! [`Interactions`] are the events of users with items, from a separate table.

mod attribute_columns;
mod batches;
mod cells;
mod checked;
mod checks;
mod clean;
mod column_errors;
mod content;
mod cut;
mod elements;
mod event_columns;
mod event_files;
mod event_times;
mod events;
mod findings;
mod image_cells;
mod interaction_spec;
mod interactions;
mod join;
mod lists;
mod markup;
mod picture_state;
mod pictures;
mod reader;
mod roles;
mod spool;
mod template;
mod texts;

use std::path::PathBuf;

pub(crate) use attribute_columns::{AttributeBatch, AttributeReader};
pub(crate) use cells::texts as cell_texts;
pub use checked::text_columns;
pub use checks::{AreCut, CheckOptions};
pub use content::OnBadItem;
pub use cut::cut_text;
pub use findings::{Finding, FindingExample, FindingKind};
pub use interaction_spec::InteractionSpec;
pub use interactions::{Event, Interactions};
pub use join::{CatalogJoin, MissingItems};
pub(crate) use lists::{expand_lists, is_list};
pub use picture_state::PictureState;
pub use reader::CatalogReader;
pub use spool::{CatalogSpool, check_unique};
pub use template::TextTemplate;
pub use texts::TextSpec;

pub use crate::table::{CsvCharacter, CsvDialect};

use crate::item_ids::ItemIds;

/// Which columns of a catalog to read, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CatalogSpec {
    /// A table, a folder of tables, a pattern of file names, or a folder of images.
    pub path: PathBuf,
    /// The id column; by default `item_id` or `id`.
    pub id: Option<String>,
    /// The text columns, and how an item's text is made from them.
    pub text: TextSpec,
    /// Whether to keep texts as they are, with markup, entities and white space.
    pub raw_text: bool,
    /// Whether texts in the list notation of Python or JSON are parsed as lists.
    pub parse_lists: bool,
    /// Text columns to read separately, with list elements as separate values: [`ItemBatch::fields`].
    pub fields: Vec<String>,
    /// Quote and escape characters, if the catalog is CSV or TSV.
    pub csv: CsvDialect,
    /// Image columns: paths, absolute or relative to the table's folder; `data:` URIs; the bytes of image files; structs of
    /// bytes and path, as Hugging Face stores images; or lists of these.
    pub images: Vec<String>,
}

/// The source of an image.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ImageSource {
    /// The path of an image file.
    Path(PathBuf),
    /// The bytes of an image file, stored in the table.
    Bytes(Vec<u8>),
    /// No image: the cell contains something else, which the string describes.
    Unusable(String),
}

/// Consecutive items of a catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemBatch {
    /// 0-based row of the first item in the catalog.
    pub first_row: u64,
    /// The items' ids.
    pub item_ids: ItemIds,
    /// The text passages of each item, to be encoded separately; none for an item without text.
    pub texts: Vec<Vec<String>>,
    /// For each item, the values of each column of [`CatalogSpec::fields`], cleaned and without empty values.
    pub fields: Vec<Vec<Vec<String>>>,
    /// The images of each item.
    pub images: Vec<Vec<ImageSource>>,
}
