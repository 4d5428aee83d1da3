//! `append` and `delete`: items are added, updated and deleted, and the IDs of the other items never change. The tests
//! use precomputed vectors, so they run without libtorch and ONNX Runtime.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use catalex::artifact::Overwrite;
use catalex::features::{FeatureFile, FeatureSource, Features, Modality};
use catalex::index::{
    FEATURES_ADDED, Generation, Index, IndexWriter, MODEL, PublishOptions, Store, TOKENS, VOCABULARY,
};
use catalex::item_ids::ItemIds;
use catalex::pipeline::{
    AppendSettings, AppendSpec, AppendSummary, BuildSpec, DeleteSettings, DeleteSpec, EncodeSettings, LookupKey,
    LookupSpec, Output, VocabularySettings, append, delete, lookup, spec,
};
use catalex::progress::Silent;
use catalex::semantic_id::{Collisions, IdChange, IdDelta, TokenFormat, TokenTable};
use catalex::vocabulary::{VocabularyOptions, write_vocabulary};
use ndarray::Array2;
use proptest::prelude::*;

use super::support::{catalex, files, hand_made, numbers, outcome, succeeds, text};

const DIM: usize = 6;

/// The items of a shop, with a version of each item's content. The vector depends on both.
pub(crate) type Items = BTreeMap<usize, u64>;

fn vector(item: usize, version: u64) -> Vec<f32> {
    let mut next = numbers(1 + item as u64 * 1_000 + version);
    (0..DIM).map(|_| next()).collect()
}

/// Writes the catalog of some items, and a file of their vectors.
pub(crate) fn write_catalog(folder: &Path, name: &str, items: &Items) -> (PathBuf, String) {
    let lines: String = items.keys().map(|item| format!("i{item},Item {item}\n")).collect();
    let catalog = folder.join(format!("{name}.csv"));
    fs::write(&catalog, format!("item_id,title\n{lines}")).unwrap();
    let values: Vec<f32> = items.iter().flat_map(|(&item, &version)| vector(item, version)).collect();
    let vectors = Array2::from_shape_vec((items.len(), DIM), values).unwrap();
    let text = Modality { name: "text".into(), present: vec![true; items.len()], vectors };
    let ids = ItemIds::Strings(items.keys().map(|item| format!("i{item}")).collect());
    let path = folder.join(format!("{name}.parquet"));
    Features::new(ids, vec![text]).unwrap().write(&path, Overwrite::Replace).unwrap();
    (catalog, format!("text={}", path.display()))
}

/// An index of some items, as `build` of catalex 0.1 writes it, with a hand-made model. The first append adds content
/// hashes.
pub(crate) fn index(folder: &Path, items: &Items, sizes: &[usize], collisions: Collisions) -> PathBuf {
    index_with(folder, items, sizes, collisions, None)
}

/// As [`index`], with an extended copy of a tokenizer in the vocabulary.
pub(crate) fn index_with(
    folder: &Path,
    items: &Items,
    sizes: &[usize],
    collisions: Collisions,
    tokenizer: Option<PathBuf>,
) -> PathBuf {
    let (catalog, embedding) = write_catalog(folder, "base", items);
    let (_, path) = embedding.split_once('=').unwrap();
    let features = FeatureFile::open(path.as_ref()).unwrap();
    let model = hand_made(DIM, sizes);
    let table = TokenTable::of_features(&features, &model, TokenFormat::default(), collisions, &Silent).unwrap();
    let out = folder.join("index");
    let writer = IndexWriter::create(&out, Overwrite::Refuse).unwrap();
    fs::copy(path, writer.path("features.parquet")).unwrap();
    model.save(&writer.path(MODEL), Overwrite::Refuse).unwrap();
    table.write(&writer.path(TOKENS), Overwrite::Refuse).unwrap();
    let options = VocabularyOptions { tokenizer: tokenizer.clone(), ..VocabularyOptions::default() };
    write_vocabulary(&writer.path(VOCABULARY), &table, &options, Overwrite::Refuse, &Silent).unwrap();
    let encode = EncodeSettings { embedding: Some(spec::Embeddings(vec![embedding])), ..EncodeSettings::default() };
    let vocabulary = VocabularySettings { tokenizer, ..VocabularySettings::default() };
    let settings = serde_json::to_value(BuildSpec { catalog, encode, vocabulary, ..BuildSpec::default() }).unwrap();
    writer.commit(items.len() as u64, model.hash(), settings, Generation::default()).unwrap();
    out
}

/// Appends a catalog to an index.
pub(crate) fn appended(
    folder: &Path,
    from: &Path,
    out: &str,
    items: &Items,
    settings: AppendSettings,
) -> AppendSummary {
    let (catalog, embedding) = write_catalog(folder, out, items);
    let settings = AppendSettings { embedding: Some(spec::Embeddings(vec![embedding])), ..settings };
    let output = Output::new(folder.join(out));
    let spec = AppendSpec { index: from.into(), catalog, settings, output, ..AppendSpec::default() };
    append(&spec, &Silent).unwrap()
}

pub(crate) fn keep() -> AppendSettings {
    AppendSettings::default()
}

pub(crate) fn deleting() -> AppendSettings {
    AppendSettings { missing: Some("delete".into()), max_deleted: Some(1.0), ..AppendSettings::default() }
}

/// The ID of each item of an index.
pub(crate) fn ids(index: &Path) -> BTreeMap<String, String> {
    let table = TokenTable::read(&index.join(TOKENS)).unwrap();
    (0..table.item_ids.len()).map(|row| (table.item_ids.text(row), table.semantic_id(row))).collect()
}

/// Opens an index, and checks its items and their vectors.
pub(crate) fn check(path: &Path, items: &Items) {
    let index = Index::open(path).unwrap();
    let table = TokenTable::read(&index.path(TOKENS)).unwrap();
    let features = index.features(&table.item_ids).unwrap().read().unwrap();
    assert_eq!(features.item_ids(), &table.item_ids);
    assert_eq!((table.item_ids.len(), index.manifest().items), (items.len(), items.len() as u64));
    for (row, stored) in features.modalities()[0].vectors.rows().into_iter().enumerate() {
        let item: usize = table.item_ids.text(row)[1..].parse().unwrap();
        assert_eq!(stored.to_vec(), vector(item, items[&item]), "item {item}");
    }
}

fn look_up(index: &Path, key: LookupKey) -> Vec<(String, Option<u64>)> {
    let found = lookup(&LookupSpec::new(index, key)).unwrap();
    found.into_iter().map(|hit| (hit.item_id, hit.deleted_in)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// For any sequence of changes, the IDs of remaining items do not change, no two items share an ID, and no ID is
    /// given to another item.
    #[test]
    fn ids_of_remaining_items_never_change(
        steps in prop::collection::vec((prop::collection::vec(0u8..4, 70), 0usize..12, any::<bool>()), 1..5),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut items: Items = (0..40).map(|item| (item, 0)).collect();
        let base = index(folder.path(), &items, &[4, 4, 8], Collisions::Resolve);
        // From here on, the index has the content hashes of all items.
        let mut current = appended(folder.path(), &base, "start", &items, keep()).index;
        let vocabulary = files(&current.join(VOCABULARY));
        let (mut named, mut next_item) = (BTreeMap::new(), 40);
        for (at, (fates, new, delete)) in steps.into_iter().enumerate() {
            let before = ids(&current);
            named.extend(before.iter().map(|(item, id)| (id.clone(), item.clone())));
            // 0: the item changes. 1: the item is not in the catalog.
            let fate = |item: usize| fates[item % fates.len()];
            let mut catalog: Items = items.iter().filter(|(item, _)| fate(**item) != 1).map(|(a, b)| (*a, *b)).collect();
            let changed: Vec<usize> = catalog.keys().copied().filter(|&item| fate(item) == 0).collect();
            changed.iter().for_each(|item| *catalog.get_mut(item).unwrap() += 1);
            catalog.extend((next_item..next_item + new).map(|item| (item, 0)));
            next_item += new;
            let absent: BTreeSet<usize> = items.keys().copied().filter(|item| !catalog.contains_key(item)).collect();
            let gone = if delete { absent.len() } else { 0 };
            if catalog.is_empty() {
                continue;
            }
            let settings = if delete { deleting() } else { keep() };
            let summary = appended(folder.path(), &current, &format!("g{at}"), &catalog, settings);
            let stayed: Items = items.iter().filter(|(item, _)| absent.contains(item) && !delete).map(|(a, b)| (*a, *b)).collect();
            items = stayed.into_iter().chain(catalog).collect();
            current = summary.index.clone();
            check(&current, &items);
            prop_assert_eq!(summary.encoded as usize, new + changed.len());
            let counts = summary.counts;
            prop_assert_eq!((counts.added, counts.updated, counts.reassigned), (new as u64, changed.len() as u64, 0));
            prop_assert_eq!((counts.deleted as usize, summary.generation), (gone, at as u64 + 2));
            let after = ids(&current);
            for (item, id) in &after {
                prop_assert!(before.get(item).is_none_or(|old| old == id), "{item} moved");
                prop_assert!(named.get(id).is_none_or(|named| named == item), "{id} names another item");
            }
            prop_assert_eq!(after.values().collect::<BTreeSet<_>>().len(), after.len());
            for (name, content) in files(&current.join(VOCABULARY)) {
                prop_assert!(name == "index.json" || vocabulary[&name] == content, "{name}");
            }
        }
    }
}

#[test]
fn only_changed_items_are_encoded() {
    let folder = tempfile::tempdir().unwrap();
    let mut items: Items = (0..200).map(|item| (item, 0)).collect();
    let base = index(folder.path(), &items, &[8, 8, 8], Collisions::Resolve);
    let first = appended(folder.path(), &base, "first", &items, keep());
    assert_eq!((first.encoded, first.counts.unchanged, first.generation), (0, 200, 1));
    assert!(!first.index.join(FEATURES_ADDED).exists());
    // 2 % of the items.
    let changed = [3, 77, 120, 199];
    changed.iter().for_each(|item| *items.get_mut(item).unwrap() += 1);
    let second = appended(folder.path(), &first.index, "second", &items, keep());
    assert_eq!((second.encoded, second.counts.updated, second.counts.unchanged), (4, 4, 196));
    assert_eq!(FeatureFile::open(&second.index.join(FEATURES_ADDED)).unwrap().rows(), 4);
    assert_eq!(ids(&second.index), ids(&base));
    check(&second.index, &items);
    // The same input gives the same bytes, and unchanged files are hard links.
    let again = appended(folder.path(), &first.index, "again", &items, keep());
    assert_eq!(files(&second.index), files(&again.index));
    #[cfg(unix)]
    for shared in ["features.parquet", "model/model.safetensors", "vocabulary/new_tokens.json"] {
        use std::os::unix::fs::MetadataExt;
        let inode = |index: &Path| fs::metadata(index.join(shared)).unwrap().ino();
        assert_eq!(inode(&base), inode(&second.index), "{shared}");
    }
    // If more than half of the base changes, base and additions are merged into a new base.
    (0..150).for_each(|item| *items.get_mut(&item).unwrap() += 5);
    let third = appended(folder.path(), &second.index, "third", &items, keep());
    assert!(!third.index.join(FEATURES_ADDED).exists());
    assert_eq!(FeatureFile::open(&third.index.join("features.parquet")).unwrap().rows(), 200);
    check(&third.index, &items);
}

#[test]
fn changed_items_get_nearer_ids_only_with_reassign() {
    let folder = tempfile::tempdir().unwrap();
    let mut items: Items = (0..60).map(|item| (item, 0)).collect();
    let base = index(folder.path(), &items, &[4, 4, 8], Collisions::Resolve);
    let first = appended(folder.path(), &base, "first", &items, keep()).index;
    (0..20).for_each(|item| *items.get_mut(&item).unwrap() += 1);
    let reassign = AppendSettings { changed: Some("reassign".into()), ..keep() };
    let next = appended(folder.path(), &first, "next", &items, reassign);
    check(&next.index, &items);
    let (before, after) = (ids(&first), ids(&next.index));
    let moved: Vec<&String> = before.keys().filter(|&item| before[item] != after[item]).collect();
    assert!(moved.len() > 10 && moved.iter().all(|item| item[1..].parse::<usize>().unwrap() < 20), "{moved:?}");
    assert_eq!((next.counts.reassigned, next.counts.updated), (moved.len() as u64, 20 - moved.len() as u64));
    // The old IDs belong to no item, but a look-up still finds their former items.
    let old: BTreeSet<&String> = before.values().collect();
    let taken = after.iter().filter(|(item, id)| before[*item] != **id && old.contains(id));
    assert_eq!(taken.count(), 0);
    assert_eq!(look_up(&next.index, LookupKey::SemanticId(before[moved[0]].clone())), [(moved[0].clone(), Some(2))]);
    assert_eq!(look_up(&next.index, LookupKey::Item(moved[0].clone())), [(moved[0].clone(), None)]);
    let delta = IdDelta::read(&next.index.join("delta.parquet")).unwrap();
    assert_eq!((delta.count(IdChange::Reassigned), delta.kinds.len()), (next.counts.reassigned, 20));
    let kept = appended(folder.path(), &first, "kept", &items, keep()).index;
    assert_eq!(ids(&kept), before);
    // With their old IDs, the items are farther from their codewords.
    let error = |index: &Path| TokenTable::read(&index.join(TOKENS)).unwrap().residual_error.iter().sum::<f32>();
    assert!(error(&next.index) < error(&kept));
}

#[test]
fn the_id_of_a_deleted_item_is_reserved_until_its_quarantine_ends() {
    let folder = tempfile::tempdir().unwrap();
    // The items take all IDs.
    let mut items: Items = (0..32).map(|item| (item, 0)).collect();
    let base = index(folder.path(), &items, &[2, 4, 4], Collisions::Resolve);
    let list = folder.path().join("list.txt");
    fs::write(&list, "i3\ni9\n").unwrap();
    let deleted = |from: &Path, out: &str, quarantine| {
        let settings = DeleteSettings { quarantine, reason: Some("recall".into()) };
        let output = Output::new(folder.path().join(out));
        let spec = DeleteSpec { index: from.into(), items: list.clone(), settings, output, ..DeleteSpec::default() };
        delete(&spec, &Silent)
    };
    let held = deleted(&base, "held", None).unwrap();
    assert_eq!((held.counts.deleted, held.items, held.generation), (2, 30, 1));
    assert_eq!(Index::open(&held.index).unwrap().manifest().generation.reason.as_deref(), Some("recall"));
    let of_base = ids(&base);
    assert_eq!(look_up(&held.index, LookupKey::Item("i3".into())), [("i3".into(), Some(1))]);
    assert_eq!(look_up(&held.index, LookupKey::SemanticId(of_base["i9"].clone())), [("i9".into(), Some(1))]);
    // No ID is free for another item. Nothing is written.
    items.remove(&3);
    items.remove(&9);
    check(&held.index, &items);
    let other: Items = [(50, 0)].into();
    let (catalog, embedding) = write_catalog(folder.path(), "other", &other);
    let settings = AppendSettings { embedding: Some(spec::Embeddings(vec![embedding])), ..keep() };
    let output = Output::new(folder.path().join("full"));
    let spec = AppendSpec { index: held.index.clone(), catalog, settings, output, ..AppendSpec::default() };
    let message = append(&spec, &Silent).unwrap_err().to_string();
    assert!(!folder.path().join("full").exists(), "{message}");
    assert!(!folder.path().join("full.partial").exists(), "{message}");
    assert!(message.contains("<a_") || message.contains("prefix"), "{message}");
    // A deleted item that returns gets its old ID, even if its content changed.
    let back: Items = [(3, 8)].into();
    let returned = appended(folder.path(), &held.index, "returned", &back, keep());
    assert_eq!((returned.counts.added, ids(&returned.index)["i3"].as_str()), (1, of_base["i3"].as_str()));
    assert_eq!(look_up(&returned.index, LookupKey::Item("i3".into())), [("i3".into(), None)]);
    // With a quarantine of one generation, the IDs are free in the next generation.
    let short = deleted(&base, "short", Some(1)).unwrap().index;
    let given = appended(folder.path(), &short, "given", &other, keep()).index;
    let free = [&of_base["i3"], &of_base["i9"]];
    assert!(free.contains(&&ids(&given)["i50"]));
    items.insert(50, 0);
    check(&given, &items);
    // Of the two deleted items, one still finds its ID free; the ID of the other was given away.
    let taken = if ids(&given)["i50"] == of_base["i3"] { 3 } else { 9 };
    let other: Items = [(12 - taken, 0)].into();
    let whole = appended(folder.path(), &given, "whole", &other, keep()).index;
    assert_eq!(ids(&whole)[&format!("i{}", 12 - taken)], of_base[&format!("i{}", 12 - taken)]);
    let both: Items = [(3, 0), (9, 0)].into();
    let (catalog, embedding) = write_catalog(folder.path(), "both", &both);
    let settings = AppendSettings { embedding: Some(spec::Embeddings(vec![embedding])), ..keep() };
    let output = Output::new(folder.path().join("both-out"));
    let spec = AppendSpec { index: given, catalog, settings, output, ..AppendSpec::default() };
    assert!(append(&spec, &Silent).is_err(), "one ID is free for two items");
    // Unknown ids and the deletion of all items are refused. Items that were deleted before are counted.
    fs::write(&list, "i3\nnobody\n").unwrap();
    assert!(deleted(&base, "x", None).unwrap_err().to_string().contains("\"nobody\" in line 2"));
    fs::write(&list, "i3\n").unwrap();
    assert_eq!(deleted(&held.index, "twice", None).unwrap().deleted_before, 1);
    fs::write(&list, (0..32).map(|item| format!("i{item}\n")).collect::<String>()).unwrap();
    assert!(deleted(&base, "x", None).unwrap_err().to_string().contains("the ids of all items"));
}

#[test]
fn append_works_with_all_collision_policies() {
    for (policy, sizes) in
        [(Collisions::Keep, [2, 2, 2]), (Collisions::Suffix, [2, 2, 2]), (Collisions::LcRec, [4, 4, 4])]
    {
        let folder = tempfile::tempdir().unwrap();
        let mut items: Items = (0..30).map(|item| (item, 0)).collect();
        let base = index(folder.path(), &items, &sizes, policy);
        let new: Items = [(30, 0), (31, 0)].into();
        let next = appended(folder.path(), &base, "next", &new, keep());
        items.extend(new);
        check(&next.index, &items);
        let (before, after) = (ids(&base), ids(&next.index));
        assert!(before.iter().all(|(item, id)| after[item] == *id), "{policy}");
    }
}

/// If a writer is killed at any moment, the store has the previous generation, or the complete next one.
#[test]
fn a_killed_append_leaves_a_complete_generation() {
    let folder = tempfile::tempdir().unwrap();
    let mut items: Items = (0..3_000).map(|item| (item, 0)).collect();
    let base = index(folder.path(), &items, &[16, 16, 32], Collisions::Resolve);
    let path = folder.path().join("store");
    let store = Store::create(&path).unwrap();
    store.publish(&base, &PublishOptions::default()).unwrap();
    (3_000..3_400).for_each(|item| {
        items.insert(item, 0);
    });
    let (catalog, embedding) = write_catalog(folder.path(), "grown", &items);
    let shop = path.to_string_lossy().into_owned();
    let catalog = catalog.to_string_lossy().into_owned();
    let arguments = ["append", &shop, &catalog, "--store", &shop, "--embedding", &embedding];
    let mut killed = 0;
    for round in 0..12 {
        let mut child = catalex(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(20 + 37 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let current = store.current().unwrap();
        let generation = Index::open(&current).unwrap().manifest().generation.clone();
        killed += u32::from(generation.counts.added == 0);
        if generation.number == 0 {
            assert_eq!(ids(&current).len(), 3_000);
        }
    }
    assert!(killed > 0, "no run was killed before its end");
    succeeds(&arguments);
    succeeds(&["verify", &shop]);
    let current = store.current().unwrap();
    check(&current, &items);
    let before = ids(&base);
    let after = ids(&current);
    assert!(before.iter().all(|(item, id)| after[item] == *id));
    let left: Vec<String> =
        fs::read_dir(&path).unwrap().map(|entry| text(entry.unwrap().file_name().as_encoded_bytes())).collect();
    assert!(left.iter().all(|name| !name.ends_with(".partial")), "{left:?}");
}

#[test]
fn the_command_line_prints_changes_and_errors() {
    let folder = tempfile::tempdir().unwrap();
    let mut items: Items = (0..40).map(|item| (item, 0)).collect();
    let base = index(folder.path(), &items, &[4, 4, 8], Collisions::Resolve).to_string_lossy().into_owned();
    items.insert(40, 0);
    items.remove(&7);
    let (catalog, embedding) = write_catalog(folder.path(), "night", &items);
    let (catalog, out) =
        (catalog.to_string_lossy().into_owned(), folder.path().join("next").to_string_lossy().into_owned());
    let arguments = ["append", &base, &catalog, "--embedding", &embedding, "--missing", "delete", "--out", &out];
    let printed = succeeds(&arguments);
    for line in ["encoded      1\n", "unchanged    39\n", "added        1\n", "deleted      1\n", "generation   1\n"] {
        assert!(printed.contains(line), "{printed}");
    }
    let found = succeeds(&["lookup", &out, "--item", "i7"]);
    assert!(found.ends_with("\ti7\tdeleted in generation 1\n"), "{found}");
    let found = succeeds(&["lookup", &out, "--item", "i7", "--json"]);
    assert!(found.contains("\"deleted_in\": 1"), "{found}");
    let says = |arguments: &[&str]| outcome(&catalex(arguments).output().unwrap());
    let (code, message) = says(&["append", &base, &catalog, "--missing", "drop", "--out", "x"]);
    assert!(code == 2 && message.contains("keep or delete"), "{message}");
    let (code, message) = says(&["append", &base, &catalog, "--embedding", "image=x.npy", "--out", "x"]);
    assert!(code == 2 && message.contains("a modality of the index: text"), "{message}");
    let (code, message) = says(&["append", &base, &catalog, "--text-encoder", "x", "--out", "x"]);
    assert!(code == 2 && message.contains("the index was built without it"), "{message}");
    let few: Items = [(1, 0)].into();
    let (part, of_part) = write_catalog(folder.path(), "part", &few);
    let part = part.to_string_lossy().into_owned();
    let (code, message) = says(&[
        "append",
        &base,
        &part,
        "--embedding",
        &of_part,
        "--missing",
        "delete",
        "--out",
        &format!("{out}-part"),
    ]);
    assert!(code == 1 && message.contains("at least 50 % of the 40 items of the index, got 1"), "{message}");
    let (code, message) = says(&["append", &base, &catalog]);
    assert!(code == 2 && message.contains("--out <PATH>|--store <DIR>"), "{message}");
    fs::remove_file(folder.path().join("base.parquet")).unwrap();
    let (code, message) = says(&["append", &base, &catalog, "--out", "x"]);
    assert!(code == 2 && message.contains("--embedding text=FILE"), "{message}");
    // Other verbs read the new generation like any index.
    succeeds(&["verify", &out]);
    assert!(succeeds(&["inspect", &out]).contains("distinct IDs       40"));
    let table = folder.path().join("again.parquet").to_string_lossy().into_owned();
    succeeds(&["tokenize", &out, "--model", &out, "--out", &table]);
}

/// The commands of docs/lifecycle.md.
#[cfg(all(feature = "train", feature = "encoders"))]
#[test]
fn the_documented_week_of_a_shop_runs() {
    let page = fs::read_to_string(super::support::root().join("docs/lifecycle.md")).unwrap();
    let week = page.split_once("## A week of a shop").unwrap().1;
    let commands = week.split_once("```sh\n").unwrap().1.split_once("```").unwrap().0;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: String| fs::write(folder.path().join(name), content).unwrap();
    let line = |item: usize, word: &str| format!("{item},{word} number {item} of {}\n", ["steel", "wood"][item % 2]);
    let catalog = |items: &mut dyn Iterator<Item = usize>, word: &dyn Fn(usize) -> &'static str| {
        items.map(|item| line(item, word(item))).fold("item_id,title\n".to_owned(), |all, line| all + &line)
    };
    let usual = |item: usize| ["pen", "lamp", "chair", "stool"][item % 4];
    write("monday.csv", catalog(&mut (0..60), &usual));
    write("tuesday.csv", catalog(&mut (2..65), &|item| if item == 7 { "sofa" } else { usual(item) }));
    write("wednesday.csv", catalog(&mut (2..70), &usual));
    write("thursday-new.csv", catalog(&mut (70..75), &usual));
    write("friday.csv", catalog(&mut (12..80), &usual));
    write("recalled.txt", "10\n11\n".into());
    let event = |user: usize| {
        format!("u{user} {}\n", (0..5).map(|at| (2 + (user * 7 + at) % 60).to_string()).collect::<Vec<_>>().join(" "))
    };
    write("events.txt", (0..20).map(event).collect());
    fs::create_dir(folder.path().join("encoders")).unwrap();
    std::os::unix::fs::symlink(super::support::minilm(), folder.path().join("encoders/minilm")).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_catalex")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut ran = std::process::Command::new("sh");
    ran.args(["-e", "-c", commands]).env("PATH", path).current_dir(folder.path());
    let ran = ran.output().unwrap();
    assert!(ran.status.success(), "{}\n{}", text(&ran.stdout), text(&ran.stderr));
    let store = Store::open(&folder.path().join("shop")).unwrap();
    assert_eq!(store.current_number().unwrap(), Some(4));
    let counts: Vec<(u64, u64, u64)> = store
        .history()
        .unwrap()
        .iter()
        .map(|one| one.manifest.as_ref().unwrap().generation.counts)
        .map(|counts| (counts.added, counts.updated, counts.deleted))
        .collect();
    assert_eq!(counts[1..5], [(5, 1, 2), (5, 1, 0), (0, 0, 2), (5, 0, 0)]);
    assert_eq!(counts.len(), 6, "the retrained index is listed as well");
    let printed = text(&ran.stdout);
    assert!(printed.contains("encoded      6\n") && printed.contains("encoded      5\n"), "{printed}");
    // The IDs of remaining items and the list of tokens did not change.
    let generations: Vec<BTreeMap<String, String>> = (0..5).map(|number| ids(&store.path_of(number))).collect();
    for pair in generations.windows(2) {
        assert!(pair[1].iter().all(|(item, id)| pair[0].get(item).is_none_or(|old| old == id)));
    }
    let words = |number: u64| fs::read(store.path_of(number).join("vocabulary/new_tokens.json")).unwrap();
    assert_eq!(words(0), words(4));
    assert_eq!(look_up(&folder.path().join("shop"), LookupKey::Item("10".into())), [("10".into(), Some(3))]);
}
