//! Inside a room, imports between files run in one direction: the files and subfolders of a folder have an order in which
//! each imports only earlier ones. A folder's `mod.rs` is its front: it may import its parts, and they may import from it.

use std::collections::{BTreeMap, BTreeSet};

use super::sources::{Source, sources};

type Module = Vec<String>;

/// Every path that a `use` tree names: `a::{b, c::d}` gives `a::b` and `a::c::d`.
fn paths_of_tree(prefix: &str, tree: &str, found: &mut Vec<String>) {
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        return found.push(format!("{prefix}{}", path.trim()));
    };
    let prefix = format!("{prefix}{}", tree[..open].trim());
    let close = tree.rfind('}').unwrap_or(tree.len());
    let (mut depth, mut from) = (0, open + 1);
    for (at, c) in tree[..close].char_indices().skip(open + 1).chain([(close, ',')]) {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if c == ',' && depth == 0 {
            if !tree[from..at].trim().is_empty() {
                paths_of_tree(&prefix, tree[from..at].trim(), found);
            }
            from = at + 1;
        }
    }
}

/// The trees of `use` declarations, each with whether it is a re-export.
fn use_trees(code: &str) -> Vec<(bool, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let before = code[..at].rsplit('\n').next().unwrap_or_default().trim();
        if before.is_empty() || before.starts_with("pub") {
            let tree = code[at + 4..].split(';').next().unwrap_or_default();
            found.push((!before.is_empty(), tree.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
    }
    found
}

/// Paths that code outside of `use` declarations names, such as `super::draw::place(x)`.
fn inline_paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for root in ["super::", "crate::"] {
        for (at, _) in code.match_indices(root) {
            let is_start = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            let end = code[at..].find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(0);
            if is_start {
                found.push(code[at..at + end].trim_end_matches(':').to_owned());
            }
        }
    }
    found
}

/// The modules that define the names that a folder's `mod.rs` re-exports.
type ReExports = BTreeMap<(Module, String), Module>;

fn re_exports(sources: &[Source]) -> ReExports {
    let mut found = ReExports::new();
    for source in sources.iter().filter(|source| source.is_mod()) {
        for (_, tree) in use_trees(&source.code).into_iter().filter(|(public, _)| *public) {
            let mut paths = Vec::new();
            paths_of_tree("", &tree, &mut paths);
            for path in paths {
                let mut parts: Vec<&str> = path.split("::").filter(|part| *part != "self").collect();
                let name = parts.pop().unwrap_or_default().to_owned();
                let target = source.module.iter().cloned().chain(parts.into_iter().map(str::to_owned)).collect();
                found.insert((source.module.clone(), name), target);
            }
        }
    }
    found
}

/// The module that a path in a module refers to.
fn target(path: &str, from: &Source, modules: &BTreeSet<&[String]>, re_exports: &ReExports) -> Option<Module> {
    let mut parts: Vec<&str> = path.split("::").collect();
    let mut at: Module = match parts[0] {
        "crate" => Vec::new(),
        "super" => from.module.clone(),
        _ => return None,
    };
    while parts.first() == Some(&"super") {
        at.pop();
        parts.remove(0);
    }
    if parts.first() == Some(&"crate") {
        parts.remove(0);
    }
    while let Some(part) = parts.first() {
        let deeper = [&at[..], &[(*part).to_owned()]].concat();
        if !modules.contains(&deeper[..]) {
            break;
        }
        at = deeper;
        parts.remove(0);
    }
    if let Some(name) = parts.first() {
        let mut steps = 0;
        while let Some(owner) = re_exports.get(&(at.clone(), (*name).to_owned())).filter(|_| steps < 4) {
            at = owner.clone();
            steps += 1;
        }
    }
    Some(at)
}

/// The imports between the parts of each folder.
fn imports(sources: &[Source]) -> BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> {
    let modules: BTreeSet<&[String]> = sources.iter().map(|source| &source.module[..]).collect();
    let re_exports = re_exports(sources);
    let mut folders: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for source in sources {
        let mut paths = inline_paths(&source.code);
        use_trees(&source.code).iter().for_each(|(_, tree)| paths_of_tree("", tree, &mut paths));
        for path in paths {
            let Some(to) = target(&path, source, &modules, &re_exports) else { continue };
            let common = source.module.iter().zip(&to).take_while(|(a, b)| a == b).count();
            // Another test covers rooms, and a folder's `mod.rs` is not one of its parts.
            if common > 0 && common < source.module.len() && common < to.len() {
                let parts = folders.entry(to[..common].to_vec()).or_default();
                parts.entry(source.module[common].clone()).or_default().insert(to[common].clone());
            }
        }
    }
    folders
}

/// Parts that import themselves through others.
fn circle(parts: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<&str> {
    let reachable = |from: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(part) = open.pop() {
            open.extend(parts.get(&part).into_iter().flatten().filter(|next| seen.insert((*next).clone())).cloned());
        }
        seen
    };
    parts.keys().map(String::as_str).filter(|part| reachable(part).contains(*part)).collect()
}

#[test]
fn files_of_a_room_do_not_import_each_other_in_a_circle() {
    let folders = imports(&sources("src"));
    let has = |folder: &[&str], from: &str, to: &str| {
        let folder: Module = folder.iter().map(|&part| part.to_owned()).collect();
        folders.get(&folder).and_then(|parts| parts.get(from)).is_some_and(|to_all| to_all.contains(to))
    };
    assert!(has(&["vocabulary"], "start_values", "gguf") && has(&["export"], "families", "context"));
    assert!(has(&["encoder"], "embed", "image") && has(&["constraint", "fm_index"], "locate", "search"));
    for (folder, parts) in &folders {
        let name = folder.join("/");
        let found = circle(parts);
        assert!(found.is_empty(), "{name}: {found:?} import each other; move what they share to a file of its own");
    }
}

#[test]
fn use_trees_are_expanded() {
    let mut found = Vec::new();
    let code = "pub(super) use a::{b, c::{d as e, f}};\nuse super::{g, h};\nlet used = 3;\n";
    let trees = use_trees(code);
    assert_eq!(trees.iter().map(|(public, _)| *public).collect::<Vec<_>>(), [true, false]);
    trees.iter().for_each(|(_, tree)| paths_of_tree("", tree, &mut found));
    assert_eq!(found, ["a::b", "a::c::d", "a::c::f", "super::g", "super::h"]);
    assert_eq!(inline_paths("x(super::a::B::c, pub(in crate::d), ::crate::e)"), ["super::a::B::c", "crate::d"]);
}
