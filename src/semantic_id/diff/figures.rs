//! The figures of a comparison of two token tables.

use serde::Serialize;

/// One of the two tables.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableSide {
    /// Number of items.
    pub items: usize,
    /// Codebook size per level, including a suffix.
    pub codebook_sizes: Vec<usize>,
    /// How codes are written as tokens.
    pub token_format: String,
    /// Hash of the model that assigned the codes.
    pub model_hash: String,
}

/// A code that has another name in the second table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CodeRenaming {
    /// The token in the first table.
    pub before: String,
    /// The token in the second table.
    pub after: String,
    /// Number of items with `before` in the first table and `after` in the second.
    pub items: u32,
    /// Number of common items with `before` in the first table.
    pub items_before: u32,
    /// Number of common items with `after` in the second table.
    pub items_after: u32,
}

/// The comparison of one level. Shares refer to the common items, which are in both tables.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LevelDiff {
    /// 0-based level.
    pub level: usize,
    /// Share of items with the same code.
    pub same: f64,
    /// Share of items with the same code, after the codes of the first table are renamed.
    pub same_after_renaming: f64,
    /// Number of renamed codes.
    pub renamed_codes: usize,
    /// Of the items with another code, the share whose new code is the new name of their old code. `None` if no item
    /// has another code.
    pub moves_explained: Option<f64>,
    /// Whether the renaming was found by exact matching. Codebooks of more than 1,024 codes are matched greedily.
    pub is_best: bool,
    /// Number of codes that common items have in the first table only.
    pub codes_left: usize,
    /// Number of codes that common items have in the second table only.
    pub codes_taken: usize,
    /// The renamed codes with the most items.
    pub renamings: Vec<CodeRenaming>,
}

/// The comparison of the prefixes of one depth. Shares refer to the common items, which are in both tables.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrefixDiff {
    /// Number of codes in a prefix.
    pub depth: usize,
    /// Share of items with the same prefix.
    pub same: f64,
    /// Share of items with the same prefix, after the codes of the first table are renamed.
    pub same_after_renaming: f64,
    /// Of the other items that share an item's prefix in the first table, the share that also share it in the second:
    /// the mean over the items that share their prefix. `None` if no two items share a prefix. Does not depend on code
    /// names.
    pub neighbours_kept: Option<f64>,
    /// Number of distinct prefixes of the common items in the first table.
    pub prefixes_before: usize,
    /// Number of distinct prefixes of the common items in the second table.
    pub prefixes_after: usize,
}

/// An item that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiffItem {
    /// Its id in the catalog.
    pub item_id: String,
    /// Its semantic ID in the first table.
    pub before: Option<String>,
    /// Its semantic ID in the second table.
    pub after: Option<String>,
    /// Its title or text, if a catalog is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// The first items of each kind, in the order of the tables.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DiffExamples {
    /// Items that only the second table has.
    pub added: Vec<DiffItem>,
    /// Items that only the first table has.
    pub removed: Vec<DiffItem>,
    /// Items with another ID, which renamed codes do not explain.
    pub moved: Vec<DiffItem>,
    /// Items whose ID differs only by renamed codes.
    pub renamed: Vec<DiffItem>,
    /// Items with an ID that another item has in the first table.
    pub reused: Vec<DiffItem>,
}

/// The differences between two token tables.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableDiff {
    /// The first table.
    pub before: TableSide,
    /// The second table.
    pub after: TableSide,
    /// Number of items that only the second table has.
    pub added: usize,
    /// Number of items that only the first table has.
    pub removed: usize,
    /// Number of common items, which both tables have.
    pub common: usize,
    /// Number of common items with the same ID.
    pub same: usize,
    /// Number of common items with another ID.
    pub moved: usize,
    /// Number of moved items whose ID differs only by renamed codes.
    pub renamed: usize,
    /// Number of items in the second table with an ID that belonged to another item in the first table.
    pub reused_ids: usize,
    /// One entry per level that both tables have.
    pub levels: Vec<LevelDiff>,
    /// One entry per depth that both tables have.
    pub prefixes: Vec<PrefixDiff>,
    /// Examples of each kind.
    pub examples: DiffExamples,
}
