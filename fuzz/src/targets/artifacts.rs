//! Files that catalex writes, with changes by an attacker.

use std::path::Path;

use catalex::constraint::{After, Decoding, FmIndex, Next, Prefix, Rules, Start, Trie};
use catalex::features::{FeatureFile, ReadyVectors, for_each_block};
use catalex::index::Index;
use catalex::item_ids::ItemIds;
use catalex::pipeline::{self, BuildSpec};
use catalex::progress::Silent;
use catalex::semantic_id::{Lookup, TokenTable};
use catalex::tokenizer::Tokenizer;
use catalex::vocabulary::TokenIds;
use ndarray::Array2;
use serde_json::json;

use super::{Target, put, shown, target, with_file};
use crate::home::{Home, ITEMS, spec};
use crate::mutate::Form;
use crate::reseal::settings_for;
use crate::seeds;

const INDEX: &str = "tests/golden/index-0.1";

pub(super) const TARGETS: &[Target] = &[
    target(
        "npy",
        Form::Bytes,
        |home| vec![home.read("x.npy")],
        |_, folder, input| {
            vectors(&put(folder, "x.npy", input));
        },
    ),
    target(
        "safetensors",
        Form::SafeTensors,
        |home| vec![home.read("x.safetensors"), home.read("llm/model.safetensors")],
        |_, folder, input| {
            vectors(&put(folder, "x.safetensors", input));
        },
    ),
    target("features", Form::Bytes, features, |_, folder, input| vectors(&put(folder, "x.parquet", input))),
    target("features-arrow", Form::Bytes, seeds::arrow, |_, folder, input| vectors(&put(folder, "x.arrow", input))),
    target("token-table", Form::Bytes, |home| vec![home.read("t.parquet")], token_table),
    target(
        "model-config",
        Form::Json,
        |home| vec![home.read("model/config.json")],
        |home, folder, input| {
            model(&with_file(home, "model", folder, "config.json", input));
        },
    ),
    target(
        "model-weights",
        Form::SafeTensors,
        |home| vec![home.read("model/model.safetensors")],
        |home, folder, input| {
            let model_folder = with_file(home, "model", folder, "model.safetensors", input);
            // The settings contain the hash of the weights.
            let settings = settings_for(input, &home.read("model/config.json")).unwrap_or_default();
            let _ = std::fs::remove_file(model_folder.join("config.json"));
            model(put(&model_folder, "config.json", &settings).parent().unwrap_or(folder));
        },
    ),
    target("trie", Form::Checksummed, |home| vec![home.read("bare.trie"), home.read("tokens.trie")], trie),
    target("fm-index", Form::Checksummed, |home| vec![home.read("fm")], fm_index),
    target("vocabulary-json", Form::Json, |home| vec![home.read("vocabulary/vocabulary.json")], vocabulary),
    target(
        "manifest",
        Form::Json,
        |home| vec![home.read("index/manifest.json")],
        |home, folder, input| manifest(&home.path("index"), folder, input),
    ),
    target(
        "older-manifest",
        Form::Json,
        |_| seeds::golden(INDEX, &["manifest.json"]),
        |_, folder, input| manifest(&seeds::checkout().join(INDEX), folder, input),
    ),
    #[cfg(feature = "train")]
    target("checkpoint", Form::SafeTensors, training::seeds, training::resume),
];

fn features(home: &Home) -> Vec<Vec<u8>> {
    let mut found = seeds::parquet(home);
    found.push(home.read("x.parquet"));
    found
}

fn vectors(path: &Path) {
    if let Some(file) = shown(FeatureFile::open(path)) {
        let _ = shown(file.read());
        let _ = shown(for_each_block(&file, |_| Ok(())));
    }
    let ids = ItemIds::row_numbers(ITEMS);
    for column in [None, Some("vector")] {
        let ready = ReadyVectors { name: "text".into(), path: path.to_path_buf(), column: column.map(str::to_owned) };
        let _ = shown(ready.open(&ids, None, path.parent().unwrap_or(path)));
    }
}

fn token_table(_: &Home, folder: &Path, input: &[u8]) {
    let Some(table) = shown(TokenTable::read(&put(folder, "t.parquet", input))) else { return };
    for row in 0..table.codes.nrows().min(50) {
        std::hint::black_box(table.semantic_id(row));
    }
    let lookup = Lookup::new(&table);
    let _ = shown(lookup.find("<a_1>"));
    let _ = shown(lookup.find(&table.semantic_id(0)));
    let _ = shown(pipeline::inspect(&spec(json!({"path": folder.join("t.parquet")})), &Silent));
    let constrain = json!({"tokens": folder.join("t.parquet"), "output": {"out": folder.join("c")},
        "constraint": {"form": ["trie", "regex", "gbnf", "choices"]}});
    let _ = shown(pipeline::constrain(&spec(constrain), &Silent));
}

fn model(folder: &Path) {
    let Some(model) = shown(Tokenizer::load(folder)) else { return };
    let dim = model.config().modalities.iter().map(|m| m.dim).sum();
    let x = Array2::from_elem((2, dim), 0.5);
    if let Some(encoded) = shown(model.encode(x.view(), None)) {
        let _ = shown(model.decode(encoded.codes.view()));
    }
}

fn trie(_: &Home, folder: &Path, input: &[u8]) {
    let Some(trie) = shown(Trie::load(&put(folder, "x.trie", input))) else { return };
    let mut prefixes = vec![Prefix::EMPTY];
    let mut steps = 0;
    while let Some(prefix) = prefixes.pop() {
        std::hint::black_box(trie.rows_under(prefix).len());
        for &code in trie.allowed(prefix) {
            steps += 1;
            if steps < 5_000 {
                prefixes.extend(trie.child(prefix, code));
            }
        }
    }
    std::hint::black_box(trie.subset(|row| row % 2 == 0).len());
    let Some(tokens) = trie.by_tokens() else { return };
    let rules = Rules { start: Start::Free, after: After::Any, eos: vec![0] };
    let Some(decoding) = shown(Decoding::new(tokens, &rules)) else { return };
    let (mut answer, mut next) = (Vec::new(), Next::default());
    for step in 0..20 {
        decoding.next(&answer, 0, None, &mut next);
        let chosen = next.tokens.get(step * 7 % next.tokens.len().max(1)).copied();
        answer.push(i64::from(chosen.unwrap_or_else(|| tokens.tokens().first_of_level(0))));
    }
}

fn fm_index(_: &Home, folder: &Path, input: &[u8]) {
    let Some(index) = shown(FmIndex::load(&put(folder, "x.fm", input))) else { return };
    let mut found = vec![(index.anywhere(), 0), (index.beginnings(), 0), (index.range(&[9, 100_000]), 2)];
    let mut steps = 0;
    while let Some((occurrences, depth)) = found.pop() {
        index.locate(occurrences).take(100).for_each(|place| drop(std::hint::black_box(Box::new(place))));
        let next = index.continuations(occurrences);
        for &token in next.tokens.iter().take(20) {
            steps += 1;
            if depth < 6 && steps < 500 {
                found.push((index.extend(occurrences, token), depth + 1));
            }
        }
    }
    if index.len() < 1_000 {
        std::hint::black_box(index.items(index.range(&[9])).len());
    }
    for item in 0..index.len().min(50) {
        std::hint::black_box(index.document(item));
    }
}

fn vocabulary(home: &Home, folder: &Path, input: &[u8]) {
    let vocabulary = with_file(home, "vocabulary", folder, "vocabulary.json", input);
    if let Some(ids) = shown(TokenIds::read(&vocabulary)) {
        std::hint::black_box((ids.codes(), ids.code_of(7)));
        if let Some(table) = shown(TokenTable::read(&home.path("t.parquet"))) {
            let _ = shown(catalex::constraint::tokens_of(&table, &vocabulary));
        }
    }
    let constrain = json!({"tokens": home.path("t.parquet"), "output": {"out": folder.join("c")},
        "constraint": {"form": ["trie", "static", "xgrammar"], "vocabulary": vocabulary}});
    let _ = shown(pipeline::constrain(&spec(constrain), &Silent));
}

/// Opens an index with this manifest.
fn manifest(index: &Path, folder: &Path, input: &[u8]) {
    for part in ["features.parquet", "tokens.parquet", "report.html", "model", "vocabulary"] {
        let _ = std::os::unix::fs::symlink(index.join(part), folder.join(part));
    }
    put(folder, "manifest.json", input);
    if let Some(index) = shown(Index::open(folder)) {
        let _ = shown(BuildSpec::of_manifest(&index.manifest().settings));
    }
    let _ = shown(pipeline::inspect(&spec(json!({"path": folder})), &Silent));
}

/// The checkpoint of a training, as a resumed training reads it.
#[cfg(feature = "train")]
mod training {
    use catalex::progress::Progress;
    use serde_json::Value;

    use super::*;

    fn settings(home: &Home, out: &Path) -> Value {
        let train = json!({"levels": 3, "codebook-size": [4], "latent-dim": 2, "hidden": [4], "epochs": 2});
        json!({"features": home.path("x.parquet"), "train": train, "threads": 1,
            "output": {"out": out, "resume": true, "checkpoint-every": 0}})
    }

    /// Copies the checkpoint during training.
    struct Listener {
        checkpoint: std::path::PathBuf,
        copies: std::sync::Mutex<Vec<Vec<u8>>>,
    }

    impl Progress for Listener {
        fn begin(&self, _stage: &str, _total: Option<u64>, _unit: &str) {}

        fn advance(&self, _n: u64) {
            if let Ok(bytes) = std::fs::read(&self.checkpoint)
                && let Ok(mut copies) = self.copies.lock()
                && !copies.contains(&bytes)
            {
                copies.push(bytes);
            }
        }

        fn figure(&self, _name: &str, _value: f64) {}

        fn end(&self) {}

        fn warn(&self, _message: &str) {}
    }

    pub(super) fn seeds(home: &Home) -> Vec<Vec<u8>> {
        let out = home.path("trained");
        let listener = Listener { checkpoint: home.path("trained.checkpoint"), copies: std::sync::Mutex::default() };
        pipeline::train(&spec(settings(home, &out)), &listener).unwrap_or_else(|e| panic!("{e}"));
        let _ = std::fs::remove_dir_all(&out);
        let copies = listener.copies.into_inner().unwrap_or_default();
        assert!(!copies.is_empty(), "the training left no checkpoint");
        copies
    }

    pub(super) fn resume(home: &Home, folder: &Path, input: &[u8]) {
        put(folder, "m.checkpoint", input);
        let _ = shown(pipeline::train(&spec(settings(home, &folder.join("m"))), &Silent));
    }
}
