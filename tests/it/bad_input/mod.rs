//! Bad input of every kind, through the built binary: the exit code, a message that says where and what to do, no
//! panic, and nothing left behind.

mod catalog;
#[cfg(feature = "encoders")]
mod encoding;
mod faulty_models;
mod index;
mod inputs;
mod recommender;
#[cfg(feature = "train")]
mod training;
mod vocabulary;

use super::support::{catalex, files, mobilenet, outcome};
use inputs::write_inputs;

/// One case: its name, the arguments (`@x` is the path of x in the test's folder), the exit code, words of the message.
struct Case(&'static str, &'static str, i32, &'static [&'static str]);

fn run(cases: &[Case], least: usize, environment: &[(&str, &str)]) {
    assert!(cases.len() >= least);
    let folder = tempfile::tempdir().unwrap();
    write_inputs(folder.path());
    let before = files(folder.path());
    let picture = mobilenet().to_string_lossy().into_owned();
    let text = if cfg!(feature = "encoders") { super::support::minilm() } else { "no-encoder".into() };
    let mut wrong = Vec::new();
    for Case(name, line, expected, words) in cases {
        let line = line.replace("IMAGE", "--image image --image-encoder PICTURE").replace("PICTURE", &picture);
        let line = line.replace("TEXT", &text.to_string_lossy());
        let line = line.replace("EXPORT", "export @t.parquet --catalog @items.csv --title t --out @o --for");
        let line = line.replace("RATED", "--interactions @rated.csv");
        let line = line.replace("=@", &format!("={}/", folder.path().display()));
        let line = line.replace("LLM", "@t.parquet --out @o --tokenizer @llm --llm");
        let place = |word: &str| match word.strip_prefix('@') {
            Some(file) => folder.path().join(file).to_string_lossy().into_owned(),
            None => word.to_owned(),
        };
        let arguments: Vec<String> = line.split(' ').map(place).collect();
        let (code, message) = outcome(&catalex(&arguments).envs(environment.iter().copied()).output().unwrap());
        let missing: Vec<_> = words.iter().filter(|word| !message.contains(**word)).collect();
        if code != *expected || !missing.is_empty() {
            wrong.push(format!("{name}: exit {code}, expected {expected}; without {missing:?} in: {message}"));
        }
        let after = files(folder.path());
        if after != before {
            let new: Vec<_> = after.keys().filter(|name| !before.contains_key(*name)).collect();
            wrong.push(format!("{name}: left or changed files, new are {new:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn of_an_index() {
    run(index::CASES, 40, &[]);
}

#[test]
fn of_vocabularies() {
    run(vocabulary::CASES, 30, &[]);
}

#[test]
fn of_catalogs() {
    run(catalog::CASES, 20, &[]);
}

#[test]
fn of_exports() {
    run(recommender::CASES, 30, &[]);
}

#[cfg(feature = "train")]
#[test]
fn of_training() {
    run(training::CASES, 15, &[]);
}

#[cfg(feature = "encoders")]
#[test]
fn of_the_encoders() {
    run(encoding::CASES, 20, &[("HF_HUB_OFFLINE", "1"), ("HF_HUB_CACHE", "/nowhere/hub")]);
    let missing = [Case(
        "no ONNX Runtime",
        "embed @c.csv --text t --text-encoder TEXT --out @o",
        1,
        &["/nowhere.so", "make setup"],
    )];
    run(&missing, 1, &[("ORT_DYLIB_PATH", "/nowhere.so")]);
}
