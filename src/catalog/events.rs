//! The events in a file of interactions, one by one.

use std::io::{BufRead, BufReader};
use std::path::Path;

use super::event_columns::{EventColumn, ids, ratings, times};
use super::interaction_spec::InteractionSpec;
use crate::error::{Error, Result};
use crate::table::{ColumnRequest, TableFormat, TableReader, base_extension, decompressed, find_tables};

/// Names under which columns are found when none is given.
const USER_NAMES: [&str; 2] = ["user_id", "user"];
const ITEM_NAMES: [&str; 2] = ["item_id", "item"];
const TIME_NAMES: [&str; 2] = ["timestamp", "time"];
const RATING_NAMES: [&str; 1] = ["rating"];
/// Extension of lines `user item item ...`.
const LINES_EXTENSION: &str = "txt";

/// Which values the events have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EventValues {
    pub(super) times: bool,
    pub(super) ratings: bool,
}

/// Receives an event: user, item, time, rating.
type VisitEvent<'a> = &'a mut dyn FnMut(&str, &str, f64, f32);

/// Calls `visit` with every event.
pub(super) fn read(spec: &InteractionSpec, visit: VisitEvent<'_>) -> Result<EventValues> {
    if is_lines(&spec.path)? { read_lines(&spec.path, visit) } else { read_table(spec, visit) }
}

/// Whether a path is a file of lines and not a table.
fn is_lines(path: &Path) -> Result<bool> {
    if !path.is_file() {
        return Ok(false);
    }
    match TableFormat::detect(path)? {
        Some(_) => Ok(false),
        None if base_extension(path).is_some_and(|extension| extension == LINES_EXTENSION) => Ok(true),
        // The numbers of a table with an unknown extension would be taken for items.
        None => {
            let help =
                "give it the extension of its format: .parquet, .arrow, .arrows, .csv, .tsv, .jsonl, or .txt for lines";
            Err(Error::file(path, "a table of events, or lines \"user item item ...\"", "an unknown format", help))
        }
    }
}

fn read_lines(path: &Path, visit: VisitEvent<'_>) -> Result<EventValues> {
    for (number, line) in BufReader::new(decompressed(path)?).lines().enumerate() {
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
    Ok(EventValues { times: false, ratings: false })
}

fn read_table(spec: &InteractionSpec, visit: VisitEvent<'_>) -> Result<EventValues> {
    let expected =
        "interactions: Parquet, Arrow, CSV or JSON Lines, a folder or a pattern of these, or text with a line a user";
    let mut requests = vec![
        ColumnRequest::named_or(spec.user.as_deref(), &USER_NAMES).of_ids(),
        ColumnRequest::named_or(spec.item.as_deref(), &ITEM_NAMES).of_ids(),
        ColumnRequest::optional(spec.time.as_deref(), &TIME_NAMES),
    ];
    if spec.rated {
        requests.push(ColumnRequest::optional(spec.rating.as_deref(), &RATING_NAMES));
    }
    let mut table = TableReader::open(&spec.path, find_tables(&spec.path, expected)?.with_dialect(spec.csv), requests)?;
    let has: Vec<bool> = table.columns().map(|column| column.is_some()).collect();
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
        let times = column(2).map(|(place, values)| times(&place, values)).transpose()?;
        let ratings = column(3).map(|(place, values)| ratings(&place, values)).transpose()?;
        for row in 0..batch.rows {
            let time = times.as_ref().map_or(0.0, |times| times[row]);
            visit(users.value(row), items.value(row), time, ratings.as_ref().map_or(0.0, |ratings| ratings[row]));
        }
        Ok(())
    })?;
    Ok(EventValues { times: has[2], ratings: has.get(3).copied().unwrap_or_default() })
}
