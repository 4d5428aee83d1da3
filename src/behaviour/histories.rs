//! The users' histories over the rows of a token table, split into training, validation and test.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

use super::split::{HistorySplit, SplitPart};
use crate::catalog::Interactions;
use crate::error::{Error, Result, quoted};
use crate::item_ids::ItemIds;

/// Which interactions the histories cover.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct HistoryCounts {
    /// Users with a history.
    pub users: usize,
    /// Events in these histories.
    pub events: usize,
    /// Events of the training part.
    pub train: usize,
    /// Events of the validation part.
    pub valid: usize,
    /// Events of the test part.
    pub test: usize,
    /// Users dropped because their histories are too short.
    pub short_users: usize,
    /// Events of these users.
    pub short_events: usize,
    /// Events dropped because their items are not in the token table.
    pub unknown_events: usize,
    /// Number of such items.
    pub unknown_items: usize,
    /// One of these items.
    pub unknown_item: Option<String>,
    /// Duplicate rows that were dropped.
    pub duplicates: u64,
}

impl fmt::Display for HistoryCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} users with {} events", self.users, self.events)?;
        if let Some(item) = &self.unknown_item {
            let (events, items, item) = (self.unknown_events, self.unknown_items, quoted(item));
            write!(f, "; dropped {events} events of {items} items that are not in the token table, such as {item}")?;
        }
        if self.short_users > 0 {
            write!(f, "; dropped {} users with too few events ({} events)", self.short_users, self.short_events)?;
        }
        if self.duplicates > 0 {
            write!(f, "; dropped {} duplicate rows", self.duplicates)?;
        }
        Ok(())
    }
}

/// The histories of all users with enough events, in the order in which the users first appear.
#[derive(Debug, Clone)]
pub struct Histories {
    users: Vec<String>,
    /// Start of each user's events, and the end of the last.
    begins: Vec<usize>,
    rows: Vec<u32>,
    times: Vec<f64>,
    ratings: Vec<f32>,
    /// Per user: the end of the training part and the end of the validation part.
    ends: Vec<[u32; 2]>,
    /// Training events per row of the token table.
    popularity: Vec<u32>,
    /// Whether times are known.
    pub timed: bool,
    /// Whether ratings are known.
    pub rated: bool,
    /// Statistics.
    pub counted: HistoryCounts,
}

/// One user's history.
#[derive(Debug, Clone, Copy)]
pub struct UserHistory<'a> {
    /// Number of the user, from 0.
    pub number: usize,
    /// The user's id.
    pub id: &'a str,
    /// Rows of the items in the token table, the oldest event first.
    pub rows: &'a [u32],
    /// Time of each event.
    pub times: &'a [f64],
    /// Rating of each event.
    pub ratings: &'a [f32],
    ends: [u32; 2],
}

impl UserHistory<'_> {
    /// Positions of a part's events in the history.
    pub fn part(&self, part: SplitPart) -> Range<usize> {
        let [train, valid] = self.ends.map(|end| end as usize);
        match part {
            SplitPart::Train => 0..train,
            SplitPart::Valid => train..valid,
            SplitPart::Test => valid..self.rows.len(),
        }
    }

    /// Positions of a part's prediction targets: its events that have an event before them.
    pub fn targets(&self, part: SplitPart) -> Range<usize> {
        let places = self.part(part);
        places.start.max(1)..places.end.max(1)
    }

    /// Positions of the last `most` events before a position.
    pub fn before(&self, place: usize, most: usize) -> Range<usize> {
        place.saturating_sub(most)..place
    }
}

impl Histories {
    /// Keeps the events of a table's items, drops users with fewer than `least` of them, and splits the rest.
    ///
    /// # Errors
    /// [`Error::Config`] where `least` is too small for the split, the shares are invalid, or a split by time lacks
    /// times; [`Error::Mismatch`] where the table has none of the items; [`Error::Data`] where no user or no training
    /// event is left.
    pub fn new(interactions: &Interactions, item_ids: &ItemIds, split: HistorySplit, least: usize) -> Result<Self> {
        split.check(interactions, least)?;
        let row_of = item_ids.rows_by_text();
        let known: Vec<Option<u32>> =
            interactions.items.iter().map(|item| row_of.get(item).map(|&row| row as u32)).collect();
        if known.iter().all(Option::is_none) {
            let what = format!("items of {}", interactions.path.display());
            let expected = format!("ids of the token table, such as {}", quoted(&item_ids.text(0)));
            let got =
                format!("{} others, such as {}", known.len(), quoted(interactions.items.first().map_or("", |i| i)));
            let help = "pass the item column, or the token table of the same catalog";
            return Err(Error::mismatch(what, expected, got, help));
        }
        let mut found = Histories {
            users: Vec::new(),
            begins: vec![0],
            rows: Vec::new(),
            times: Vec::new(),
            ratings: Vec::new(),
            ends: Vec::new(),
            popularity: vec![0; item_ids.len()],
            timed: interactions.timed,
            rated: interactions.rated,
            counted: HistoryCounts { duplicates: interactions.duplicates, ..HistoryCounts::default() },
        };
        let mut unknown = vec![false; known.len()];
        for (user, history) in interactions.users.iter().zip(&interactions.histories) {
            let begin = found.rows.len();
            for event in history {
                match known[event.item as usize] {
                    Some(row) => {
                        found.rows.push(row);
                        found.times.push(event.time);
                        found.ratings.push(event.rating);
                    }
                    None => {
                        found.counted.unknown_events += 1;
                        unknown[event.item as usize] = true;
                    }
                }
            }
            let events = found.rows.len() - begin;
            if events < least {
                found.rows.truncate(begin);
                found.times.truncate(begin);
                found.ratings.truncate(begin);
                found.counted.short_users += 1;
                found.counted.short_events += events;
            } else {
                found.users.push(user.clone());
                found.begins.push(found.rows.len());
            }
        }
        found.counted.unknown_items = unknown.iter().filter(|&&unknown| unknown).count();
        found.counted.unknown_item =
            unknown.iter().position(|&unknown| unknown).map(|item| interactions.items[item].clone());
        found.split(split);
        found.count(least)?;
        Ok(found)
    }

    fn split(&mut self, split: HistorySplit) {
        let lengths = self.begins.windows(2).map(|ends| (ends[1] - ends[0]) as u32);
        self.ends = match split {
            HistorySplit::LeaveOneOut => lengths.map(|length| [length - 2, length - 1]).collect(),
            HistorySplit::Time { valid, test } => {
                let mut times = self.times.clone();
                times.sort_unstable_by(f64::total_cmp);
                // The start time of a part; events of equal time stay together.
                let from = |share: f64| {
                    let events = (share * times.len() as f64) as usize;
                    times.len().checked_sub(events.max(1)).map_or(f64::NEG_INFINITY, |place| times[place])
                };
                let (from_valid, from_test) = (from(valid + test), from(test));
                let before = |user: usize, time: f64| {
                    self.times[self.begins[user]..self.begins[user + 1]].partition_point(|&other| other < time) as u32
                };
                (0..self.users.len()).map(|user| [before(user, from_valid), before(user, from_test)]).collect()
            }
        };
    }

    fn count(&mut self, least: usize) -> Result<()> {
        let (mut popularity, mut by_part) = (vec![0u32; self.popularity.len()], [0usize; 3]);
        for user in self.users() {
            user.rows[user.part(SplitPart::Train)].iter().for_each(|&row| popularity[row as usize] += 1);
            by_part.iter_mut().zip(SplitPart::ALL).for_each(|(count, part)| *count += user.part(part).len());
        }
        let [train, valid, test] = by_part;
        let counted = &mut self.counted;
        (counted.users, counted.events) = (self.users.len(), self.rows.len());
        (counted.train, counted.valid, counted.test) = (train, valid, test);
        if self.users.is_empty() {
            let got = format!("none; {} users have fewer", counted.short_users);
            let help = "give longer histories, or lower --min-interactions";
            return Err(Error::data("histories", format!("a user with {least} events"), got, help));
        }
        if train == 0 {
            let help = "choose smaller shares for validation and test";
            return Err(Error::data("histories", "training events", "none", help));
        }
        self.popularity = popularity;
        Ok(())
    }

    /// The users, in order.
    pub fn users(&self) -> impl ExactSizeIterator<Item = UserHistory<'_>> {
        (0..self.users.len()).map(|number| self.user(number))
    }

    /// A user by number.
    pub fn user(&self, number: usize) -> UserHistory<'_> {
        let events = self.begins[number]..self.begins[number + 1];
        UserHistory {
            number,
            id: &self.users[number],
            rows: &self.rows[events.clone()],
            times: &self.times[events.clone()],
            ratings: &self.ratings[events],
            ends: self.ends[number],
        }
    }

    /// Training events per row of the token table.
    pub fn popularity(&self) -> &[u32] {
        &self.popularity
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Event;
    use proptest::prelude::*;

    fn interactions(histories: &[&[(u32, f64)]]) -> Interactions {
        let event = |&(item, time): &(u32, f64)| Event { item, time, rating: 0.0 };
        Interactions {
            users: (0..histories.len()).map(|user| format!("u{user}")).collect(),
            items: (0..10).map(|item| item.to_string()).collect(),
            histories: histories.iter().map(|history| history.iter().map(event).collect()).collect(),
            timed: true,
            ..Interactions::default()
        }
    }

    #[test]
    fn the_last_two_events_are_held_out_and_dropped_events_are_counted() {
        let read = interactions(&[&[(1, 1.0), (9, 2.0), (2, 3.0), (3, 4.0)], &[(1, 1.0), (2, 2.0)]]);
        let found = Histories::new(&read, &ItemIds::row_numbers(5), HistorySplit::LeaveOneOut, 3).unwrap();
        let user = found.user(0);
        assert_eq!((user.id, user.rows), ("u0", &[1, 2, 3][..]));
        assert_eq!(SplitPart::ALL.map(|part| user.part(part)), [0..1, 1..2, 2..3]);
        assert_eq!(user.targets(SplitPart::Train), 1..1);
        assert_eq!(user.before(2, 1), 1..2);
        assert_eq!(found.popularity(), [0, 1, 0, 0, 0]);
        let counted = &found.counted;
        assert_eq!((counted.short_users, counted.short_events, counted.unknown_events), (1, 2, 1));
        assert!(counted.to_string().contains("1 events of 1 items that are not in the token table, such as \"9\""));
    }

    #[test]
    fn events_of_equal_time_stay_together() {
        let read = interactions(&[&[(0, 1.0), (1, 2.0), (2, 5.0)], &[(3, 2.0), (4, 5.0), (1, 5.0)]]);
        let split = HistorySplit::Time { valid: 0.2, test: 0.17 };
        let found = Histories::new(&read, &ItemIds::row_numbers(5), split, 2).unwrap();
        assert_eq!(SplitPart::ALL.map(|part| found.user(0).part(part)), [0..2, 2..2, 2..3]);
        assert_eq!(SplitPart::ALL.map(|part| found.user(1).part(part)), [0..1, 1..1, 1..3]);
    }

    #[test]
    fn invalid_splits_are_refused() {
        let mut read = interactions(&[&[(0, 1.0), (1, 2.0), (2, 5.0)]]);
        let says = |read: &Interactions, split, least| {
            Histories::new(read, &ItemIds::row_numbers(5), split, least).unwrap_err().to_string()
        };
        assert!(says(&read, HistorySplit::LeaveOneOut, 2).contains("3 or more"));
        assert!(says(&read, HistorySplit::LeaveOneOut, 4).contains("a user with 4 events"));
        assert!(says(&read, HistorySplit::Time { valid: 0.5, test: 0.5 }, 3).contains("valid-share"));
        let at_once = interactions(&[&[(0, 1.0), (1, 1.0), (2, 1.0)]]);
        assert!(says(&at_once, HistorySplit::Time { valid: 0.1, test: 0.1 }, 3).contains("training events"));
        read.timed = false;
        assert!(says(&read, HistorySplit::Time { valid: 0.1, test: 0.1 }, 3).contains("without times"));
        read.items = vec!["x".into(); 10];
        assert!(says(&read, HistorySplit::LeaveOneOut, 3).contains("ids of the token table, such as \"0\""));
    }

    proptest! {
        #[test]
        fn parts_follow_one_another_in_time(
            times in prop::collection::vec(prop::collection::vec(0u8..20, 2..12), 1..8),
            valid in 0.05f64..0.4,
            test in 0.05f64..0.4,
        ) {
            let histories: Vec<Vec<(u32, f64)>> = times.into_iter().map(|mut times| {
                times.sort_unstable();
                times.into_iter().enumerate().map(|(item, time)| (item as u32 % 5, f64::from(time))).collect()
            }).collect();
            let views: Vec<&[(u32, f64)]> = histories.iter().map(Vec::as_slice).collect();
            let read = interactions(&views);
            if let Ok(found) = Histories::new(&read, &ItemIds::row_numbers(5), HistorySplit::Time { valid, test }, 2) {
                let times = |part| found.users().flat_map(move |user| user.times[user.part(part)].to_vec());
                let latest = |part| times(part).fold(f64::NEG_INFINITY, f64::max);
                let first = |part| times(part).fold(f64::INFINITY, f64::min);
                prop_assert!(latest(SplitPart::Train) < first(SplitPart::Valid).min(first(SplitPart::Test)));
                prop_assert!(latest(SplitPart::Valid) < first(SplitPart::Test));
                prop_assert_eq!(found.counted.train + found.counted.valid + found.counted.test, found.counted.events);
                prop_assert!(found.counted.test > 0);
            }
        }
    }
}
