//! An index that catalex 0.1.0 wrote can still be used: `tests/golden/index-0.1`, built from
//! `tests/golden/index-0.1-catalog.jsonl`.

use std::path::PathBuf;

use catalex::artifact::Overwrite;
use catalex::features::FeatureFile;
use catalex::index::{FEATURES, Index, MODEL, TOKENS};
use catalex::pipeline::BuildSpec;
use catalex::progress::Silent;
use catalex::semantic_id::{Collisions, TokenFormat, TokenTable};
use catalex::tokenizer::Tokenizer;
use serde_json::Value;

use super::support::{root, succeeds};

fn index() -> PathBuf {
    root().join("tests/golden/index-0.1")
}

fn argument() -> String {
    index().to_string_lossy().into_owned()
}

#[test]
fn an_old_index_opens_with_its_settings() {
    let index = Index::open(&index()).unwrap();
    assert_eq!((index.manifest().catalex_version.as_str(), index.manifest().items), ("0.1.0", 48));
    let spec = BuildSpec::of_manifest(&index.manifest().settings).unwrap();
    assert_eq!(spec.catalog, PathBuf::from("catalog.jsonl"));
    assert_eq!(spec.encode.text, Some(vec!["label".into(), "tags".into()]));
    assert_eq!(spec.encode.text_encoder, Some("minilm".into()));
    assert_eq!((spec.tokens.collisions.as_deref(), spec.threads), (Some("resolve"), Some(2)));
    // Stored again, the settings have the current version and the same values.
    let stored = serde_json::to_value(&spec).unwrap();
    let again = BuildSpec::of_manifest(&stored).unwrap();
    assert_eq!(serde_json::to_value(&again).unwrap(), stored);
}

#[test]
fn the_model_of_an_old_index_gives_its_codes() {
    let index = Index::open(&index()).unwrap();
    let model = Tokenizer::load(&index.path(MODEL)).unwrap();
    assert_eq!(model.hash(), index.manifest().model_hash);
    let features = FeatureFile::open(&index.path(FEATURES)).unwrap();
    let written = TokenTable::read(&index.path(TOKENS)).unwrap();
    let table =
        TokenTable::of_features(&features, &model, TokenFormat::default(), Collisions::Resolve, &Silent).unwrap();
    assert_eq!(table.item_ids, written.item_ids);
    assert_eq!(table.codes, written.codes);
    assert_eq!(table.reassigned, written.reassigned);
    // Saved again, the model gives the same codes.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    model.save(&path, Overwrite::Refuse).unwrap();
    assert_eq!(Tokenizer::load(&path).unwrap(), model);
}

#[test]
fn an_old_index_is_inspected_and_looked_up() {
    let figures: Value = serde_json::from_str(&succeeds(&["inspect", &argument(), "--json"])).unwrap();
    assert_eq!((figures["items"].as_u64(), figures["distinct_ids"].as_u64()), (Some(48), Some(48)));
    assert!(figures["reconstruction"]["after_resolution"].as_f64().unwrap() < 1.0);
    let model = index().join(MODEL).to_string_lossy().into_owned();
    let config: Value = serde_json::from_str(&succeeds(&["inspect", &model, "--json"])).unwrap();
    assert_eq!(config["codebook_sizes"], serde_json::json!([8, 8, 8]));
    assert!(succeeds(&["inspect", &model]).contains("trained on        48 items"));

    let table = TokenTable::read(&index().join(TOKENS)).unwrap();
    let id = table.semantic_id(14);
    assert_eq!(succeeds(&["lookup", &argument(), "--item", "1F415"]), format!("{id}\t1F415\n"));
    assert_eq!(succeeds(&["lookup", &argument(), &id]), format!("{id}\t1F415\n"));
}

/// The current version writes a report of an old index and its catalog.
#[test]
fn an_old_index_gets_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.html").to_string_lossy().into_owned();
    let catalog = root().join("tests/golden/index-0.1-catalog.jsonl").to_string_lossy().into_owned();
    succeeds(&["inspect", &argument(), "--catalog", &catalog, "--text", "label", "--report", &report]);
    let html = std::fs::read_to_string(&report).unwrap();
    assert!(html.contains("<h1>index-0.1-catalog</h1>") && html.contains("id=\"map\""));
}

/// The server answers questions about an old index.
#[cfg(all(feature = "serve", feature = "encoders"))]
#[test]
fn an_old_index_is_served() {
    use std::io::{BufRead, BufReader, Write};
    use std::process::Stdio;

    let catalog = root().join("tests/golden/index-0.1-catalog.jsonl").to_string_lossy().into_owned();
    let encoder = super::support::minilm().to_string_lossy().into_owned();
    let arguments = ["serve", &argument(), "--stdio", "--catalog", &catalog, "--text-encoder", &encoder];
    let mut command = super::support::catalex(&arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut ask = |request: Value| {
        writeln!(input, "{request}").unwrap();
        input.flush().unwrap();
    };
    let mut answer = || {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        serde_json::from_str::<Value>(&line).unwrap_or_else(|e| panic!("{line}: {e}"))
    };
    ask(serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}}}));
    assert!(answer()["result"]["serverInfo"].is_object());
    ask(serde_json::json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    ask(serde_json::json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "id_by_item", "arguments": {"item_id": "1F415"}}}));
    let id = TokenTable::read(&index().join(TOKENS)).unwrap().semantic_id(14);
    let answered = answer();
    assert_eq!(answered["result"]["structuredContent"]["semantic_id"], id, "{answered}");
    drop(input);
    assert!(child.wait().unwrap().success());
}
