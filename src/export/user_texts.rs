//! Preferences and searches of users, read from a file in the format of LC-Rec's `NAME.user.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::behaviour::{SplitPart, UserHistory};
use crate::error::{Error, Result};
use crate::item_ids::ItemIds;

/// Preferences and searches of users, by user id.
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

/// A user's search queries and the item that was found.
#[derive(Debug, Clone, Deserialize)]
struct UserIntention {
    /// The item's id.
    item: Value,
    querys: Vec<String>,
}

/// A user's preferences and searches, validated against the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UserPreferences {
    /// At least one.
    pub(super) preferences: Vec<String>,
    /// The search for an event of the training part.
    pub(super) train: UserSearch,
    /// The search for an event of the test part.
    pub(super) test: UserSearch,
}

/// A search for an item of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct UserSearch {
    /// Position of the item in the history.
    pub(super) at: usize,
    /// Queries: one worded from the user's perspective, one from the item's.
    pub(super) queries: Vec<String>,
}

impl UserTexts {
    /// Reads a file in the format of LC-Rec's `NAME.user.json`.
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

    /// The preferences and searches of a user; `None` where the file lacks some or an item is not in the history.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a training search whose item is held out for validation or test.
    pub(super) fn of_user(&self, item_ids: &ItemIds, user: &UserHistory<'_>) -> Result<Option<UserPreferences>> {
        let intentions = &self.user_vague_intention;
        let found = (
            self.user_explicit_preference.get(user.id).filter(|preferences| !preferences.is_empty()),
            intentions.train.get(user.id),
            intentions.test.get(user.id),
        );
        let (Some(preferences), Some(train), Some(test)) = found else { return Ok(None) };
        let last = |part: SplitPart, intention: &UserIntention| {
            let item = intention.item.as_str().map_or(intention.item.to_string(), str::to_owned);
            let is_it = |at: &usize| item_ids.text(user.rows[*at] as usize) == item;
            if part == SplitPart::Train && (user.part(SplitPart::Train).end..user.rows.len()).any(|at| is_it(&at)) {
                let what = format!("a training search of user {}", user.id);
                let help = "its item is held out for this user: write searches for events before the last two";
                return Err(Error::mismatch(what, "no held-out item", item, help));
            }
            Ok(user.part(part).rev().find(is_it).map(|at| UserSearch { at, queries: intention.querys.clone() }))
        };
        let (train, test) = (last(SplitPart::Train, train)?, last(SplitPart::Test, test)?);
        let whole = |search: UserSearch| Some(search).filter(|search| search.queries.len() > 1 && search.at > 0);
        Ok(train.and_then(whole).zip(test.and_then(whole)).map(|(train, test)| UserPreferences {
            preferences: preferences.clone(),
            train,
            test,
        }))
    }
}
