//! The limits in `docs/security.md` equal the constants in the source.

use std::fs;
use std::path::Path;

use catalex::artifact::Overwrite;
use catalex::semantic_id::TokenTable;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::support::{catalex, clustered, features, hand_made, minilm, outcome, root, succeeds};

/// The values of all numeric constants with this name in the source.
fn declared(folder: &Path, name: &str, found: &mut Vec<f64>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            declared(&path, name, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let start = format!("const {name}: ");
            found.extend(text.lines().filter_map(|line| line.split_once(&start)).filter_map(|(_, rest)| value(rest)));
        }
    }
}

/// The value of `usize = 1 << 20;`.
fn value(declaration: &str) -> Option<f64> {
    let number = |text: &str| text.trim().replace('_', "").parse::<f64>().ok();
    let expression = declaration.split_once('=')?.1.trim().strip_suffix(';')?;
    match expression.split_once("<<") {
        Some((mantissa, shift)) => Some(number(mantissa)? * number(shift)?.exp2()),
        None => number(expression),
    }
}

/// The number of a cell, such as `64 MiB` or `4,096`.
fn written(cell: &str) -> Option<f64> {
    let (number, unit) = cell.split_once(' ').unwrap_or((cell, ""));
    let power = ["", "Ki", "Mi", "Gi"].iter().position(|&prefix| prefix == unit.trim_end_matches('B'))?;
    Some(number.replace(',', "").parse::<f64>().ok()? * 1024f64.powi(power as i32))
}

#[test]
fn the_documented_limits_equal_the_constants() {
    let page = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let (_, table) = page.split_once("<!-- limits -->").unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(3)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() > 15);
    for row in rows {
        let name = row[2].trim_matches('`');
        let mut found = Vec::new();
        declared(&root().join("src"), name, &mut found);
        let expected = written(row[1]).unwrap_or_else(|| panic!("{name}: {} is not a number", row[1]));
        assert!(found.contains(&expected), "{name}: the page says {expected}, the source {found:?}");
    }
}

/// Tables on which the Parquet library panics. `make fuzz` found them.
#[test]
fn a_token_table_on_which_its_reader_panics_is_refused() {
    let entries = fs::read_dir(root().join("fuzz/corpus/token-table")).unwrap();
    let messages: Vec<String> =
        entries.map(|entry| TokenTable::read(&entry.unwrap().path()).unwrap_err().to_string()).collect();
    assert!(messages.len() >= 3 && messages.iter().all(|message| message.contains("token table")), "{messages:?}");
}

/// A compressed Arrow file whose header continues in the body, with a false buffer length and a false decompressed size.
/// `make fuzz` found it.
#[test]
fn a_header_that_continues_in_the_body_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.arrow");
    fs::copy(root().join("fuzz/corpus/arrow/memory-eb269637"), &path).unwrap();
    let (code, message) = outcome(&catalex(&["check", &path.to_string_lossy()]).output().unwrap());
    assert_eq!(code, 1);
    assert!(message.contains("the footer or a header"), "{message}");
}

/// Reading a pipe would block forever, and a device has no end of file.
#[test]
fn pipes_and_devices_in_place_of_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    hand_made(4, &[4, 4]).save(path("m").as_ref(), Overwrite::Refuse).unwrap();
    features(clustered(8, 4)).write(path("x").as_ref(), Overwrite::Refuse).unwrap();
    succeeds(&["tokenize", &path("x"), "--model", &path("m"), "--out", &path("t")]);
    succeeds(&["constrain", &path("t"), "--form", "trie,choices", "--out", &path("c")]);
    fs::create_dir(path("y.partial")).unwrap();
    fs::write(path("y.partial/partial.json"), "{}").unwrap();
    fs::write(path("c.csv"), "id,t\n1,a\n").unwrap();
    let [m, x, t, c, y, csv] = ["m", "x", "t", "c", "y", "c.csv"].map(path);
    let minilm = minilm().to_string_lossy().into_owned();
    let embed = ["embed", &csv, "--text", "t", "--text-encoder", &minilm, "--out", &y];
    let lines: [(&str, &[&str]); 12] = [
        ("m/config.json", &["verify", &m]),
        ("m/config.json", &["train", &x, "--out", &m, "--force", "--codebook-size", "4"]),
        ("m/model.safetensors", &["verify", &m]),
        ("m/model.safetensors", &["tokenize", &x, "--model", &m, "--out", &y]),
        ("x", &["verify", &x]),
        ("x", &["train", &x, "--out", &y, "--codebook-size", "4"]),
        ("t", &["verify", &t]),
        ("t", &["diff", &t, &t]),
        ("c/constraint.json", &["verify", &c]),
        ("c/ids.trie", &["verify", &c]),
        ("c/constraint.json", &["constrain", &t, "--form", "trie", "--out", &c, "--force"]),
        ("y.partial/partial.json", &embed),
    ];
    for (file, line) in lines {
        let (file, kept) = (path(file), path("kept"));
        fs::rename(&file, &kept).unwrap();
        for device in [false, true] {
            match device {
                true => std::os::unix::fs::symlink("/dev/zero", &file).unwrap(),
                false => mknodat(CWD, &file, FileType::Fifo, Mode::RWXU, 0).unwrap(),
            }
            let output = catalex(line).output().unwrap();
            let (code, message) = outcome(&output);
            assert_eq!(code, 1, "{line:?} with {file}: {message}");
            fs::remove_file(&file).unwrap();
        }
        fs::rename(&kept, &file).unwrap();
    }
}
