//! `tokenize` with a previous table, and on items that are far from the training items.

use std::fs;
use std::path::Path;

use catalex::artifact::Overwrite;
use catalex::features::Features;
use catalex::semantic_id::TokenTable;
use catalex::tokenizer::Tokenizer;
use catalex::training::{ResidualErrors, TrainingRecord};
use ndarray::{Array2, s};

use super::support::{catalex, clustered, features, hand_made, numbers, outcome};

const DIM: usize = 6;

fn write(features: &Features, path: &Path) -> String {
    features.write(path, Overwrite::Refuse).unwrap();
    path.display().to_string()
}

/// The exit code and the messages of `catalex tokenize`.
fn tokenize(arguments: &[&str]) -> (i32, String) {
    outcome(&catalex(&[&["tokenize"], arguments].concat()).output().unwrap())
}

/// The model with a training record that has these residual errors of held-out items.
fn with_record(model: &Tokenizer, errors: Option<ResidualErrors>) -> Tokenizer {
    let record =
        TrainingRecord { config: None, items: 1, held_out: 1, best_epoch: 0, history: vec![], residual_errors: errors };
    let json: serde_json::Value = serde_json::from_slice(&model.to_bytes().unwrap().0).unwrap();
    let mut json = json;
    json.as_object_mut().unwrap().remove(catalex::artifact::seal::JSON_KEY);
    json["training"] = serde_json::to_value(record).unwrap();
    let config = catalex::artifact::seal::to_json(&json).unwrap();
    Tokenizer::of_bytes(&config, &model.to_bytes().unwrap().1).unwrap()
}

#[test]
fn ids_of_a_previous_table_stay_and_new_items_get_others() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let vectors = clustered(300, DIM);
    let all = features(vectors.clone());
    let x = write(&all, &folder.path().join("x.parquet"));
    let some = write(&all.take(&(0..220).collect::<Vec<_>>()).unwrap(), &folder.path().join("some.parquet"));
    hand_made(DIM, &[4, 4, 32]).save(&folder.path().join("model"), Overwrite::Refuse).unwrap();
    let model = at("model");
    let table = |name: &str| TokenTable::read(&folder.path().join(name)).unwrap();
    let run = |line: &[&str]| {
        let (code, message) = tokenize(line);
        assert_eq!(code, 0, "{message}");
        message
    };
    let quiet = run(&[&some, "--model", &model, "--out", &at("a.parquet")]);
    assert!(!quiet.contains("warning"), "{quiet}");
    let previous = at("a.parquet");
    run(&[&x, "--model", &model, "--previous", &previous, "--out", &at("b.parquet")]);
    let (old, new) = (table("a.parquet"), table("b.parquet"));
    assert_eq!(new.codes.slice(s![..220, ..]), old.codes);
    assert_eq!(new.residual_error[..220], old.residual_error);
    assert_eq!(new.item_ids.len(), 300);
    // The new items alone, in another order, get the same IDs. Items that are not in the features keep their IDs.
    let turned: Vec<usize> = (220..300).rev().collect();
    let later = write(&all.take(&turned).unwrap(), &folder.path().join("later.parquet"));
    run(&[&later, "--model", &model, "--previous", &previous, "--out", &at("c.parquet")]);
    let turned = table("c.parquet");
    assert_eq!(turned.item_ids.len(), 300);
    for row in 220..300 {
        assert_eq!(turned.semantic_id(row), new.semantic_id(519 - row));
    }
    // Without new items, the table does not change.
    run(&[&some, "--model", &model, "--previous", &previous, "--out", &at("d.parquet")]);
    assert_eq!(fs::read(at("d.parquet")).unwrap(), fs::read(previous.clone()).unwrap());
    // Without --previous, tokenize warns that items already have IDs, and says how many of these change.
    fs::copy(&previous, at("e.parquet")).unwrap();
    let message = run(&[&x, "--model", &model, "--out", &at("e.parquet"), "--force"]);
    let moved = (0..220).filter(|&row| table("e.parquet").codes.row(row) != old.codes.row(row)).count();
    assert!(moved > 0, "the catalog of this test is crowded");
    assert!(message.contains(&format!("220 of 300 items already have an ID in {}: {moved} of them", at("e.parquet"))));
    assert!(message.contains(&format!("Pass --previous {}", at("e.parquet"))), "{message}");
    fs::copy(&previous, at("e.parquet")).unwrap();
    let message = run(&[&some, "--model", &model, "--out", &at("e.parquet"), "--force"]);
    assert!(
        message.contains("220 of 220 items already have an ID") && message.contains("get the same ID"),
        "{message}"
    );
}

#[test]
fn settings_that_contradict_the_previous_table_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let x = write(&features(clustered(40, DIM)), &folder.path().join("x.parquet"));
    let (model, other) = (at("model"), at("other"));
    hand_made(DIM, &[4, 4, 32]).save(Path::new(&model), Overwrite::Refuse).unwrap();
    hand_made(DIM, &[4, 4, 16]).save(Path::new(&other), Overwrite::Refuse).unwrap();
    let (table, suffixed, out) = (at("a.parquet"), at("s.parquet"), at("out.parquet"));
    assert_eq!(tokenize(&[&x, "--model", &model, "--out", &table]).0, 0);
    assert_eq!(tokenize(&[&x, "--model", &model, "--collisions", "suffix", "--out", &suffixed]).0, 0);
    let cases: [(&[&str], &str); 6] = [
        (&["--model", &other, "--previous", &table], "pass the model that assigned the table's IDs"),
        (&["--model", &model, "--previous", &table, "--token-format", "<{level}{code}>"], "as in the table"),
        (&["--model", &model, "--previous", &table, "--collisions", "keep"], "together with --previous"),
        (&["--model", &model, "--previous", &suffixed], "one without a disambiguating level"),
        (&["--model", &model, "--previous", &at("none")], "a token table"),
        (&["--model", &model, "--max-far", "1.5"], "max-far"),
    ];
    for (flags, expected) in cases {
        let (code, message) = tokenize(&[&[&*x, "--out", &out], flags].concat());
        assert!(code != 0 && message.contains(expected), "{flags:?}: {message}");
        assert!(!Path::new(&out).exists());
    }
}

#[test]
fn items_far_from_those_of_training_are_counted_and_can_fail() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let model = hand_made(DIM, &[4, 4, 32]);
    let usual = clustered(1_000, DIM);
    let encoded = model.encode(usual.view(), None).unwrap();
    let errors = model.latent_errors(encoded.latents.view(), encoded.codes.view()).unwrap();
    let save = |name: &str, errors| {
        with_record(&model, errors).save(&folder.path().join(name), Overwrite::Refuse).unwrap();
        at(name)
    };
    let known = save("known", ResidualErrors::of(errors.clone(), true));
    let older = save("older", None);
    let small = save("small", ResidualErrors::of(errors, false));
    let x = write(&features(usual.slice(s![..300, ..]).to_owned()), &folder.path().join("x.parquet"));
    let mut next = numbers(3);
    let noise = Array2::from_shape_simple_fn((300, DIM), || 4.0 * next());
    let noise = write(&features(noise), &folder.path().join("noise.parquet"));
    let run = |name: &str, line: &[&str]| tokenize(&[line, &["--out", &at(name)]].concat());
    let (code, message) = run("a", &[&x, "--model", &known, "--max-far", "0.05"]);
    assert!(code == 0 && !message.contains("held out"), "{message}");
    let (code, message) = run("b", &[&noise, "--model", &known]);
    assert!(code == 0 && message.contains(" of 300 items (") && message.contains("held out of training"), "{message}");
    let (code, message) = run("c", &[&noise, "--model", &known, "--max-far", "0.05"]);
    assert!(code != 0 && message.contains("at most 5.00 % far"), "{message}");
    assert!(!folder.path().join("c").exists());
    // With a previous table, only the new items are counted.
    let (code, message) = run("d", &[&noise, "--model", &known, "--previous", &at("b"), "--max-far", "0"]);
    assert_eq!(code, 0, "{message}");
    let (code, message) = run("e", &[&x, "--model", &older]);
    assert!(code == 0 && message.contains("training items: the model is of an older version"), "{message}");
    for (name, model, reason) in [("f", &older, "older version"), ("g", &small, "no items were held out")] {
        let (code, message) = run(name, &[&x, "--model", model, "--max-far", "0.1"]);
        assert!(code != 0 && message.contains(reason), "{message}");
    }
}
