//! What is wrong with IDs of another system, and the token table of them.

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

/// Examples of each kind.
const EXAMPLES: usize = 5;

/// A semantic ID of several items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SharedId {
    /// The ID.
    pub semantic_id: String,
    /// Number of its items.
    pub items: usize,
    /// The first of them.
    pub examples: Vec<String>,
}

/// A token that is no code of its level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnknownToken {
    /// The item.
    pub item_id: String,
    /// 0-based place of the token.
    pub level: usize,
    /// The token.
    pub token: String,
}

/// What was found in a file of IDs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Items of the file.
    pub items_read: usize,
    /// Items of the table.
    pub items: usize,
    /// Codes per level.
    pub codebook_sizes: Vec<usize>,
    /// How tokens are written.
    pub token_format: String,
    /// Distinct semantic IDs.
    pub distinct_ids: usize,
    /// Items whose ID another item has, too.
    pub colliding_items: usize,
    /// IDs of several items, those of most items first.
    pub shared_ids: Vec<SharedId>,
    /// Per level, codes that no item has.
    pub unused_codes: Vec<usize>,
    /// Of integer ids, numbers between the smallest and the largest that no item has.
    pub missing_numbers: u64,
    /// Number of items by number of levels.
    pub items_by_levels: BTreeMap<usize, usize>,
    /// Items with another number of levels than the table: some of their ids.
    pub ragged: Vec<String>,
    /// Items that were completed with code 0.
    pub padded: usize,
    /// Items with a token that is no code.
    pub items_with_unknown_tokens: usize,
    /// Some of these tokens.
    pub unknown_tokens: Vec<UnknownToken>,
}

/// The table of what was read.
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
        let help = "name their format with --token-format, or leave these items out with --unknown drop";
        return Err(Error::file(path, "tokens of codes at every level", got, help));
    }
    let sound: Vec<usize> = (0..items_read).filter(|&row| !is_unknown[row]).collect();
    let mut items_by_levels = BTreeMap::new();
    sound.iter().for_each(|&row| *items_by_levels.entry(raw.of(row).len()).or_insert(0) += 1);
    let levels = match how.ragged {
        OddItems::Pad => items_by_levels.keys().next_back().copied(),
        // Of equally frequent lengths the shortest.
        _ => {
            items_by_levels.iter().max_by_key(|&(&levels, &items)| (items, std::cmp::Reverse(levels))).map(|(&l, _)| l)
        }
    };
    let levels = levels.unwrap_or(0);
    if levels == 0 {
        return Err(Error::file(
            path,
            "IDs of at least one code",
            "items without codes",
            "check the column of the codes",
        ));
    }
    let odd: Vec<usize> = sound.iter().copied().filter(|&row| raw.of(row).len() != levels).collect();
    if let (Some(&row), OddItems::Refuse) = (odd.first(), how.ragged) {
        let got =
            format!("{} items with other numbers, such as {} of item {}", odd.len(), raw.of(row).len(), raw.items[row]);
        let help = "leave these items out with --ragged drop, or complete shorter IDs with code 0 by --ragged pad";
        return Err(Error::file(path, format!("{levels} levels, as most items have"), got, help));
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
        return Err(Error::file(path, "an id for every item", format!("none for item {}", row + 1), "name the item"));
    }
    let token_format = raw.format.clone().unwrap_or_default();
    let groups = Groups::of(codes.view(), levels, &ranks(&item_ids));
    let mut shared: Vec<&[usize]> = groups.iter().filter(|group| group.len() > 1).collect();
    // Stable: of equally large ones, in the order of the codes.
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
        residual_error: vec![f32::NAN; item_ids.len()],
        reassigned: vec![false; item_ids.len()],
        item_ids,
        codes,
        metadata: TableMetadata { model_hash: String::new(), codebook_sizes, token_format, policy, collisions: None },
    };
    Ok((table, report))
}

/// The sizes that were given, or the smallest that hold all codes.
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
            Err(Error::file(path, expected, got, "give larger sizes with --codebook-size"))
        }
    }
}

/// Integers, if all ids are numbers as they are written.
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
