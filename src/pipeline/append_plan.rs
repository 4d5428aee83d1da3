//! Compares a catalog with an index: new, changed, returning and deleted items.

use std::collections::HashMap;

use ndarray::Axis;

use super::attributes::attributes_of;
use super::spec::{AbsentItems, ChangedItems};
use crate::attributes::Attributes;
use crate::error::{Error, Result};
use crate::features::{ContentHash, ContentHashes};
use crate::index::{CONTENT, Index, TOKENS, TOMBSTONES};
use crate::item_ids::ItemIds;
use crate::semantic_id::{Occupied, TokenTable, Tombstones};

/// The parent of the next generation.
pub(super) struct ParentIndex {
    pub(super) index: Index,
    pub(super) table: TokenTable,
    /// The content hash of each item of the table; `None` if it is not known.
    pub(super) content: Vec<Option<ContentHash>>,
    pub(super) tombstones: Tombstones,
    /// The attributes of the items, if the index has any.
    pub(super) attributes: Option<Attributes>,
    /// Codes that a new item cannot get: those of the parent's items, and those of deleted items in quarantine.
    pub(super) occupied: Occupied,
}

impl ParentIndex {
    /// Reads the parent of generation `next`.
    ///
    /// # Errors
    /// For a file of the index that cannot be read.
    pub(super) fn read(index: Index, next: u64) -> Result<Self> {
        let has = |part: &str| index.manifest().files.contains_key(part);
        let table = TokenTable::read(&index.path(TOKENS))?;
        let levels = table.codes.ncols();
        let content = content_of(&index, &table)?;
        let tombstones = match has(TOMBSTONES) {
            true => Tombstones::read(&index.path(TOMBSTONES), levels)?,
            false => Tombstones::none(levels),
        };
        let mut occupied = Occupied::of_codes(table.codes.view(), &table.metadata.codebook_sizes)?;
        occupied.insert(tombstones.quarantined(next).view())?;
        let attributes = attributes_of(&index)?;
        Ok(ParentIndex { index, table, content, tombstones, attributes, occupied })
    }

    /// Reserves the IDs of returning items, including IDs whose quarantine has ended: these items get their IDs again.
    ///
    /// # Errors
    /// As [`Occupied::insert`].
    pub(super) fn hold(&mut self, plan: &AppendPlan) -> Result<()> {
        let returning: Vec<usize> = plan.fresh.iter().filter_map(|item| item.is.stone()).collect();
        self.occupied.insert(self.tombstones.codes.select(Axis(0), &returning).view())
    }

    /// Whether the index has any content hashes.
    pub(super) fn knows_content(&self) -> bool {
        self.content.iter().any(Option::is_some)
    }
}

/// The content hash of each item of an index; `None` if it is not known.
///
/// # Errors
/// As [`ContentHashes::read`].
pub(super) fn content_of(index: &Index, table: &TokenTable) -> Result<Vec<Option<ContentHash>>> {
    match index.manifest().files.contains_key(CONTENT) {
        true => Ok(ContentHashes::read(&index.path(CONTENT))?.aligned(&table.item_ids)),
        false => Ok(vec![None; table.item_ids.len()]),
    }
}

/// An item of the catalog to encode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FreshItem {
    /// Its row in the catalog.
    pub(super) row: usize,
    pub(super) is: Freshness,
}

/// Why an item is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// It is not in the index.
    New,
    /// It was deleted from the index. Holds its row in the tombstones.
    Returning(usize),
    /// Its content changed. Holds its row in the index.
    Changed(usize),
}

impl Freshness {
    /// The row of a changed item in the index. `None` for other items.
    pub(super) fn row(self) -> Option<usize> {
        match self {
            Freshness::Changed(row) => Some(row),
            Freshness::New | Freshness::Returning(_) => None,
        }
    }

    /// The row of a returning item in the tombstones. `None` for other items.
    pub(super) fn stone(self) -> Option<usize> {
        match self {
            Freshness::Returning(stone) => Some(stone),
            Freshness::New | Freshness::Changed(_) => None,
        }
    }
}

/// Which items of a catalog to encode, and which items of the index to delete.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AppendPlan {
    /// The items to encode, in the order of the catalog.
    pub(super) fresh: Vec<FreshItem>,
    /// The row in the catalog of each item of the index; `None` if the catalog does not have it.
    pub(super) in_catalog: Vec<Option<usize>>,
    /// Rows of the index to delete.
    pub(super) deleted: Vec<usize>,
    pub(super) changed: ChangedItems,
}

impl AppendPlan {
    /// Compares a catalog, whose items have the content hashes `content`, with the parent of generation `next`.
    pub(super) fn new(
        parent: &ParentIndex,
        ids: &ItemIds,
        content: &[ContentHash],
        (changed, absent): (ChangedItems, AbsentItems),
        next: u64,
    ) -> Self {
        let in_catalog = parent.table.item_ids.rows_in(ids);
        let mut in_index = vec![None; ids.len()];
        for (row, of_catalog) in in_catalog.iter().enumerate() {
            if let Some(of_catalog) = of_catalog {
                in_index[*of_catalog] = Some(row);
            }
        }
        let stones = &parent.tombstones;
        let latest: HashMap<String, usize> = (0..stones.len()).map(|row| (stones.item_ids.text(row), row)).collect();
        let last_with: HashMap<Vec<u16>, usize> =
            (0..stones.len()).map(|row| (stones.codes.row(row).to_vec(), row)).collect();
        // A released ID may have been assigned to another item, which may have been deleted in turn.
        // A shared ID can have several tombstones; whether it has room is checked later.
        let shared = parent.table.members.is_some();
        let free = |&&stone: &&usize| {
            if shared {
                return true;
            }
            let codes = stones.codes.row(stone).to_vec();
            let released = stones.releases_in[stone].is_some_and(|from| from <= next);
            last_with.get(&codes) == Some(&stone) && !(released && parent.occupied.contains(&codes))
        };
        let fresh = |(row, in_index): (usize, &Option<usize>)| {
            let is = match in_index {
                Some(old) if parent.content[*old].is_none_or(|hash| hash == content[row]) => return None,
                Some(old) => Freshness::Changed(*old),
                None if stones.is_empty() => Freshness::New,
                None => match latest.get(&ids.text(row)).filter(free) {
                    Some(&stone) => Freshness::Returning(stone),
                    None => Freshness::New,
                },
            };
            Some(FreshItem { row, is })
        };
        let fresh = in_index.iter().enumerate().filter_map(fresh).collect();
        let deleted = match absent {
            AbsentItems::Keep => Vec::new(),
            AbsentItems::Delete => (0..in_catalog.len()).filter(|&row| in_catalog[row].is_none()).collect(),
        };
        AppendPlan { fresh, in_catalog, deleted, changed }
    }

    /// Refuses to delete more than the share `most` of the items, because the catalog may be incomplete.
    ///
    /// # Errors
    /// [`Error::Data`].
    pub(super) fn check_deleted(&self, most: f64) -> Result<()> {
        let (deleted, items) = (self.deleted.len(), self.in_catalog.len());
        if deleted as f64 <= most * items as f64 {
            return Ok(());
        }
        let expected = format!("at least {:.0} % of the {items} items of the index", 100.0 * (1.0 - most));
        let help = "check that the catalog is complete; raise --max-deleted, or keep missing items with --missing keep";
        Err(Error::data("catalog", expected, format!("{}", items - deleted), help))
    }
}
