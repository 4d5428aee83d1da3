//! Interactions of users with items: the history of each user, in order of time.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::events;
use super::interaction_spec::InteractionSpec;
use crate::error::{Error, Result};

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
    /// Reads interactions: Parquet, Arrow IPC, CSV, TSV or JSON Lines with one row per event, or `.txt` with one line per user.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::File`] for a file that is absent, damaged or empty; [`Error::Column`] for an absent
    /// column or one of the wrong type; [`Error::Row`] for a row without user, item, time or rating.
    pub fn read(spec: &InteractionSpec) -> Result<Self> {
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

/// Sorts a history by time and drops repeated events. Returns how many were dropped.
fn sort_by_time(history: &mut Vec<Event>) -> u64 {
    history.sort_by(|a, b| a.time.total_cmp(&b.time));
    let before = history.len();
    let mut start = 0;
    let mut kept: Vec<Event> = Vec::with_capacity(before);
    for &event in history.iter() {
        if kept.last().is_some_and(|last| last.time != event.time) {
            start = kept.len();
        }
        if !kept[start..].iter().any(|other| other.item == event.item) {
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
mod tests {
    use super::*;
    use crate::table::samples;
    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use std::fs;
    use std::sync::Arc;

    fn read(name: &str, content: &str) -> Result<Interactions> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        Interactions::read(&InteractionSpec { path, ..InteractionSpec::default() })
    }

    fn histories(found: &Interactions) -> Vec<Vec<&str>> {
        let names = |history: &Vec<Event>| history.iter().map(|event| &*found.items[event.item as usize]).collect();
        found.histories.iter().map(names).collect()
    }

    #[test]
    fn times_order_a_history_and_ties_keep_the_order_of_the_file() {
        let rows = "user_id,item_id,timestamp\nu,c,30\nv,a,5\nu,b,10\nu,a,10\nu,d,9.5\nu,b,10\n";
        let mut found = read("a.csv", rows).unwrap();
        assert_eq!(found.users, ["u", "v"]);
        assert_eq!(histories(&found), [vec!["d", "b", "a", "c"], vec!["a"]]);
        assert_eq!((found.duplicates, found.len()), (1, 5));
        found.hold_out_last(2);
        assert_eq!(histories(&found), [vec!["d", "b"], vec![]]);
    }

    #[test]
    fn all_forms_give_the_same_histories() {
        let lines = read("a.txt", "u c b\n\nv a a\n").unwrap();
        let csv = read("a.csv", "user,item\nu,c\nv,a\nu,b\nv,a\n").unwrap();
        let dates = "user,item,time\nv,a,2024-03-02\nu,b,2024-01-01T10:00:00\nu,c,2023-12-31\nv,a,2024-03-01\n";
        let dates = read("b.csv", dates).unwrap();
        let json = read("a.jsonl", "{\"user\":\"u\",\"item\":\"c\",\"time\":1}\n{\"user\":\"u\",\"item\":\"b\",\"time\":2}\n{\"user\":\"v\",\"item\":\"a\",\"time\":1}\n{\"user\":\"v\",\"item\":\"a\",\"time\":3}\n").unwrap();
        let by_name = |found: &Interactions| {
            let mut all: Vec<(String, Vec<String>)> = found
                .users
                .iter()
                .cloned()
                .zip(histories(found).into_iter().map(|h| h.into_iter().map(str::to_owned).collect()))
                .collect();
            all.sort();
            all
        };
        for other in [csv, dates, json] {
            assert_eq!(by_name(&other), by_name(&lines));
            assert_eq!(other.duplicates, 0);
        }
    }

    #[test]
    fn every_format_and_compression_gives_the_same_events() {
        let folder = tempfile::tempdir().unwrap();
        let part = |rows: std::ops::Range<i64>| {
            let columns: Vec<(&str, ArrayRef)> = vec![
                ("user", Arc::new(StringArray::from_iter_values(rows.clone().map(|row| format!("u{}", row % 2))))),
                ("item", Arc::new(Int64Array::from_iter_values(rows.clone()))),
                ("time", Arc::new(Int64Array::from_iter_values(rows.rev()))),
            ];
            RecordBatch::try_from_iter(columns).unwrap()
        };
        let mut paths = samples::binary_tables(folder.path(), &[part(0..4), part(4..6)]);
        let times = [3, 2, 1, 0, 5, 4];
        let event = |row: usize| format!("{{\"user\":\"u{}\",\"item\":{row},\"time\":{}}}\n", row % 2, times[row]);
        let json: String = (0..6).map(event).collect();
        paths.extend(samples::compressed(folder.path(), "a.jsonl", json.as_bytes()));
        let csv: String = (0..6).map(|row| format!("u{},{row},{}\n", row % 2, times[row])).collect();
        paths.extend(samples::compressed(folder.path(), "a.csv", format!("user,item,time\n{csv}").as_bytes()));
        for path in paths {
            let spec = InteractionSpec { path: path.clone(), ..InteractionSpec::default() };
            let found = Interactions::read(&spec).unwrap();
            assert!(found.timed, "{}", path.display());
            assert_eq!(histories(&found), [["2", "0", "4"], ["3", "1", "5"]], "{}", path.display());
        }
        for path in samples::compressed(folder.path(), "a.txt", b"u0 2 0 4\nu1 3 1 5\n") {
            let found = Interactions::read(&InteractionSpec { path, ..InteractionSpec::default() }).unwrap();
            assert_eq!(histories(&found), [["2", "0", "4"], ["3", "1", "5"]]);
        }
    }

    #[test]
    fn ratings_are_read_where_they_are_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        fs::write(&path, "user,item,rating,stars\nu,a,4.5,1\nu,b,3,2\n").unwrap();
        let spec = InteractionSpec { path, ..InteractionSpec::default() };
        let ratings = |spec: &InteractionSpec| {
            let found = Interactions::read(spec)?;
            Ok::<_, Error>((found.rated, found.histories[0].iter().map(|event| event.rating).collect::<Vec<_>>()))
        };
        assert_eq!(ratings(&spec).unwrap(), (false, vec![0.0, 0.0]));
        let wanted = InteractionSpec { rated: true, ..spec };
        assert_eq!(ratings(&wanted).unwrap(), (true, vec![4.5, 3.0]));
        let named = |name: &str| InteractionSpec { rating: Some(name.into()), ..wanted.clone() };
        assert_eq!(ratings(&named("stars")).unwrap().1, [1.0, 2.0]);
        assert!(ratings(&named("score")).unwrap_err().to_string().contains("one of: user, item, rating, stars"));
        fs::write(&wanted.path, "user,item,rating\nu,a,4.5\nu,b,good\n").unwrap();
        let error = ratings(&wanted).unwrap_err().to_string();
        assert!(error.contains("row 2, column \"rating\"") && error.contains("good"), "{error}");
    }

    #[test]
    fn faults_say_where() {
        let says = |name: &str, content: &str| read(name, content).unwrap_err().to_string();
        assert!(says("a.csv", "who,item\nu,a\n").contains("one of: who, item"));
        assert!(says("b.csv", "user,item,time\nu,a,1\nu,,2\n").contains("row 2, column \"item\""));
        assert!(says("c.csv", "user,item,time\nu,a,soon\n").contains("row 1, column \"time\""));
        assert!(says("d.csv", "user,item\n").contains("got none"));
        assert!(says("e.txt", "").contains("an empty file"));
        assert!(says("f.txt", "u\nv\n").contains("line 1"));
        assert!(says("u.data", "196\t242\t3\t881250949\n").contains(".txt for lines"));
    }
}
