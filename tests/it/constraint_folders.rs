//! Each new generation of an index gets the constraint folders of its parent, written for its own items.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use catalex::artifact::Overwrite;
use catalex::index::{Generation, Index, IndexWriter};
use catalex::pipeline::{
    AppendSettings, AppendSpec, ConstrainSettings, ConstrainSpec, DeleteSpec, Output, PublishSpec, VerifySpec, append,
    constrain, delete, publish, spec, verify,
};
use catalex::progress::{ProgressEvents, Silent};
use catalex::semantic_id::Collisions;

use super::append::{Items, appended, check, index, index_with, keep, write_catalog};
use super::support::{files, language_model};

fn strings(values: &[&str]) -> Option<Vec<String>> {
    Some(values.iter().map(|&value| value.to_owned()).collect())
}

fn constrained(tokens: &Path, out: &Path, constraint: ConstrainSettings) {
    let spec = ConstrainSpec { tokens: tokens.into(), constraint, output: Output::new(out) };
    constrain(&spec, &Silent).unwrap();
}

/// A copy of an index with constraint folders.
fn with_folders(from: &Path, folders: &[(&str, ConstrainSettings)]) -> PathBuf {
    let index = Index::open(from).unwrap();
    let out = from.with_file_name("constrained");
    let mut writer = IndexWriter::create(&out, Overwrite::Refuse).unwrap();
    for name in index.manifest().files.keys() {
        writer.share(&index, name).unwrap();
    }
    for (name, settings) in folders {
        let folder = writer.path(name);
        fs::create_dir_all(folder.parent().unwrap()).unwrap();
        constrained(from, &folder, settings.clone());
    }
    let manifest = index.manifest();
    writer.commit(manifest.items, &manifest.model_hash, manifest.settings.clone(), Generation::default()).unwrap();
    out
}

/// The problems that `verify` finds in an index, and the number of checked constraint folders.
fn verified(index: &Path) -> (Vec<String>, usize) {
    let found = verify(&VerifySpec { path: index.into(), tokens: None }, &Silent).unwrap();
    let folders = found.checks.iter().filter(|check| check.check == "constraint forms of the token table").count();
    (found.problems().map(|problem| format!("{problem:?}")).collect(), folders)
}

/// Runs a job and returns its warnings.
fn warnings(run: impl FnOnce(&dyn catalex::progress::Progress)) -> Vec<String> {
    let events = Mutex::new(Vec::new());
    run(&ProgressEvents::new(|event| events.lock().unwrap().push(event)));
    let events = events.into_inner().unwrap();
    let warnings = events.iter().filter(|event| event["event"] == "warning");
    warnings.map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

fn deleted(folder: &Path, from: &Path, out: &str, items: &[&str]) -> (PathBuf, Vec<String>) {
    let list = folder.join("deleted.txt");
    fs::write(&list, items.join("\n")).unwrap();
    let out = folder.join(out);
    let spec =
        DeleteSpec { index: from.into(), items: list, output: Output::new(out.clone()), ..DeleteSpec::default() };
    (out, warnings(|progress| drop(delete(&spec, progress).unwrap())))
}

#[test]
fn next_generation_has_the_constraint_folders_of_its_parent() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let llm = at("llm");
    language_model(&llm, 12, 4, &["embed.weight"], safetensors::Dtype::F32);
    let mut items: Items = (0..60).map(|item| (item, 0)).collect();
    let base = index_with(home.path(), &items, &[4, 4, 8], Collisions::Resolve, Some(llm));
    let all = |catalog: &str| ConstrainSettings {
        form: strings(&["trie", "static", "xgrammar", "regex", "choices", "xllm", "minionerec", "vllm", "nvidia"]),
        catalog: Some(at(catalog)),
        title: strings(&["title"]),
        logits: Some(64),
        dense_depth: Some(2),
        ..ConstrainSettings::default()
    };
    let some = |list: &str| {
        let form = strings(&["regex", "choices"]);
        ConstrainSettings { form, only: Some(at(list)), ..ConstrainSettings::default() }
    };
    fs::write(at("some.txt"), "i5\ni7\ni30\n").unwrap();
    let base = with_folders(&base, &[("constraint", all("base.csv")), ("decoders/some", some("some.txt"))]);
    assert_eq!(verified(&base), (vec![], 2));

    let new: Items = [(60, 0), (61, 0), (62, 0)].into();
    let next = appended(home.path(), &base, "next", &new, keep()).index;
    items.extend(new);
    check(&next, &items);
    assert_eq!(verified(&next), (vec![], 2));
    let listed = Index::open(&next).unwrap().manifest().files.clone();
    assert!(listed.contains_key("constraint/ids.trie") && listed.contains_key("decoders/some/only.txt"), "{listed:?}");
    write_catalog(home.path(), "whole", &items);
    constrained(&next, &at("expected"), all("whole.csv"));
    let (expected, got) = (files(&at("expected")), files(&next.join("constraint")));
    assert_eq!(expected.keys().collect::<BTreeSet<_>>(), got.keys().collect());
    for (name, content) in &expected {
        // The description differs, because it names the catalog.
        assert!(name == "constraint.json" || got[name] == *content, "{name}");
    }
    constrained(&next, &at("expected-some"), some("some.txt"));
    assert_eq!(files(&at("expected-some")), files(&next.join("decoders/some")));

    // After a deletion, titles come from the folder itself, and deleted items are removed from `only.txt`.
    let (last, told) = deleted(home.path(), &next, "last", &["i7", "i20", "i61"]);
    assert_eq!(verified(&last), (vec![], 2));
    assert!(told.len() == 1 && told[0].contains("1 of the 3 items that \"decoders/some\""), "{told:?}");
    constrained(&last, &at("expected-last"), all("whole.csv"));
    let (expected, got) = (files(&at("expected-last")), files(&last.join("constraint")));
    assert!(expected.iter().all(|(name, content)| name == "constraint.json" || got[name] == *content));
    assert_eq!(fs::read_to_string(last.join("decoders/some/only.txt")).unwrap(), "i5\ni30\n");
    let (_, told) = deleted(home.path(), &last, "none", &["i5", "i30"]);
    assert!(told.iter().any(|warning| warning.contains("none of the folder's items")), "{told:?}");
}

#[test]
fn a_form_that_cannot_be_written_is_omitted_with_a_warning() {
    let home = tempfile::tempdir().unwrap();
    let items: Items = (0..30).map(|item| (item, 0)).collect();
    let base = index(home.path(), &items, &[4, 4, 8], Collisions::Resolve);
    let titled = ConstrainSettings {
        form: strings(&["trie", "minionerec"]),
        catalog: Some(home.path().join("base.csv")),
        title: strings(&["title"]),
        ..ConstrainSettings::default()
    };
    let base = with_folders(&base, &[("constraint", titled)]);
    // The new catalog has no titles.
    let (catalog, embedding) = write_catalog(home.path(), "new", &[(30, 0)].into());
    fs::write(&catalog, "item_id\ni30\n").unwrap();
    let out = home.path().join("next");
    let spec = AppendSpec {
        index: base.clone(),
        catalog,
        settings: AppendSettings { embedding: Some(spec::Embeddings(vec![embedding])), ..keep() },
        output: Output::new(out.clone()),
        ..AppendSpec::default()
    };
    let told = warnings(|progress| drop(append(&spec, progress).unwrap()));
    let told: Vec<&String> = told.iter().filter(|warning| warning.contains("constraint")).collect();
    let command = format!("catalex constrain {} --form minionerec --catalog CATALOG --title COLUMN", out.display());
    assert!(told.len() == 1 && told[0].contains("\"constraint\"") && told[0].contains(&command), "{told:?}");
    assert_eq!(verified(&out), (vec![], 1));
    let names: Vec<String> = files(&out.join("constraint")).into_keys().collect();
    assert_eq!(names, ["constraint.json", "ids.trie"]);
}

/// `constraint-form` adds forms to an index, and later generations in the store have them as well.
#[test]
fn append_adds_constraint_forms() {
    let home = tempfile::tempdir().unwrap();
    let mut items: Items = (0..30).map(|item| (item, 0)).collect();
    // Items share IDs, so the forms have the first item of each ID.
    let base = index(home.path(), &items, &[2, 2, 2], Collisions::Keep);
    let shop = home.path().join("shop");
    publish(&PublishSpec { index: base, store: shop.clone(), ..PublishSpec::default() }).unwrap();
    let appended = |items: &Items, forms: Option<&[&str]>| {
        let (catalog, embedding) = write_catalog(home.path(), "night", items);
        let embedding = Some(spec::Embeddings(vec![embedding]));
        let settings = AppendSettings { embedding, constraint_form: forms.and_then(strings), ..keep() };
        append(
            &AppendSpec { index: shop.clone(), catalog, settings, store: Some(shop.clone()), ..AppendSpec::default() },
            &Silent,
        )
    };
    let forms = ["trie", "regex"];
    assert!(appended(&items, Some(&forms)).unwrap().written);
    assert!(!appended(&items, Some(&forms)).unwrap().written, "nothing changed");
    assert_eq!(verified(&shop), (vec![], 1));
    items.insert(30, 0);
    let next = appended(&items, None).unwrap();
    assert_eq!((next.generation, verified(&shop)), (2, (vec![], 2)));
    let form = strings(&forms);
    let out = home.path().join("expected");
    constrained(&shop, &out, ConstrainSettings { form, ..ConstrainSettings::default() });
    assert_eq!(files(&out), files(&next.index.join("constraint")));
    // Other forms replace those in the folder.
    let other = appended(&items, Some(&["choices"])).unwrap();
    assert!(other.written && other.counts.unchanged == 31);
    let names: Vec<String> = files(&other.index.join("constraint")).into_keys().collect();
    assert_eq!(names, ["choices.json", "constraint.json"]);
    for (wrong, says) in [
        ("minionerec", "forms without titles"),
        ("xllm", "token ids"),
        ("sglang", "token ids"),
        ("tree", "constraint-form"),
        ("tree", "one of trie"),
    ] {
        let error = appended(&items, Some(&[wrong])).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
