//! IDs that several items share (`--capacity`): from the catalog's columns to appends, constraint files and lookup.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use catalex::artifact::Overwrite;
use catalex::constraint::{Prefix, Trie};
use catalex::features::{Features, Modality};
use catalex::index::{Generation, IndexWriter, MODEL, TOKENS, VOCABULARY};
use catalex::item_ids::ItemIds;
use catalex::pipeline::{
    AppendSettings, AppendSpec, BuildSpec, EncodeSettings, MemberCatalogSettings, Output, SharingSettings,
    TokenizeSpec, VerifySpec, append, spec, tokenize, verify,
};
use catalex::progress::Silent;
use catalex::semantic_id::TokenTable;
use catalex::vocabulary::{VocabularyOptions, write_vocabulary};
use ndarray::Array2;
use proptest::prelude::*;

use super::append::{deleting, keep};
use super::support::{catalex, hand_made, numbers, outcome, succeeds};

const DIM: usize = 6;
const CAPACITY: u16 = 3;

/// The items of a shop: the version of each item's content, and its risk class.
type Funds = BTreeMap<usize, (u64, u8)>;

/// Writes a catalog with the columns "risk" and "sales", and a file of vectors. Some vectors are equal.
fn write_catalog(folder: &Path, name: &str, items: &Funds) -> (PathBuf, PathBuf) {
    let line = |(item, (_, class)): (&usize, &(u64, u8))| format!("i{item},Fund {item},r{class},{}\n", item % 7);
    let catalog = folder.join(format!("{name}.csv"));
    let lines: String = items.iter().map(line).collect();
    fs::write(&catalog, format!("item_id,title,risk,sales\n{lines}")).unwrap();
    let values = items.iter().flat_map(|(&item, &(version, _))| {
        let mut next = numbers(1 + (item / 2) as u64 * 1_000 + version);
        (0..DIM).map(move |_| next())
    });
    let vectors = Array2::from_shape_vec((items.len(), DIM), values.collect()).unwrap();
    let text = Modality { name: "text".into(), present: vec![true; items.len()], vectors };
    let ids = ItemIds::Strings(items.keys().map(|item| format!("i{item}")).collect());
    let path = folder.join(format!("{name}.parquet"));
    Features::new(ids, vec![text]).unwrap().write(&path, Overwrite::Replace).unwrap();
    (catalog, path)
}

fn sharing() -> SharingSettings {
    SharingSettings {
        capacity: Some(u32::from(CAPACITY)),
        must_differ: Some(vec!["risk".into()]),
        member_rank: Some("sales".into()),
    }
}

/// An index whose items share IDs, with a hand-made model.
fn index(folder: &Path, items: &Funds, sizes: &[usize]) -> PathBuf {
    let (catalog, features) = write_catalog(folder, "base", items);
    let model = hand_made(DIM, sizes);
    let (out, tokens) = (folder.join("index"), folder.join("tokens.parquet"));
    model.save(&folder.join("model"), Overwrite::Refuse).unwrap();
    let spec = TokenizeSpec {
        features: features.clone(),
        model: folder.join("model"),
        sharing: sharing(),
        members: MemberCatalogSettings { catalog: Some(catalog.clone()), ..MemberCatalogSettings::default() },
        output: Output::new(&tokens),
        ..TokenizeSpec::default()
    };
    tokenize(&spec, &Silent).unwrap();
    let writer = IndexWriter::create(&out, Overwrite::Refuse).unwrap();
    fs::copy(&features, writer.path("features.parquet")).unwrap();
    fs::copy(&tokens, writer.path(TOKENS)).unwrap();
    model.save(&writer.path(MODEL), Overwrite::Refuse).unwrap();
    let table = TokenTable::read(&tokens).unwrap();
    write_vocabulary(&writer.path(VOCABULARY), &table, &VocabularyOptions::default(), Overwrite::Refuse, &Silent)
        .unwrap();
    let embedding = Some(spec::Embeddings(vec![format!("text={}", features.display())]));
    let encode = EncodeSettings { embedding, ..EncodeSettings::default() };
    let settings =
        serde_json::to_value(BuildSpec { catalog, encode, sharing: sharing(), ..BuildSpec::default() }).unwrap();
    writer.commit(items.len() as u64, model.hash(), settings, Generation::default()).unwrap();
    out
}

fn appended(folder: &Path, from: &Path, out: &str, items: &Funds, settings: AppendSettings) -> PathBuf {
    let (catalog, features) = write_catalog(folder, out, items);
    let embedding = Some(spec::Embeddings(vec![format!("text={}", features.display())]));
    let settings = AppendSettings { embedding, ..settings };
    let output = Output::new(folder.join(out));
    append(&AppendSpec { index: from.into(), catalog, settings, output, ..AppendSpec::default() }, &Silent)
        .unwrap()
        .index
}

/// The ID and the risk class of each item. Reading the table checks capacity, ranks and classes.
fn ids(index: &Path) -> BTreeMap<usize, (String, String)> {
    let table = TokenTable::read(&index.join(TOKENS)).unwrap();
    let classes = table.members.as_ref().unwrap().classes.as_ref().unwrap();
    let entry = |row: usize| {
        let item = table.item_ids.text(row)[1..].parse().unwrap();
        (item, (table.semantic_id(row), classes.name(row).to_owned()))
    };
    (0..table.item_ids.len()).map(entry).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// For any sequence of changes, items of different classes never share an ID, only items whose class changed move,
    /// and an ID that no item has any more is not given to another item.
    #[test]
    fn shared_ids_stay_and_never_mix_classes(
        steps in prop::collection::vec((prop::collection::vec(0u8..7, 70), 0usize..12, any::<bool>()), 1..5),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut items: Funds = (0..40).map(|item| (item, (0, (item % 3) as u8))).collect();
        let base = index(folder.path(), &items, &[3, 4, 6]);
        let shared = ids(&base).values().map(|(id, _)| id.clone()).collect::<BTreeSet<_>>().len();
        prop_assert!(shared < items.len());
        // From here on, the index has the content hashes of all items.
        let mut current = appended(folder.path(), &base, "start", &items, keep());
        prop_assert_eq!(ids(&base), ids(&current));
        let (mut used, mut next_item) = (BTreeSet::new(), 40);
        for (at, (fates, new, delete)) in steps.into_iter().enumerate() {
            let before = ids(&current);
            used.extend(before.values().map(|(id, _)| id.clone()));
            let fate = |item: usize| fates[item % fates.len()];
            let mut catalog: Funds = items.iter().filter(|(item, _)| fate(**item) != 1).map(|(a, b)| (*a, *b)).collect();
            for (&item, (version, class)) in &mut catalog {
                *version += u64::from(fate(item) == 0);
                *class = if fate(item) == 2 { (*class + 1) % 3 } else { *class };
            }
            catalog.extend((next_item..next_item + new).map(|item| (item, (0, (item % 3) as u8))));
            next_item += new;
            if catalog.is_empty() {
                continue;
            }
            let settings = if delete { deleting() } else { keep() };
            current = appended(folder.path(), &current, &format!("g{at}"), &catalog, settings);
            if delete {
                items.clear();
            }
            items.extend(catalog);
            let after = ids(&current);
            prop_assert_eq!(after.keys().collect::<Vec<_>>(), items.keys().collect::<Vec<_>>());
            for (item, (id, class)) in &after {
                prop_assert_eq!(class, &format!("[\"r{}\"]", items[item].1));
                let old = before.get(item);
                let moved = old.is_some_and(|(old, _)| old != id);
                prop_assert!(!moved || old.is_some_and(|(_, old)| old != class), "item {item} moved");
                if moved || old.is_none() {
                    let joins = before.iter().any(|(other, (old, _))| old == id && other != item && after.contains_key(other));
                    let returns = old.is_none() && *item < next_item - new;
                    prop_assert!(joins || returns || !used.contains(id), "item {item} got a deleted item's ID {id}");
                }
            }
            let spec = VerifySpec { path: current.clone(), tokens: None };
            prop_assert!(verify(&spec, &Silent).unwrap().whole, "damaged");
        }
    }
}

#[test]
fn constraint_files_and_lookup_know_the_members() {
    let folder = tempfile::tempdir().unwrap();
    let items: Funds = (0..40).map(|item| (item, (0, (item % 3) as u8))).collect();
    let base = index(folder.path(), &items, &[3, 3, 3]);
    let table = TokenTable::read(&base.join(TOKENS)).unwrap();
    let ranks = &table.members.as_ref().unwrap().ranks;
    let crowded = (0..40).find(|&row| ranks[row] == 2).expect("an ID with three items");
    let id = table.semantic_id(crowded);
    let hits: serde_json::Value =
        serde_json::from_str(&succeeds(&["lookup", base.to_str().unwrap(), &id, "--json"])).unwrap();
    let hits = hits.as_array().unwrap();
    assert_eq!(hits.iter().map(|hit| hit["member"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2]);
    let sales = |hit: &serde_json::Value| hit["item_id"].as_str().unwrap()[1..].parse::<u64>().unwrap() % 7;
    assert!(hits.windows(2).all(|pair| sales(&pair[0]) >= sales(&pair[1])), "{hits:?}");
    assert!(hits.iter().all(|hit| hit["must_differ"] == hits[0]["must_differ"]));

    let out = folder.path().join("constraint");
    succeeds(&["constrain", base.to_str().unwrap(), "--form", "trie,choices,regex", "--out", out.to_str().unwrap()]);
    let trie = Trie::load(&out.join("ids.trie")).unwrap();
    assert_eq!(trie.rows_under(Prefix::EMPTY).len(), 40);
    let rows = trie.rows_under(trie.find(&table.codes.row(crowded).to_vec()).unwrap());
    assert_eq!(rows.iter().map(|&row| ranks[row as usize]).collect::<Vec<_>>(), [0, 1, 2]);
    let choices: Vec<String> = serde_json::from_slice(&fs::read(out.join("choices.json")).unwrap()).unwrap();
    let distinct: BTreeSet<String> = (0..40).map(|row| table.semantic_id(row)).collect();
    assert_eq!((choices.len(), choices.into_iter().collect::<BTreeSet<_>>()), (distinct.len(), distinct));
    assert!(verify(&VerifySpec { path: out, tokens: Some(base) }, &Silent).unwrap().whole);
}

#[cfg(feature = "train")]
#[test]
fn retrain_refuses_shared_ids() {
    use catalex::pipeline::{RetrainSpec, retrain};

    let folder = tempfile::tempdir().unwrap();
    let items: Funds = (0..9).map(|item| (item, (0, 0))).collect();
    let base = index(folder.path(), &items, &[3, 3]);
    let spec = RetrainSpec { index: base, output: Output::new(folder.path().join("next")), ..RetrainSpec::default() };
    let refused = retrain(&spec, &Silent).unwrap_err().to_string();
    assert!(refused.contains("shared IDs"), "{refused}");
}

#[test]
fn deleted_members_get_their_shared_id_again() {
    let folder = tempfile::tempdir().unwrap();
    let items: Funds = (0..40).map(|item| (item, (0, (item % 3) as u8))).collect();
    let base = index(folder.path(), &items, &[3, 3, 3]);
    let start = appended(folder.path(), &base, "start", &items, keep());
    let before = ids(&start);
    // Some of the members of each ID, and then all of them.
    for (name, stays) in [("some", 3), ("all", 41)] {
        let left: Funds = items.iter().filter(|(item, _)| **item % stays == 0).map(|(a, b)| (*a, *b)).collect();
        let deleted = appended(folder.path(), &start, &format!("{name}-deleted"), &left, deleting());
        assert_eq!(ids(&deleted).len(), left.len());
        let returned = appended(folder.path(), &deleted, &format!("{name}-returned"), &items, keep());
        assert_eq!(ids(&returned), before, "{name}");
        assert!(verify(&VerifySpec { path: returned, tokens: None }, &Silent).unwrap().whole);
    }
}

#[test]
fn contradicting_settings_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let items: Funds = (0..9).map(|item| (item, (0, 0))).collect();
    let (catalog, features) = write_catalog(folder.path(), "base", &items);
    hand_made(DIM, &[4, 4]).save(&folder.path().join("model"), Overwrite::Refuse).unwrap();
    let says = |more: &[&str]| {
        let model = folder.path().join("model");
        let start = ["tokenize", features.to_str().unwrap(), "--model", model.to_str().unwrap(), "--out", "t.parquet"];
        let (code, err) = outcome(&catalex(&[&start[..], more].concat()).output().unwrap());
        assert_ne!(code, 0, "{more:?}");
        err
    };
    let catalog = catalog.to_str().unwrap();
    for (flags, expected) in [
        (&["--must-differ", "risk"][..], "capacity"),
        (&["--capacity", "2", "--must-differ", "risk"], "catalog"),
        (&["--capacity", "2", "--catalog", catalog], "must-differ or member-rank"),
        (&["--capacity", "2", "--collisions", "suffix"], "resolve, together with --capacity"),
        (&["--collisions", "share"], "--capacity"),
        (&["--capacity", "2", "--must-differ", "rysk", "--catalog", catalog], "rysk"),
        (&["--capacity", "70000"], "65535"),
        (&["--capacity", "2", "--member-rank", "title", "--catalog", catalog], "a number in the column title"),
    ] {
        let err = says(flags);
        assert!(err.contains(expected), "{flags:?}: {err}");
    }
}
