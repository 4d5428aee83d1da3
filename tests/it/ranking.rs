//! `catalex features`: semantic IDs of an index as features of ranking models.

use std::fs;

use serde_json::Value;

use super::support::{catalex, outcome, succeeds};
use super::verify::parts;

#[test]
fn features_of_an_index_have_all_forms_and_a_frozen_vocabulary() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (small, large) = (path("small"), path("large"));
    parts(20).write(small.as_ref());
    parts(40).write(large.as_ref());
    let events: String = (0..30).map(|event| format!("{},{}\n", event % 3, event % 4)).collect();
    fs::write(path("events.csv"), format!("user_id,item_id\n{events}")).unwrap();
    let (subwords, events) = (path("subwords.json"), path("events.csv"));
    let command = |index: &str, out: &str, more: &[&str]| -> Vec<String> {
        let fixed = ["features", index, "--form", "levels,prefix-ngrams,subwords", "--table-size", "16"];
        let named = ["--subword-vocabulary", &subwords, "--out", &path(out), "--json"].map(str::to_owned);
        fixed.iter().chain(more).map(|word| (*word).to_owned()).chain(named).collect()
    };
    let refused = |arguments: &[String]| outcome(&catalex(arguments).output().unwrap());

    let (exit, message) = refused(&command(&small, "a.parquet", &[]));
    assert!(exit == 2 && message.contains("setting subwords") && message.contains("more than 12"), "{message}");
    let train = ["--subwords", "20", "--interactions", &events];
    let written: Value = serde_json::from_str(&succeeds(&command(&small, "a.parquet", &train))).unwrap();
    assert_eq!(written["items"], 20);
    let columns = written["columns"].as_array().unwrap();
    let about = |column: &Value| format!("{} {} {}", column["name"], column["cardinality"], column["hashed"]);
    assert_eq!(
        columns.iter().map(about).collect::<Vec<_>>(),
        [
            "\"level_0\" 4 false",
            "\"level_1\" 4 false",
            "\"level_2\" 4 false",
            "\"prefix_1\" 4 false",
            "\"prefix_2\" 16 false",
            "\"prefix_3\" 16 true",
            "\"subwords\" 20 false",
        ]
    );
    assert_eq!(written["subword_vocabulary"]["trained"], true);

    // The vocabulary is read for the next table, and does not change.
    let before = fs::read(&subwords).unwrap();
    for more in [&[][..], &train] {
        let again: Value =
            serde_json::from_str(&succeeds(&command(&large, "b.parquet", &[more, &["--force"]].concat()))).unwrap();
        assert_eq!((&again["items"], &again["subword_vocabulary"]["trained"]), (&40.into(), &false.into()));
    }
    assert_eq!(fs::read(&subwords).unwrap(), before);
    let again = command(&small, "c.parquet", &[]);
    succeeds(&again);
    assert_eq!(fs::read(path("a.parquet")).unwrap(), fs::read(path("c.parquet")).unwrap());
    let text = ["features", &small, "--form=levels", "--out", &path("d.parquet")].map(str::to_owned);
    assert!(succeeds(&text).contains("level_2      int32                     4\n"));

    for (more, exit, expected) in [
        (&["--subwords", "21"][..], 2, "expected 20"),
        (&["--form", "words"], 2, "levels, prefix-ngrams, subwords"),
        (&["--form", "levels"], 2, "levels twice"),
        (&["--interactions-user", "user"], 2, "interactions"),
    ] {
        let (got, message) = refused(&command(&small, "e.parquet", more));
        assert!(got == exit && message.contains(expected), "{more:?}: {message}");
    }
    let (exit, message) = refused(&again);
    assert!(exit == 1 && message.contains("already exists"), "{message}");
    let (exit, message) = refused(
        &["features", &small, "--form=levels", "--subwords=20", "--out", &path("e.parquet")].map(str::to_owned),
    );
    assert!(exit == 2 && message.contains("the form subwords as well"), "{message}");
}

#[test]
fn verify_detects_changes_of_ranking_features_and_vocabularies() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    parts(20).write(path("index").as_ref());
    let (index, out, subwords) = (path("index"), path("features.parquet"), path("words.json"));
    let flags = ["--form=subwords", "--subwords=20", "--subword-vocabulary", &subwords, "--out", &out];
    succeeds(&[&["features", &index][..], &flags].concat());
    for (file, kind) in [(&out, "ranking features"), (&subwords, "subword vocabulary")] {
        let checked: Value = serde_json::from_str(&succeeds(&["verify", file, "--json"])).unwrap();
        assert_eq!((checked["kind"].as_str(), &checked["whole"]), (Some(kind), &true.into()));
        let mut content = fs::read(file).unwrap();
        content[60] ^= 1;
        fs::write(file, content).unwrap();
        let (exit, message) = outcome(&catalex(&["verify", file]).output().unwrap());
        assert_eq!(exit, 1, "{message}");
    }
}
