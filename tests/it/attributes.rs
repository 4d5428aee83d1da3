//! The attributes of an index in later generations, and constraint folders by rule.

use std::fs;
use std::path::{Path, PathBuf};

use catalex::artifact::Overwrite;
use catalex::attributes::{ATTRIBUTES, AttributeRequest, AttributeValue, Attributes};
use catalex::catalog::CatalogSpec;
use catalex::index::{Generation, Index, IndexWriter, TOKENS};
use catalex::pipeline::{
    AppendSettings, ConstrainSettings, ConstrainSpec, Output, PublishSpec, VerifySpec, constrain, publish, spec, verify,
};
use catalex::progress::Silent;
use catalex::semantic_id::{Collisions, TokenTable};

use super::append::{Items, index, keep, write_catalog};
use super::support;
use super::support::{outcome, succeeds};

/// Adds the columns stock and market to a catalog of [`write_catalog`]: the stock of item N is N plus `more`.
fn stocked(folder: &Path, name: &str, items: &Items, more: i64) {
    write_catalog(folder, name, items);
    let line = |item: &usize| {
        let market = ["DE", "AT", ""][item % 3];
        format!("i{item},Item {item},{},{market}\n", *item as i64 + more)
    };
    let lines: String = items.keys().map(line).collect();
    fs::write(folder.join(format!("{name}.csv")), format!("item_id,title,stock,market\n{lines}")).unwrap();
}

/// A copy of an index with attributes, as `build --attributes stock,market` writes it, and constraint folders.
fn with_attributes(folder: &Path, from: &Path, folders: &[(&str, ConstrainSettings)]) -> PathBuf {
    let index = Index::open(from).unwrap();
    let table = TokenTable::read(&index.path(TOKENS)).unwrap();
    let catalog = CatalogSpec { path: folder.join("base.csv"), ..CatalogSpec::default() };
    let requests: Vec<AttributeRequest> = ["stock", "market"].map(|name| name.parse().unwrap()).into();
    let attributes = Attributes::of_catalog(&catalog, &requests, false).unwrap().of_items(&table.item_ids).unwrap();
    let copy = |out: &Path, source: Option<&Path>| {
        let mut writer = IndexWriter::create(out, Overwrite::Refuse).unwrap();
        for name in index.manifest().files.keys() {
            writer.share(&index, name).unwrap();
        }
        attributes.write(&writer.path(ATTRIBUTES), Overwrite::Refuse).unwrap();
        for (name, settings) in folders.iter().filter(|_| source.is_some()) {
            let (tokens, constraint) = (source.unwrap().to_path_buf(), settings.clone());
            let output = Output::new(writer.path(name));
            constrain(&ConstrainSpec { tokens, constraint, output }, &Silent).unwrap();
        }
        let manifest = index.manifest();
        let settings = manifest.settings.clone();
        writer.commit(manifest.items, &manifest.model_hash, settings, Generation::default()).unwrap();
    };
    let (plain, out) = (folder.join("with-attributes"), folder.join("with-folders"));
    copy(&plain, None);
    copy(&out, Some(&plain));
    out
}

/// The values of an attribute by item.
fn values(index: &Path, column: usize) -> Vec<(String, AttributeValue)> {
    let attributes = Attributes::read(&index.join(ATTRIBUTES)).unwrap();
    let table = TokenTable::read(&index.join(TOKENS)).unwrap();
    assert_eq!(*attributes.item_ids(), table.item_ids);
    let value = |row| (table.item_ids.text(row), attributes.columns()[column].value(row));
    let mut values: Vec<_> = (0..table.item_ids.len()).map(value).collect();
    values.sort_by(|a, b| a.0.cmp(&b.0));
    values
}

fn problems(index: &Path) -> Vec<String> {
    let found = verify(&VerifySpec { path: index.into(), tokens: None }, &Silent).unwrap();
    assert!(found.checks.iter().any(|check| check.check == "attributes of the items of the token table"));
    found.problems().map(|problem| format!("{problem:?}")).collect()
}

fn by_rule(folder: &Path, rule: &str, user: &[&str]) -> ConstrainSettings {
    let path = folder.join("rule.sql");
    fs::write(&path, rule).unwrap();
    ConstrainSettings {
        form: Some(vec!["trie".into(), "choices".into()]),
        rules: Some(path),
        user: Some(spec::UserValues(user.iter().map(|&value| value.to_owned()).collect())),
        ..ConstrainSettings::default()
    }
}

#[test]
fn attributes_and_rules_follow_the_generations() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    let mut items: Items = (0..30).map(|item| (item, 0)).collect();
    let base = index(folder, &items, &[4, 4, 8], Collisions::Resolve);
    stocked(folder, "base", &items, 0);
    fs::write(folder.join("only.txt"), "i5\ni12\ni24\n").unwrap();
    let rule = "-- in stock\nstock >= user.least and market in ('DE')";
    let all = by_rule(folder, rule, &["least=10"]);
    let some = ConstrainSettings { only: Some(folder.join("only.txt")), ..all.clone() };
    let base = with_attributes(folder, &base, &[("constraint", all), ("some", some)]);
    assert_eq!(problems(&base), [""; 0]);
    let only = |index: &Path, name: &str| fs::read_to_string(index.join(name).join("only.txt")).unwrap();
    assert_eq!(only(&base, "constraint"), "i12\ni15\ni18\ni21\ni24\ni27\n");
    assert_eq!(only(&base, "some"), "i12\ni24\n");

    // Item 30 is new. Items 0 to 19 have a new stock and the same content. The other items are not in the catalog.
    let mut new: Items = (0..20).map(|item| (item, 0)).collect();
    new.insert(30, 0);
    items.insert(30, 0);
    let catalog = |more: i64, new: &Items, settings: AppendSettings, out: &str, from: &Path| {
        let (_, embedding) = write_catalog(folder, out, new);
        stocked(folder, out, new, more);
        let settings = AppendSettings { embedding: Some(spec::Embeddings(vec![embedding])), ..settings };
        let spec = catalex::pipeline::AppendSpec {
            index: from.into(),
            catalog: folder.join(format!("{out}.csv")),
            settings,
            output: Output::new(folder.join(format!("{out}-index"))),
            ..Default::default()
        };
        catalex::pipeline::append(&spec, &Silent).unwrap().index
    };
    let next = catalog(-8, &new, keep(), "next", &base);
    assert_eq!(problems(&next), [""; 0]);
    let expected = |item: usize| AttributeValue::Integer(item as i64 - if new.contains_key(&item) { 8 } else { 0 });
    for (id, value) in values(&next, 0) {
        assert_eq!(value, expected(id[1..].parse().unwrap()), "{id}");
    }
    assert_eq!(only(&next, "constraint"), "i18\ni21\ni24\ni27\ni30\n");
    // Item 12 has too few left.
    assert_eq!(only(&next, "some"), "i24\n");

    let last = folder.join("last");
    fs::write(folder.join("gone.txt"), "i21\n").unwrap();
    let list = folder.join("gone.txt");
    succeeds(&["delete", next.to_str().unwrap(), "--items", list.to_str().unwrap(), "--out", last.to_str().unwrap()]);
    assert_eq!(problems(&last), [""; 0]);
    assert_eq!(values(&last, 1).len(), 30);
    assert_eq!(only(&last, "constraint"), "i18\ni24\ni27\ni30\n");

    // A fraction makes the attribute a float attribute, and another type is refused before anything is encoded.
    let few: Items = (0..20).map(|item| (item, 0)).collect();
    write_catalog(folder, "half", &few);
    fs::write(folder.join("half.csv"), "item_id,title,stock,market\ni0,Item 0,0.5,DE\n").unwrap();
    let run = |name: &str, out: &str| {
        let vectors = format!("text={}", folder.join("half.parquet").display());
        let (catalog, out) = (folder.join(name), folder.join(out));
        let line = ["append", last.to_str().unwrap(), catalog.to_str().unwrap(), "--embedding", &vectors, "--out"];
        outcome(&support::catalex(&[&line[..], &[out.to_str().unwrap()]].concat()).output().unwrap())
    };
    assert_eq!(run("half.csv", "half").0, 0);
    assert_eq!(values(&folder.join("half"), 0)[0].1, AttributeValue::Float(0.5));
    fs::write(folder.join("wrong.csv"), "item_id,title,stock,market\ni0,Item 0,many,DE\n").unwrap();
    let (code, message) = run("wrong.csv", "wrong");
    assert!(code == 1 && message.contains("wrong.csv, row 1, column \"stock\": expected"), "{message}");
    fs::write(folder.join("none.csv"), "item_id,title,market\ni0,Item 0,DE\n").unwrap();
    let (code, message) = run("none.csv", "none");
    assert!(code == 1 && message.contains("column \"stock\""), "{message}");
}

#[test]
fn a_store_gets_a_generation_if_only_attributes_changed() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    let items: Items = (0..20).map(|item| (item, 0)).collect();
    let base = index(folder, &items, &[4, 4, 8], Collisions::Resolve);
    stocked(folder, "base", &items, 0);
    let base = with_attributes(folder, &base, &[]);
    let store = folder.join("store");
    publish(&PublishSpec { index: base, store: store.clone(), ..PublishSpec::default() }).unwrap();
    let append = |more: i64| {
        stocked(folder, "new", &items, more);
        let vectors = format!("text={}", folder.join("new.parquet").display());
        let (store, catalog) = (store.to_str().unwrap(), folder.join("new.csv"));
        let line = ["append", store, catalog.to_str().unwrap(), "--embedding", &vectors, "--store", store, "--json"];
        let told: serde_json::Value = serde_json::from_str(&succeeds(&line)).unwrap();
        told["written"].as_bool().unwrap()
    };
    assert_eq!([append(0), append(1), append(1)], [false, true, false]);
}

#[test]
fn mistakes_in_rules_are_reported_with_their_place() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    let items: Items = (0..20).map(|item| (item, 0)).collect();
    let plain = index(folder, &items, &[4, 4, 8], Collisions::Resolve);
    stocked(folder, "base", &items, 0);
    let index = with_attributes(folder, &plain, &[]);
    let says = |index: &Path, rule: &str, user: &[&str]| {
        let settings = by_rule(folder, rule, user);
        let output = Output::new(folder.join("out"));
        let spec = ConstrainSpec { tokens: index.into(), constraint: settings, output };
        constrain(&spec, &Silent).map(drop).unwrap_err().to_string()
    };
    for (rule, user, expected) in [
        ("stock > 0\nand markt = 'DE'", &[][..], "rule.sql, line 2, column 5: expected one of the attributes"),
        ("markt = 'DE'", &[], "did you mean market?"),
        ("stock > user.least", &[], "expected a value for user.least"),
        ("stock > user.least", &["least=x"], "expected a number as user.least, got a string"),
        ("stock > user.least", &["least=1", "most=2"], "setting user: expected values of the parameters"),
        ("stock > user.least", &["1"], "setting user: expected NAME=VALUE"),
        ("stock > 1000", &[], "expected a rule that is true for at least one item"),
    ] {
        let error = says(&index, rule, user);
        assert!(error.contains(expected), "{rule}: {error}");
    }
    assert!(says(&plain, "stock > 0", &[]).contains("built with --attributes"));
    assert!(says(&plain.join(TOKENS), "stock > 0", &[]).contains("built with --attributes"));
}
