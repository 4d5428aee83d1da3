//! Items by semantic ID, and semantic IDs by item.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::sources;
use crate::error::{Error, Result};
use crate::semantic_id::Lookup;

/// What to look up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LookupKey {
    /// A semantic ID, or its first tokens.
    SemanticId(String),
    /// The id of an item.
    Item(String),
}

/// Look something up in a token table: [`lookup`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LookupSpec {
    /// Token table, or an index.
    pub tokens: PathBuf,
    /// What to look up.
    pub key: LookupKey,
}

/// An item and its ID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LookupHit {
    /// Id of the item in the catalog.
    pub item_id: String,
    /// Its semantic ID.
    pub semantic_id: String,
    /// The same as codes.
    pub codes: Vec<u16>,
    /// Whether the item was moved to another code to make its ID unique.
    pub reassigned: bool,
}

/// Finds the items of a semantic ID or prefix, or the ID of an item.
///
/// # Errors
/// [`Error::Data`] where nothing is found; as [`Lookup::item`] and [`Lookup::find`].
pub fn lookup(spec: &LookupSpec) -> Result<Vec<LookupHit>> {
    let table = sources::token_table(&spec.tokens)?;
    let lookup = Lookup::new(&table);
    let rows = match &spec.key {
        LookupKey::Item(item) => vec![lookup.item(item)?],
        LookupKey::SemanticId(id) => lookup.find(id)?,
    };
    if let (true, LookupKey::SemanticId(id)) = (rows.is_empty(), &spec.key) {
        let got = format!("none under {id}");
        return Err(Error::data("lookup", "an item under this prefix", got, "try a shorter prefix"));
    }
    let hit = |row: usize| LookupHit {
        item_id: table.item_ids.text(row),
        semantic_id: table.semantic_id(row),
        codes: table.codes.row(row).to_vec(),
        reassigned: table.reassigned[row],
    };
    Ok(rows.into_iter().map(hit).collect())
}
