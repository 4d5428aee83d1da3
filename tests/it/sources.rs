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

/// Code up to the module of unit tests, without lines that are comments.
fn production_code(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.starts_with("mod ") && next.ends_with('{')) {
            break;
        }
        if !line.trim_start().starts_with("//") {
            code += line;
            code.push('\n');
        }
    }
    code
}
