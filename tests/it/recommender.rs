//! Exports to LLM recommenders, through the built binary: a record of each task of each family, and that a dry run, a
//! run and another run agree.

use std::fs;
use std::path::Path;

use catalex::artifact::Overwrite;
use catalex::catalog::{CatalogReader, CatalogSpec};
use catalex::constraint::FmIndex;
use catalex::item_ids::ItemIds;
use catalex::semantic_id::{Collisions, TableMetadata, TokenFormat, TokenTable};
use catalex::vocabulary::FacetTokenizer;
use ndarray::Array2;
use serde_json::Value;

use super::support::{files, root, succeeds};

const FAMILIES: [&str; 12] = [
    "lc-rec",
    "tallrec",
    "instructrec",
    "bigrec",
    "transrec",
    "ranking",
    "agents",
    "minionerec",
    "openonerec",
    "llamafactory",
    "trl",
    "sequences",
];

/// A table of all emoji whose codes are their row numbers, written in base 16.
fn write_table(path: &Path) {
    let spec = CatalogSpec { path: root().join("fixtures/emoji/catalog.parquet"), ..CatalogSpec::default() };
    let mut ids = ItemIds::Strings(Vec::new());
    for batch in CatalogReader::open(&spec).unwrap() {
        ids.append(batch.unwrap().item_ids);
    }
    let n = ids.len();
    let table = TokenTable {
        members: None,
        item_ids: ids,
        codes: Array2::from_shape_fn((n, 3), |(row, level)| (row >> (4 * (2 - level)) & 15) as u16),
        residual_error: vec![0.0; n],
        reassigned: vec![false; n],
        metadata: TableMetadata {
            model_hash: "0".repeat(64),
            codebook_sizes: vec![16; 3],
            token_format: TokenFormat::default(),
            policy: Collisions::Resolve,
            collisions: None,
        },
    };
    table.write(path, Overwrite::Refuse).unwrap();
}

fn export(table: &Path, family: &str, more: &[&str]) -> String {
    let table = table.display().to_string();
    let fixed = [
        "export",
        &table,
        "--for",
        family,
        "--catalog",
        "fixtures/emoji/catalog.parquet",
        "--title",
        "label",
        "--description",
        "group,subgroup",
        "--attributes",
        "tags",
        "--interactions",
        "fixtures/emoji/histories.csv",
        "--name",
        "emoji",
        "--history",
        "4",
        "--candidates",
        "5",
        "--json",
    ];
    succeeds(&[&fixed[..], more].concat())
}

#[test]
fn one_record_of_each() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("tokens.parquet");
    write_table(&table);
    let mut shown = String::new();
    for family in FAMILIES {
        shown += &format!("=== {family} ===\n");
        let exported: Value = serde_json::from_str(&export(&table, family, &["--dry-run"])).unwrap();
        for (task, report) in exported["tasks"].as_object().unwrap() {
            let samples = report["samples"].as_array().unwrap();
            // Three are printed; a task that makes fewer in a dry run has made them all.
            assert!(
                samples.len() == 3 || report["records"].as_u64().unwrap() == samples.len() as u64,
                "{family} {task}"
            );
            // The rest of long records says nothing new.
            let first = samples[0].to_string();
            let cut: String = first.chars().take(1_200).collect();
            shown += &format!("{task}: {cut}{}\n", if cut == first { "" } else { "..." });
        }
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("tokens.parquet");
    write_table(&table);
    for family in FAMILIES {
        let run = |seed: &str| {
            let out = folder.path().join("out");
            let printed = export(&table, family, &["--out", &out.display().to_string(), "--seed", seed]);
            let written = files(&out);
            let mut described: Value = serde_json::from_slice(&written["export.json"]).unwrap();
            described.as_object_mut().unwrap().remove("sha256").unwrap();
            let exported: Value = serde_json::from_str(&printed).unwrap();
            assert_eq!(described, exported);
            let named: Vec<&String> = exported["files"].as_object().unwrap().keys().collect();
            assert!(written.keys().filter(|name| *name != "export.json").eq(named.into_iter()), "{family}");
            fs::remove_dir_all(&out).unwrap();
            written
        };
        let (first, again, other) = (run("1"), run("1"), run("2"));
        assert!(first == again, "{family}");
        // Where nothing is drawn, the seed stands in export.json alone.
        let drawn = first.iter().any(|(name, bytes)| name != "export.json" && other.get(name) != Some(bytes));
        assert_eq!(
            drawn,
            !["minionerec", "sequences", "bigrec", "tallrec"].contains(&family) || family == "tallrec",
            "{family}"
        );
    }
}

#[test]
fn templates_and_families_are_listed() {
    let shipped = succeeds(&["export", "--for", "lc-rec", "--show-templates"]);
    assert_eq!(shipped, fs::read_to_string(root().join("src/export/templates/lc-rec.toml")).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (table, mine) = (folder.path().join("tokens.parquet"), folder.path().join("mine.toml"));
    write_table(&table);
    fs::write(&mine, "[[seqrec]]\ninstruction = \"MINE {history}\"\noutput = \"{item}!\"\n").unwrap();
    let printed = export(&table, "trl", &["--dry-run", "--templates", &mine.display().to_string()]);
    let exported: Value = serde_json::from_str(&printed).unwrap();
    let sample = &exported["tasks"]["seqrec"]["samples"][0];
    assert!(sample["prompt"][0]["content"].as_str().unwrap().starts_with("MINE <a_"));
    assert!(sample["completion"][0]["content"].as_str().unwrap().ends_with(">!"));
    assert!(exported["tasks"]["item2index"]["samples"].as_array().is_some_and(|samples| samples.len() == 3));
}

#[test]
fn every_target_of_trans_rec_is_found_in_its_index() {
    let folder = tempfile::tempdir().unwrap();
    let (table, out) = (folder.path().join("tokens.parquet"), folder.path().join("out"));
    write_table(&table);
    let tokenizer = root().join("tests/golden/fm_index");
    let flags = ["--out", &out.display().to_string(), "--tokenizer", &tokenizer.display().to_string()];
    let exported: Value = serde_json::from_str(&export(&table, "transrec", &flags)).unwrap();
    assert_eq!(exported["files"]["items.fm"]["records"], 1_852);
    let (index, tokenizer) = (FmIndex::load(&out.join("items.fm")).unwrap(), FacetTokenizer::load(&tokenizer).unwrap());
    let text = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    for (row, line) in text("documents.jsonl").lines().enumerate().step_by(50) {
        let identifier: Value = serde_json::from_str(line).unwrap();
        let facets: Vec<String> = serde_json::from_value(identifier["facets"].clone()).unwrap();
        assert_eq!(index.document(row).unwrap().facets, tokenizer.tokenize(&facets).unwrap());
    }
    // Numbers and attributes are generated between their marks: as tokens they are pieces of documents.
    let (sources, targets) = (text("test.source"), text("test.target"));
    let mut found = 0;
    for (_, target) in sources.lines().zip(targets.lines()).filter(|(source, _)| source.contains("|| ID || +")) {
        let tokens = tokenizer.tokenize(&[target]).unwrap().concat();
        assert_eq!(index.items(index.range(&tokens)).len(), 1, "{target}");
        found += 1;
    }
    assert!(found > 100);
}
