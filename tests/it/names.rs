//! No two types of the crate and of its Python module have the same name.

use std::collections::{BTreeMap, BTreeSet};

use super::sources::sources;

/// The types that code defines outside of functions and `impl` blocks, which rustfmt indents.
fn types(code: &str) -> impl Iterator<Item = &str> {
    code.lines().filter_map(|line| {
        let mut words = line.split_whitespace().peekable();
        words.next_if(|word| word.starts_with("pub"));
        // `pub(in crate::room)` has a second word.
        words.next_if(|word| word.ends_with(')'));
        let is_type = words.next().is_some_and(|word| ["struct", "enum", "trait", "type", "union"].contains(&word));
        let name = words.next().filter(|_| is_type && !line.starts_with(' '))?;
        Some(&name[..name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len())])
    })
}

#[test]
fn no_type_name_is_defined_twice() {
    // A type can have one definition per feature set in a file.
    let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources("src").iter().chain(&sources("python/src")) {
        for name in types(&source.code) {
            places.entry(name.to_owned()).or_default().insert(source.path.display().to_string());
        }
    }
    for name in ["Error", "Trie", "PyTrie", "Family", "UserHistory"] {
        assert!(name == "Family" || places.contains_key(name), "the test did not see {name}");
    }
    let twice: Vec<_> = places.iter().filter(|(_, paths)| paths.len() > 1).collect();
    assert!(twice.is_empty(), "names must say what they are of, such as PySubset and HistorySplit: {twice:#?}");
}

#[test]
fn definitions_are_found() {
    let code = "pub(in crate::room) struct A<'a> {\n    type Err = E;\n}\nenum B {}\npub type C<T> = Vec<T>;\npub(super) trait D: Copy {\nfn f() {}";
    assert_eq!(types(code).collect::<Vec<_>>(), ["A", "B", "C", "D"]);
}
