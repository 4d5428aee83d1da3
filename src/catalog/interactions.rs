//! Interactions of users with items: the history of each user, in order of time.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::events::{self, TIME_NAMES};
use super::interaction_spec::InteractionSpec;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::table::list_columns;

/// One interaction of a user.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// Index of the item in [`Interactions::items`].
    pub item: u32,
    /// Time: the number in the table, or seconds since 1970 for a date. Zero if the interactions have no times.
    pub time: f64,
    /// Rating: the number in the table. Zero if ratings were not read.
    pub rating: f32,
}

/// The histories of all users.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Interactions {
    /// The path that was read.
    pub path: PathBuf,
    /// User ids as text, in the order of their first occurrence.
    pub users: Vec<String>,
    /// Item ids as text, in the order of their first occurrence.
    pub items: Vec<String>,
    /// The events of each user, the oldest first. Events of the same time are in the order of the rows.
    pub histories: Vec<Vec<Event>>,
    /// Number of rows dropped because an earlier row has the same user, item and time.
    pub duplicates: u64,
    /// Whether events have times.
    pub timed: bool,
    /// Whether events have ratings.
    pub rated: bool,
}

impl Interactions {
    /// Reads interactions: Parquet, Arrow IPC, CSV, TSV or JSON Lines with one row per event, or `.txt` with one line
    /// per user. Warns if events keep the order of the rows although the table seems to contain times.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::File`] for a file that is absent, damaged or empty; [`Error::Column`] for an absent
    /// column or one of the wrong type; [`Error::Row`] for a row without user, item, time or rating.
    pub fn read(spec: &InteractionSpec, progress: &dyn Progress) -> Result<Self> {
        let mut found = Interactions { path: spec.path.clone(), ..Interactions::default() };
        let (mut users, mut items) = (NameIndex::default(), NameIndex::default());
        let values = events::read(spec, &mut |user, item, time, rating| {
            let (user, item) = (users.place(user), items.place(item));
            if user as usize == found.histories.len() {
                found.histories.push(Vec::new());
            }
            found.histories[user as usize].push(Event { item, time, rating });
        })?;
        (found.users, found.items) = (users.in_order(), items.in_order());
        if found.histories.is_empty() {
            let help = "check how it was written";
            return Err(Error::file(&spec.path, "interactions of users with items", "none", help));
        }
        (found.timed, found.rated) = (values.times, values.ratings);
        values.notes.iter().for_each(|note| progress.warn(note));
        if !values.like_times.is_empty() {
            progress.warn(&format!(
                "{}: no column {}; the events keep the order of the rows, although the columns {} may contain times; \
                 name the time column with --interactions-time",
                spec.path.display(),
                TIME_NAMES.join(" or "),
                list_columns(&values.like_times),
            ));
        }
        if found.timed {
            for history in &mut found.histories {
                found.duplicates += sort_by_time(history);
            }
        }
        Ok(found)
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.histories.iter().map(Vec::len).sum()
    }

    /// Whether there are no events.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops the last `n` events of every user, on which a recommender is tested.
    pub fn hold_out_last(&mut self, n: usize) {
        self.histories.iter_mut().for_each(|history| history.truncate(history.len().saturating_sub(n)));
    }

    /// The path that was read.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Maximum number of events with the same time for a linear search.
const FEW: usize = 32;

/// Sorts a history by time and drops repeated events. Returns how many were dropped.
fn sort_by_time(history: &mut Vec<Event>) -> u64 {
    history.sort_by(|a, b| a.time.total_cmp(&b.time));
    let before = history.len();
    let mut kept: Vec<Event> = Vec::with_capacity(before);
    // The first event of the current time. If there are many events of this time, `seen` has their items.
    let (mut start, mut seen) = (0, HashSet::new());
    for &event in history.iter() {
        if kept.last().is_some_and(|last| last.time != event.time) {
            start = kept.len();
            seen = HashSet::new();
        }
        let same_time = &kept[start..];
        if same_time.len() == FEW && seen.is_empty() {
            seen.extend(same_time.iter().map(|event| event.item));
        }
        let is_new = match same_time.len() {
            0..FEW => !same_time.iter().any(|other| other.item == event.item),
            _ => seen.insert(event.item),
        };
        if is_new {
            kept.push(event);
        }
    }
    *history = kept;
    (before - history.len()) as u64
}

/// Numbers names in the order of their first occurrence.
#[derive(Default)]
struct NameIndex(HashMap<String, u32>);

impl NameIndex {
    fn place(&mut self, name: &str) -> u32 {
        match self.0.get(name) {
            Some(&place) => place,
            None => {
                let place = self.0.len() as u32;
                self.0.insert(name.to_owned(), place);
                place
            }
        }
    }

    fn in_order(self) -> Vec<String> {
        let mut names: Vec<(String, u32)> = self.0.into_iter().collect();
        names.sort_unstable_by_key(|(_, place)| *place);
        names.into_iter().map(|(name, _)| name).collect()
    }
}

#[cfg(test)]
mod tests;
