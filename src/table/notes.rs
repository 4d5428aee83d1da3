//! Warnings about a table for the user.

use std::sync::{Arc, Mutex};

/// Warnings that occur while a table is read. Copies share the same list.
#[derive(Debug, Clone, Default)]
pub(crate) struct TableNotes(Arc<Mutex<Vec<String>>>);

impl TableNotes {
    /// Adds a note if it is not in the list yet.
    pub(super) fn add(&self, note: String) {
        if let Ok(mut notes) = self.0.lock()
            && !notes.contains(&note)
        {
            notes.push(note);
        }
    }

    /// Takes the notes so far.
    pub(crate) fn take(&self) -> Vec<String> {
        self.0.lock().map(|mut notes| std::mem::take(&mut *notes)).unwrap_or_default()
    }
}
