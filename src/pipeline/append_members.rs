//! Appends to an index with shared IDs: which IDs have room, which items must leave an ID, and the ranks of new members.

use std::collections::HashMap;

use ndarray::{Array2, ArrayView1, Axis};

use super::append_plan::{AppendPlan, FreshItem, Freshness, ParentIndex};
use super::sharing::MemberSource;
use super::spec::BuildSpec;
use crate::catalog::CatalogSpec;
use crate::error::{Error, Result};
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::semantic_id::{Collisions, ItemClasses, MemberFacts, Members, TakenSeats, TokenTable};

/// The properties of the items of a catalog that is appended to an index with shared IDs.
pub(super) struct AppendedMembers {
    pub(super) capacity: u16,
    /// Properties by row of the catalog.
    pub(super) facts: MemberFacts,
}

impl AppendedMembers {
    /// Reads the properties of the catalog's items `ids`. `None` for an index with unique IDs.
    ///
    /// # Errors
    /// As [`MemberSource::read`] and [`MemberSource::facts`]; [`Error::Mismatch`] if the index has classes of items, but
    /// does not record their columns.
    pub(super) fn read(
        parent: &ParentIndex,
        catalog: CatalogSpec,
        ids: &ItemIds,
        progress: &dyn Progress,
    ) -> Result<Option<Self>> {
        let (Collisions::Share { capacity }, Some(members)) = (parent.table.metadata.policy, &parent.table.members)
        else {
            return Ok(None);
        };
        let settings = BuildSpec::of_manifest(&parent.index.manifest().settings)?.sharing;
        if members.classes.is_some() != settings.must_differ.is_some() {
            let (expected, got) = ("settings with --must-differ, as in the token table", "settings without it");
            return Err(Error::mismatch("manifest of the index", expected, got, "build the index again"));
        }
        let facts = MemberSource::read(&settings, &catalog, None)?.facts(ids, progress)?;
        Ok(Some(AppendedMembers { capacity, facts }))
    }

    fn name(&self, catalog_row: usize) -> &str {
        self.facts.classes.as_ref().map_or("", |classes| classes.name(catalog_row))
    }

    /// Whether each of the items must get another ID than the one that the index records for it, because the other members
    /// of that ID are of another class or leave no room.
    pub(super) fn leaving(&self, parent: &ParentIndex, plan: &AppendPlan, items: &[FreshItem]) -> Vec<bool> {
        let changed: HashMap<usize, usize> = items.iter().filter_map(|item| Some((item.is.row()?, item.row))).collect();
        let mut owners: HashMap<Vec<u16>, Owner> = HashMap::new();
        let mut gone = vec![false; parent.table.item_ids.len()];
        plan.deleted.iter().for_each(|&row| gone[row] = true);
        for row in (0..gone.len()).filter(|&row| !gone[row]) {
            let of_catalog = changed.get(&row);
            let name = of_catalog.map_or_else(|| parent.class_name(row), |&row| self.name(row));
            let order = (name != parent.class_name(row), parent.rank(row).unwrap_or_default());
            let owner = owners.entry(parent.table.codes.row(row).to_vec()).or_insert(Owner { order, name, members: 0 });
            owner.members += 1;
            if order < owner.order {
                (owner.order, owner.name) = (order, name);
            }
        }
        let leaves = |item: &FreshItem| match item.is {
            Freshness::New => false,
            Freshness::Changed(row) => {
                owners.get(&parent.table.codes.row(row).to_vec()).is_some_and(|owner| owner.name != self.name(item.row))
            }
            Freshness::Returning(stone) => {
                let name = self.name(item.row);
                let codes = parent.tombstones.codes.row(stone).to_vec();
                let owner = owners.entry(codes).or_insert(Owner { order: (true, 0), name, members: 0 });
                let fits = owner.name == name && owner.members < usize::from(self.capacity);
                owner.members += usize::from(fits);
                !fits
            }
        };
        items.iter().map(leaves).collect()
    }

    /// The room that the IDs of the index leave. IDs of deleted items keep their seats while they are in quarantine.
    pub(super) fn seats(
        &self,
        parent: &ParentIndex,
        plan: &AppendPlan,
        (items, leaving): (&[FreshItem], &[bool]),
        number: u64,
        facts: &MemberFacts,
    ) -> TakenSeats {
        let table = &parent.table;
        let mut names: Vec<Option<&str>> = (0..table.item_ids.len()).map(|row| Some(parent.class_name(row))).collect();
        plan.deleted.iter().for_each(|&row| names[row] = None);
        let mut held: Vec<ArrayView1<u16>> = plan.deleted.iter().map(|&row| table.codes.row(row)).collect();
        let stones = &parent.tombstones;
        let mut keeps: Vec<bool> =
            stones.releases_in.iter().map(|releases| releases.is_none_or(|from| from > number)).collect();
        for (item, &leaves) in items.iter().zip(leaving) {
            match item.is {
                Freshness::New => {}
                Freshness::Changed(row) if leaves => {
                    names[row] = None;
                    held.push(table.codes.row(row));
                }
                Freshness::Changed(row) => names[row] = Some(self.name(item.row)),
                Freshness::Returning(stone) => keeps[stone] |= !leaves,
            }
        }
        held.extend((0..stones.len()).filter(|&stone| keeps[stone]).map(|stone| stones.codes.row(stone)));
        let quarantined = Array2::from_shape_fn((held.len(), table.codes.ncols()), |(row, level)| held[row][level]);
        let live: Vec<usize> = (0..names.len()).filter(|&row| names[row].is_some()).collect();
        let classes = facts.classes.is_some().then(|| ItemClasses::of_names(names.into_iter().flatten()));
        let codes = table.codes.select(Axis(0), &live);
        TakenSeats::of_ids(codes.view(), classes.as_ref(), quarantined.view(), facts)
    }

    /// The members of the next token table: the rows `kept` of the index, then the encoded items. Members keep their
    /// ranks, and the ranks of new members follow.
    pub(super) fn next(
        &self,
        parent: &ParentIndex,
        table: &TokenTable,
        kept: &[usize],
        (items, placed): (&[FreshItem], &[bool]),
    ) -> Members {
        let of_kept = kept.iter().map(|&row| parent.rank(row));
        let of_fresh = items.iter().zip(placed).map(|(item, placed)| match item.is {
            Freshness::Changed(row) if !placed => parent.rank(row),
            _ => None,
        });
        let known: Vec<Option<u16>> = of_kept.chain(of_fresh).collect();
        let fresh = self.facts.take(&items.iter().map(|item| item.row).collect::<Vec<_>>());
        let classes = self.facts.classes.is_some().then(|| {
            let names = kept.iter().map(|&row| parent.class_name(row));
            ItemClasses::of_names(names.chain(items.iter().map(|item| self.name(item.row))))
        });
        let priority = match fresh.priority.is_empty() {
            true => Vec::new(),
            false => kept.iter().map(|_| 0.0).chain(fresh.priority).collect(),
        };
        Members::ranked(table.codes.view(), &table.item_ids, MemberFacts { classes, priority }, &known)
    }
}

impl ParentIndex {
    fn class_name(&self, row: usize) -> &str {
        let classes = self.table.members.as_ref().and_then(|members| members.classes.as_ref());
        classes.map_or("", |classes| classes.name(row))
    }

    fn rank(&self, row: usize) -> Option<u16> {
        self.table.members.as_ref().map(|members| members.ranks[row])
    }
}

/// The class of an ID: that of its members whose class did not change, or else that of the member with the lowest rank.
struct Owner<'a> {
    /// Whether the class of the member changed, and the rank of the member.
    order: (bool, u16),
    name: &'a str,
    /// Number of members.
    members: usize,
}
