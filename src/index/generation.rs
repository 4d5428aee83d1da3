//! What an index is of: its number in a lineage of indexes, its parent, and what changed since that.

use serde::{Deserialize, Serialize};

/// What made an index of its parent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// Nothing: it was built of a catalog, and has no parent.
    #[default]
    Build,
    /// Items were added and perhaps updated and deleted.
    Append,
    /// Items were deleted.
    Delete,
    /// The model was trained anew.
    Retrain,
    /// A model was fitted to IDs that another program made.
    Adopt,
}

impl ChangeKind {
    /// The name in a manifest.
    pub fn name(self) -> &'static str {
        match self {
            ChangeKind::Build => "build",
            ChangeKind::Append => "append",
            ChangeKind::Delete => "delete",
            ChangeKind::Retrain => "retrain",
            ChangeKind::Adopt => "adopt",
        }
    }
}

/// How many items changed in which way since the parent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerationCounts {
    /// Items with the content and the ID that they had.
    pub unchanged: u64,
    /// Items that the parent does not have.
    pub added: u64,
    /// Items with other content and the ID that they had.
    pub updated: u64,
    /// Items with another ID than in the parent.
    pub reassigned: u64,
    /// Items of the parent that this index does not have.
    pub deleted: u64,
}

/// The place of an index in its lineage. An index of format version 1 or 2 is a build, of which only that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generation {
    /// 0 for a build. It rises along a lineage, and is unique in a store.
    pub number: u64,
    /// [`Manifest::hash`](super::Manifest::hash) of the parent.
    pub parent: Option<String>,
    /// What made it of its parent.
    pub change: ChangeKind,
    /// Why, in the words of who made it.
    pub reason: Option<String>,
    /// Items that changed.
    pub counts: GenerationCounts,
    /// When it was written: RFC 3339 in UTC, in seconds. The hash of a manifest does not cover it.
    pub created: Option<String>,
}
