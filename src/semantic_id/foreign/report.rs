//! Checks the IDs of another system, reports problems, and makes a token table.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::Array2;
use serde::Serialize;

use super::raw::RawIds;
use super::{ForeignIds, OddItems};
use crate::error::{Error, Result, quoted};
use crate::item_ids::{IdFault, ItemIds};
use crate::semantic_id::groups::{Groups, ranks};
use crate::semantic_id::{Collisions, TableMetadata, TokenTable};
use crate::tokenizer::{CodeUsage, check_codebook_sizes};

/// Maximum number of examples of each kind.
const EXAMPLES: usize = 5;

/// A semantic ID that several items share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SharedId {
    /// The ID.
    pub semantic_id: String,
    /// Number of items with this ID.
    pub items: usize,
    /// The ids of the first of these items.
    pub examples: Vec<String>,
}

/// A token that is not a code of its level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnknownToken {
    /// The item.
    pub item_id: String,
    /// 0-based position of the token.
    pub level: usize,
    /// The token.
    pub token: String,
}

/// Statistics and problems of an imported file of IDs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Number of items in the file.
    pub items_read: usize,
    /// Number of items in the table.
    pub items: usize,
    /// Codebook size per level.
    pub codebook_sizes: Vec<usize>,
    /// How tokens are written.
    pub token_format: String,
    /// Number of distinct semantic IDs.
    pub distinct_ids: usize,
    /// Number of items that share their ID with another item.
    pub colliding_items: usize,
    /// IDs that several items share, in descending order of items; at most 5.
    pub shared_ids: Vec<SharedId>,
    /// Number of codes per level that no item has.
    pub unused_codes: Vec<usize>,
    /// Number of integers between the smallest and the largest item id that no item has; 0 for string ids.
    pub missing_numbers: u64,
    /// Number of items by number of levels.
    pub items_by_levels: BTreeMap<usize, usize>,
    /// Ids of items with another number of levels than the table; at most 5.
    pub ragged: Vec<String>,
    /// Number of items that were padded with code 0.
    pub padded: usize,
    /// Number of items with a token that is not a code.
    pub items_with_unknown_tokens: usize,
    /// Examples of these tokens; at most 5.
    pub unknown_tokens: Vec<UnknownToken>,
}

/// Checks what was read, and makes the token table and the report.
pub(super) fn settle(
    path: &Path,
    raw: RawIds,
    how: &ForeignIds,
    sizes: Option<Vec<usize>>,
) -> Result<(TokenTable, ImportReport)> {
    let items_read = raw.items.len();
    if items_read == 0 {
        return Err(Error::file(path, "at least one item", "none", "check the file"));
    }
    let mut is_unknown = vec![false; items_read];
    raw.unknown.iter().for_each(|&(row, ..)| is_unknown[row] = true);
    if let (Some((row, level, token)), false) = (raw.unknown.first(), how.drop_unknown) {
        let got = format!(
            "{} items with other tokens, such as {} at level {level} of item {}",
            raw.unknown.len(),
            quoted(token),
            quoted(&raw.items[*row])
        );
        let help = "pass their format with --token-format, or omit these items with --unknown drop";
        return Err(Error::file(path, "tokens of codes at every level", got, help));
    }
    let sound: Vec<usize> = (0..items_read).filter(|&row| !is_unknown[row]).collect();
    let mut items_by_levels = BTreeMap::new();
    sound.iter().for_each(|&row| *items_by_levels.entry(raw.of(row).len()).or_insert(0) += 1);
    let levels = match how.ragged {
        OddItems::Pad => items_by_levels.keys().next_back().copied(),
        // The most frequent number of levels, or the smallest of equally frequent ones.
        _ => {
            items_by_levels.iter().max_by_key(|&(&levels, &items)| (items, std::cmp::Reverse(levels))).map(|(&l, _)| l)
        }
    };
    let levels = levels.unwrap_or(0);
    if levels == 0 {
        return Err(Error::file(
            path,
            "IDs with at least one code",
            "items without codes",
            "check the column of the codes",
        ));
    }
    let odd: Vec<usize> = sound.iter().copied().filter(|&row| raw.of(row).len() != levels).collect();
    if let (Some(&row), OddItems::Refuse) = (odd.first(), how.ragged) {
        let got =
            format!("{} items with other numbers, such as {} of item {}", odd.len(), raw.of(row).len(), raw.items[row]);
        let help = "omit these items with --ragged drop, or pad shorter IDs with code 0 by --ragged pad";
        return Err(Error::file(path, format!("{levels} levels, the most frequent number"), got, help));
    }
    let pads = how.ragged == OddItems::Pad;
    let kept: Vec<usize> = sound.into_iter().filter(|&row| pads || raw.of(row).len() == levels).collect();
    let codes =
        Array2::from_shape_fn((kept.len(), levels), |(at, level)| raw.of(kept[at]).get(level).copied().unwrap_or(0));
    let codebook_sizes = codebook_sizes(path, &codes, sizes)?;
    let item_ids = item_ids(kept.iter().map(|&row| raw.items[row].as_str()));
    if let Err(IdFault::Duplicate(first, row, id)) = item_ids.check_unique() {
        let got = format!("{} as items {} and {} of the file", quoted(&id), kept[first] + 1, kept[row] + 1);
        return Err(Error::file(path, "each item once", got, "remove one of them"));
    }
    if let Some(row) = kept.iter().find(|&&row| raw.items[row].trim().is_empty()) {
        return Err(Error::file(
            path,
            "an id for every item",
            format!("none for item {}", row + 1),
            "give the item an id",
        ));
    }
    let token_format = raw.format.clone().unwrap_or_default();
    let groups = Groups::of(codes.view(), levels, &ranks(&item_ids));
    let mut shared: Vec<&[usize]> = groups.iter().filter(|group| group.len() > 1).collect();
    // The sort is stable: IDs with equally many items stay in the order of their codes.
    shared.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let usage = CodeUsage::of_levels(codes.view(), &codebook_sizes);
    let report = ImportReport {
        items_read,
        items: kept.len(),
        token_format: token_format.to_string(),
        distinct_ids: groups.len(),
        colliding_items: shared.iter().map(|group| group.len()).sum(),
        shared_ids: shared
            .iter()
            .take(EXAMPLES)
            .map(|group| SharedId {
                semantic_id: token_format.semantic_id(&codes.row(group[0]).to_vec()),
                items: group.len(),
                examples: group.iter().take(EXAMPLES).map(|&row| item_ids.text(row)).collect(),
            })
            .collect(),
        unused_codes: usage.iter().zip(&codebook_sizes).map(|(usage, size)| size - usage.used()).collect(),
        missing_numbers: missing_numbers(&item_ids),
        items_by_levels,
        ragged: odd.iter().take(EXAMPLES).map(|&row| raw.items[row].clone()).collect(),
        padded: if pads { odd.len() } else { 0 },
        items_with_unknown_tokens: raw.unknown.len(),
        unknown_tokens: raw
            .unknown
            .iter()
            .take(EXAMPLES)
            .map(|(row, level, token)| UnknownToken {
                item_id: raw.items[*row].clone(),
                level: *level,
                token: token.clone(),
            })
            .collect(),
        codebook_sizes: codebook_sizes.clone(),
    };
    let policy = if shared.is_empty() { Collisions::Resolve } else { Collisions::Keep };
    let table = TokenTable {
        members: None,
        residual_error: vec![f32::NAN; item_ids.len()],
        reassigned: vec![false; item_ids.len()],
        item_ids,
        codes,
        metadata: TableMetadata { model_hash: String::new(), codebook_sizes, token_format, policy, collisions: None },
    };
    Ok((table, report))
}

/// The given sizes, or the smallest sizes that contain all codes.
fn codebook_sizes(path: &Path, codes: &Array2<u16>, given: Option<Vec<usize>>) -> Result<Vec<usize>> {
    let largest: Vec<usize> =
        codes.columns().into_iter().map(|column| column.iter().copied().max().map_or(0, usize::from)).collect();
    let sizes = match given {
        None => largest.iter().map(|&code| (code + 1).max(2)).collect(),
        Some(sizes) if sizes.len() == 1 => vec![sizes[0]; largest.len()],
        Some(sizes) if sizes.len() == largest.len() => sizes,
        Some(sizes) => {
            let got = format!("{} sizes for {} levels", sizes.len(), largest.len());
            return Err(Error::config("codebook-size", "one size, or one per level", got, "change the sizes"));
        }
    };
    check_codebook_sizes(&sizes)?;
    match largest.iter().zip(&sizes).position(|(largest, size)| largest >= size) {
        None => Ok(sizes),
        Some(level) => {
            let (expected, got) = (format!("codes below {} at level {level}", sizes[level]), largest[level]);
            Err(Error::file(path, expected, got, "pass larger sizes with --codebook-size"))
        }
    }
}

/// Integer ids if every id is an integer in its usual spelling (no leading zero or plus sign), and string ids
/// otherwise.
fn item_ids<'a>(items: impl Iterator<Item = &'a str> + Clone) -> ItemIds {
    let number = |text: &str| text.parse::<i64>().ok().filter(|number| number.to_string() == text);
    match items.clone().map(number).collect() {
        Some(numbers) => ItemIds::Integers(numbers),
        None => ItemIds::Strings(items.map(str::to_owned).collect()),
    }
}

fn missing_numbers(ids: &ItemIds) -> u64 {
    let ItemIds::Integers(ids) = ids else { return 0 };
    match (ids.iter().min(), ids.iter().max()) {
        (Some(&first), Some(&last)) => first.abs_diff(last).saturating_add(1).saturating_sub(ids.len() as u64),
        _ => 0,
    }
}
