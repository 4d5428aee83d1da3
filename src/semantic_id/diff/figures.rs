//! What a comparison says.

use serde::Serialize;

/// One of the two tables.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableSide {
    /// Number of items.
    pub items: usize,
    /// Codes per level, including a suffix.
    pub codebook_sizes: Vec<usize>,
    /// How codes are written as tokens.
    pub token_format: String,
    /// Hash of the model that gave the codes.
    pub model_hash: String,
}

/// A code that has another name in the second table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CodeRenaming {
    /// The token in the first table.
    pub before: String,
    /// The token in the second table.
    pub after: String,
    /// Items that have both.
    pub items: u32,
    /// Items of both tables that have the first.
    pub items_before: u32,
    /// Items of both tables that have the second.
    pub items_after: u32,
}

/// The codes of one level. Shares are of the items that both tables have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LevelDiff {
    /// 0-based level.
    pub level: usize,
    /// Share of items with the same code.
    pub same: f64,
    /// Share of items with the same code, after the codes of the first table were renamed.
    pub same_after_renaming: f64,
    /// Codes that have another name.
    pub renamed_codes: usize,
    /// Share of the items with another code whose new code is the new name of their old one; none if no item has another
    /// code.
    pub moves_explained: Option<f64>,
    /// Whether no other renaming explains more. For codebooks of more than 1,024 codes, the renaming is only a good one.
    pub is_best: bool,
    /// Codes that items of both tables had before and none has now.
    pub codes_left: usize,
    /// Codes that no item of both tables had before and some have now.
    pub codes_taken: usize,
    /// The renamed codes of the most items.
    pub renamings: Vec<CodeRenaming>,
}

/// The prefixes of one depth. Shares are of the items that both tables have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrefixDiff {
    /// Number of codes in a prefix.
    pub depth: usize,
    /// Share of items with the same prefix.
    pub same: f64,
    /// Share of items with the same prefix, after the codes of the first table were renamed.
    pub same_after_renaming: f64,
    /// Of the items that shared an item's prefix, the share that still do, as a mean over items; none if no two did. It
    /// does not depend on the names of codes.
    pub neighbours_kept: Option<f64>,
    /// Distinct prefixes of these items in the first table.
    pub prefixes_before: usize,
    /// Distinct prefixes of these items in the second table.
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
    /// Its title or text, where a catalog is known.
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
    /// Items with another ID that renamed codes do not explain.
    pub moved: Vec<DiffItem>,
    /// Items whose ID has other names of the same codes.
    pub renamed: Vec<DiffItem>,
    /// Items with an ID that another item had.
    pub reused: Vec<DiffItem>,
}

/// What changed between two token tables.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableDiff {
    /// The first table.
    pub before: TableSide,
    /// The second table.
    pub after: TableSide,
    /// Items that only the second table has.
    pub added: usize,
    /// Items that only the first table has.
    pub removed: usize,
    /// Items that both tables have.
    pub common: usize,
    /// Of these, items with the same ID.
    pub same: usize,
    /// Of these, items with another ID.
    pub moved: usize,
    /// Of the moved items, those whose ID has other names of the same codes.
    pub renamed: usize,
    /// Items with an ID in the second table that only another item had in the first.
    pub reused_ids: usize,
    /// One entry per level that both tables have.
    pub levels: Vec<LevelDiff>,
    /// One entry per depth that both tables have.
    pub prefixes: Vec<PrefixDiff>,
    /// Some items of each kind.
    pub examples: DiffExamples,
}
