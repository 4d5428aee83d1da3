//! Reading the crate's own source code, for the tests of its structure.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    /// Its module path below the root, such as `["export", "families"]`.
    pub(crate) module: Vec<String>,
    /// Its code without unit tests and without lines that are comments.
    pub(crate) code: String,
}

impl Source {
    /// Whether it is the `mod.rs` of a folder.
    pub(crate) fn is_mod(&self) -> bool {
        self.path.ends_with("mod.rs")
    }
}

/// The source files below a folder of the checkout, without files of unit tests.
pub(crate) fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&super::support::root().join(folder), &[], &mut found);
    assert!(found.len() > 10, "no sources in {folder}");
    found
}

fn collect(folder: &Path, module: &[String], found: &mut Vec<Source>) {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let inside = [module, std::slice::from_ref(&stem)].concat();
        if path.is_dir() {
            collect(&path, &inside, found);
        } else if path.extension().is_some_and(|e| e == "rs") && stem != "tests" {
            let root = ["mod", "lib", "main"].contains(&stem.as_str());
            let code = production_code(&fs::read_to_string(&path).unwrap());
            found.push(Source { module: if root { module.to_vec() } else { inside }, code, path });
        }
    }
}

/// The code without comment lines and without items that are compiled for tests only.
fn production_code(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            skip_item(&mut lines);
        } else if !line.trim_start().starts_with("//") {
            code += line;
            code.push('\n');
        }
    }
    code
}

/// Skips an item as rustfmt writes it: to the end of its first line, or to a brace with its indentation.
fn skip_item(lines: &mut std::str::Lines<'_>) {
    let Some(first) = lines.find(|line| !line.trim_start().starts_with(['#', '/'])) else { return };
    if first.ends_with(';') || first.ends_with('}') {
        return;
    }
    let end = format!("{}}}", &first[..first.len() - first.trim_start().len()]);
    lines.find(|line| **line == end);
}

#[test]
fn code_is_separated_from_tests_and_comments() {
    let text = "use crate::a;\n// comment\n#[cfg(test)]\nmod tests;\nfn f() {}\n#[cfg(test)]\nimpl X {\n    fn t() {\n    }\n}\n\
                #[cfg(test)]\nmod tests {\n    use super::*;\n}\nfn h() {}\n";
    assert_eq!(production_code(text), "use crate::a;\nfn f() {}\nfn h() {}\n");
}
