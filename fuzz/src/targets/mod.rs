//! The fuzzed parsers, each through its public input: a file, a text or a message.

mod answers;
mod artifacts;
mod encoders;
mod language_models;
mod messages;
mod settings;
mod tables;

use std::fmt::Display;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use crate::home::Home;
use crate::mutate::Form;

/// A parser.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    /// Valid inputs.
    pub(crate) seeds: fn(&Home) -> Vec<Vec<u8>>,
    /// Reads an input. The folder is empty, and the target can write to it.
    pub(crate) run: fn(&Home, &Path, &[u8]),
}

const fn target(
    name: &'static str,
    form: Form,
    seeds: fn(&Home) -> Vec<Vec<u8>>,
    run: fn(&Home, &Path, &[u8]),
) -> Target {
    Target { name, form, seeds, run }
}

/// All targets.
pub(crate) const TARGETS: &[&[Target]] = &[
    tables::TARGETS,
    artifacts::TARGETS,
    encoders::TARGETS,
    language_models::TARGETS,
    answers::TARGETS,
    messages::TARGETS,
    settings::TARGETS,
];

/// All targets, one after the other.
pub(crate) fn all() -> impl Iterator<Item = &'static Target> {
    TARGETS.iter().copied().flatten()
}

pub(crate) fn of_name(name: &str) -> Option<&'static Target> {
    all().find(|target| target.name == name)
}

/// Whether errors are printed.
pub(crate) static PRINT_ERRORS: AtomicBool = AtomicBool::new(false);

/// The value of a result. A damaged input should give an error, and formatting the error must not fail either.
fn shown<T, E: Display>(outcome: Result<T, E>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error) => {
            let text = std::hint::black_box(error.to_string());
            if PRINT_ERRORS.load(Relaxed) {
                println!("    {}", text.escape_debug());
            }
            None
        }
    }
}

/// A relative path from the characters of an input. It cannot lead out of the folder.
fn named(line: &str) -> String {
    let part = |part: &str| part.replace('\0', "").chars().take(60).collect::<String>();
    line.split('/')
        .map(part)
        .filter(|part| !part.is_empty() && part != "." && part != "..")
        .take(4)
        .collect::<Vec<_>>()
        .join("/")
}

/// Writes the fuzzed file.
fn put(folder: &Path, name: &str, input: &[u8]) -> std::path::PathBuf {
    let path = folder.join(name);
    if let Some(parent) = path.parent() {
        let _ = std::fs::create_dir_all(parent);
    }
    std::fs::write(&path, input).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    path
}

/// A copy of a folder of valid files with one file replaced.
fn with_file(home: &Home, source: &str, folder: &Path, name: &str, input: &[u8]) -> std::path::PathBuf {
    let copy = folder.join(source);
    let entries = std::fs::read_dir(home.path(source)).unwrap_or_else(|e| panic!("{source}: {e}"));
    let _ = std::fs::create_dir_all(&copy);
    for entry in entries.flatten() {
        if entry.path().is_file() && entry.file_name() != name {
            let _ = std::fs::hard_link(entry.path(), copy.join(entry.file_name()));
        }
    }
    put(&copy, name, input);
    copy
}
