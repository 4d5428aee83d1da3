//! The roles of output files, and the statistics in `export.json` and in the summary.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::behaviour::SplitPart;

/// The purpose of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Training data.
    Train,
    /// Validation data.
    Valid,
    /// Test data.
    Test,
    /// Every item, without users.
    Items,
    /// A file that is not split: the family splits it itself, or needs all of it.
    Layout,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Train => "train",
            Role::Valid => "valid",
            Role::Test => "test",
            Role::Items => "items",
            Role::Layout => "layout",
        })
    }
}

impl From<SplitPart> for Role {
    fn from(part: SplitPart) -> Self {
        match part {
            SplitPart::Train => Role::Train,
            SplitPart::Valid => Role::Valid,
            SplitPart::Test => Role::Test,
        }
    }
}

/// Statistics of a task.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TaskReport {
    /// Records written.
    pub records: u64,
    /// Examples skipped because no template could be filled or there were no candidates.
    pub skipped: u64,
    /// The first records; in a dry run only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Value>,
}

/// Description of a file.
#[derive(Debug, Clone, Serialize)]
pub struct FileReport {
    /// Its purpose.
    pub role: Role,
    /// Number of records.
    pub records: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}
