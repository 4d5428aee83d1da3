//! Refuses interactions that probably belong to another data set, because most of their events have unknown items.

use crate::catalog::Interactions;
use crate::error::{Error, Result, quoted};
use crate::item_ids::ItemIds;

/// Default maximum share of events with unknown items, from 0 to 1.
pub const MAX_UNKNOWN_EVENTS: f64 = 0.5;
/// Maximum number of example ids of each input in the error.
const EXAMPLES: usize = 3;

/// Refuses interactions with too many events whose item is not in `item_ids`. `of` names the source of `item_ids` in
/// the error: "the token table", "the catalog".
///
/// # Errors
/// [`Error::Mismatch`] if the share of such events is greater than `most`.
pub fn refuse_unknown(interactions: &Interactions, item_ids: &ItemIds, of: &str, most: f64) -> Result<()> {
    let rows = item_ids.rows_by_text();
    let known: Vec<bool> = interactions.items.iter().map(|item| rows.contains_key(item)).collect();
    let events = interactions.len();
    let unknown = interactions.histories.iter().flatten().filter(|event| !known[event.item as usize]).count();
    if unknown as f64 <= most * events as f64 {
        return Ok(());
    }
    let with_events: std::collections::HashSet<&str> = interactions.items.iter().map(String::as_str).collect();
    let unknown_ids = interactions.items.iter().zip(&known).filter(|(_, known)| !**known).map(|(item, _)| item.clone());
    let ids = || (0..item_ids.len()).map(|row| item_ids.text(row));
    let without = examples(ids().filter(|id| !with_events.contains(&**id)));
    let own = if without.is_empty() { examples(ids()) } else { without };
    Err(Error::mismatch(
        format!("items of {}", interactions.path.display()),
        format!("ids of {of}, such as {own}, and other ids in at most {most} of the events"),
        format!(
            "other ids, such as {1}, in {0:.2} of the events ({unknown} of {events})",
            unknown as f64 / events as f64,
            examples(unknown_ids),
        ),
        "check the interactions file and its item column, or increase --max-unknown-events (1 allows any share)",
    ))
}

fn examples(ids: impl Iterator<Item = String>) -> String {
    ids.take(EXAMPLES).map(|id| quoted(&id)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Event;

    #[test]
    fn too_many_unknown_events_are_refused_with_examples_of_both_inputs() {
        let event = |item: u32| Event { item, time: 0.0, rating: 0.0 };
        let read = Interactions {
            path: "ev.csv".into(),
            users: vec!["u".into()],
            items: ["0", "x", "y"].map(str::to_owned).to_vec(),
            histories: vec![[0, 0, 1, 2].map(event).to_vec()],
            ..Interactions::default()
        };
        let refused = |most| refuse_unknown(&read, &ItemIds::row_numbers(3), "the catalog", most);
        assert!(refused(0.5).is_ok() && refused(1.0).is_ok());
        let error = refused(0.4).unwrap_err().to_string();
        for part in ["ev.csv", "0.50 of the events (2 of 4)", "\"x\", \"y\"", "\"1\", \"2\"", "--max-unknown-events"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
