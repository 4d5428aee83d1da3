//! The documents for developers name only existing files, `make` targets, Rust paths, and items in the files of
//! recipes. Python tests check the links and commands of the documents for users.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::architecture::{Architecture, inline_code};
use super::support::root;

const FOR_DEVELOPERS: [&str; 2] = ["CONTRIBUTING.md", "docs/architecture.md"];

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// All files below a folder.
fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files_below(&path, found) } else { found.push(path) }
    }
}

/// All Markdown documents of the root and of `docs/`.
fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files_below(&root().join("docs"), &mut found);
    found.retain(|path| path.is_file() && path.extension().is_some_and(|extension| extension == "md"));
    found.sort();
    assert!(found.len() > 10, "{found:?}");
    found
}

/// Inline code and the lines of code blocks.
fn code_of(text: &str) -> Vec<&str> {
    let mut code = Vec::new();
    for (at, part) in text.split("```").enumerate() {
        if at % 2 == 0 {
            code.extend(part.lines().flat_map(inline_code));
        } else {
            code.extend(part.lines().skip(1));
        }
    }
    code
}

/// Words of code that name a file or a folder of the repository.
fn named_paths(text: &str) -> Vec<&str> {
    let folders = ["src/", "tests/", "python/", "docs/", "scripts/", "fixtures/", "examples/", "benches/"];
    let words = code_of(text).into_iter().flat_map(str::split_whitespace);
    words
        .map(|word| word.trim_end_matches([',', '.', ':', ';']))
        .filter(|w| folders.iter().any(|f| w.starts_with(f)))
        .collect()
}

/// Whether a file or folder exists. Commands for Python tests run in `python/`.
fn exists(path: &str) -> bool {
    root().join(path).exists() || path.starts_with("tests/test_") && root().join("python").join(path).exists()
}

#[test]
fn paths_exist() {
    let mut missing = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let absent = named_paths(&text).into_iter().filter(|path| !exists(path));
        missing.extend(absent.map(|path| format!("{} names {path}", document.display())));
    }
    for document in FOR_DEVELOPERS {
        let text = read(document);
        assert!(named_paths(&text).len() > 20, "the test did not see the paths of {document}");
        let in_root = code_of(&text).into_iter().filter(|code| {
            let file = [".md", ".toml", ".lock"].iter().any(|extension| code.ends_with(extension));
            file && !code.contains(['/', ' ', '*'])
        });
        missing.extend(in_root.filter(|name| !exists(name)).map(|name| format!("{document} names {name}")));
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn links_lead_to_files() {
    let mut seen = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for (at, _) in text.match_indices("](") {
            let Some(end) = text[at..].find(')') else { continue };
            let link = &text[at + 2..at + end];
            let path = link.split('#').next().unwrap_or_default();
            if link.contains("://") || path.is_empty() {
                continue;
            }
            assert!(document.with_file_name("").join(path).exists(), "{} links to {link}", document.display());
            seen += 1;
        }
    }
    assert!(seen > 50, "the test saw {seen} links");
}

/// The Python blocks run after `make demo` alone: they read only its outputs in `target/`.
#[test]
fn the_readme_python_code_reads_the_demo_output() {
    let demo = read("scripts/demo.sh");
    let out = demo.split_once("DEMO_OUT:-").and_then(|(_, rest)| rest.split_once('}')).map(|(out, _)| out).unwrap();
    let readme = read("README.md");
    let (_, from_python) = readme.split_once("### From Python").unwrap();
    let blocks: Vec<&str> =
        from_python.split("```python\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 2);
    for path in blocks.iter().flat_map(|block| block.split('"').filter(|text| text.starts_with("target/"))) {
        assert!(path == out || path.starts_with(&format!("{out}/")), "{path} is not in {out}");
    }
}

#[test]
fn make_targets_exist() {
    let makefile = read("Makefile");
    let targets: BTreeSet<&str> = makefile.lines().filter_map(|line| Some(line.split_once(':')?.0)).collect();
    let mut seen = BTreeSet::new();
    for document in FOR_DEVELOPERS.into_iter().chain(["README.md"]) {
        let text = read(document);
        for code in code_of(&text) {
            let Some(arguments) = code.trim_start().strip_prefix("make ") else { continue };
            let target = arguments.split_whitespace().find(|word| !word.starts_with('-') && !word.contains('='));
            let target = target.unwrap_or_default();
            assert!(targets.contains(target), "{document} names `make {target}`, which the Makefile does not have");
            seen.insert(target.to_owned());
        }
    }
    for target in ["demo", "test", "check"] {
        assert!(seen.contains(target), "CONTRIBUTING.md does not name make {target}");
    }
}

/// The names of an item in Rust or Python: `Family`, `settings!`, `most_items`, `Context::rng`.
fn is_identifier(code: &str) -> bool {
    let name = code.strip_suffix('!').unwrap_or(code);
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

fn contains_word(text: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(part_of_word) && !text[at + word.len()..].starts_with(part_of_word))
}

#[test]
fn contributing_recipes_name_existing_items() {
    let contributing = read("CONTRIBUTING.md");
    let (_, recipes) = contributing.split_once("## Recipes").unwrap();
    let mut seen = 0;
    for row in recipes.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let mut files = Vec::new();
        for path in inline_code(cells[0]).map(|path| root().join(path)) {
            if path.is_dir() { files_below(&path, &mut files) } else { files.push(path) }
        }
        let content: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        for name in inline_code(cells[1]).filter(|code| is_identifier(code)) {
            let last = name.trim_end_matches('!').rsplit("::").next().unwrap();
            assert!(contains_word(&content, last), "{} does not have {name}: {row}", cells[0]);
            seen += 1;
        }
    }
    assert!(seen > 10, "the test saw {seen} names");
}

/// Whether a room defines or exports a name.
fn defines(room: &str, name: &str) -> bool {
    let (file, folder) = (root().join(format!("src/{room}.rs")), root().join("src").join(room));
    let mut files = vec![file];
    if folder.is_dir() {
        files.clear();
        files_below(&folder, &mut files);
    }
    let kinds = ["fn", "struct", "enum", "trait", "type", "const", "mod", "macro_rules!"];
    files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")).any(|file| {
        let text = fs::read_to_string(file).unwrap();
        kinds.iter().any(|kind| contains_word(&text, &format!("{kind} {name}")))
    })
}

#[test]
fn rust_paths_exist() {
    let rooms = Architecture::read().floors;
    let lib = read("src/lib.rs");
    let mut seen = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for code in code_of(&text) {
            for (at, start) in code.match_indices("catalex::") {
                let path = code[at + start.len()..].split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
                let parts: Vec<&str> =
                    path.take(1).flat_map(|path| path.split("::")).filter(|p| !p.is_empty()).collect();
                let known = match parts[..] {
                    [] => true,
                    [name] => rooms.contains_key(name) || contains_word(&lib, name),
                    [room, name, ..] => rooms.contains_key(room) && defines(room, name),
                };
                assert!(known, "{} names {code}", document.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 0, "the test saw no path");
}

#[test]
fn every_room_is_documented() {
    for room in Architecture::read().floors.into_keys() {
        let file = root().join(format!("src/{room}.rs"));
        let file = if file.is_file() { file } else { root().join("src").join(&room).join("mod.rs") };
        let first = fs::read_to_string(&file).unwrap().lines().next().unwrap_or_default().to_owned();
        assert!(first.len() > 20 && first.starts_with("//! "), "{} has no module documentation", file.display());
    }
}

#[test]
fn the_crate_documentation_lists_every_room_that_users_need() {
    let lib = read("src/lib.rs");
    let listed: BTreeSet<&str> =
        lib.lines().filter_map(|line| line.strip_prefix("//! ")).flat_map(inline_code).collect();
    let public = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let unlisted: Vec<&str> = public.filter(|room| !listed.contains(room)).collect();
    assert!(unlisted.is_empty(), "the documentation of src/lib.rs lacks {unlisted:?}");
}
