//! `catalex embed` that is killed goes on where it was, to the same bytes.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::index::small_catalog;
use super::support::{catalex, minilm, mobilenet, outcome, succeeds};

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

/// Finished parts in the folder beside an output.
fn parts(out: &Path) -> usize {
    let folder = out.with_extension("parquet.partial").join("parts");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|e| e == "json")).count()
}

#[test]
fn an_embedding_that_was_killed_goes_on_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = folder.path().join("emoji.jsonl");
    small_catalog(&catalog, 60);
    let at = |name: &str| folder.path().join(name);
    succeeds(&embed(&catalog, &at("whole.parquet"), &[]));
    let expected = fs::read(at("whole.parquet")).unwrap();
    let out = at("cut.parquet");
    // Killed again and again, each time a part or two later.
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
    // A part that is no longer what it was is made again, the others are kept.
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
