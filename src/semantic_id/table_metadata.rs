//! The metadata of a token table's file, as key-value pairs.

use std::path::Path;

use arrow::datatypes::Metadata;

use super::collisions::SHARE;
use super::{CollisionReport, Collisions, TokenFormat};
use crate::error::{Error, Result};

/// Metadata of a token table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableMetadata {
    /// Hash of the model that assigned the codes.
    pub model_hash: String,
    /// Codebook size per level, including the suffix.
    pub codebook_sizes: Vec<usize>,
    /// How codes are written as tokens.
    pub token_format: TokenFormat,
    /// How ID collisions were resolved.
    pub policy: Collisions,
    /// Statistics of the collision resolution.
    pub collisions: Option<CollisionReport>,
}

const FORMAT_VERSION: &str = "1";
const VERSION_KEY: &str = "catalex.format_version";
const MODEL_KEY: &str = "catalex.model_hash";
const LEVELS_KEY: &str = "catalex.levels";
const SIZES_KEY: &str = "catalex.codebook_sizes";
const FORMAT_KEY: &str = "catalex.token_format";
const POLICY_KEY: &str = "catalex.collision_policy";
const CAPACITY_KEY: &str = "catalex.capacity";
const COLLISIONS_KEY: &str = "catalex.collisions";

/// The key-value pairs of a table with `levels` levels.
pub(super) fn pairs(metadata: &TableMetadata, levels: usize) -> Vec<(&'static str, String)> {
    let mut pairs = vec![
        (VERSION_KEY, FORMAT_VERSION.to_owned()),
        (MODEL_KEY, metadata.model_hash.clone()),
        (LEVELS_KEY, levels.to_string()),
        (SIZES_KEY, serde_json::json!(metadata.codebook_sizes).to_string()),
        (FORMAT_KEY, metadata.token_format.to_string()),
        (POLICY_KEY, metadata.policy.to_string()),
    ];
    if let Collisions::Share { capacity } = metadata.policy {
        pairs.push((CAPACITY_KEY, capacity.to_string()));
    }
    if let Some(report) = &metadata.collisions {
        pairs.push((COLLISIONS_KEY, serde_json::json!(report).to_string()));
    }
    pairs
}

/// Parses such pairs; errors name `path`.
pub(super) fn read(path: &Path, pairs: &Metadata) -> Result<TableMetadata> {
    let value = |key: &str| pairs.get(key).map(String::as_str);
    let wrong = |key: &str, got: &str| {
        let help = "name a table that `catalex tokenize` or `catalex build` wrote";
        Error::artifact(path, format!("a token table's metadata {key}"), got, help)
    };
    let needed = |key: &str| value(key).ok_or_else(|| wrong(key, "none"));
    let version = needed(VERSION_KEY)?;
    if version != FORMAT_VERSION {
        let expected = format!("format version {FORMAT_VERSION}");
        return Err(Error::artifact(path, expected, version, "use the release of catalex that wrote it"));
    }
    let sizes = needed(SIZES_KEY)?;
    let policy = needed(POLICY_KEY)?;
    let format = needed(FORMAT_KEY)?;
    let capacity = || {
        let capacity = needed(CAPACITY_KEY)?;
        capacity
            .parse::<u16>()
            .ok()
            .filter(|&n| n > 0)
            .ok_or_else(|| wrong("catalex.capacity, from 1 to 65535", capacity))
    };
    let collisions = value(COLLISIONS_KEY)
        .map(|json| serde_json::from_str::<CollisionReport>(json).map_err(|_| wrong(COLLISIONS_KEY, json)))
        .transpose()?;
    let codebook_sizes: Vec<usize> = serde_json::from_str(sizes).map_err(|_| wrong(SIZES_KEY, sizes))?;
    if codebook_sizes.is_empty() || needed(LEVELS_KEY)? != codebook_sizes.len().to_string() {
        return Err(wrong(LEVELS_KEY, needed(LEVELS_KEY)?));
    }
    Ok(TableMetadata {
        model_hash: needed(MODEL_KEY)?.to_owned(),
        codebook_sizes,
        token_format: format.parse::<TokenFormat>().map_err(|_| wrong(FORMAT_KEY, format))?,
        policy: match policy {
            SHARE => Collisions::Share { capacity: capacity()? },
            _ => policy.parse::<Collisions>().map_err(|_| wrong(POLICY_KEY, policy))?,
        },
        collisions,
    })
}
