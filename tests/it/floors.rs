//! Checks the import rules, which are listed only in `docs/architecture.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::architecture::{Architecture, dependencies, names_of_root, uses_crate};
use super::sources::{self, Source};
use super::support::root;

/// The sources of all rooms.
fn sources() -> Vec<Source> {
    let mut sources = sources::sources("src");
    sources.retain(|source| !source.module.is_empty());
    sources
}

fn room(source: &Source) -> &str {
    &source.module[0]
}

/// The rooms of the names that `lib.rs` re-exports, such as `Error`.
fn reexports() -> BTreeMap<String, String> {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let exports = lib.lines().filter_map(|line| line.strip_prefix("pub use ")?.strip_suffix(';')?.split_once("::"));
    let names = |list: &str| list.trim_matches(['{', '}']).split(", ").map(str::to_owned).collect::<Vec<_>>();
    exports.flat_map(|(room, list)| names(list).into_iter().map(move |name| (name, room.to_owned()))).collect()
}

/// The rooms that a source uses.
fn rooms_used(source: &Source, architecture: &Architecture, reexports: &BTreeMap<String, String>) -> BTreeSet<String> {
    let names = names_of_root(&source.code, source.module.len()).into_iter();
    let rooms = names.map(|name| reexports.get(&name).cloned().unwrap_or(name));
    rooms.filter(|name| architecture.floors.contains_key(name)).collect()
}

#[test]
fn the_document_lists_every_room_and_no_other() {
    let listed: BTreeSet<String> = Architecture::read().floors.into_keys().collect();
    let seen: BTreeSet<String> = sources().iter().map(|source| room(source).to_owned()).collect();
    assert_eq!(listed, seen, "docs/architecture.md and src/ differ");
}

#[test]
fn imports_run_down_the_floors() {
    let (architecture, reexports) = (Architecture::read(), reexports());
    let mut arrows = BTreeSet::new();
    let mut wrong = Vec::new();
    for source in sources() {
        for used in rooms_used(&source, &architecture, &reexports) {
            if used != room(&source) && architecture.floor(&used) >= architecture.floor(room(&source)) {
                wrong.push(format!("{} must not use {used}, which is not on a lower floor", source.path.display()));
            }
            arrows.insert((room(&source).to_owned(), used));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (from, to) in [("cli", "pipeline"), ("pipeline", "index"), ("rqvae", "tokenizer"), ("answers", "constraint")] {
        assert!(arrows.contains(&(from.into(), to.into())), "the test did not see that {from} uses {to}");
    }
}

#[test]
fn crates_are_used_where_the_document_allows_them() {
    let (architecture, dependencies) = (Architecture::read(), dependencies());
    let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let sources = sources();
    let mut wrong = Vec::new();
    for (krate, rooms) in &architecture.crates {
        assert!(dependencies.contains(krate), "docs/architecture.md lists {krate}, which Cargo.toml does not have");
        for source in sources.iter().filter(|source| uses_crate(&source.code, krate)) {
            users.entry(krate).or_default().insert(room(source));
            if !rooms.contains(room(source)) {
                wrong.push(format!("{} must not use {krate}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (krate, rooms) in &architecture.crates {
        let users = users.get(&**krate).cloned().unwrap_or_default();
        let unused: Vec<_> = rooms.iter().filter(|room| !users.contains(&***room)).collect();
        assert!(unused.is_empty(), "docs/architecture.md allows {krate} in {unused:?}, where nothing uses it");
    }
}

#[test]
fn the_command_line_contains_no_logic() {
    let (architecture, reexports) = (Architecture::read(), reexports());
    let refused: Vec<String> =
        dependencies().into_iter().filter(|krate| !architecture.cli_crates.contains(krate)).collect();
    let mut wrong = Vec::new();
    for source in sources().into_iter().filter(|source| room(source) == "cli") {
        let rooms = rooms_used(&source, &architecture, &reexports);
        let rooms = rooms.into_iter().filter(|room| room != "cli" && !architecture.cli_rooms.contains(room));
        let crates = refused.iter().filter(|krate| uses_crate(&source.code, krate)).cloned();
        wrong.extend(rooms.chain(crates).map(|name| format!("{} must not use {name}", source.path.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_library_neither_prints_nor_reads_the_environment_nor_seeds_itself() {
    const FORBIDDEN: [&str; 9] = [
        "print!(",
        "println!(",
        "dbg!(",
        "env::var",
        "env::args",
        "thread_rng",
        "from_entropy",
        "rand::random",
        "SystemTime",
    ];
    let mut wrong = Vec::new();
    for source in sources().into_iter().filter(|source| room(source) != "cli") {
        let found = FORBIDDEN.iter().filter(|word| source.code.contains(**word));
        wrong.extend(found.map(|word| format!("{} uses {word}", source.path.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
