//! Every crate that is compiled has a licence that `deny.toml` allows. `make audit` checks the same with cargo-deny, and
//! advisories as well; this test needs neither it nor the network.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;

use super::support::{root, text};

/// What `deny.toml` allows: for all crates, and for single ones.
struct Allowed {
    everywhere: BTreeSet<String>,
    exceptions: Vec<(String, BTreeSet<String>)>,
}

impl Allowed {
    fn read() -> Self {
        let deny: Value = toml::from_str(&fs::read_to_string(root().join("deny.toml")).unwrap()).unwrap();
        let names =
            |list: &Value| list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
        let exceptions = deny["licenses"]["exceptions"].as_array().unwrap().iter();
        Allowed {
            everywhere: names(&deny["licenses"]["allow"]),
            exceptions: exceptions.map(|e| (e["crate"].as_str().unwrap().to_owned(), names(&e["allow"]))).collect(),
        }
    }

    fn allows(&self, krate: &str, licence: &str) -> bool {
        self.everywhere.contains(licence)
            || self.exceptions.iter().any(|(name, allowed)| name == krate && allowed.contains(licence))
    }
}

/// Whether an SPDX expression can be satisfied. `AND` binds closer than `OR`; `/` is an old way to write `OR`.
fn satisfied(expression: &str, allows: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let result = any_of(&words, &mut at, allows);
    result && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize, allows: &dyn Fn(&str) -> bool) -> bool {
    let mut result = all_of(words, at, allows);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        result |= all_of(words, at, allows);
    }
    result
}

fn all_of(words: &[&str], at: &mut usize, allows: &dyn Fn(&str) -> bool) -> bool {
    let mut result = one(words, at, allows);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        result &= one(words, at, allows);
    }
    result
}

fn one(words: &[&str], at: &mut usize, allows: &dyn Fn(&str) -> bool) -> bool {
    let Some(&word) = words.get(*at) else { return false };
    *at += 1;
    if word == "(" {
        let result = any_of(words, at, allows);
        *at += 1;
        return result;
    }
    if words.get(*at) == Some(&"WITH") {
        let exception = words.get(*at + 1).copied().unwrap_or_default();
        *at += 2;
        return allows(&format!("{word} WITH {exception}"));
    }
    allows(word)
}

#[test]
fn every_crate_has_an_allowed_licence() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let arguments = ["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", &platform];
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().unwrap();
    if !output.status.success() {
        let why = text(&output.stderr);
        eprintln!("LICENCES ARE NOT TESTED HERE: cargo metadata needs crates that were not downloaded: {why}");
        return;
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let allowed = Allowed::read();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "{} packages", packages.len());
    let mut refused = Vec::new();
    for package in packages {
        let (name, licence) = (package["name"].as_str().unwrap(), package["license"].as_str().unwrap_or_default());
        if !satisfied(licence, &|licence| allowed.allows(name, licence)) {
            refused.push(format!("{name} {}: {licence:?}", package["version"]));
        }
    }
    assert!(refused.is_empty(), "deny.toml does not allow the licences of {refused:#?}");
}

#[test]
fn expressions_are_understood() {
    let allows = |licence: &str| ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].contains(&licence);
    for fine in ["MIT", "GPL-3.0 OR MIT", "GPL-3.0/MIT", "(MIT OR GPL-3.0) AND ISC", "Apache-2.0 WITH LLVM-exception"] {
        assert!(satisfied(fine, &allows), "{fine}");
    }
    for wrong in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "Apache-2.0", "MIT GPL-3.0"] {
        assert!(!satisfied(wrong, &allows), "{wrong}");
    }
}
