//! Messages from language models and agents.

use std::path::Path;
use std::sync::OnceLock;

use catalex::answers::parse_answer;
use catalex::candidate::Candidate;
use catalex::constraint::FmIndex;
use catalex::explore::Explorer;
use catalex::features::Features;
use catalex::pipeline;
use catalex::progress::Silent;
use catalex::semantic_id::{Lookup, TokenTable};
use serde_json::json;

use super::{Target, put, shown, target};
use crate::home::{Home, ITEMS, spec};
use crate::mutate::Form;

pub(super) const TARGETS: &[Target] = &[
    target("answer", Form::Text, answers, answer),
    target(
        "answers-file",
        Form::JsonLines,
        |_| vec![b"{\"id\": \"u/1\", \"answer\": \"2, 1\"}\n".to_vec()],
        answers_file,
    ),
    target("prompts-file", Form::JsonLines, |_| vec![PROMPT.as_bytes().to_vec()], prompts_file),
    target("fragments", Form::JsonLines, |_| vec![FRAGMENTS.as_bytes().to_vec()], fragments),
    target("semantic-id", Form::Text, |_| vec![b"<a_1><b_2><c_3>".to_vec(), b"<a_0>".to_vec(), b"7".to_vec()], look_up),
    target("only-ids", Form::Text, |_| vec![b"1\n2\n".to_vec()], only),
    target("ground-vectors", Form::Bytes, vectors, |home, folder, input| {
        ground(home, folder, json!({"answers": put(folder, "a.npy", input)}), json!({}));
        ground(home, folder, json!({"items": put(folder, "i.npy", input)}), json!({}));
    }),
    target("ground-weights", Form::Bytes, weights, |home, folder, input| {
        ground(home, folder, json!({}), json!({"weights": put(folder, "w.npy", input), "gamma": 0.5}));
    }),
    target("ground-targets", Form::Text, targets, |home, folder, input| {
        let targets = put(folder, "t.txt", input);
        ground(home, folder, json!({}), json!({"targets": targets}));
        let chosen = json!({"weights": put(folder, "w.npy", &weights(home)[0]), "valid": home.path("x.npy"),
            "valid-targets": targets});
        ground(home, folder, json!({}), chosen);
    }),
];

const PROMPT: &str = "{\"id\": \"u/1\", \"target\": 0, \"candidates\": [{\"item_id\": \"1\", \"title\": \"Red pen\", \
    \"semantic_id\": \"<a_1><b_2><c_3>\"}, {\"item_id\": \"2\", \"title\": \"Lamp\", \"semantic_id\": \"<a_1><b_2><c_0>\"}]}\n";
const FRAGMENTS: &str = "{\"id\": 1, \"pieces\": [{\"facet\": \"title\", \"tokens\": [9, 100000], \"score\": -0.5}, \
    {\"facet\": \"number\", \"text\": \"red\", \"score\": -1e-9}]}\n";

fn answers(_: &Home) -> Vec<Vec<u8>> {
    ["1. Red pen\n2) Lamp", "<a_1><b_2><c_3>, <a_1><b_2><c_0>", "[2, 1]", "Red pen > Lamp\n**3**"]
        .map(|text| text.as_bytes().to_vec())
        .into()
}

fn answer(_: &Home, _: &Path, input: &[u8]) {
    let candidate = |id: &str, title: &str, code: u16| Candidate {
        item_id: id.into(),
        title: title.into(),
        semantic_id: format!("<a_1><b_2><c_{code}>"),
    };
    let candidates = [candidate("1", "Red pen", 3), candidate("2", "Lamp", 0), candidate("3", "İ", 10)];
    let parsed = parse_answer(&String::from_utf8_lossy(input), &candidates);
    assert!(parsed.ranking.iter().all(|&at| at < candidates.len()));
}

fn answers_file(_: &Home, folder: &Path, input: &[u8]) {
    let (prompts, answers) = (put(folder, "p.jsonl", PROMPT.as_bytes()), put(folder, "a.jsonl", input));
    let asked = json!({"prompts": prompts, "answers": answers, "output": {"out": folder.join("r.jsonl")}});
    let _ = shown(pipeline::answers(&spec(asked)));
}

fn prompts_file(_: &Home, folder: &Path, input: &[u8]) {
    let answer = b"{\"id\": \"u/1\", \"answer\": \"2, Red pen\"}\n";
    let (prompts, answers) = (put(folder, "p.jsonl", input), put(folder, "a.jsonl", answer));
    let asked = json!({"prompts": prompts, "answers": answers, "output": {"out": folder.join("r.jsonl")}});
    let _ = shown(pipeline::answers(&spec(asked)));
}

/// A handmade transrec export, without a language model's tokenizer.
fn fragments(home: &Home, folder: &Path, input: &[u8]) {
    let documents: String = (0..12).map(|id| format!("{{\"item_id\": {id}}}\n")).collect();
    put(folder, "export/documents.jsonl", documents.as_bytes());
    put(folder, "export/items.fm", &home.read("fm"));
    let pieces = put(folder, "pieces.jsonl", input);
    let asked = json!({"pieces": pieces, "export": folder.join("export"), "settings": {"tokenizer": home.path("llm")},
        "output": {"out": folder.join("r.jsonl")}});
    let _ = shown(pipeline::aggregate(&spec(asked), &Silent));
    // Tests the scoring itself, independent of the folder's name.
    static INDEX: OnceLock<Option<FmIndex>> = OnceLock::new();
    let index = INDEX.get_or_init(|| shown(FmIndex::load(&home.path("fm"))));
    let parse = |line: &serde_json::Value| {
        Some(catalex::answers::IdentifierFragment {
            facet: usize::try_from(line.get("facet")?.as_u64()?).ok()?,
            tokens: line.get("tokens")?.as_array()?.iter().filter_map(|id| u32::try_from(id.as_u64()?).ok()).collect(),
            log_probability: line.get("score")?.as_f64()?,
        })
    };
    let line = String::from_utf8_lossy(input).lines().next().and_then(|line| serde_json::from_str(line).ok());
    if let (Some(index), Some(serde_json::Value::Object(line))) = (index, line) {
        let pieces = line.get("pieces").and_then(|pieces| pieces.as_array()).cloned().unwrap_or_default();
        let pieces: Vec<_> = pieces.iter().filter_map(parse).collect();
        let _ = shown(catalex::answers::Aggregation::default().rank(index, &pieces));
    }
}

/// The items of the valid files.
pub(super) fn explorer(home: &Home) -> Explorer {
    let features = Features::read(&home.path("x.parquet")).unwrap_or_else(|e| panic!("{e}"));
    let texts = (0..ITEMS).map(|row| format!("Item {row} \u{1b}[2J")).collect();
    Explorer::new(token_table(home), texts, Some(features)).unwrap_or_else(|e| panic!("{e}"))
}

fn token_table(home: &Home) -> TokenTable {
    TokenTable::read(&home.path("t.parquet")).unwrap_or_else(|e| panic!("{e}"))
}

fn look_up(home: &Home, _: &Path, input: &[u8]) {
    static EXPLORER: OnceLock<Explorer> = OnceLock::new();
    let explorer = EXPLORER.get_or_init(|| explorer(home));
    let text = String::from_utf8_lossy(input);
    let _ = shown(explorer.item(&text));
    let _ = shown(explorer.by_semantic_id(&text));
    let _ = shown(explorer.expand(&text, 50));
    let _ = shown(explorer.similar(&text, 50));
    static TABLE: OnceLock<TokenTable> = OnceLock::new();
    let lookup = Lookup::new(TABLE.get_or_init(|| token_table(home)));
    let _ = shown(lookup.find(&text));
    let _ = shown(lookup.item(&text));
}

fn only(home: &Home, folder: &Path, input: &[u8]) {
    let only = put(folder, "only.txt", input);
    let asked = json!({"tokens": home.path("t.parquet"), "output": {"out": folder.join("c")},
        "constraint": {"form": ["trie", "regex"], "only": only}});
    let _ = shown(pipeline::constrain(&spec(asked), &Silent));
}

fn vectors(home: &Home) -> Vec<Vec<u8>> {
    vec![home.read("x.npy"), home.read("x.parquet")]
}

/// One weight per item, and one per answer and item.
fn weights(_: &Home) -> Vec<Vec<u8>> {
    let npy = |rows: usize, columns: usize| {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
        let head = [b"\x93NUMPY\x01\x00\x76\x00".as_slice(), format!("{header:117}\n").as_bytes()].concat();
        let numbers = (0..rows * columns).flat_map(|at| (at as f32 / 7.0).to_le_bytes());
        [head, numbers.collect()].concat()
    };
    vec![npy(ITEMS, 1), npy(ITEMS, ITEMS)]
}

fn targets(_: &Home) -> Vec<Vec<u8>> {
    vec![(0..ITEMS).map(|row| format!("{row}\n")).collect::<String>().into_bytes()]
}

/// Matches answers to items by vectors. Files that are not given are valid ones.
fn ground(home: &Home, folder: &Path, files: serde_json::Value, settings: serde_json::Value) {
    let mut asked = json!({"answers": home.path("x.npy"), "items": home.path("x.npy"), "settings": settings, "threads": 1,
        "output": {"out": folder.join("g.jsonl"), "force": true}});
    if let (Some(asked), Some(files)) = (asked.as_object_mut(), files.as_object()) {
        asked.extend(files.clone());
    }
    let _ = shown(pipeline::ground(&spec(asked), &Silent));
}
