//! The results of queries.

use serde::Serialize;

/// An item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "serve", derive(schemars::JsonSchema))]
pub struct FoundItem {
    /// Its id in the catalog.
    pub item_id: String,
    /// Its semantic ID.
    pub semantic_id: String,
    /// Its text, where there is a catalog, cut after 300 characters.
    pub text: Option<String>,
}

/// An item with its similarity to the query.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "serve", derive(schemars::JsonSchema))]
pub struct SearchHit {
    /// The item.
    #[serde(flatten)]
    pub item: FoundItem,
    /// Number of leading tokens that its ID shares with the ID of the query item; null for a search by text.
    pub shared_tokens: Option<usize>,
    /// Cosine similarity of the vectors, averaged over the modalities that both have; null without common vectors.
    pub cosine: Option<f32>,
}

/// The items under a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "serve", derive(schemars::JsonSchema))]
pub struct PrefixContents {
    /// Number of items under the prefix.
    pub items: usize,
    /// The prefixes that are one token longer, with their numbers of items, the largest first; at most 256. Empty for a
    /// complete ID.
    pub branches: Vec<(String, usize)>,
    /// The first of the items, in the order of their IDs.
    pub examples: Vec<FoundItem>,
}
