//! The events in a file of interactions, one by one.

use std::io::{BufRead, BufReader};
use std::path::Path;

use super::event_columns::{EventColumn, ids, ratings};
use super::event_files::EventFiles;
use super::event_times::EventTimes;
use super::interaction_spec::InteractionSpec;
use crate::error::{Error, Result};
use crate::table::{ColumnRequest, TableFiles, TableReader, column_names, decompressed_text};

/// Names of the columns if none are given.
const USER_NAMES: [&str; 2] = ["user_id", "user"];
const ITEM_NAMES: [&str; 2] = ["item_id", "item"];
pub(super) const TIME_NAMES: [&str; 2] = ["timestamp", "time"];
const RATING_NAMES: [&str; 1] = ["rating"];

/// Which values the events have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct EventValues {
    pub(super) times: bool,
    pub(super) ratings: bool,
    /// Columns whose names suggest that they contain times, if the table has no time column.
    pub(super) like_times: Vec<String>,
    /// Further warnings about the table.
    pub(super) notes: Vec<String>,
}

/// Receives an event: user, item, time, rating.
type VisitEvent<'a> = &'a mut dyn FnMut(&str, &str, f64, f32);

/// Calls `visit` with every event.
pub(super) fn read(spec: &InteractionSpec, visit: VisitEvent<'_>) -> Result<EventValues> {
    match EventFiles::find(&spec.path)? {
        EventFiles::Lines(files) => {
            files.iter().try_for_each(|file| read_lines(file, visit)).map(|()| EventValues::default())
        }
        EventFiles::Tables(files) => read_table(spec, files.with_dialect(spec.csv), visit),
    }
}

fn read_lines(path: &Path, visit: VisitEvent<'_>) -> Result<()> {
    for (number, line) in BufReader::new(decompressed_text(path)?).lines().enumerate() {
        let wrong = |got: String| {
            let help = "write a user and the items of its history, oldest first, separated by spaces";
            Error::file(path, format!("a user and items in line {}", number + 1), got, help)
        };
        let line = line.map_err(|e| wrong(e.to_string()))?;
        let mut words = line.trim_start_matches('\u{feff}').split_whitespace();
        let Some(user) = words.next() else { continue };
        let mut items = words.peekable();
        if items.peek().is_none() {
            return Err(wrong(format!("only {user:?}")));
        }
        items.for_each(|item| visit(user, item, 0.0, 0.0));
    }
    Ok(())
}

fn read_table(spec: &InteractionSpec, files: TableFiles, visit: VisitEvent<'_>) -> Result<EventValues> {
    let names = column_names(&files);
    let mut requests = vec![
        ColumnRequest::named_or(spec.user.as_deref(), &USER_NAMES).of_ids(),
        ColumnRequest::named_or(spec.item.as_deref(), &ITEM_NAMES).of_ids(),
        ColumnRequest::optional(spec.time.as_deref(), &TIME_NAMES),
    ];
    if spec.rated {
        requests.push(ColumnRequest::optional(spec.rating.as_deref(), &RATING_NAMES));
    }
    let mut table = TableReader::open(&spec.path, files, requests)?;
    let notes = table.notes().clone();
    let found: Vec<Option<String>> = table.columns().map(|column| column.map(|(name, _)| name.to_owned())).collect();
    let mut event_times = EventTimes::default();
    table.try_for_each(|batch| {
        let batch = batch?;
        let column = |at: usize| {
            let column = batch.columns.get(at).and_then(Option::as_ref);
            column.map(|(name, values)| {
                (EventColumn { file: &batch.file, column: name, first_row: batch.first_row }, values)
            })
        };
        let (Some(users), Some(items)) = (column(0), column(1)) else { return Ok(()) };
        let (users, items) = (ids(&users.0, users.1)?, ids(&items.0, items.1)?);
        let times = column(2).map(|(place, values)| event_times.read(&place, values)).transpose()?;
        let ratings = column(3).map(|(place, values)| ratings(&place, values)).transpose()?;
        for row in 0..batch.rows {
            let time = times.as_ref().map_or(0.0, |times| times[row]);
            visit(users.value(row), items.value(row), time, ratings.as_ref().map_or(0.0, |ratings| ratings[row]));
        }
        Ok(())
    })?;
    let has = |at: usize| found.get(at).is_some_and(Option::is_some);
    if let Some(Some(time)) = found.get(2) {
        event_times.finish(time)?;
    }
    // For a warning only: a file that cannot be read was refused above.
    let mut like_times = if has(2) { Vec::new() } else { names.unwrap_or_default() };
    like_times.retain(|name| is_like_time(name) && !found.iter().flatten().any(|found| found == name));
    Ok(EventValues { times: has(2), ratings: has(3), like_times, notes: notes.take() })
}

/// Whether the name of a column suggests that it contains times: `unixReviewTime`, `Timestamp`, `time_ms`,
/// `created_at`, `ts`.
fn is_like_time(name: &str) -> bool {
    let lower = name.to_lowercase();
    let is_word = |word: &str| ["ts", "at", "epoch", "unix", "day", "when"].contains(&word);
    let camel = name.ends_with("At") && name.len() > 2;
    lower.contains("time")
        || lower.contains("date")
        || camel
        || lower.split(|c: char| !c.is_alphanumeric()).any(is_word)
}
