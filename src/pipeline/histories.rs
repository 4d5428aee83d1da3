//! The histories that IDs are measured against.

use std::path::Path;

use super::spec::{BuildSpec, HistorySettings, needs};
use crate::behaviour::{Histories, HistorySplit, MAX_UNKNOWN_EVENTS, refuse_unknown};
use crate::catalog::{CsvDialect, Interactions};
use crate::error::Result;
use crate::index::Index;
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::settings::SettingGroup;

/// Default minimum number of events per user: one to fit, one to tune and one to test.
const LEAST: usize = 3;

/// Reads the histories over these items; none without `interactions`. Each user's last event is the test event.
///
/// # Errors
/// As [`Interactions::read`] and [`Histories::new`]; [`crate::Error::Config`] for settings that require `interactions`.
pub(super) fn histories(
    settings: &HistorySettings,
    csv: CsvDialect,
    item_ids: &ItemIds,
    progress: &dyn Progress,
) -> Result<Option<Histories>> {
    settings.check()?;
    let Some(wanted) = settings.spec(csv) else {
        return match settings.first_given() {
            None => Ok(None),
            Some(given) => Err(needs(&given, "interactions", "set --interactions, or omit this setting")),
        };
    };
    let read = Interactions::read(&wanted, progress)?;
    refuse_unknown(&read, item_ids, "the token table", settings.max_unknown_events.unwrap_or(MAX_UNKNOWN_EVENTS))?;
    let least = settings.min_interactions.unwrap_or(LEAST);
    let found = Histories::new(&read, item_ids, HistorySplit::LeaveOneOut, least)?;
    let counted = &found.counted;
    if counted.unknown_events > 0 || counted.duplicates > 0 {
        progress.warn(&counted.to_string());
    }
    Ok(Some(found))
}

/// Warns if the index was built from interactions without leaving out the last event of each user: its IDs may then
/// contain what they are tested on.
pub(super) fn warn_of_seen_events(index: &Index, path: &Path, progress: &dyn Progress) {
    let Ok(built) = BuildSpec::of_manifest(&index.manifest().settings) else { return };
    if built.behaviour.interactions.is_some() && built.behaviour.hold_out_last.unwrap_or(0) == 0 {
        progress.warn(&format!(
            "{}: built from interactions with --hold-out-last 0; if they are the same interactions, the IDs depend on the \
             last events, and the figures of the last events are too good; build with --hold-out-last 1 to measure",
            path.display()
        ));
    }
}
