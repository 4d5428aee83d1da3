//! The import rule: rooms use rooms on lower floors only, and outside crates live where they belong.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom up. Rooms of one floor do not know each other.
const FLOORS: [&[&str]; 11] = [
    &["error", "progress"],
    &["artifact", "candidate", "item_ids", "settings"],
    &["table"],
    &["catalog", "features", "training"],
    &["tokenizer"],
    &["encoder", "behaviour", "semantic_id", "rqvae"],
    &["vocabulary", "quality", "index"],
    &["constraint"],
    &["export", "answers", "explore"],
    &["pipeline"],
    &["cli"],
];

/// Outside crates and the rooms that may use them.
const RESIDENTS: [(&str, &[&str]); 23] = [
    ("tch", &["rqvae"]),
    ("linfa", &["rqvae"]),
    ("linfa_clustering", &["rqvae"]),
    ("linfa_linalg", &["behaviour", "tokenizer", "vocabulary"]),
    ("ort", &["encoder"]),
    ("hf_hub", &["encoder"]),
    ("image", &["encoder"]),
    ("fast_image_resize", &["encoder"]),
    ("tokenizers", &["encoder", "vocabulary"]),
    ("safetensors", &["features", "tokenizer", "rqvae", "constraint", "vocabulary"]),
    ("parquet", &["table", "features", "semantic_id", "export"]),
    ("npyz", &["features"]),
    ("flate2", &["table", "quality"]),
    ("zstd", &["table"]),
    ("glob", &["table"]),
    ("htmlize", &["catalog"]),
    ("memmap2", &["constraint", "vocabulary"]),
    ("libsais", &["constraint"]),
    ("base64", &["quality"]),
    ("rmcp", &["explore"]),
    ("tokio", &["explore"]),
    ("clap", &["cli"]),
    ("anyhow", &["cli"]),
];

fn floor(room: &str) -> usize {
    FLOORS.iter().position(|rooms| rooms.contains(&room)).unwrap_or_else(|| panic!("room {room} is on no floor"))
}

/// Every source file with the room it is in.
fn sources(folder: &Path, room: Option<&str>, found: &mut Vec<(String, PathBuf)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let name = room.unwrap_or(&stem);
        if path.is_dir() {
            sources(&path, Some(name), found);
        } else if path.extension().is_some_and(|e| e == "rs") && !(room.is_none() && ["lib", "main"].contains(&name)) {
            found.push((name.to_owned(), path));
        }
    }
}

/// Rooms that a source names after `crate::` or `catalex::`, tests left out.
fn rooms_used(source: &str) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut rooms = BTreeSet::new();
    for root in ["crate::", "catalex::"] {
        for (at, _) in code.match_indices(root) {
            let rest = code[at + root.len()..].trim_start();
            // A group: its entries at depth one.
            let entries: Vec<&str> = match rest.strip_prefix('{') {
                Some(group) => {
                    let mut depth = 0;
                    let end = group.find(|c| {
                        depth += i32::from(c == '{') - i32::from(c == '}');
                        depth < 0
                    });
                    let mut depth = 0;
                    group[..end.unwrap_or(0)]
                        .split(|c| {
                            depth += i32::from(c == '{') - i32::from(c == '}');
                            c == ',' && depth == 0
                        })
                        .collect()
                }
                None => vec![rest],
            };
            for entry in entries {
                let name: String = entry.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if name.starts_with(|c: char| c.is_lowercase()) && FLOORS.iter().any(|f| f.contains(&name.as_str())) {
                    rooms.insert(name);
                }
            }
        }
    }
    rooms
}

#[test]
fn imports_run_down_the_floors() {
    let mut found = Vec::new();
    sources(&super::support::root().join("src"), None, &mut found);
    let mut arrows = BTreeSet::new();
    for (room, path) in &found {
        let source = fs::read_to_string(path).unwrap();
        for used in rooms_used(&source) {
            assert!(
                used == *room || floor(&used) < floor(room),
                "{} is in {room}/ and must not use {used}/, which is not on a lower floor",
                path.display()
            );
            arrows.insert((room.clone(), used));
        }
        for (krate, rooms) in RESIDENTS {
            let uses = source.lines().any(|line| {
                let line = line.trim_start();
                line.starts_with(&format!("use {krate}::")) || line.starts_with(&format!("use {krate} as"))
            });
            assert!(!uses || rooms.contains(&room.as_str()), "{} must not use {krate}", path.display());
        }
    }
    let seen: BTreeSet<&str> = found.iter().map(|(room, _)| room.as_str()).collect();
    for room in FLOORS.iter().copied().flatten() {
        assert!(seen.contains(room), "the test did not see {room}");
    }
    assert!(arrows.contains(&("answers".into(), "constraint".into())));
    for arrow in [("cli", "index"), ("rqvae", "tokenizer"), ("encoder", "catalog"), ("vocabulary", "semantic_id")] {
        assert!(arrows.contains(&(arrow.0.into(), arrow.1.into())), "the test did not see {arrow:?}");
    }
}

#[test]
fn groups_of_imports_are_read() {
    let source = "use crate::{\n catalog::{A, B},\n error::Error,\n};\nuse crate::features::Features;\n// crate::cli\n";
    assert_eq!(rooms_used(source).into_iter().collect::<Vec<_>>(), ["catalog", "error", "features"]);
}
