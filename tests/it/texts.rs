//! User texts: printed texts and catalog checks.

use std::fs;

use super::support::{catalex, clustered, minilm, outcome, succeeds, text, write_matrix};

/// An id that would colour a terminal and break a line.
const HOSTILE: &str = "\u{1b}[31mred\n";

/// A folder with a catalog of 60 items and precomputed vectors. The first two items have equal vectors.
fn inputs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let line = |item: usize| {
        let id = if item == 0 { HOSTILE.to_owned() } else { format!("sku-{item}") };
        let title = if item == 0 { format!("Pen {HOSTILE}") } else { format!("Pen {item}") };
        serde_json::json!({"id": id, "title": title, "tags": [], "list": "['a', 'b']"}).to_string() + "\n"
    };
    fs::write(folder.path().join("c.jsonl"), (0..60).map(line).collect::<String>()).unwrap();
    let mut vectors = clustered(60, 8);
    let first = vectors.row(0).to_owned();
    vectors.row_mut(1).assign(&first);
    write_matrix(&folder.path().join("x.npy"), &vectors);
    folder
}

fn is_clean(text: &str) -> bool {
    !text.contains('\u{1b}') && !text.contains("red\n\"") && text.contains("\\u001b[31mred")
}

#[test]
fn an_index_of_precomputed_vectors_shows_titles_with_escaped_characters() {
    let folder = inputs();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let embedding = format!("text={}", path("x.npy"));
    let built = succeeds(&[
        "build",
        &path("c.jsonl"),
        "--embedding",
        &embedding,
        "--title=title",
        "--levels=2",
        "--codebook-size=8",
        "--out",
        &path("index"),
    ]);
    assert!(built.contains("  Pen "), "{built}");
    assert!(!built.contains('\u{1b}'));
    let report = fs::read_to_string(folder.path().join("index/report.html")).unwrap();
    // Cleaning removes the control characters of the title. Ids are not cleaned.
    let listed = "2 items: Pen [31mred (\\u001b[31mred\\n); Pen 1 (sku-1)";
    assert!(report.contains(listed), "{:?}", report.find("equal vectors").map(|at| &report[at..at + 300]));
    // A look-up does not read the report.
    fs::remove_file(folder.path().join("index/report.html")).unwrap();
    let found = succeeds(&["lookup", &path("index"), "--item", HOSTILE]);
    assert!(is_clean(&found) && found.ends_with("\tPen [31mred\n"), "{found:?}");
    let found = succeeds(&["lookup", &path("index"), "--item", "sku-7", "--json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&found).unwrap()[0]["title"], "Pen 7");
    // A token table does not name a catalog, so the columns are given.
    let named = ["lookup", &path("index/tokens.parquet"), "--item", "sku-7", "--catalog", &path("c.jsonl")];
    let found = succeeds(&[&named[..], &["--text=title,list", "--parse-lists"]].concat());
    assert!(found.ends_with("\tsku-7\tPen 7. a, b\n"), "{found:?}");
    let (code, message) = outcome(&catalex(&["lookup", &path("index"), "--item", "\u{1b}[2J\n"]).output().unwrap());
    assert!(code == 1 && !message.contains('\u{1b}') && message.contains("[2J"), "{message:?}");
    for wrong in [&["\u{9b}2J\u{202e}x"][..], &["train", "--\u{9b}2J\u{202e}x"], &["inspect", "a", "--model"]] {
        let (code, message) = outcome(&catalex(wrong).output().unwrap());
        assert!(code == 2 && !message.contains(['\u{9b}', '\u{202e}']), "{message:?}");
    }
}

#[test]
fn a_catalog_is_checked_before_anything_is_encoded() {
    let folder = inputs();
    let catalog = folder.path().join("c.jsonl").display().to_string();
    let shown = succeeds(&["check", &catalog]);
    assert!(shown.contains("column tags: empty in all 60 items"), "{shown}");
    assert!(shown.contains("column list: 60 cells are lists"), "{shown}");
    assert!(is_clean(&shown), "{shown:?}");
    let parsed: serde_json::Value = serde_json::from_str(&succeeds(&["check", &catalog, "--json"])).unwrap();
    assert_eq!((&parsed["items"], &parsed["findings"][0]["kind"]), (&60.into(), &"empty-column".into()));
    let fails = ["check", &catalog, "--text=tags", "--fail-on-findings"];
    let (code, message) = outcome(&catalex(&fails).output().unwrap());
    assert!(code == 1 && message.contains("expected no findings, got 2"), "{message}");
    assert!(succeeds(&["check", &catalog, "--text=title", "--fail-on-findings"]).contains("findings           0"));
    // One-letter words and punctuation have more tokens than the estimate.
    let long = folder.path().join("long.csv").display().to_string();
    fs::write(&long, format!("id,t\na,{}\nb,pen\n", "x-".repeat(200))).unwrap();
    let encoder = minilm().display().to_string();
    assert!(succeeds(&["check", &long]).contains("findings           0"));
    let found = succeeds(&["check", &long, "--text-encoder", &encoder]);
    assert!(found.contains("1 texts have more than 256 tokens and will be truncated, such as a"), "{found}");
    for (wrong, named) in
        [(&["--text-encoder", &encoder, "--max-tokens=9"][..], "max-tokens"), (&["--prompt=x"], "prompt")]
    {
        let (code, message) = outcome(&catalex(&[&["check", &long][..], wrong].concat()).output().unwrap());
        assert!(code == 2 && message.contains(&format!("setting {named}")), "{message}");
    }
}

#[test]
fn embed_prints_findings_as_warnings() {
    let folder = inputs();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(folder.path().join("few.jsonl"), r#"{"id": 1, "title": "Pen", "tags": []}"#).unwrap();
    let (encoder, out) = (minilm().display().to_string(), path("o.parquet"));
    let mut command =
        catalex(&["embed", &path("few.jsonl"), "--text=title,tags", "--text-encoder", &encoder, "--out", &out]);
    let made = command.output().unwrap();
    assert!(made.status.success());
    assert!(text(&made.stderr).contains("warning: column tags: empty in all 1 items"), "{}", text(&made.stderr));
}
