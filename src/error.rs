//! The one error type of the library.
//!
//! Every variant says *where* it happened (file, column, row, item, key), what was expected, what came, and ends
//! with what to do about it. Variants are general enough to be shared by all rooms; [`Error::kind`] groups them for
//! callers that translate errors (the command line's exit code, Python's exception tree).

use std::path::{Path, PathBuf};

/// Result with the library's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who can mend an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The data is not what it should be.
    Input,
    /// A setting is out of range or contradicts another.
    Config,
    /// A model, table, index or vocabulary file of catalex is damaged or does not fit.
    Artifact,
    /// The file system, a shared library, a device or memory.
    Environment,
}

/// Everything that can go wrong in the library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file operation.
    #[error("cannot {action} {path}: {source}; {help}", path = .path.display())]
    Io {
        /// What was tried: "read", "create", "rename", ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What to do.
        help: &'static str,
        /// The system's own reason.
        source: std::io::Error,
    },

    /// A file or folder that must exist does not.
    #[error("{path} does not exist: expected {expected}; {help}", path = .path.display())]
    Missing {
        /// The path that was looked for.
        path: PathBuf,
        /// What should be there.
        expected: String,
        /// What to do.
        help: String,
    },

    /// An output is already there.
    #[error("{path} is already there; choose another place or pass --force to replace it", path = .path.display())]
    OutputExists {
        /// The output path.
        path: PathBuf,
    },

    /// A whole file is not of the form it should be.
    #[error("{path}: expected {expected}, got {got}; {help}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The form that was expected.
        expected: String,
        /// What the file holds.
        got: String,
        /// What to do.
        help: String,
    },

    /// A column is absent or of the wrong type.
    #[error("{path}, column \"{column}\": expected {expected}, got {got}; {help}", path = .path.display())]
    Column {
        /// The table.
        path: PathBuf,
        /// The column's name.
        column: String,
        /// What was expected of it.
        expected: String,
        /// What it is.
        got: String,
        /// What to do.
        help: String,
    },

    /// One row of a table is wrong. Rows count from 1, the header not counted.
    #[error("{path}, row {row}, column \"{column}\": expected {expected}, got {got}; {help}", path = .path.display())]
    Row {
        /// The table.
        path: PathBuf,
        /// 1-based row.
        row: u64,
        /// The column's name.
        column: String,
        /// What was expected there.
        expected: String,
        /// What the cell holds.
        got: String,
        /// What to do.
        help: String,
    },

    /// One item is wrong (its picture, its vector, its code).
    #[error("item {item}: expected {expected}, got {got}; {help}")]
    Item {
        /// The item's id, as text.
        item: String,
        /// What was expected of it.
        expected: String,
        /// What came.
        got: String,
        /// What to do.
        help: String,
    },

    /// A setting is out of range, unknown, or contradicts another.
    #[error("setting {key}: expected {expected}, got {got}; {help}")]
    Config {
        /// The setting's name as on the command line, without dashes.
        key: String,
        /// The permitted values.
        expected: String,
        /// The value given.
        got: String,
        /// What to do.
        help: String,
    },

    /// Two things do not fit together (features and model, table and model, ids and rows).
    #[error("{what}: expected {expected}, got {got}; {help}")]
    Mismatch {
        /// What was compared.
        what: String,
        /// What the one side asks for.
        expected: String,
        /// What the other side has.
        got: String,
        /// What to do.
        help: String,
    },

    /// There is too little (or no) data to do what was asked.
    #[error("{what}: expected {expected}, got {got}; {help}")]
    Data {
        /// What was being done.
        what: String,
        /// What it needs.
        expected: String,
        /// What there is.
        got: String,
        /// What to do.
        help: String,
    },

    /// A file written by catalex is damaged, or of a version this build does not read.
    #[error("{path} is damaged or foreign: expected {expected}, got {got}; {help}", path = .path.display())]
    Artifact {
        /// The artefact's file.
        path: PathBuf,
        /// What the format asks for.
        expected: String,
        /// What the file holds.
        got: String,
        /// What to do.
        help: String,
    },

    /// Something this build or machine lacks (a shared library, a device, a feature of the crate).
    #[error("{what} is not available: {reason}; {help}")]
    Unavailable {
        /// The thing.
        what: String,
        /// Why.
        reason: String,
        /// What to do.
        help: String,
    },
}

impl Error {
    /// Who can mend this error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Io { .. } | Error::OutputExists { .. } | Error::Unavailable { .. } => ErrorKind::Environment,
            Error::Config { .. } => ErrorKind::Config,
            Error::Artifact { .. } => ErrorKind::Artifact,
            Error::Missing { .. }
            | Error::File { .. }
            | Error::Column { .. }
            | Error::Row { .. }
            | Error::Item { .. }
            | Error::Mismatch { .. }
            | Error::Data { .. } => ErrorKind::Input,
        }
    }

    /// An [`Error::Io`] whose advice follows from the system's reason.
    pub fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let help = match source.kind() {
            K::NotFound => "check the path",
            K::PermissionDenied => "check the permissions of the file and its folder",
            K::StorageFull | K::QuotaExceeded => "free some space and run the command again; nothing was replaced",
            K::IsADirectory => "name a file, not a folder",
            K::NotADirectory => "a parent of this path is a file; choose another place",
            K::ReadOnlyFilesystem => "choose a place that can be written",
            _ => "see the reason above",
        };
        Error::Io { action, path: path.to_path_buf(), help, source }
    }

    /// An [`Error::Config`].
    pub fn config(
        key: impl Into<String>,
        expected: impl Into<String>,
        got: impl ToString,
        help: impl Into<String>,
    ) -> Self {
        Error::Config { key: key.into(), expected: expected.into(), got: got.to_string(), help: help.into() }
    }

    /// An [`Error::Mismatch`].
    pub fn mismatch(
        what: impl Into<String>,
        expected: impl ToString,
        got: impl ToString,
        help: impl Into<String>,
    ) -> Self {
        Error::Mismatch { what: what.into(), expected: expected.to_string(), got: got.to_string(), help: help.into() }
    }

    /// An [`Error::Data`].
    pub fn data(
        what: impl Into<String>,
        expected: impl Into<String>,
        got: impl ToString,
        help: impl Into<String>,
    ) -> Self {
        Error::Data { what: what.into(), expected: expected.into(), got: got.to_string(), help: help.into() }
    }

    /// An [`Error::File`].
    pub fn file(path: &Path, expected: impl Into<String>, got: impl ToString, help: impl Into<String>) -> Self {
        Error::File { path: path.to_path_buf(), expected: expected.into(), got: got.to_string(), help: help.into() }
    }

    /// An [`Error::Artifact`].
    pub fn artifact(path: &Path, expected: impl Into<String>, got: impl ToString, help: impl Into<String>) -> Self {
        Error::Artifact { path: path.to_path_buf(), expected: expected.into(), got: got.to_string(), help: help.into() }
    }
}
