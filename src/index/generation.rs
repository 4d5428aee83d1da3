//! The generation of an index: its number in a lineage of indexes, its parent, and the changes since the parent.

use serde::{Deserialize, Serialize};

/// The operation that created an index from its parent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// A build from a catalog, without a parent.
    #[default]
    Build,
    /// Items were added, and possibly updated and deleted.
    Append,
    /// Items were deleted.
    Delete,
    /// The model was trained again.
    Retrain,
    /// A model was fitted to IDs from another program.
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

/// Number of items per kind of change since the parent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerationCounts {
    /// Items with unchanged content and ID.
    pub unchanged: u64,
    /// Items that are not in the parent.
    pub added: u64,
    /// Items with changed content and the same ID.
    pub updated: u64,
    /// Items with a different ID than in the parent.
    pub reassigned: u64,
    /// Items of the parent that are not in this index.
    pub deleted: u64,
}

/// The place of an index in its lineage. An index of format version 1 or 2 is a build without further information.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generation {
    /// 0 for a build. The number increases along a lineage and is unique in a store.
    pub number: u64,
    /// [`Manifest::hash`](super::Manifest::hash) of the parent.
    pub parent: Option<String>,
    /// The operation that created it from its parent.
    pub change: ChangeKind,
    /// The reason, as given by the user.
    pub reason: Option<String>,
    /// Number of changed items.
    pub counts: GenerationCounts,
    /// Time of creation: RFC 3339 in UTC, in seconds. The hash of the manifest does not cover it.
    pub created: Option<String>,
}
