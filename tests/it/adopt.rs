//! `import` and `adopt`: IDs of another system become a token table, and then an index with the same IDs.

use std::fs;

use catalex::features::{Features, Modality};
use catalex::index::{ChangeKind, Index};
use catalex::item_ids::ItemIds;
use catalex::semantic_id::TokenTable;
use catalex::tokenizer::Tokenizer;

use super::support::{catalex, clustered, outcome, succeeds};

const ITEMS: usize = 300;

/// An `index.json`. The items of each of the 20 clusters of [`clustered`] share their first code, and 40 items share
/// their ID with another item.
fn index_json() -> String {
    let item = |i: usize| format!("\"i{i}\": [\"<a_{}>\", \"<b_{}>\"]", i % 20, (i / 20) % 14);
    format!("{{{}}}", (0..ITEMS).map(item).collect::<Vec<_>>().join(", "))
}

/// The vectors of the items in reverse order, with vectors of other items between them.
fn features() -> Features {
    let vectors = clustered(ITEMS, 6);
    let rows: Vec<usize> =
        (0..ITEMS).rev().flat_map(|row| if row % 100 == 0 { vec![row, row] } else { vec![row] }).collect();
    let id = |(at, &row): (usize, &usize)| {
        if at > 0 && rows[at - 1] == row { format!("other{row}") } else { format!("i{row}") }
    };
    let ids = rows.iter().enumerate().map(id).collect();
    let vectors = vectors.select(ndarray::Axis(0), &rows);
    let modality = Modality { name: "text".into(), present: vec![true; rows.len()], vectors };
    Features::new(ItemIds::Strings(ids), vec![modality]).unwrap()
}

#[test]
fn an_adopted_index_keeps_every_id_and_works_with_all_verbs() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    fs::write(path("x.index.json"), index_json()).unwrap();
    features().write(path("x.parquet").as_ref(), catalex::artifact::Overwrite::Refuse).unwrap();
    let import = ["import", &path("x.index.json"), "--from", "lc-rec", "--out", &path("t.parquet")];
    let printed = succeeds(&import);
    assert!(printed.contains("40 items share their ID") && printed.contains("<a_0><b_0>"), "{printed}");
    let figures: serde_json::Value =
        serde_json::from_str(&succeeds(&["inspect", &path("t.parquet"), "--json"])).unwrap();
    assert_eq!((figures["items"].as_u64(), figures["distinct_ids"].as_u64()), (Some(300), Some(280)));
    assert!(succeeds(&["inspect", &path("t.parquet")]).contains("none: the IDs were imported"));

    let adopt =
        ["adopt", &path("t.parquet"), "--features", &path("x.parquet"), "--reason", "moved here", "--json", "--out"];
    let run = |out: &str, more: &[&str]| succeeds(&[&adopt[..], &[&path(out)], more].concat());
    let summary: serde_json::Value = serde_json::from_str(&run("index", &[])).unwrap();
    assert_eq!((summary["items"].as_u64(), summary["left_out"].as_u64()), (Some(300), Some(3)));
    assert_eq!(summary["colliding_items"].as_u64(), Some(40));
    assert!((15..50).contains(&summary["held_out"].as_u64().unwrap()), "{summary}");
    let first = &summary["levels"][0];
    assert!(first["nearest"].as_f64() > Some(0.9) && first["nearest_held_out"].as_f64() > Some(0.8), "{summary}");
    run("again", &["--threads", "1"]);
    for file in ["manifest.json", "tokens.parquet", "features.parquet", "model/model.safetensors"] {
        let bytes = |index: &str| fs::read(folder.path().join(index).join(file)).unwrap();
        assert_eq!(bytes("index"), bytes("again"), "{file}");
    }

    let index = Index::open(path("index").as_ref()).unwrap();
    let generation = &index.manifest().generation;
    assert_eq!((generation.change, generation.counts.added), (ChangeKind::Adopt, 300));
    assert_eq!((generation.reason.as_deref(), generation.number), (Some("moved here"), 0));
    let (before, after) =
        (TokenTable::read(path("t.parquet").as_ref()), TokenTable::read(&index.path("tokens.parquet")));
    let (before, after) = (before.unwrap(), after.unwrap());
    let rows = before.item_ids.rows_by_text();
    for row in 0..ITEMS {
        assert_eq!(before.codes.row(rows[&after.item_ids.text(row)]), after.codes.row(row));
    }
    // The model reproduces the codes of exactly the rows that are not marked as reassigned.
    let model = Tokenizer::load(&index.path("model")).unwrap();
    assert_eq!(after.metadata.model_hash, model.hash());
    assert!(model.config().training.as_ref().unwrap().residual_errors.is_some());
    succeeds(&[
        "tokenize",
        &path("index"),
        "--model",
        &path("index"),
        "--collisions",
        "keep",
        "--out",
        &path("own.parquet"),
    ]);
    let own = TokenTable::read(path("own.parquet").as_ref()).unwrap();
    let same = |row: &usize| own.codes.row(*row) == after.codes.row(*row);
    assert!((0..ITEMS).all(|row| same(&row) != after.reassigned[row]));
    let share = (0..ITEMS).filter(same).count() as f64 / ITEMS as f64;
    assert!((share - summary["levels"][1]["given_back"].as_f64().unwrap()).abs() < 1e-9);

    let diff: serde_json::Value =
        serde_json::from_str(&succeeds(&["diff", &path("t.parquet"), &path("index"), "--json"])).unwrap();
    assert_eq!((diff["same"].as_u64(), diff["moved"].as_u64(), diff["added"].as_u64()), (Some(300), Some(0), Some(0)));
    assert!(succeeds(&["diff", &path("index"), &path("own.parquet")]).contains("in both            300"));
    assert!(succeeds(&["inspect", &path("index")]).contains("in-sample error"));
    succeeds(&["constrain", &path("index"), "--form", "trie", "--out", &path("trie")]);
    succeeds(&["vocab", &path("index"), "--out", &path("vocabulary")]);
    assert_eq!(succeeds(&["lookup", &path("index"), "<a_0><b_0>"]).lines().count(), 2);
}

#[test]
fn invalid_adoptions_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    fs::write(path("x.json"), "{\"i0\": [1, 2], \"i1\": [0, 3], \"z\": [1, 1]}").unwrap();
    features().write(path("x.parquet").as_ref(), catalex::artifact::Overwrite::Refuse).unwrap();
    let run = |arguments: &[&str]| outcome(&catalex(arguments).output().unwrap());
    let (code, says) = run(&["import", &path("x.json"), "--out", &path("t.parquet")]);
    assert!(code == 2 && says.contains("lc-rec, minionerec, letter, torcheasyrec or codes"), "{says}");
    succeeds(&["import", &path("x.json"), "--from", "letter", "--out", &path("t.parquet")]);
    let (code, says) = run(&["adopt", &path("t.parquet"), "--features", &path("x.parquet"), "--out", &path("index")]);
    assert!(
        code == 1
            && says.contains("item \"z\"") | says.contains("item z")
            && says.contains("no features for 1 of them"),
        "{says}"
    );
    assert!(!folder.path().join("index").exists());
    let (code, says) = run(&["diff", &path("t.parquet"), &path("nothing")]);
    assert!(code == 1 && says.contains("nothing"), "{says}");
}
