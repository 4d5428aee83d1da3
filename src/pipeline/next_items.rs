//! The items of the next generation after an append: their IDs, content hashes, changes and tombstones.

use ndarray::Axis;

use super::append_ids::FreshIds;
use super::append_plan::{AppendPlan, FreshItem, Freshness, ParentIndex};
use super::attributes::appended;
use super::next_generation::{NextItems, rows_of};
use crate::attributes::Attributes;
use crate::error::{Error, Result};
use crate::features::ContentHash;
use crate::item_ids::ItemIds;
use crate::semantic_id::{IdChange, IdDelta};

/// The rows of the index whose vectors are kept: those of items that are neither deleted nor encoded again.
pub(super) fn kept_rows(parent: &ParentIndex, plan: &AppendPlan, fresh: &[FreshItem]) -> Vec<usize> {
    let mut stays = vec![true; parent.table.item_ids.len()];
    for item in fresh {
        if let Freshness::Changed(row) = item.is {
            stays[row] = false;
        }
    }
    plan.deleted.iter().for_each(|&row| stays[row] = false);
    (0..stays.len()).filter(|&row| stays[row]).collect()
}

/// The items of a catalog, with the hashes of their content.
pub(super) struct CatalogItems<'a> {
    pub(super) ids: &'a ItemIds,
    pub(super) content: &'a [ContentHash],
    /// The attributes of the items, if the index has any.
    pub(super) attributes: Option<&'a Attributes>,
}

/// The items of the next generation: the rows `kept` of the index, then the encoded items.
///
/// # Errors
/// As [`Tombstones::push`](crate::semantic_id::Tombstones::push).
pub(super) fn next_items(
    parent: &ParentIndex,
    plan: &AppendPlan,
    kept: &[usize],
    (fresh, assigned): (&[FreshItem], &FreshIds),
    catalog: &CatalogItems,
    (number, quarantine): (u64, Option<u64>),
) -> Result<NextItems> {
    let old = &parent.table;
    let rows: Vec<usize> = fresh.iter().map(|item| item.row).collect();
    let mut table = rows_of(old, kept);
    table.metadata.codebook_sizes.clone_from(&assigned.codebook_sizes);
    table.item_ids.append(catalog.ids.take(&rows));
    table
        .codes
        .append(Axis(0), assigned.codes.view())
        .map_err(|e| Error::mismatch("codes of the new items", "one row per item", e, "please report this"))?;
    table.residual_error.extend(&assigned.errors);
    table.reassigned.extend(&assigned.reassigned);
    // An item without a stored hash gets the hash of the catalog. An item that was not encoded again keeps its stored
    // hash.
    let hash = |&row: &usize| parent.content[row].or_else(|| plan.in_catalog[row].map(|at| catalog.content[at]));
    let content = kept.iter().map(hash).chain(rows.iter().map(|&row| Some(catalog.content[row]))).collect();
    let mut delta = IdDelta::default();
    let returned: Vec<usize> =
        fresh.iter().zip(&assigned.placed).filter_map(|(item, placed)| item.is.stone().filter(|_| !placed)).collect();
    let mut tombstones = parent.tombstones.without(&returned);
    let releases = quarantine.map(|generations| number + generations);
    for &row in &plan.deleted {
        tombstones.push(old.item_ids.take(&[row]), old.codes.row(row), number, releases)?;
        delta.push(old.item_ids.take(&[row]), IdChange::Deleted, (Some(old.semantic_id(row)), None), None);
    }
    for (at, item) in fresh.iter().enumerate() {
        let new = table.semantic_id(kept.len() + at);
        let (change, before) = match item.is {
            Freshness::Changed(row) => {
                let before = old.semantic_id(row);
                let moved = before != new;
                if moved {
                    tombstones.push(old.item_ids.take(&[row]), old.codes.row(row), number, releases)?;
                }
                (if moved { IdChange::Reassigned } else { IdChange::Updated }, Some(before))
            }
            Freshness::New | Freshness::Returning(_) => (IdChange::Added, None),
        };
        delta.push(catalog.ids.take(&[item.row]), change, (before, Some(new)), Some(assigned.added[at]));
    }
    let attributes = appended(parent.attributes.as_ref(), catalog.attributes, &table.item_ids)?;
    Ok(NextItems { table, content, attributes, delta, tombstones })
}
