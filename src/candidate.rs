//! The items that a prompt offers to a language model.

use serde::{Deserialize, Serialize};

/// An item in the candidate list of a prompt. Candidates are numbered from 1, in the order of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The item's id in the catalog, as text.
    pub item_id: String,
    /// Its title.
    pub title: String,
    /// Its semantic ID, as in the prompt.
    pub semantic_id: String,
}
