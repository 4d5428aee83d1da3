//! Items by semantic ID, and semantic IDs by item.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::titles::LookupSettings;
use crate::error::{Error, Result};
use crate::index::{Index, TOKENS, TOMBSTONES};
use crate::semantic_id::{Lookup, TokenTable, Tombstones};
use crate::settings::SettingGroup;

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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LookupSpec {
    /// Token table, or an index.
    pub tokens: PathBuf,
    /// What to look up.
    pub key: LookupKey,
    /// The source of the items' titles.
    #[serde(default)]
    pub titles: LookupSettings,
}

impl LookupSpec {
    /// A look-up in a token table or an index, with the titles that the index knows.
    pub fn new(tokens: impl Into<PathBuf>, key: LookupKey) -> Self {
        LookupSpec { tokens: tokens.into(), key, titles: LookupSettings::default() }
    }
}

/// An item and its ID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LookupHit {
    /// Id of the item in the catalog.
    pub item_id: String,
    /// Its semantic ID.
    pub semantic_id: String,
    /// The codes of its semantic ID, one per level.
    pub codes: Vec<u16>,
    /// Whether the item was moved to another code to make its ID unique.
    pub reassigned: bool,
    /// Its rank among the items of a shared ID, from 0. `None` if IDs are unique.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<u16>,
    /// Its values of the columns in which the items of an ID must agree, as a JSON array. `None` without such columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub must_differ: Option<String>,
    /// The generation in which the item gave up this ID: it was deleted or got another one. `None` for a current ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_in: Option<u64>,
    /// Its title or text, if a catalog is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// Finds the items of a semantic ID or prefix, or the ID of an item.
///
/// # Errors
/// [`Error::Data`] if nothing is found; as [`Lookup::item`] and [`Lookup::find`].
pub fn lookup(spec: &LookupSpec) -> Result<Vec<LookupHit>> {
    spec.titles.check()?;
    // Only the table of an index is read, so only its hash is verified.
    let is_index = Index::is_index(&spec.tokens);
    let index = is_index.then(|| Index::open_for(&spec.tokens, &[TOKENS, TOMBSTONES])).transpose()?;
    let table = match &index {
        Some(index) => TokenTable::read(&index.path(TOKENS))?,
        None => TokenTable::read(&spec.tokens)?,
    };
    let lookup = Lookup::new(&table);
    if let Some(hit) = index.as_ref().map(|index| deleted(&spec.key, index, &lookup)).transpose()?.flatten() {
        return Ok(vec![hit]);
    }
    let rows = match &spec.key {
        LookupKey::Item(item) => vec![lookup.item(item)?],
        LookupKey::SemanticId(id) => lookup.find(id)?,
    };
    if let (true, LookupKey::SemanticId(id)) = (rows.is_empty(), &spec.key) {
        let got = format!("none under {id}");
        return Err(Error::data("lookup", "an item under this prefix", got, "try a shorter prefix"));
    }
    let mut titles = spec.titles.titles(index.as_ref().map(Index::manifest), &table.item_ids, &rows)?;
    let hit = |row: usize| LookupHit {
        title: titles.remove(&table.item_ids.text(row)),
        item_id: table.item_ids.text(row),
        semantic_id: table.semantic_id(row),
        codes: table.codes.row(row).to_vec(),
        reassigned: table.reassigned[row],
        member: table.members.as_ref().map(|members| members.ranks[row]),
        must_differ: table
            .members
            .as_ref()
            .and_then(|members| members.classes.as_ref())
            .map(|classes| classes.name(row).to_owned()),
        deleted_in: None,
    };
    Ok(rows.into_iter().map(hit).collect())
}

/// Finds an item or an ID among the deleted items of an index.
fn deleted(key: &LookupKey, index: &Index, lookup: &Lookup<&TokenTable>) -> Result<Option<LookupHit>> {
    if !index.manifest().files.contains_key(TOMBSTONES) {
        return Ok(None);
    }
    let (table, metadata) = (lookup.table(), &lookup.table().metadata);
    let stones = Tombstones::read(&index.path(TOMBSTONES), metadata.codebook_sizes.len())?;
    let found = match key {
        LookupKey::Item(item) if table.item_ids.position(item).is_none() => stones.item(item),
        LookupKey::SemanticId(id) => {
            let codes = metadata.token_format.parse(id, &metadata.codebook_sizes)?;
            stones.codes(&codes).filter(|_| lookup.rows(&codes).is_empty())
        }
        LookupKey::Item(_) => None,
    };
    let hit = |row: usize| {
        let codes = stones.codes.row(row).to_vec();
        LookupHit {
            item_id: stones.item_ids.text(row),
            semantic_id: metadata.token_format.semantic_id(&codes),
            codes,
            reassigned: false,
            member: None,
            must_differ: None,
            deleted_in: Some(stones.deleted_in[row]),
            title: None,
        }
    };
    Ok(found.map(hit))
}
