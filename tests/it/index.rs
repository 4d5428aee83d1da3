//! `catalex build` on real emoji with the real encoders: its outputs, their reproducibility, and no incomplete output
//! after a kill.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use catalex::catalog::{CatalogReader, CatalogSpec, ImageSource, TextSpec};
use catalex::features::Features;
use catalex::index::{FEATURES, Index, TOKENS};
use catalex::progress::Silent;
use catalex::quality::LabelNeighbours;
use catalex::rqvae;
use catalex::semantic_id::TokenTable;
use catalex::training::QuantizerConfig;

use super::emoji::emoji_index;
use super::support::{catalex, files, minilm, mobilenet, numbers, outcome, root, succeeds};
use super::training::assert_parity;

fn emoji() -> CatalogSpec {
    CatalogSpec {
        path: root().join("fixtures/emoji/catalog.parquet"),
        id: Some("id".into()),
        text: TextSpec::Joined(vec!["label".into(), "tags".into()]),
        images: vec!["image".into()],
        ..CatalogSpec::default()
    }
}

/// The first emoji as a JSONL catalog.
pub(crate) fn small_catalog(path: &Path, items: usize) {
    let batch = CatalogReader::open(&emoji()).unwrap().next().unwrap().unwrap();
    let lines = (0..items).map(|row| {
        let [ImageSource::Path(image)] = &batch.images[row][..] else { panic!("an emoji without a picture") };
        let item = serde_json::json!({"id": batch.item_ids.text(row), "text": batch.texts[row][0], "image": image});
        item.to_string() + "\n"
    });
    fs::write(path, lines.collect::<String>()).unwrap();
}

fn build(catalog: &Path, out: &Path) -> Vec<String> {
    let encoders = [minilm(), mobilenet()].map(|p| p.to_string_lossy().into_owned());
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut arguments: Vec<String> =
        ["build", "--id", "id", "--text", "text", "--image", "image"].map(String::from).into();
    arguments.extend(["--levels", "3", "--codebook-size", "32", "--epochs", "3", "--threads", "2"].map(String::from));
    arguments.extend([text(catalog), "--out".into(), text(out)]);
    arguments.extend(
        ["--text-encoder", &encoders[0], "--image-encoder", &encoders[1], "--tokenizer", &encoders[0]]
            .map(String::from),
    );
    arguments
}

#[test]
fn an_index_is_complete_and_reproducible() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = folder.path().join("emoji.jsonl");
    small_catalog(&catalog, 200);
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    let printed = succeeds(&build(&catalog, &a));
    assert!(printed.contains("distinct IDs       200") && printed.contains("report.html"), "{printed}");
    succeeds(&build(&catalog, &b));
    let (first, second) = (files(&a), files(&b));
    assert_eq!(first.keys().collect::<Vec<_>>(), second.keys().collect::<Vec<_>>());
    for (name, content) in &first {
        assert!(*content == second[name], "{name} differs between two runs");
    }
    for name in ["manifest.json", "features.parquet", "model/config.json", "model/model.safetensors", "tokens.parquet"]
    {
        assert!(first.contains_key(name), "{name}");
    }
    for name in ["new_tokens.json", "new_tokens.txt", "index.json", "vocabulary.json", "tokenizer/tokenizer.json"] {
        assert!(first.contains_key(&format!("vocabulary/{name}")), "{name}");
    }
    let index = Index::open(&a).unwrap();
    assert_eq!(TokenTable::read(&index.path(TOKENS)).unwrap().item_ids.len(), 200);
    let figures: serde_json::Value =
        serde_json::from_str(&succeeds(&["inspect", &a.to_string_lossy(), "--json"])).unwrap();
    assert_eq!(figures["distinct_ids"], 200);
    assert!(figures["reconstruction"]["after_resolution"].as_f64().unwrap() < 0.6);
    let (code, message) = outcome(&catalex(&build(&catalog, &a)).output().unwrap());
    assert_eq!(code, 1);
    assert!(message.contains("already exists"), "{message}");
    // A changed file is detected.
    fs::write(a.join("tokens.parquet"), "x").unwrap();
    let (code, message) = outcome(&catalex(&["inspect", &a.to_string_lossy()]).output().unwrap());
    assert_eq!(code, 1);
    assert!(message.contains("SHA-256"), "{message}");
}

#[test]
fn a_killed_build_leaves_no_index_or_a_complete_one() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = folder.path().join("emoji.jsonl");
    small_catalog(&catalog, 60);
    let run = |out: &Path| {
        let mut command = catalex(&build(&catalog, out));
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let began = Instant::now();
    assert!(run(&folder.path().join("whole")).wait().unwrap().success());
    let whole = began.elapsed();
    let mut next = numbers(std::process::id().into());
    let expected = files(&folder.path().join("whole"));
    for attempt in 0..6 {
        let out = folder.path().join(format!("killed-{attempt}"));
        let features = folder.path().join(format!("killed-{attempt}.partial/features.parquet"));
        let mut child = run(&out);
        if attempt == 0 {
            // One kill at a defined state, independent of the machine's speed: after encoding, before training.
            while !features.exists() && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
        } else {
            // Files are written and renamed in the last tenth, so half of the other kills happen there.
            let (from, share) = if attempt % 2 == 0 { (0.0, 0.9) } else { (0.85, 0.2) };
            std::thread::sleep(whole.mul_f32(from + share * (next() + 1.0) / 2.0).max(Duration::from_millis(1)));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if out.exists() {
            Index::open(&out).unwrap();
            continue;
        }
        // Finished stages are not repeated, and the result is the same.
        assert!(features.exists() || attempt != 0);
        succeeds(&[&build(&catalog, &out)[..], &["--resume".into()]].concat());
        let found = files(&out);
        let differs = |name: &&String| found.get(*name) != expected.get(*name);
        let differing: Vec<_> = found.keys().chain(expected.keys()).filter(differs).collect();
        assert!(differing.is_empty(), "killed at {attempt}: {differing:?}");
    }
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".partial")), "{left:?}");
}

#[test]
fn both_forward_passes_agree_on_every_emoji() {
    let features = Features::read(&emoji_index().join(FEATURES)).unwrap();
    assert_eq!((features.len(), features.dims()), (1_852, vec![384, 1280]));
    assert_parity(&features, QuantizerConfig { epochs: 4, ..QuantizerConfig::default() }.into());
    an_item_keeps_its_first_code_without_a_modality(&features);
    fused_items_have_neighbours_of_their_kind(&features);
}

/// Hides one modality of a random half of the items.
fn an_item_keeps_its_first_code_without_a_modality(features: &Features) {
    let model =
        rqvae::train(features, QuantizerConfig { epochs: 0, ..QuantizerConfig::default() }.into(), None, &Silent)
            .unwrap();
    let model = model.tokenizer;
    let x = features.concatenated();
    let full = model.codes(x.view(), Some(features.presence().view())).unwrap();
    let mut next = numbers(17);
    let hidden: Vec<bool> = (0..features.len()).map(|_| next() > 0.0).collect();
    for (modality, least) in [(0, 0.6), (1, 0.6)] {
        let mut present = features.presence();
        hidden.iter().enumerate().filter(|(_, hidden)| **hidden).for_each(|(row, _)| present[[row, modality]] = false);
        let codes = model.codes(x.view(), Some(present.view())).unwrap();
        let rows: Vec<usize> = (0..features.len()).filter(|&row| hidden[row]).collect();
        let kept = rows.iter().filter(|&&row| codes[[row, 0]] == full[[row, 0]]).count() as f64 / rows.len() as f64;
        let name = &features.modalities()[modality].name;
        println!("without their {name}, {kept:.3} of {} items keep their first code", rows.len());
        assert!(kept >= least, "without their {name}, {kept} keep their first code");
        // The other items do not change.
        assert!((0..features.len()).all(|row| hidden[row] || codes.row(row) == full.row(row)));
    }
}

fn fused_items_have_neighbours_of_their_kind(features: &Features) {
    let config = QuantizerConfig { epochs: 0, refine_iterations: Some(0), ..QuantizerConfig::default() };
    let model = rqvae::train(features, config.into(), None, &Silent).unwrap().tokenizer;
    let subgroup = CatalogSpec { text: TextSpec::Joined(vec!["subgroup".into()]), images: vec![], ..emoji() };
    let labels: Vec<String> =
        CatalogReader::open(&subgroup).unwrap().flat_map(|batch| batch.unwrap().texts).map(|t| t.concat()).collect();
    let found = LabelNeighbours::measure(&model, features, &labels, &Silent).unwrap();
    let share = |by: &str| found.shares.iter().find(|nearness| nearness.by == by).unwrap().share;
    println!("{found:?}");
    assert!(share("fused") >= 0.65 && share("fused") > share("side by side"), "{found:?}");
}

/// A build whose items are all encoded resumes only with the same image files. It prints the numbers of encoded and
/// left-out items.
#[test]
fn a_resumed_build_requires_the_same_images_and_repeats_its_summary() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    small_catalog(&at("emoji.jsonl"), 60);
    let lines = fs::read_to_string(at("emoji.jsonl")).unwrap();
    let images = format!("{}/", super::support::root().join("fixtures/emoji/images").display());
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    let name = first["image"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    fs::copy(format!("{images}{name}"), at(&name)).unwrap();
    let lines =
        lines.replacen(&format!("{images}{name}"), &name, 1) + "{\"id\":\"bare\",\"text\":\"\",\"image\":null}\n";
    fs::write(at("c.jsonl"), lines).unwrap();
    let out = at("index");
    let arguments = |epochs: &str, more: &str| {
        let mut arguments = build(&at("c.jsonl"), &out);
        let place = arguments.iter().position(|argument| argument == "--epochs").unwrap();
        arguments[place + 1] = epochs.into();
        arguments.extend(["--on-bad-item", "skip", more].map(String::from));
        arguments
    };
    let mut child =
        catalex(&arguments("100000", "--force")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !at("index.partial/features.parquet").exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    fs::copy(format!("{images}1F436.png"), at(&name)).unwrap();
    let (code, message) = outcome(&catalex(&arguments("3", "--resume")).output().unwrap());
    assert!(code == 1 && message.contains("changed image files") && message.contains("--force"), "{message}");
    let printed = succeeds(&arguments("3", "--force"));
    assert!(printed.contains("text               dimension 384, missing for 0 items"), "{printed}");
    assert!(
        printed.contains("texts truncated    0") && printed.contains("1 left out: bare, listed in bad-items.jsonl")
    );
    let list = fs::read_to_string(out.join("bad-items.jsonl")).unwrap();
    assert!(list.contains("\"item_id\":\"bare\"") && list.contains("\"row\":61"), "{list}");
    catalex::index::Index::open(&out).unwrap();
}
