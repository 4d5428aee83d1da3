//! What `docs/architecture.md` says in its tables, and what source code imports.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::support::root;

/// The rules that the document states.
pub(crate) struct Architecture {
    /// Floor by room; a room may use rooms on lower floors.
    pub(crate) floors: BTreeMap<String, u32>,
    /// The rooms that may use an external crate, by crate.
    pub(crate) crates: BTreeMap<String, BTreeSet<String>>,
    /// Rooms that the command line may use.
    pub(crate) cli_rooms: BTreeSet<String>,
    /// Crates that the command line may use.
    pub(crate) cli_crates: BTreeSet<String>,
}

impl Architecture {
    pub(crate) fn read() -> Self {
        let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
        let names = |cell: &str| inline_code(cell).map(str::to_owned).collect::<BTreeSet<String>>();
        let only = |cell: &str| inline_code(cell).next().unwrap().to_owned();
        let floors = table(&text, "rooms").into_iter().map(|row| (only(row[1]), row[0].parse().unwrap()));
        let crates = table(&text, "crates").into_iter().map(|row| (only(row[0]), names(row[1])));
        let cli: BTreeMap<&str, BTreeSet<String>> =
            table(&text, "cli").into_iter().map(|row| (row[0], names(row[1]))).collect();
        let (listed, distinct) = (table(&text, "rooms").len(), floors.clone().collect::<BTreeMap<_, _>>());
        assert_eq!(listed, distinct.len(), "a room is listed twice");
        Architecture {
            floors: distinct,
            crates: crates.collect(),
            cli_rooms: cli["rooms"].clone(),
            cli_crates: cli["crates"].clone(),
        }
    }

    pub(crate) fn floor(&self, room: &str) -> u32 {
        *self.floors.get(room).unwrap_or_else(|| panic!("docs/architecture.md does not list the room {room}"))
    }
}

/// The rows of the table after `<!-- name -->`, as cells.
fn table<'a>(text: &'a str, name: &str) -> Vec<Vec<&'a str>> {
    let marker = format!("<!-- {name} -->\n");
    let (_, after) = text.split_once(&marker).unwrap_or_else(|| panic!("docs/architecture.md has no {marker}"));
    let rows = after.lines().take_while(|line| line.starts_with('|')).skip(2);
    let rows: Vec<Vec<&str>> = rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect();
    assert!(!rows.is_empty(), "the table {name} of docs/architecture.md is empty");
    rows
}

/// The texts between backticks.
pub(crate) fn inline_code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The names that a source takes from the root of the crate: after `crate::`, `catalex::`, or enough `super::`.
pub(crate) fn names_of_root(code: &str, depth: usize) -> BTreeSet<String> {
    let above = "super::".repeat(depth);
    let mut names = BTreeSet::new();
    for start in ["crate::", "catalex::", &above] {
        for (at, _) in code.match_indices(start) {
            // A longer path, as `$crate::` is not.
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let rest = code[at + start.len()..].trim_start();
            let entries = rest.strip_prefix('{').map_or_else(|| vec![rest], entries);
            names.extend(entries.into_iter().map(first_word).filter(|name| !name.is_empty() && name != "super"));
        }
    }
    names
}

/// The entries of a group of imports, from after its brace; groups inside stay whole.
fn entries(group: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut entries) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                entries.push(&group[begin..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                entries.push(&group[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    entries
}

fn first_word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Whether code uses an external crate: `krate::` at the start of a path, or `use krate`.
pub(crate) fn uses_crate(code: &str, krate: &str) -> bool {
    let path = format!("{krate}::");
    let starts = code.match_indices(&path).any(|(at, _)| {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        !(before.is_alphanumeric() || before == '_' || before == ':')
    });
    starts
        || code.lines().any(|line| {
            let line = line.trim();
            line == format!("use {krate};") || line.starts_with(&format!("use {krate} as "))
        })
}

/// The dependencies of the crate, as they are written in code.
pub(crate) fn dependencies() -> BTreeSet<String> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let manifest: serde_json::Value = toml::from_str(&manifest).unwrap();
    manifest["dependencies"].as_object().unwrap().keys().map(|name| name.replace('-', "_")).collect()
}

#[test]
fn names_are_found_in_groups_and_above() {
    let code = "use crate::{\n catalog::{A, B},\n error::Error,\n};\nuse catalex::features::Features;\nuse super::super::index::I;\n";
    let names = |depth| names_of_root(code, depth).into_iter().collect::<Vec<_>>();
    assert_eq!(names(2), ["catalog", "error", "features", "index"]);
    assert_eq!(names(3), ["catalog", "error", "features"]);
}

#[test]
fn crates_are_found_in_imports_and_paths() {
    assert!(uses_crate("use tch::Tensor;", "tch") && uses_crate("    tch::no_grad(f)", "tch"));
    assert!(uses_crate("use tch as torch;", "tch"));
    assert!(!uses_crate("use crate::tch::X; stretch::y()", "tch"));
}
