//! The members of shared IDs: their ranks, and the values in which the members of an ID must agree.

use std::collections::HashMap;

use ndarray::ArrayView2;

use super::groups::{Groups, ranks};
use crate::item_ids::ItemIds;

/// Classes of items. Items of different classes never share an ID.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ItemClasses {
    /// Name of each class: the item's values of the columns that members must agree in, as a JSON array.
    pub names: Vec<String>,
    /// The class of each item.
    pub class: Vec<u32>,
}

impl ItemClasses {
    /// The classes of items with these names, numbered in the order of their first items.
    pub fn of_names<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Self {
        let (mut number, mut classes) = (HashMap::<String, u32>::new(), ItemClasses::default());
        for name in names {
            let next = number.len() as u32;
            let class = *number.entry(name.as_ref().to_owned()).or_insert(next);
            if class == next {
                classes.names.push(name.as_ref().to_owned());
            }
            classes.class.push(class);
        }
        classes
    }

    /// The classes of these rows.
    #[must_use]
    pub fn take(&self, rows: &[usize]) -> Self {
        ItemClasses { names: self.names.clone(), class: rows.iter().map(|&row| self.class[row]).collect() }
    }

    /// The name of an item's class.
    pub fn name(&self, row: usize) -> &str {
        &self.names[self.class[row] as usize]
    }
}

/// The properties of items that may share IDs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MemberFacts {
    /// The items' classes. `None` if any two items may share an ID.
    pub classes: Option<ItemClasses>,
    /// Priority of each item: the members of an ID are ranked by descending priority, then by item id. Empty if they are
    /// ranked by item id only.
    pub priority: Vec<f64>,
}

impl MemberFacts {
    /// The properties of these rows.
    #[must_use]
    pub fn take(&self, rows: &[usize]) -> Self {
        let priority = if self.priority.is_empty() { &[][..] } else { rows };
        MemberFacts {
            classes: self.classes.as_ref().map(|classes| classes.take(rows)),
            priority: priority.iter().map(|&row| self.priority[row]).collect(),
        }
    }

    /// The class of an item; 0 without classes.
    pub(super) fn class(&self, row: usize) -> u32 {
        self.classes.as_ref().map_or(0, |classes| classes.class[row])
    }
}

/// The members of the IDs of a token table with a capacity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members {
    /// Rank of each item among the members of its ID, from 0.
    pub ranks: Vec<u16>,
    /// The items' classes, if there are any.
    pub classes: Option<ItemClasses>,
}

impl Members {
    /// Ranks the items of each ID by descending priority, then by item id. Ranks that are `known` do not change, and the
    /// other members of the ID follow them. If there are fewer known ranks than items, the last items have none.
    pub fn ranked(codes: ArrayView2<u16>, item_ids: &ItemIds, facts: MemberFacts, known: &[Option<u16>]) -> Self {
        let rank = ranks(item_ids);
        let known = |row: usize| known.get(row).copied().flatten();
        let mut of_members = vec![0; codes.nrows()];
        for group in Groups::of(codes, codes.ncols(), &rank).iter() {
            let (old, mut new): (Vec<usize>, Vec<usize>) = group.iter().partition(|&&row| known(row).is_some());
            if !facts.priority.is_empty() {
                // Stable: equal priorities stay in the order of the ids.
                new.sort_by(|&a, &b| facts.priority[b].total_cmp(&facts.priority[a]));
            }
            old.iter().for_each(|&row| of_members[row] = known(row).unwrap_or_default());
            let first = old.iter().map(|&row| of_members[row].saturating_add(1)).max().unwrap_or(0);
            new.iter().enumerate().for_each(|(at, &row)| of_members[row] = first.saturating_add(at as u16));
        }
        Members { ranks: of_members, classes: facts.classes }
    }

    /// The members of these rows.
    #[must_use]
    pub fn take(&self, rows: &[usize]) -> Self {
        Members {
            ranks: rows.iter().map(|&row| self.ranks[row]).collect(),
            classes: self.classes.as_ref().map(|classes| classes.take(rows)),
        }
    }

    /// Appends the members of further rows. Without classes on both sides, the result has none.
    pub fn append(&mut self, more: Members) {
        self.ranks.extend(more.ranks);
        self.classes = match (self.classes.take(), more.classes) {
            (Some(own), Some(more)) => {
                let rows = 0..own.class.len() + more.class.len();
                let name = |row: usize| match row.checked_sub(own.class.len()) {
                    None => own.name(row),
                    Some(row) => more.name(row),
                };
                Some(ItemClasses::of_names(rows.map(name)))
            }
            _ => None,
        };
    }
}

/// The first pair of rows that violates the rules of shared IDs, and the rule that the second row violates.
pub(super) fn fault(codes: ArrayView2<u16>, members: &Members, capacity: u16) -> Option<(usize, usize, MemberFault)> {
    let by_rank: Vec<usize> = members.ranks.iter().map(|&rank| usize::from(rank)).collect();
    let groups = Groups::of(codes, codes.ncols(), &by_rank);
    groups.iter().find_map(|rows| {
        if let Some(&row) = rows.get(usize::from(capacity)) {
            return Some((rows[0], row, MemberFault::Full));
        }
        let pair = |fault: MemberFault| move |pair: &[usize]| (pair[0], pair[1], fault);
        let same_rank = rows.windows(2).find(|pair| members.ranks[pair[0]] == members.ranks[pair[1]]);
        let other_class =
            |pair: &&[usize]| members.classes.as_ref().is_some_and(|c| c.class[pair[0]] != c.class[pair[1]]);
        let other_class = rows.windows(2).find(other_class);
        same_rank.map(pair(MemberFault::Rank)).or_else(|| other_class.map(pair(MemberFault::Class)))
    })
}

/// A violated rule of shared IDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MemberFault {
    /// More members than the capacity.
    Full,
    /// Two members with the same rank.
    Rank,
    /// Two members of different classes.
    Class,
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn members_are_ranked_by_priority_then_by_id() {
        let codes = array![[1u16, 0], [0, 0], [1, 0], [1, 0]];
        let ids = ItemIds::Integers(vec![9, 2, 5, 7]);
        let ranks = |priority: &[f64], known: &[Option<u16>]| {
            let facts = MemberFacts { priority: priority.to_vec(), classes: None };
            Members::ranked(codes.view(), &ids, facts, known).ranks
        };
        assert_eq!(ranks(&[], &[]), [2, 0, 0, 1]);
        assert_eq!(ranks(&[8.0, 0.0, 1.0, 8.0], &[]), [1, 0, 2, 0]);
        assert_eq!(ranks(&[], &[None, None, Some(4)]), [6, 0, 4, 5]);
    }

    #[test]
    fn appended_members_keep_the_names_of_their_classes() {
        let members = |ranks: &[u16], names: &[&str]| Members {
            ranks: ranks.to_vec(),
            classes: Some(ItemClasses::of_names(names)),
        };
        let mut all = members(&[0, 1], &["b", "a"]);
        all.append(members(&[0], &["a"]));
        assert_eq!(all, members(&[0, 1, 0], &["b", "a", "a"]));
        assert_eq!(all.take(&[2]).classes.unwrap().name(0), "a");
    }

    #[test]
    fn each_violated_rule_is_found() {
        let codes = array![[1u16], [1], [0]];
        let check = |ranks: [u16; 3], names: [&str; 3], capacity| {
            let members = Members { ranks: ranks.to_vec(), classes: Some(ItemClasses::of_names(names)) };
            fault(codes.view(), &members, capacity)
        };
        assert_eq!(check([1, 0, 0], ["a", "a", "b"], 2), None);
        assert_eq!(check([1, 0, 0], ["a", "a", "b"], 1), Some((1, 0, MemberFault::Full)));
        assert_eq!(check([1, 1, 0], ["a", "a", "b"], 2), Some((0, 1, MemberFault::Rank)));
        assert_eq!(check([0, 4, 0], ["a", "b", "b"], 2), Some((0, 1, MemberFault::Class)));
    }
}
