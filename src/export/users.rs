//! Preferences and intentions of users, as LC-Rec keeps them in `NAME.user.json`: read from such a file, or derived from
//! the attributes of the items that users had.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::context::Context;
use super::draw::RecordRng;
use crate::behaviour::SplitPart;
use crate::behaviour::UserHistory;
use crate::error::{Error, Result};

/// Attributes that are named in a derived text.
const MOST_ATTRIBUTES: usize = 4;
/// Events that a preference of late is derived from.
const LATELY: usize = 5;

/// The file of preferences and intentions.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct UserTexts {
    user_explicit_preference: BTreeMap<String, Vec<String>>,
    user_vague_intention: Intentions,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Intentions {
    train: BTreeMap<String, UserIntention>,
    test: BTreeMap<String, UserIntention>,
}

/// What a user searched for, and found.
#[derive(Debug, Clone, Deserialize)]
struct UserIntention {
    /// The item's id.
    item: Value,
    querys: Vec<String>,
}

/// A user's preferences and searches, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taste {
    /// What the user likes; one at least.
    pub(super) preferences: Vec<String>,
    pub(super) train: UserSearch,
    pub(super) test: UserSearch,
}

/// A search: where in the history its item is, and what was searched for, for the user's sake and for the item's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct UserSearch {
    pub(super) at: usize,
    pub(super) queries: Vec<String>,
}

impl UserTexts {
    /// Reads a file of LC-Rec's form.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::File`].
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
        serde_json::from_slice(&bytes).map_err(|e| {
            let expected = "JSON with user_explicit_preference and user_vague_intention, as LC-Rec's NAME.user.json";
            Error::file(path, expected, e, "docs/recommenders.md shows one")
        })
    }

    /// A user's taste, where the file has all of it and its items are in the user's history.
    fn taste(&self, context: &Context<'_>, user: &UserHistory<'_>) -> Result<Option<Taste>> {
        let intentions = &self.user_vague_intention;
        let found = (
            self.user_explicit_preference.get(user.id).filter(|preferences| !preferences.is_empty()),
            intentions.train.get(user.id),
            intentions.test.get(user.id),
        );
        let (Some(preferences), Some(train), Some(test)) = found else { return Ok(None) };
        let last = |part: SplitPart, intention: &UserIntention| {
            let item = intention.item.as_str().map_or(intention.item.to_string(), str::to_owned);
            let is_it = |at: &usize| context.table.item_ids.text(user.rows[*at] as usize) == item;
            if part == SplitPart::Train && (user.part(SplitPart::Train).end..user.rows.len()).any(|at| is_it(&at)) {
                let help = "its item is held out for this user: write searches of events before the last two";
                return Err(Error::mismatch(
                    format!("a search of user {} to train on", user.id),
                    "no held-out item",
                    item,
                    help,
                ));
            }
            Ok(user.part(part).rev().find(is_it).map(|at| UserSearch { at, queries: intention.querys.clone() }))
        };
        let (train, test) = (last(SplitPart::Train, train)?, last(SplitPart::Test, test)?);
        let whole = |search: UserSearch| Some(search).filter(|search| search.queries.len() > 1 && search.at > 0);
        Ok(train.and_then(whole).zip(test.and_then(whole)).map(|(train, test)| Taste {
            preferences: preferences.clone(),
            train,
            test,
        }))
    }
}

/// A user's taste from the file, or derived where there is none.
pub(super) fn taste(context: &Context<'_>, user: &UserHistory<'_>) -> Result<Option<Taste>> {
    match context.user_texts {
        Some(texts) => texts.taste(context, user),
        None => Ok(derived(context, user)),
    }
}

/// A taste from attributes. As LC-Rec does it: preferences are of what came before the last event for training, at all,
/// in the long run and of late; searches are for that event and for the one tested on.
fn derived(context: &Context<'_>, user: &UserHistory<'_>) -> Option<Taste> {
    let last = user.part(SplitPart::Train).end.checked_sub(1).filter(|&at| at > 0)?;
    let tested = user.part(SplitPart::Test).next_back().filter(|&at| at > last)?;
    let mut draw = context.draw("derived", user, 0);
    let rows = &user.rows[..last];
    let halves = [rows, &rows[..rows.len().div_ceil(2)], &rows[rows.len().saturating_sub(LATELY)..]];
    let preferences = halves.iter().filter_map(|rows| {
        let attributes = context.frequent_attributes(rows, MOST_ATTRIBUTES);
        said(context, "derived-preference", &attributes, &mut draw)
    });
    let preferences: Vec<String> = preferences.collect();
    if preferences.len() < halves.len() {
        return None;
    }
    let train = search(context, user, last, &mut draw)?;
    let test = search(context, user, tested, &mut draw)?;
    Some(Taste { preferences, train, test })
}

/// A search for an event: by what the item shares with what the user had, and by what the item is.
fn search(context: &Context<'_>, user: &UserHistory<'_>, at: usize, draw: &mut RecordRng) -> Option<UserSearch> {
    let of_item = context.texts.attributes(user.rows[at] as usize);
    let often = context.frequent_attributes(&user.rows[..at], usize::MAX);
    let mut shared: Vec<&str> = often.into_iter().filter(|attribute| of_item.contains(attribute)).collect();
    shared.truncate(MOST_ATTRIBUTES);
    let of_item = &of_item[..of_item.len().min(MOST_ATTRIBUTES)];
    let by_item = said(context, "derived-query", of_item, draw)?;
    let by_user = said(context, "derived-query", &shared, draw).unwrap_or_else(|| by_item.clone());
    Some(UserSearch { at, queries: vec![by_user, by_item] })
}

fn said(context: &Context<'_>, task: &str, attributes: &[&str], draw: &mut RecordRng) -> Option<String> {
    let attributes = attributes.join(", ");
    context.fill_one(task, &[("attributes", &attributes)], draw).map(|example| example.instruction)
}
