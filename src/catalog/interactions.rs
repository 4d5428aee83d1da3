//! What users did with items: their histories, in the order of time.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::events;
use super::interaction_spec::InteractionSpec;
use crate::error::{Error, Result};

/// One thing that a user did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// Place of the item in [`Interactions::items`].
    pub item: u32,
    /// When: the table's number, or seconds for a date. Zero where no times are known.
    pub time: f64,
    /// How the user liked it: the table's number. Zero where no ratings are known.
    pub rating: f32,
}

/// The histories of all users.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Interactions {
    /// Where they were read.
    pub path: PathBuf,
    /// The users' ids, in the order in which they first appear.
    pub users: Vec<String>,
    /// The items' ids as text, in the order in which they first appear.
    pub items: Vec<String>,
    /// What each user did, the oldest first; events of one time in the order of the file.
    pub histories: Vec<Vec<Event>>,
    /// Rows that were left out because the same user, item and time stood before.
    pub duplicates: u64,
    /// Whether times are known.
    pub timed: bool,
    /// Whether ratings are known.
    pub rated: bool,
}

impl Interactions {
    /// Reads interactions: Parquet, Arrow IPC, CSV, TSV or JSONL with a row an event, or `.txt` with a line a user.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::File`] for the file, an empty one too; [`Error::Column`] for a column that is not
    /// there or not of a type that can be read; [`Error::Row`] for a row without user, item, time or rating.
    pub fn read(spec: &InteractionSpec) -> Result<Self> {
        let mut found = Interactions { path: spec.path.clone(), ..Interactions::default() };
        let (mut users, mut items) = (Names::default(), Names::default());
        let known = events::read(spec, &mut |user, item, time, rating| {
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
        (found.timed, found.rated) = (known.times, known.ratings);
        if found.timed {
            for history in &mut found.histories {
                found.duplicates += order(history);
            }
        }
        Ok(found)
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.histories.iter().map(Vec::len).sum()
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Leaves out the last `n` events of every user: what a recommender is tested on must not be seen before.
    pub fn hold_out_last(&mut self, n: usize) {
        self.histories.iter_mut().for_each(|history| history.truncate(history.len().saturating_sub(n)));
    }

    /// The file they came from.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Brings a history into the order of time, and leaves out repeated events. Returns how many.
fn order(history: &mut Vec<Event>) -> u64 {
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

/// Names and the order in which they came.
#[derive(Default)]
struct Names(HashMap<String, u32>);

impl Names {
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
    use std::fs;

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
