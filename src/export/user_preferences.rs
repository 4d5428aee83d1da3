//! Preferences and searches of users: from a file, or derived from the attributes of the items in the history.

use std::collections::HashSet;

use super::context::Context;
use super::record_rng::RecordRng;
use super::user_texts::{UserPreferences, UserSearch};
use crate::behaviour::{SplitPart, UserHistory};
use crate::error::Result;

/// Maximum number of attributes in a derived text.
const MAX_ATTRIBUTES: usize = 4;
/// Events that the short-term preference is derived from.
const SHORT_TERM_EVENTS: usize = 5;

/// A user's preferences and searches: from the file, or derived from attributes if there is no file.
pub(super) fn preferences(context: &Context<'_>, user: &UserHistory<'_>) -> Result<Option<UserPreferences>> {
    match context.user_texts {
        Some(texts) => texts.of_user(&context.table.item_ids, user),
        None => Ok(derived(context, user)),
    }
}

/// Derives preferences and searches from attributes, as LC-Rec does. There are three preferences: of all events before
/// the last training event, of their first half and of the last few. The searches are for that training event and for
/// the test event.
fn derived(context: &Context<'_>, user: &UserHistory<'_>) -> Option<UserPreferences> {
    let last = user.part(SplitPart::Train).end.checked_sub(1).filter(|&at| at > 0)?;
    let tested = user.part(SplitPart::Test).next_back().filter(|&at| at > last)?;
    let mut rng = context.rng("derived", user, 0);
    let rows = &user.rows[..last];
    let halves = [rows, &rows[..rows.len().div_ceil(2)], &rows[rows.len().saturating_sub(SHORT_TERM_EVENTS)..]];
    let preferences = halves.iter().filter_map(|rows| {
        let attributes = context.frequent_attributes(rows, MAX_ATTRIBUTES);
        worded(context, "derived-preference", &attributes, &mut rng)
    });
    let preferences: Vec<String> = preferences.collect();
    if preferences.len() < halves.len() {
        return None;
    }
    let train = search(context, user, last, &mut rng)?;
    let test = search(context, user, tested, &mut rng)?;
    Some(UserPreferences { preferences, train, test })
}

/// A search for an event: one query from the attributes that the item shares with the history, one from all of its
/// attributes.
fn search(context: &Context<'_>, user: &UserHistory<'_>, at: usize, rng: &mut RecordRng) -> Option<UserSearch> {
    let of_item = context.texts.attributes(user.rows[at] as usize);
    let often = context.frequent_attributes(&user.rows[..at], usize::MAX);
    let known: HashSet<&str> = of_item.iter().copied().collect();
    let mut shared: Vec<&str> = often.into_iter().filter(|attribute| known.contains(attribute)).collect();
    shared.truncate(MAX_ATTRIBUTES);
    let of_item = &of_item[..of_item.len().min(MAX_ATTRIBUTES)];
    let by_item = worded(context, "derived-query", of_item, rng)?;
    let by_user = worded(context, "derived-query", &shared, rng).unwrap_or_else(|| by_item.clone());
    Some(UserSearch { at, queries: vec![by_user, by_item] })
}

fn worded(context: &Context<'_>, task: &str, attributes: &[&str], rng: &mut RecordRng) -> Option<String> {
    let attributes = attributes.join(", ");
    context.fill_one(task, &[("attributes", &attributes)], rng).map(|example| example.instruction)
}
