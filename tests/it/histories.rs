//! `inspect --interactions` and `compare`: IDs against the histories of the emoji fixture, through the built binary.

use std::fs;
use std::path::Path;

use catalex::artifact::Overwrite;
use catalex::catalog::{CatalogReader, CatalogSpec};
use catalex::item_ids::ItemIds;
use catalex::semantic_id::{Collisions, TableMetadata, TokenFormat, TokenTable};
use ndarray::{Array2, Axis};
use serde_json::Value;

use super::support::{catalex, outcome, root, succeeds};

const HISTORIES: [&str; 2] = ["--interactions", "fixtures/emoji/histories.csv"];

/// The emoji and the number of each one's subgroup, in which users stay.
fn emoji() -> (ItemIds, Vec<usize>) {
    let path = root().join("fixtures/emoji/catalog.parquet");
    let spec = CatalogSpec { path, fields: vec!["subgroup".into()], ..CatalogSpec::default() };
    let (mut ids, mut names, mut subgroups) = (ItemIds::Strings(Vec::new()), Vec::new(), Vec::new());
    for batch in CatalogReader::open(&spec).unwrap() {
        let batch = batch.unwrap();
        ids.append(batch.item_ids);
        for mut fields in batch.fields {
            let name = fields.remove(0).remove(0);
            let known = names.iter().position(|known| *known == name);
            subgroups.push(known.unwrap_or(names.len()));
            if known.is_none() {
                names.push(name);
            }
        }
    }
    (ids, subgroups)
}

fn write(path: &Path, item_ids: ItemIds, codes: Array2<u16>) {
    let table = TokenTable {
        members: None,
        residual_error: vec![0.0; item_ids.len()],
        reassigned: vec![false; item_ids.len()],
        item_ids,
        metadata: TableMetadata {
            model_hash: "0".repeat(64),
            codebook_sizes: vec![256; codes.ncols()],
            token_format: TokenFormat::default(),
            policy: Collisions::Keep,
            collisions: None,
        },
        codes,
    };
    table.write(path, Overwrite::Refuse).unwrap();
}

/// IDs that begin with the subgroup, and the same IDs given to other items.
fn write_tables(folder: &Path) {
    let (ids, subgroups) = emoji();
    let mut sizes = [0; 128];
    let place = |at: usize, sizes: &mut [u16; 128]| {
        sizes[at] += 1;
        sizes[at] - 1
    };
    let places: Vec<u16> = subgroups.iter().map(|&subgroup| place(subgroup, &mut sizes)).collect();
    let meaningful = Array2::from_shape_fn((ids.len(), 2), |(row, level)| match level {
        0 => subgroups[row] as u16,
        _ => places[row],
    });
    let n = ids.len();
    let rows: Vec<usize> = (0..n).map(|row| row * 733 % n).collect();
    write(&folder.join("random"), ids.clone(), meaningful.select(Axis(0), &rows));
    write(&folder.join("meaningful"), ids, meaningful);
}

#[test]
fn meaningful_ids_predict_the_next_item_better_than_random_ones() {
    let folder = tempfile::tempdir().unwrap();
    write_tables(folder.path());
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (meaningful, random) = (path("meaningful"), path("random"));
    let inspect = |table: &str, more: &[&str]| succeeds(&[&["inspect", table], &HISTORIES[..], more].concat());
    let figures = |table: &str| -> Value {
        serde_json::from_str::<Value>(&inspect(table, &["--json"])).unwrap()["histories"].clone()
    };
    let (good, bad) = (figures(&meaningful), figures(&random));
    let number = |value: &Value| value.as_f64().unwrap();
    assert!(number(&good["next_item"]["nats"]) < number(&bad["next_item"]["nats"]) - 0.5, "{good:#} {bad:#}");
    assert!(number(&good["next_item"]["recall"]) > number(&bad["next_item"]["recall"]));
    assert!(number(&good["purity"][0]["lift"]) > 3.0 * number(&bad["purity"][0]["lift"]).max(0.8));
    assert!((0.7..1.3).contains(
        &(number(&bad["purity"][0]["share_in_training"]) / number(&bad["purity"][0]["by_chance_in_training"]))
    ));
    assert!(number(&good["co_occurrence"][0]["share"]) > 3.0 * number(&bad["co_occurrence"][0]["share"]));

    let compare = |a: &str, b: &str, more: &[&str]| succeeds(&[&["compare", a, b], &HISTORIES[..], more].concat());
    let printed = compare(&meaningful, &random, &["--json"]);
    assert_eq!(printed, compare(&meaningful, &random, &["--json"]));
    let found: Value = serde_json::from_str(&printed).unwrap();
    let (mut good, mut bad) = (good, bad);
    let gain = |figures: &mut Value| number(&figures.as_object_mut().unwrap().remove("shuffled").unwrap()["gain"]);
    let (helps, useless) = (gain(&mut good), gain(&mut bad));
    assert!(helps > 0.5 && useless < 0.2 * helps, "{helps} {useless}");
    assert_eq!((&found["a"], &found["b"], &found["common_items"]), (&good, &bad, &1852.into()));
    assert_eq!(found["better"], "a", "{}", found["result"]);
    let turned: Value = serde_json::from_str(&compare(&random, &meaningful, &["--json"])).unwrap();
    assert_eq!(turned["better"], "b", "{}", turned["result"]);
    assert!(compare(&random, &random, &[]).starts_with("No difference that these histories show: "));

    // What predicts recommendation comes first; the other figures follow if they are asked for.
    let (text, all, plain) =
        (inspect(&meaningful, &[]), inspect(&meaningful, &["--all"]), succeeds(&["inspect", &meaningful]));
    assert!(
        text.starts_with("histories ") && text.contains("over shuffled IDs") && text.contains("Pass --all"),
        "{text}"
    );
    assert!(!text.contains("no better than random") && inspect(&random, &[]).contains("no better than random ones"));
    assert!(!text.contains("perplexity") && !plain.contains("histories"), "{text}");
    let (summary, usage) = plain.split_once("\n\n").unwrap();
    assert!(text.contains(summary) && all.starts_with(text.split_once("\nPass").unwrap().0), "{all}");
    assert!(all.contains("nats of the code") && all.ends_with(usage), "{all}");
}

#[test]
fn items_of_one_table_alone_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    write_tables(folder.path());
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (ids, subgroups) = emoji();
    let rows: Vec<usize> = (100..ids.len()).rev().collect();
    let codes = Array2::from_shape_fn((rows.len(), 1), |(at, _)| subgroups[rows[at]] as u16);
    write(path("some").as_ref(), ids.take(&rows), codes);
    let arguments = ["compare", &path("meaningful"), &path("some"), HISTORIES[0], HISTORIES[1], "--json"];
    let found: Value = serde_json::from_str(&succeeds(&arguments)).unwrap();
    assert_eq!(
        (&found["items_a"], &found["items_b"], &found["common_items"]),
        (&1852.into(), &1752.into(), &1752.into())
    );
    assert_eq!((found["only_a"][0].as_str(), found["only_b"].as_array().unwrap().len()), (Some(&*ids.text(0)), 0));
    assert!(found["b"]["shared_ids"]["credit_lost"].as_f64().unwrap() > 0.5);
}

#[test]
fn settings_without_what_they_need_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_tables(folder.path());
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    write(path("others").as_ref(), ItemIds::row_numbers(3), Array2::zeros((3, 2)));
    fs::write(path("few.csv"), "user,item\nu,1F600\nu,1F603\n").unwrap();
    let (table, others, few) = (path("meaningful"), path("others"), path("few.csv"));
    let cases: [(&[&str], i32, &str); 7] = [
        (&["inspect", &table, "--min-interactions", "5"], 2, "min-interactions: expected a value for --interactions"),
        (&["inspect", &table, "--interactions", &few, "--min-interactions", "2"], 2, "min-interactions: expected"),
        (&["inspect", &table, "--interactions", &few], 1, "a user with 3 events"),
        (&["inspect", &table, "--csv-quote", "none"], 2, "csv-quote: expected a value for --catalog"),
        (&["inspect", &others, HISTORIES[0], HISTORIES[1]], 1, "ids of the token table"),
        (&["compare", &table, &table], 2, "interactions: expected a file of interactions"),
        (&["compare", &table, &others, HISTORIES[0], HISTORIES[1]], 1, "items of B"),
    ];
    for (line, expected, message) in cases {
        let (code, says) = outcome(&catalex(line).output().unwrap());
        assert!(code == expected && says.contains(message), "{line:?}: {code} {says}");
    }
    let quoted = ["inspect", &table, HISTORIES[0], HISTORIES[1], "--csv-quote", "none"];
    assert!(succeeds(&quoted).starts_with("histories"));
}
