//! The one error type of the library.
//!
//! Every variant names the location (file, column, row, item or setting), the expected and the actual value, and what
//! to do. All modules share the variants. [`Error::kind`] gives their category, for callers that translate errors (the
//! exit code of the command line, Python's exception classes).

use std::path::{Path, PathBuf};

/// Result with the library's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Error category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Invalid input data.
    Input,
    /// A setting that is out of range or contradicts another.
    Config,
    /// A damaged file of catalex: model, token table, index or vocabulary.
    Artifact,
    /// The file system, a shared library, a device or the memory.
    Environment,
}

/// An error of the library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file operation failed.
    #[error("cannot {action} {path}: {source}; {help}", path = .path.display())]
    Io {
        /// The operation: "read", "create", "rename", ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What to do.
        help: &'static str,
        /// The error of the operating system.
        source: std::io::Error,
    },

    /// A required file or folder does not exist.
    #[error("{}: expected {expected}; {help}", absence(.path), expected = cut(.expected, PART))]
    Missing {
        /// The path.
        path: PathBuf,
        /// What it should contain.
        expected: String,
        /// What to do.
        help: String,
    },

    /// The output already exists.
    #[error("{path} already exists; choose another path or pass --force to replace it", path = .path.display())]
    OutputExists {
        /// The output path.
        path: PathBuf,
    },

    /// Another process is writing the output.
    #[error(
        "{path} is being written by {}, which is still running; wait until it ends, or choose another path",
        .process.map_or("another process".into(), |id| format!("process {id}")), path = .path.display()
    )]
    Busy {
        /// The output path.
        path: PathBuf,
        /// The ID of the process that is writing it, if known.
        process: Option<u32>,
    },

    /// A file has an unexpected format.
    #[error("{path}: expected {expected}, got {got}; {help}", path = .path.display(), expected = cut(.expected, PART), got = cut(.got, PART))]
    File {
        /// The file.
        path: PathBuf,
        /// The expected format.
        expected: String,
        /// What the file contains.
        got: String,
        /// What to do.
        help: String,
    },

    /// A column is missing or has the wrong type.
    #[error("{path}, column \"{column}\": expected {expected}, got {got}; {help}", path = .path.display(), expected = cut(.expected, PART), got = cut(.got, PART))]
    Column {
        /// The table.
        path: PathBuf,
        /// The column's name.
        column: String,
        /// The expected column.
        expected: String,
        /// The actual column.
        got: String,
        /// What to do.
        help: String,
    },

    /// A row of a table is invalid. Rows count from 1, without the header.
    #[error("{path}, row {row}, column \"{column}\": expected {expected}, got {got}; {help}", path = .path.display(), expected = cut(.expected, PART), got = cut(.got, PART))]
    Row {
        /// The table.
        path: PathBuf,
        /// 1-based row.
        row: u64,
        /// The column's name.
        column: String,
        /// The expected value.
        expected: String,
        /// The actual value.
        got: String,
        /// What to do.
        help: String,
    },

    /// An item is invalid (its image, its vector, its code).
    #[error("item {item}: expected {expected}, got {got}; {help}", item = cut(.item, PART), expected = cut(.expected, PART), got = cut(.got, PART))]
    Item {
        /// The item's id, as text.
        item: String,
        /// What was expected.
        expected: String,
        /// What was found.
        got: String,
        /// What to do.
        help: String,
    },

    /// A setting is out of range, unknown, or contradicts another.
    #[error("setting {key}: expected {expected}, got {got}; {help}", expected = cut(.expected, PART), got = cut(.got, PART))]
    Config {
        /// The setting's name as on the command line, without dashes.
        key: String,
        /// The allowed values.
        expected: String,
        /// The given value.
        got: String,
        /// What to do.
        help: String,
    },

    /// A rule over attributes cannot be parsed, does not fit the attributes, or lacks the value of a parameter.
    #[error("{rule}, line {line}, column {column}: expected {expected}, got {got}; {help}", rule = cut(.rule, PART), expected = cut(.expected, PART), got = cut(.got, PART))]
    Rule {
        /// The file of the rule, or "rule".
        rule: String,
        /// 1-based line.
        line: u64,
        /// 1-based column in characters.
        column: u64,
        /// What was expected.
        expected: String,
        /// What was found.
        got: String,
        /// What to do.
        help: String,
    },

    /// Two inputs do not match (features and model, table and model, ids and rows).
    #[error("{what}: expected {expected}, got {got}; {help}", what = cut(.what, PART), expected = cut(.expected, PART), got = cut(.got, PART))]
    Mismatch {
        /// What was compared.
        what: String,
        /// What the one side requires.
        expected: String,
        /// What the other side has.
        got: String,
        /// What to do.
        help: String,
    },

    /// There is too little data, or none.
    #[error("{what}: expected {expected}, got {got}; {help}", what = cut(.what, PART), expected = cut(.expected, PART), got = cut(.got, PART))]
    Data {
        /// What needs the data.
        what: String,
        /// What is required.
        expected: String,
        /// What was found.
        got: String,
        /// What to do.
        help: String,
    },

    /// A file of catalex is damaged, or has a version that this build does not read.
    #[error("{path} is damaged or not a file of catalex: expected {expected}, got {got}; {help}", path = .path.display(), expected = cut(.expected, PART), got = cut(.got, PART))]
    Artifact {
        /// The file.
        path: PathBuf,
        /// What the format requires.
        expected: String,
        /// What the file contains.
        got: String,
        /// What to do.
        help: String,
    },

    /// A shared library, a device or a feature of the crate is missing.
    #[error("{what} is not available: {reason}; {help}", what = cut(.what, PART))]
    Unavailable {
        /// What is missing.
        what: String,
        /// The reason.
        reason: String,
        /// What to do.
        help: String,
    },
}

/// Why a path does not exist. For `a.csv/b.csv`, the reason can be that `a.csv` is a file.
fn absence(path: &Path) -> String {
    let plain: PathBuf = path.components().collect();
    match plain.ancestors().find(|part| part.is_file()) {
        Some(file) => format!("{}: {} is a file, not a folder", path.display(), file.display()),
        None => format!("{} does not exist", path.display()),
    }
}

impl Error {
    /// The category of this error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Io { .. } | Error::OutputExists { .. } | Error::Busy { .. } | Error::Unavailable { .. } => {
                ErrorKind::Environment
            }
            Error::Config { .. } | Error::Rule { .. } => ErrorKind::Config,
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

    /// An [`Error::Io`] with advice that depends on the error of the operating system.
    pub fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let help = match source.kind() {
            K::NotFound => "check the path",
            K::PermissionDenied => "check the permissions of the file and its folder",
            K::StorageFull | K::QuotaExceeded => "free some space and run the command again; nothing was replaced",
            K::IsADirectory => "name a file, not a folder",
            K::NotADirectory => "a parent of this path is a file; choose another path",
            K::ReadOnlyFilesystem => "choose a writable path",
            _ => "this is the reason that the operating system gave; check the path and its disk",
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

/// Maximum length of a text from a table in a message, in characters.
const QUOTED: usize = 80;
/// Maximum length of one part of a message, in characters.
const PART: usize = 600;

/// A text from a table for a message: control characters are escaped, and long texts are truncated.
pub fn shortened(text: &str) -> String {
    cut(text, QUOTED)
}

/// [`shortened`], in quotation marks.
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{:?}... ({} bytes)", &text[..end], text.len()),
        None => format!("{text:?}"),
    }
}

fn cut(text: &str, most: usize) -> String {
    let mut characters = text.chars();
    let mut out = String::new();
    for c in characters.by_ref().take(most) {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    if !characters.as_str().is_empty() {
        out += &format!("... ({} bytes)", text.len());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_a_file_that_is_used_as_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.csv");
        std::fs::write(&file, "id\n").unwrap();
        let says =
            |path: PathBuf| Error::Missing { path, expected: "a table".into(), help: "check it".into() }.to_string();
        for path in [file.join("b.csv"), file.join("b/c.csv"), PathBuf::from(format!("{}/", file.display()))] {
            assert!(says(path.clone()).contains("a.csv is a file, not a folder: expected a table"), "{}", says(path));
        }
        assert!(says(folder.path().join("x/y")).contains("x/y does not exist"));
    }

    #[test]
    fn messages_escape_and_truncate_quoted_text() {
        assert_eq!(shortened("Sjöfn\u{1b}[2J\n"), "Sjöfn\\u{1b}[2J\\n");
        let long = "é".repeat(50_000);
        assert_eq!(quoted("a\"\n"), r#""a\"\n""#);
        assert_eq!(quoted(&long), format!("\"{}\"... (100000 bytes)", "é".repeat(80)));
        assert_eq!(shortened(&long), format!("{}... (100000 bytes)", "é".repeat(80)));
        let path = std::path::Path::new("a.csv");
        let item = Error::Item { item: long.clone(), expected: long.clone(), got: long.clone(), help: "fix it".into() };
        let errors = [
            item,
            Error::config("template", "a template", &long, "fix it"),
            Error::file(path, "a table", &long, "fix it"),
            Error::mismatch("ids", &long, &long, "fix it"),
        ];
        for error in errors {
            let said = error.to_string();
            assert!(said.len() < 4_500 && said.ends_with("fix it"), "{said}");
        }
    }
}
