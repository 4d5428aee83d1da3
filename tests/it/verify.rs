//! `catalex verify` finds damaged files and mismatched parts, and accepts valid ones.

use std::fs;
use std::path::{Path, PathBuf};

use catalex::ItemIds;
use catalex::artifact::Overwrite;
use catalex::constraint::{ConstraintForm, Forms};
use catalex::features::Features;
use catalex::index::{Generation, IndexWriter, MODEL, TOKENS, VOCABULARY};
use catalex::pipeline::{Verified, VerifySpec, verify};
use catalex::progress::Silent;
use catalex::semantic_id::{Collisions, TokenFormat, TokenTable};
use catalex::tokenizer::Tokenizer;
use catalex::vocabulary::{TokenIds, VocabularyOptions, write_vocabulary};
use serde_json::{Value, json};

use super::support::{catalex, clustered, features, files, hand_made, outcome, root, succeeds};

/// The parts of an index. A test can replace each of them by that of another index.
pub(crate) struct Parts {
    model: Tokenizer,
    features: Features,
    table: TokenTable,
    /// The token tables of which the vocabulary and the constraint forms are written.
    of_vocabulary: TokenTable,
    of_forms: TokenTable,
    items: u64,
    pub(crate) generation: Generation,
    pub(crate) report: String,
}

pub(crate) fn parts(items: usize) -> Parts {
    let (model, features) = (hand_made(4, &[4, 4, 4]), features(clustered(items, 4)));
    let format = TokenFormat::default();
    let table = TokenTable::of_features(&features, &model, format, Collisions::Resolve, &Silent).unwrap();
    let (of_vocabulary, of_forms) = (table.clone(), table.clone());
    let (generation, report) = (Generation::default(), "<h1>report</h1>".into());
    Parts { model, features, table, of_vocabulary, of_forms, items: items as u64, generation, report }
}

impl Parts {
    pub(crate) fn write(&self, target: &Path) -> PathBuf {
        let writer = IndexWriter::create(target, Overwrite::Replace).unwrap();
        let at = |name: &str| writer.path(name);
        self.model.save(&at(MODEL), Overwrite::Refuse).unwrap();
        self.features.write(&at("features.parquet"), Overwrite::Refuse).unwrap();
        self.table.write(&at(TOKENS), Overwrite::Refuse).unwrap();
        let options = VocabularyOptions::default();
        write_vocabulary(&at(VOCABULARY), &self.of_vocabulary, &options, Overwrite::Refuse, &Silent).unwrap();
        let forms = Forms::of(&self.of_forms);
        let all = [ConstraintForm::Trie, ConstraintForm::Regex, ConstraintForm::Choices, ConstraintForm::Gbnf];
        forms.write(&at("constraint"), &all, Overwrite::Refuse, &Silent).unwrap();
        fs::write(at("report.html"), &self.report).unwrap();
        writer.commit(self.items, self.model.hash(), json!({"version": 2}), self.generation.clone()).unwrap();
        target.to_path_buf()
    }
}

fn verified(path: &Path, tokens: Option<&Path>) -> Verified {
    verify(&VerifySpec { path: path.into(), tokens: tokens.map(Into::into) }, &Silent).unwrap()
}

/// The problems of a path, as one text.
fn problems(path: &Path, tokens: Option<&Path>) -> String {
    let verified = verified(path, tokens);
    let texts: Vec<String> = verified.problems().map(|p| format!("{}: {:?}", p.check, p.problem)).collect();
    assert_eq!(verified.whole, texts.is_empty());
    texts.join("\n")
}

#[test]
fn every_flipped_byte_of_every_file_of_an_index_is_detected() {
    let home = tempfile::tempdir().unwrap();
    let index = parts(24).write(&home.path().join("index"));
    assert_eq!(problems(&index, None), "");
    let all = files(&index);
    let names = ["manifest.json", "features.parquet", "tokens.parquet", "model/config.json", "vocabulary/index.json"];
    assert!(names.iter().all(|name| all.contains_key(*name)) && all.contains_key("constraint/ids.trie"));
    let mut bytes = 0;
    for (name, whole) in &all {
        let path = index.join(name);
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            // Flips one bit, or all bits of every ninth byte.
            flipped[at] ^= if at % 9 == 8 { 0xFF } else { 1 << (at % 8) };
            fs::write(&path, flipped).unwrap();
            assert!(!verified(&index, None).whole, "byte {at} of {name}");
        }
        for changed in [&whole[..whole.len() - 1], &[&whole[..], b"\n"].concat(), b""] {
            // White space after a manifest does not change its content, but its seal detects this as well.
            fs::write(&path, changed).unwrap();
            assert!(!verified(&index, None).whole, "{} bytes of {name}", changed.len());
        }
        fs::remove_file(&path).unwrap();
        let found = verify(&VerifySpec { path: index.clone(), tokens: None }, &Silent);
        assert!(found.is_err() || !found.unwrap().whole, "{name} removed");
        fs::write(&path, whole).unwrap();
        bytes += whole.len();
    }
    assert!(bytes > 10_000, "{bytes}");
    assert_eq!(problems(&index, None), "");
}

#[test]
fn mismatched_parts_are_found() {
    type Change = fn(&mut Parts);
    let home = tempfile::tempdir().unwrap();
    let changes: [(Change, &str); 8] = [
        (
            |p| {
                let ids = (0..24).map(|row| if row == 7 { 70 } else { row }).collect();
                let modalities = p.features.modalities().to_vec();
                p.features = Features::new(catalex::ItemIds::Integers(ids), modalities).unwrap();
            },
            "features: ",
        ),
        (|p| p.model = hand_made(4, &[4, 4, 5]), "token table: "),
        (|p| p.items = 7, "the items of the manifest"),
        (|p| p.features = features(clustered(23, 4)), "features: "),
        (|p| p.features = features(clustered(24, 5)), "the modalities of the model"),
        (|p| p.of_vocabulary = parts(23).table, "vocabulary of the token table: "),
        (|p| p.of_forms = parts(25).table, "constraint forms of the token table: "),
        (
            |p| {
                let mut codes = p.of_forms.codes.clone();
                codes.row_mut(0).swap(0, 1);
                p.of_forms.codes = codes;
            },
            "constraint forms of the token table: ",
        ),
    ];
    for (at, (change, says)) in changes.into_iter().enumerate() {
        let mut parts = parts(24);
        change(&mut parts);
        let found = problems(&parts.write(&home.path().join(at.to_string())), None);
        assert!(found.contains(says), "{says}: {found}");
    }
}

#[test]
fn single_files_are_checked_and_compared_with_a_table() {
    let home = tempfile::tempdir().unwrap();
    let (index, other) = (parts(24).write(&home.path().join("a")), parts(30).write(&home.path().join("b")));
    let alone = [
        ("tokens.parquet", "token table"),
        ("features.parquet", "features"),
        ("model", "model"),
        ("manifest.json", "manifest"),
        ("vocabulary", "vocabulary"),
        ("constraint", "constraint forms"),
        ("constraint/ids.trie", "trie"),
    ];
    for (name, kind) in alone {
        // Outside the index, there is no manifest with hashes, so only the content of the file is checked.
        let copy = home.path().join("copy").join(name);
        let from = index.join(name);
        fs::create_dir_all(if from.is_dir() { &copy } else { copy.parent().unwrap() }).unwrap();
        let parts = if from.is_dir() { files(&from) } else { [(String::new(), fs::read(&from).unwrap())].into() };
        let place = |part: &str| if part.is_empty() { copy.clone() } else { copy.join(part) };
        parts.iter().for_each(|(part, bytes)| fs::write(place(part), bytes).unwrap());
        let found = verified(&copy, Some(&index));
        assert!(found.whole && found.kind == kind, "{name}: {found:?}");
        // The last file of a vocabulary is its description. Its other files have no hash outside an index.
        let (part, bytes) = parts.iter().next_back().unwrap();
        let mut damaged = bytes.clone();
        damaged[bytes.len() / 2] ^= 1;
        fs::write(place(part), damaged).unwrap();
        assert!(!verified(&copy, None).whole, "{name}");
        fs::remove_dir_all(home.path().join("copy")).unwrap();
    }
    for name in ["vocabulary", "constraint", "constraint/ids.trie"] {
        assert_eq!(problems(&index.join(name), None), "", "{name}");
        assert_ne!(problems(&index.join(name), Some(&other)), "", "{name}");
    }
    let unknown = home.path().join("thesis.txt");
    fs::write(&unknown, "years").unwrap();
    for path in [unknown, home.path().join("nothing"), home.path().to_path_buf()] {
        assert!(verify(&VerifySpec { path: path.clone(), tokens: None }, &Silent).is_err(), "{}", path.display());
    }
}

#[test]
fn every_flipped_byte_of_a_constraint_folder_is_detected() {
    let home = tempfile::tempdir().unwrap();
    let folder = parts(24).write(&home.path().join("a")).join("constraint");
    assert!(verified(&folder, None).whole);
    for (name, bytes) in files(&folder) {
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(folder.join(&name), flipped).unwrap();
            assert!(!verified(&folder, None).whole, "byte {at} of {name}");
        }
        fs::write(folder.join(&name), bytes).unwrap();
    }
}

/// The files of servers: a damaged file, a missing one, and the copy of another token table.
#[test]
fn files_of_servers_are_checked() {
    let home = tempfile::tempdir().unwrap();
    let table = parts(24).table;
    let (folder, tokens) = (home.path().join("a"), home.path().join("tokens.parquet"));
    table.write(&tokens, Overwrite::Refuse).unwrap();
    let sizes = table.metadata.codebook_sizes.clone();
    let vocabulary_size = 100 + sizes.iter().sum::<usize>() as u32;
    let ids = TokenIds { first_id: 100, codebook_sizes: sizes, begin: None, end: None, vocabulary_size };
    let forms = Forms { tokens: Some(ids.clone()), ..Forms::of(&table) };
    let all = [ConstraintForm::Trie, ConstraintForm::Vllm, ConstraintForm::Sglang, ConstraintForm::Nvidia];
    forms.write(&folder, &all, Overwrite::Refuse, &Silent).unwrap();
    assert_eq!(problems(&folder, Some(&tokens)), "");
    let whole = files(&folder);
    assert_eq!(whole.len(), 9, "{:?}", whole.keys());
    for (name, bytes) in &whole {
        for at in (0..bytes.len()).step_by(7) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(folder.join(name), flipped).unwrap();
            assert!(!verified(&folder, None).whole, "byte {at} of {name}");
        }
        fs::remove_file(folder.join(name)).unwrap();
        // Without its description, the folder is not one of catalex, which is an error.
        let found = verify(&VerifySpec { path: folder.clone(), tokens: None }, &Silent);
        assert!(!found.is_ok_and(|found| found.whole), "{name}");
        fs::write(folder.join(name), bytes).unwrap();
    }
    // Every file is whole, but the table of the item ids is another one.
    let mut other = parts(24).table;
    other.item_ids = ItemIds::Strings((0..24).map(|row| format!("other {row}")).collect());
    let foreign = home.path().join("b");
    Forms { tokens: Some(ids), ..Forms::of(&other) }.write(&foreign, &all[..3], Overwrite::Refuse, &Silent).unwrap();
    assert_eq!(problems(&foreign, None), "");
    let found = problems(&foreign, Some(&tokens));
    assert!(found.contains("tokens.parquet"), "{found}");
}

#[test]
fn the_exit_code_is_1_if_problems_are_found() {
    let home = tempfile::tempdir().unwrap();
    let old = root().join("tests/golden/index-0.1").to_string_lossy().into_owned();
    assert!(succeeds(&["verify", &old]).contains("problems           0"));
    let store = home.path().join("store").to_string_lossy().into_owned();
    succeeds(&["publish", &old, "--store", &store]);
    let found: Value = serde_json::from_str(&succeeds(&["verify", &store, "--json"])).unwrap();
    assert!(found["whole"] == json!(true) && found["kind"] == json!("store"), "{found}");
    // A copy of a generation under another number, with a changed file.
    let (from, to) = (format!("{store}/generations/000000"), format!("{store}/generations/000003"));
    fs::create_dir(&to).unwrap();
    for (name, bytes) in files(from.as_ref()) {
        fs::create_dir_all(Path::new(&to).join(&name).parent().unwrap()).unwrap();
        fs::write(Path::new(&to).join(name), bytes).unwrap();
    }
    fs::write(format!("{to}/report.html"), "x").unwrap();
    let output = catalex(&["verify", &store]).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains("number in the store: ") && printed.contains("problems           2"), "{printed}");
    let (code, message) = outcome(&output);
    assert!(code == 1 && message.contains("expected no problems, got 2 problems"), "{message}");
    let output = catalex(&["verify", &store, "--json"]).output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found["whole"] == json!(false) && output.status.code() == Some(1), "{found}");
}
