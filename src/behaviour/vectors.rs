//! Behaviour as a modality: item vectors from the co-occurrence of items in the users' histories.
//!
//! Items that often occur close to each other in histories get similar vectors. Their pairs are counted, the counts are
//! turned into positive pointwise mutual information (PPMI), and the PPMI matrix is factorized. word2vec factorizes this
//! matrix implicitly (Levy and Goldberg, 2014; Levy, Goldberg and Dagan, TACL 2015); this needs one pass and no learning
//! rate.
//!
//! Let `n(i, j)` be the number of pairs of items `i` and `j`, `n(i)` the number of pairs with item `i`, `N` their sum, and
//! `q(i)` proportional to `n(i)` to the power of `popularity_damping` (context-distribution smoothing):
//!
//! ```text
//! m(i, j) = max(0, ln(n(i, j) / N) - (g(i) + g(j)) - ln(shift)),  g(i) = (ln(n(i) / N) + ln q(i)) / 2
//! ```
//!
//! With a damping below 1, popular items are weaker contexts. The vectors are the eigenvectors of the largest positive
//! eigenvalues of `m`, times the square roots of these eigenvalues. Negative eigenvalues separate items only because `m` has
//! no diagonal. Dropping them is equivalent to adding item and context vectors, as Levy, Goldberg and Dagan do.
//!
//! Each vector is scaled to the length `e / (e + 20)`, where `e` is the number of the item's events: with few events, a
//! vector is mostly noise. An item with 5 events has a fifth of the full length, and one with 200 events nine tenths.
//! Training weights behaviour by these lengths ([`crate::training::QuantizerConfig::modality_weights`]).

use std::collections::HashMap;
use std::path::Path;

use ndarray::{Array2, ArrayView1, s};

use super::config::BehaviourConfig;
use super::counts::PairCounts;
use super::factors;
use crate::catalog::{Event, Interactions};
use crate::error::{Error, Result, quoted};
use crate::features::{BEHAVIOUR, Modality, ReadyRows};
use crate::item_ids::ItemIds;
use crate::progress::Progress;

/// Number of events at which an item's vector has half of the full length.
const HALF_LENGTH_EVENTS: f64 = 20.0;

/// Which interactions and items the vectors cover.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InteractionUsage {
    /// Items in the catalog.
    pub items: usize,
    /// Catalog items with a vector.
    pub items_with_vector: usize,
    /// Events that were used.
    pub events: usize,
    /// Events of items that are not in the catalog.
    pub unknown_events: usize,
    /// Number of such items.
    pub unknown_items: usize,
    /// One of these items.
    pub unknown_item: Option<String>,
    /// Users without a pair of items.
    pub short_users: usize,
    /// Duplicate rows that were dropped.
    pub duplicates: u64,
}

impl InteractionUsage {
    /// Whether every event was used and every item has a vector.
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
            let (events, items, item) = (self.unknown_events, self.unknown_items, quoted(item));
            write!(f, "; ignored {events} events of {items} items that are not in the catalog, such as {item}")?;
        }
        if self.duplicates > 0 {
            write!(f, "; dropped {} duplicate rows", self.duplicates)?;
        }
        if self.short_users > 0 {
            write!(f, "; {} users have no pair of items", self.short_users)?;
        }
        Ok(())
    }
}

/// The behaviour vectors of the items that have one.
#[derive(Debug, Clone, PartialEq)]
pub struct BehaviourVectors {
    /// Number of items in the catalog.
    items: usize,
    /// The catalog row of each vector, in ascending order.
    rows: Vec<usize>,
    /// `(n_vectors, dim)`.
    vectors: Array2<f32>,
}

impl BehaviourVectors {
    /// Converts to a modality with one row per item of the catalog, in memory.
    pub fn into_modality(self) -> Modality {
        let mut vectors = Array2::zeros((self.items, self.vectors.ncols()));
        let mut present = vec![false; self.items];
        for (vector, row) in self.vectors.rows().into_iter().zip(self.rows) {
            vectors.row_mut(row).assign(&vector);
            present[row] = true;
        }
        Modality { name: BEHAVIOUR.into(), vectors, present }
    }

    /// Converts to vectors with one row per item of the catalog, in a temporary file in `folder`.
    ///
    /// # Errors
    /// [`Error::Io`] for the temporary file.
    pub fn into_rows(self, folder: &Path) -> Result<ReadyRows> {
        ReadyRows::of_rows(BEHAVIOUR, self.items, &self.rows, self.vectors.view(), folder)
    }
}

/// The behaviour vectors of a catalog's items. Items without a co-occurring item have no vector. The result does not depend
/// on the number of threads.
///
/// Memory holds counts and factors: about 52 bytes per pair of co-occurring items, and `16 * (2 * dim + 32)` bytes per
/// item that co-occurs with another, 2.5 kB by default.
///
/// # Errors
/// As [`BehaviourConfig::validate`]; [`Error::Mismatch`] if no item is in the catalog; [`Error::Data`] if no two items
/// co-occur.
pub fn vectors(
    interactions: &Interactions,
    item_ids: &ItemIds,
    config: &BehaviourConfig,
    progress: &dyn Progress,
) -> Result<(BehaviourVectors, InteractionUsage)> {
    config.validate()?;
    let mut usage =
        InteractionUsage { items: item_ids.len(), duplicates: interactions.duplicates, ..InteractionUsage::default() };
    let rows = catalog_rows(interactions, item_ids)?;
    let mut events = vec![0u64; item_ids.len()];
    let counts = count(interactions, &rows, config, &mut usage, &mut events, progress);
    // Items with a co-occurring item, renumbered without gaps.
    let paired = counts.items();
    if paired.is_empty() {
        let got = format!("none among {} users", interactions.users.len());
        let help = "pass longer histories or a larger --session-gap, or hold out fewer events";
        return Err(Error::data("behaviour", "a user with two different items close to each other", got, help));
    }
    let matrix = counts.information(&paired, config);
    let factors = factors::factorize(&matrix, config.dim, config.seed, progress);
    let length = |vector: &ArrayView1<f64>| vector.dot(vector).sqrt();
    // The vector of an item is zero if all of its pairs are rarer than by chance.
    let (kept, rows): (Vec<usize>, Vec<usize>) = paired
        .iter()
        .enumerate()
        .filter(|&(at, _)| length(&factors.row(at)) > 1e-9)
        .map(|(at, &row)| (at, row as usize))
        .unzip();
    // If there are fewer eigenvalues, the last dimensions are zero.
    let mut vectors = Array2::zeros((rows.len(), config.dim));
    for ((mut vector, &at), &row) in vectors.rows_mut().into_iter().zip(&kept).zip(&rows) {
        let (factor, of_item) = (factors.row(at), events[row] as f64);
        let scale = of_item / (of_item + HALF_LENGTH_EVENTS) / length(&factor);
        vector.slice_mut(s![..factor.len()]).assign(&factor.mapv(|v| (v * scale) as f32));
    }
    usage.items_with_vector = rows.len();
    Ok((BehaviourVectors { items: item_ids.len(), rows, vectors }, usage))
}

/// The catalog row of each item of the interactions.
fn catalog_rows(interactions: &Interactions, item_ids: &ItemIds) -> Result<Vec<Option<u32>>> {
    let known: HashMap<String, u32> = (0..item_ids.len()).map(|row| (item_ids.text(row), row as u32)).collect();
    let rows: Vec<Option<u32>> = interactions.items.iter().map(|item| known.get(item).copied()).collect();
    if rows.iter().all(Option::is_none) {
        let what = format!("items of {}", interactions.path.display());
        let expected = format!(
            "ids of the catalog, such as {}",
            if item_ids.is_empty() { String::new() } else { quoted(&item_ids.text(0)) }
        );
        let got =
            format!("{} others, such as {}", rows.len(), quoted(interactions.items.first().map_or("", String::as_str)));
        return Err(Error::mismatch(
            what,
            expected,
            got,
            "check the item column of the interactions, or the id column of the catalog",
        ));
    }
    Ok(rows)
}

/// Counts the pairs of items that are at most a window apart in a session, and the events per item.
fn count(
    interactions: &Interactions,
    rows: &[Option<u32>],
    config: &BehaviourConfig,
    usage: &mut InteractionUsage,
    events: &mut [u64],
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
                Some(row) => {
                    known.push((row, time));
                    events[row as usize] += 1;
                }
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
    counts.merge();
    usage.unknown_items = unknown.iter().filter(|&&unknown| unknown).count();
    usage.unknown_item = unknown.iter().position(|&unknown| unknown).map(|item| interactions.items[item].clone());
    progress.end();
    counts
}

#[cfg(test)]
mod tests;
