//! Behaviour as a modality: vectors of items from which of them people used one after another.
//!
//! Items that stand near each other in histories get near vectors: how often each pair does is counted, turned into
//! positive pointwise mutual information, and factorised. That is what word2vec does to words implicitly (Levy and
//! Goldberg, 2014; Levy, Goldberg and Dagan, TACL 2015), in one pass and without a learning rate.
//!
//! For items `i` and `j` with `n(i, j)` pairs, of `n(i)` and `N` in all, and `q(i)` in proportion to `n(i)` to the power of
//! `popularity_damping`:
//!
//! ```text
//! m(i, j) = max(0, ln(n(i, j) / N) - (g(i) + g(j)) - ln(shift)),  g(i) = (ln(n(i) / N) + ln q(i)) / 2
//! ```
//!
//! With a damping below 1 an item that everybody uses says less of its company. The eigenvectors of the largest positive
//! eigenvalues of `m`, times the square roots of these, are the vectors, which are then scaled to length 1. A negative
//! eigenvalue sets two items apart because neither is its own company; leaving these out is the same as adding up the
//! vectors of items and of contexts, as Levy, Goldberg and Dagan do.

mod config;
mod counts;
mod factors;
mod histories;
mod split;

use std::collections::HashMap;

use ndarray::{Array2, Axis, s};

pub use config::BehaviourConfig;
pub use histories::{Histories, HistoryCounts, UserHistory};
pub use split::{HistorySplit, SplitPart};

use crate::catalog::{Event, Interactions};
use crate::error::{Error, Result};
use crate::features::{BEHAVIOUR, Modality};
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use counts::PairCounts;

/// What was used of some interactions, and what was not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InteractionUsage {
    /// Items of the catalog.
    pub items: usize,
    /// Those of them that have a vector.
    pub items_with_vector: usize,
    /// Events used.
    pub events: usize,
    /// Events of items that the catalog does not have.
    pub unknown_events: usize,
    /// Such items, and one of them.
    pub unknown_items: usize,
    /// See `unknown_items`.
    pub unknown_item: Option<String>,
    /// Users with no two items to set side by side.
    pub short_users: usize,
    /// Rows left out because they repeat another.
    pub duplicates: u64,
}

impl InteractionUsage {
    /// Whether everything was used, and every item has a vector.
    pub fn is_whole(&self) -> bool {
        self.items_with_vector == self.items && self.unknown_events + self.short_users == 0 && self.duplicates == 0
    }
}

impl std::fmt::Display for InteractionUsage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "behaviour: {} of {} items have a vector, from {} events",
            self.items_with_vector, self.items, self.events
        )?;
        if let Some(item) = &self.unknown_item {
            let (events, items) = (self.unknown_events, self.unknown_items);
            write!(f, "; left out {events} events of {items} items that are not in the catalog, such as {item:?}")?;
        }
        if self.duplicates > 0 {
            write!(f, "; left out {} repeated rows", self.duplicates)?;
        }
        if self.short_users > 0 {
            write!(f, "; {} users have no two items and say nothing", self.short_users)?;
        }
        Ok(())
    }
}

/// The vectors of a catalog's items; those that no history sets beside another item lack them. The same bytes for any
/// number of threads.
///
/// # Errors
/// As [`BehaviourConfig::validate`]; [`Error::Mismatch`] where no item is in the catalog; [`Error::Data`] where no two
/// items stand near each other.
pub fn vectors(
    interactions: &Interactions,
    item_ids: &ItemIds,
    config: &BehaviourConfig,
    progress: &dyn Progress,
) -> Result<(Modality, InteractionUsage)> {
    config.validate()?;
    let mut usage =
        InteractionUsage { items: item_ids.len(), duplicates: interactions.duplicates, ..InteractionUsage::default() };
    let rows = catalog_rows(interactions, item_ids)?;
    let counts = count(interactions, &rows, config, &mut usage, progress);
    // Items that stand beside another, numbered without gaps.
    let paired = counts.items();
    if paired.is_empty() {
        let got = format!("none among {} users", interactions.users.len());
        let help = "give longer histories, a larger --session-gap, or hold out less";
        return Err(Error::data("behaviour", "a user with two different items near each other", got, help));
    }
    let matrix = counts.information(&paired, config);
    let factors = factors::factorise(&matrix, config.dim, config.seed, progress);
    // Always so many numbers: a model counts on it. The last are zeros where there are not so many eigenvalues.
    let mut vectors = Array2::zeros((item_ids.len(), config.dim));
    let mut present = vec![false; item_ids.len()];
    for (vector, &row) in factors.axis_iter(Axis(0)).zip(&paired) {
        let length = vector.dot(&vector).sqrt();
        // All its pairs may be rarer than chance.
        if length > 1e-9 {
            let unit = vector.mapv(|v| (v / length) as f32);
            vectors.slice_mut(s![row as usize, ..unit.len()]).assign(&unit);
            present[row as usize] = true;
        }
    }
    usage.items_with_vector = present.iter().filter(|&&present| present).count();
    Ok((Modality { name: BEHAVIOUR.into(), vectors, present }, usage))
}

/// The catalog's row of each item of the interactions.
fn catalog_rows(interactions: &Interactions, item_ids: &ItemIds) -> Result<Vec<Option<u32>>> {
    let known: HashMap<String, u32> = (0..item_ids.len()).map(|row| (item_ids.text(row), row as u32)).collect();
    let rows: Vec<Option<u32>> = interactions.items.iter().map(|item| known.get(item).copied()).collect();
    if rows.iter().all(Option::is_none) {
        let what = format!("items of {}", interactions.path.display());
        let expected = format!(
            "ids of the catalog, such as {:?}",
            if item_ids.is_empty() { String::new() } else { item_ids.text(0) }
        );
        let got = format!("{} others, such as {:?}", rows.len(), interactions.items.first().map_or("", String::as_str));
        return Err(Error::mismatch(
            what,
            expected,
            got,
            "name the column of the items, or the catalog's column of ids",
        ));
    }
    Ok(rows)
}

/// Pairs of items that stand near each other in a session.
fn count(
    interactions: &Interactions,
    rows: &[Option<u32>],
    config: &BehaviourConfig,
    usage: &mut InteractionUsage,
    progress: &dyn Progress,
) -> PairCounts {
    progress.begin("count pairs", Some(interactions.users.len() as u64), "users");
    let mut counts = PairCounts::default();
    let mut unknown = vec![false; rows.len()];
    let mut known: Vec<(u32, f64)> = Vec::new();
    for history in &interactions.histories {
        let used = &history[..history.len().saturating_sub(config.hold_out_last)];
        known.clear();
        for &Event { item, time, .. } in used {
            match rows[item as usize] {
                Some(row) => known.push((row, time)),
                None => {
                    usage.unknown_events += 1;
                    unknown[item as usize] = true;
                }
            }
        }
        usage.events += known.len();
        let gap = |events: &[(u32, f64)]| config.session_gap.is_some_and(|gap| events[1].1 - events[0].1 > gap);
        let mut pairs = 0;
        let mut begin = 0;
        for at in 0..known.len() {
            if at > 0 && gap(&known[at - 1..=at]) {
                begin = at;
            }
            for before in begin.max(at.saturating_sub(config.window))..at {
                let weight = config.window + 1 - (at - before);
                pairs += usize::from(counts.add(known[before].0, known[at].0, weight as u64));
            }
        }
        usage.short_users += usize::from(pairs == 0);
        progress.advance(1);
    }
    counts.settle();
    usage.unknown_items = unknown.iter().filter(|&&unknown| unknown).count();
    usage.unknown_item = unknown.iter().position(|&unknown| unknown).map(|item| interactions.items[item].clone());
    progress.end();
    counts
}

#[cfg(test)]
mod tests;
