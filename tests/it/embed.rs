//! A killed `catalex embed` resumes where it stopped, and writes the same bytes.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::index::small_catalog;
use super::support::{catalex, features, minilm, mobilenet, outcome, root, succeeds};

fn embed(catalog: &Path, out: &Path, more: &[&str]) -> Vec<String> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut arguments: Vec<String> = ["embed", "--id", "id", "--text", "text", "--image", "image", "--threads", "2"]
        .into_iter()
        .chain(["--part-items", "8"])
        .chain(more.iter().copied())
        .map(String::from)
        .collect();
    arguments.extend([text(catalog), "--out".into(), text(out)]);
    arguments.extend(["--text-encoder".into(), text(&minilm()), "--image-encoder".into(), text(&mobilenet())]);
    arguments
}

/// Number of finished parts in the folder next to an output.
fn parts(out: &Path) -> usize {
    let folder = out.with_extension("parquet.partial").join("parts");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|e| e == "json")).count()
}

#[test]
fn a_killed_embed_resumes_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = folder.path().join("emoji.jsonl");
    small_catalog(&catalog, 60);
    let at = |name: &str| folder.path().join(name);
    succeeds(&embed(&catalog, &at("whole.parquet"), &[]));
    let expected = fs::read(at("whole.parquet")).unwrap();
    let out = at("cut.parquet");
    // Killed several times, each time one or two parts later.
    for reached in [1, 2, 4, 6] {
        let resume: &[&str] = if reached == 1 { &[] } else { &["--resume"] };
        let mut child =
            catalex(&embed(&catalog, &out, resume)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while parts(&out) < reached && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!out.exists() && parts(&out) >= reached, "killed at part {reached}");
    }
    let says = |arguments: &[String]| outcome(&catalex(arguments).output().unwrap());
    let (code, message) = says(&embed(&catalog, &out, &[]));
    assert!(code == 1 && message.contains("interrupted run") && message.contains("--resume"), "{message}");
    let (code, message) = says(&embed(&catalog, &out, &["--resume", "--raw-text"]));
    assert!(code == 1 && message.contains("changed: raw-text"), "{message}");
    // A damaged part is encoded again. The others are reused.
    let parts_folder = at("cut.parquet.partial").join("parts");
    let first = parts_folder.join("000000.parquet");
    let mut damaged = fs::read(&first).unwrap();
    damaged[100] ^= 1;
    fs::write(&first, damaged).unwrap();
    let second = fs::metadata(parts_folder.join("000001.parquet")).unwrap().modified().unwrap();
    let lines = fs::read_to_string(&catalog).unwrap();
    fs::write(&catalog, lines.replacen("grinning", "smiling", 1)).unwrap();
    let (code, message) = says(&embed(&catalog, &out, &["--resume"]));
    assert!(code == 1 && message.contains("changed: content of the catalog"), "{message}");
    fs::write(&catalog, lines).unwrap();
    assert_eq!(fs::metadata(parts_folder.join("000001.parquet")).unwrap().modified().unwrap(), second);
    let output = catalex(&embed(&catalog, &out, &["--resume"])).output().unwrap();
    let (code, message) = outcome(&output);
    assert_eq!(code, 0, "{message}");
    assert!(message.contains("000000.parquet is damaged") && !message.contains("000001"), "{message}");
    assert!(fs::read(&out).unwrap() == expected);
    assert!(!at("cut.parquet.partial").exists());
}

#[test]
fn changed_images_are_encoded_again() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let emoji = |name: &str| root().join("fixtures/emoji/images").join(name);
    let lines = (0..24).map(|row| format!("{{\"id\":{row},\"text\":\"thing {row}\",\"image\":\"{row}.png\"}}\n"));
    fs::write(at("c.jsonl"), lines.collect::<String>()).unwrap();
    for row in 0..24 {
        fs::copy(emoji("1F600.png"), at(&format!("{row}.png"))).unwrap();
    }
    // A run that stops in its third part because an image file is missing.
    fs::remove_file(at("17.png")).unwrap();
    let out = at("cut.parquet");
    let (code, message) = outcome(&catalex(&embed(&at("c.jsonl"), &out, &[])).output().unwrap());
    assert!(code == 1 && message.contains("item 17") && parts(&out) == 2, "{message}");
    fs::copy(emoji("1F600.png"), at("17.png")).unwrap();
    fs::copy(emoji("1F436.png"), at("9.png")).unwrap();
    let (code, message) = outcome(&catalex(&embed(&at("c.jsonl"), &out, &["--resume"])).output().unwrap());
    assert!(code == 0 && message.contains("image files of part 1 have changed"), "{message}");
    assert!(!message.contains("part 0"), "{message}");
    succeeds(&embed(&at("c.jsonl"), &at("whole.parquet"), &[]));
    assert!(fs::read(&out).unwrap() == fs::read(at("whole.parquet")).unwrap());
}

/// A run that was killed within a part continues after the last batch.
#[test]
fn an_unfinished_part_reuses_its_batches() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = folder.path().join("emoji.jsonl");
    small_catalog(&catalog, 200);
    let at = |name: &str| folder.path().join(name);
    let one_part = ["--part-items", "200"];
    let of = |out: &Path, more: &[&str]| {
        let mut arguments = embed(&catalog, out, more);
        let at = arguments.iter().position(|argument| argument == "--part-items").unwrap();
        arguments[at + 1] = one_part[1].into();
        arguments
    };
    succeeds(&of(&at("whole.parquet"), &[]));
    let out = at("cut.parquet");
    let journal = out.with_extension("parquet.partial").join("parts/000000.journal");
    let size = || fs::metadata(&journal).map_or(0, |about| about.len());
    let mut before = 0;
    for resume in [&[][..], &["--resume"]] {
        let mut child = catalex(&of(&out, resume)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while size() < before + 50_000 && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(size() > before && parts(&out) == 0, "{} bytes", size());
        before = size();
    }
    succeeds(&of(&out, &["--resume"]));
    assert!(fs::read(&out).unwrap() == fs::read(at("whole.parquet")).unwrap());
    assert!(!at("cut.parquet.partial").exists());
}

#[test]
fn items_without_content_are_named_before_encoding_or_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("c.csv"), "id,text\na,Pen\nb,\nc,<br>\nd,Ink\n").unwrap();
    fs::write(at("whole.csv"), "id,text\na,Pen\nd,Ink\n").unwrap();
    let encoder = minilm().display().to_string();
    let run = |catalog: &str, out: &str, more: &[&str]| {
        let (catalog, out) = (at(catalog).display().to_string(), at(out).display().to_string());
        let arguments = ["embed", &catalog, "--text", "text", "--text-encoder", &encoder, "--out", &out];
        catalex(&[&arguments[..], more].concat()).output().unwrap()
    };
    let (code, message) = outcome(&run("c.csv", "o.parquet", &[]));
    assert!(code == 1 && message.contains("c.csv, row 2, column \"text\""), "{message}");
    assert!(message.contains("item b, and for 1 more") && !at("o.parquet.partial").exists(), "{message}");
    let done = run("c.csv", "o.parquet", &["--on-bad-item", "skip"]);
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(printed.contains("items              2") && printed.contains("2 left out: b, c, listed in"), "{printed}");
    let list = fs::read_to_string(at("o.parquet.bad-items.jsonl")).unwrap();
    let file = at("c.csv").display().to_string();
    let last: serde_json::Value = serde_json::from_str(list.lines().last().unwrap()).unwrap();
    assert_eq!(last, serde_json::json!({"item_id": "c", "file": file, "row": 3}));
    assert!(run("whole.csv", "whole.parquet", &[]).status.success());
    assert!(fs::read(at("o.parquet")).unwrap() == fs::read(at("whole.parquet")).unwrap());
    // The same for precomputed vectors: item 9 has none.
    fs::write(at("ids.jsonl"), "{\"id\":0}\n{\"id\":9}\n{\"id\":1}\n").unwrap();
    let vectors = features(ndarray::arr2(&[[1.0, 2.0], [3.0, 4.0]]));
    vectors.write(&at("v.parquet"), catalex::artifact::Overwrite::Refuse).unwrap();
    let ready = |more: &[&str]| {
        let (catalog, out) = (at("ids.jsonl").display().to_string(), at("r.parquet").display().to_string());
        let table = format!("text={}", at("v.parquet").display());
        catalex(&[&["embed", &catalog, "--embedding", &table, "--out", &out][..], more].concat()).output().unwrap()
    };
    let (code, message) = outcome(&ready(&[]));
    assert!(code == 1 && message.contains("ids.jsonl, row 2") && message.contains("item 9"), "{message}");
    let done = ready(&["--on-bad-item", "skip"]);
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(printed.contains("1 left out: 9,"), "{printed} {}", String::from_utf8_lossy(&done.stderr));
}
