//! Outputs: damage is detected, only one writer succeeds, other files are kept, and the umask applies.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use catalex::features::Features;
use catalex::index::Index;
use catalex::semantic_id::TokenTable;
use catalex::tokenizer::Tokenizer;

use super::support::{catalex, files, outcome, root, succeeds, write_matrix};

/// Writes a catalog of this many items and a matrix of vectors. Returns the arguments of a build of both.
fn catalog(folder: &Path, name: &str, items: usize) -> Vec<String> {
    let (table, matrix) = (folder.join(format!("{name}.csv")), folder.join(format!("{name}.npy")));
    let lines: String = (0..items).map(|item| format!("{name}{item},{item}\n")).collect();
    fs::write(&table, "id,title\n".to_owned() + &lines).unwrap();
    let vectors = ndarray::Array2::from_shape_fn((items, 8), |(i, j)| ((i * 7 + j * 3) as f32 * 0.37).sin());
    write_matrix(&matrix, &vectors);
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let embedding = format!("text={}", text(&matrix));
    let settings = ["--levels=3", "--codebook-size=16", "--threads=1"].map(String::from);
    [&["build".into(), text(&table), "--embedding".into(), embedding][..], &settings].concat()
}

fn out(arguments: &[String], out: &Path, more: &[&str]) -> Vec<String> {
    let to = ["--out".to_owned(), out.to_string_lossy().into_owned()];
    [arguments, &to, &more.iter().map(|m| (*m).to_owned()).collect::<Vec<_>>()].concat()
}

#[test]
fn a_flipped_bit_is_found_in_every_file_wherever_it_lies() {
    type Reads = fn(&Path) -> bool;
    let home = tempfile::tempdir().unwrap();
    let index = home.path().join("index");
    succeeds(&out(&catalog(home.path(), "a", 60), &index, &[]));
    let readers: [(&str, Reads); 5] = [
        ("features.parquet", |path| Features::read(path).is_ok()),
        ("tokens.parquet", |path| TokenTable::read(path).is_ok()),
        ("model/model.safetensors", |path| Tokenizer::load(path.parent().unwrap()).is_ok()),
        ("model/config.json", |path| Tokenizer::load(path.parent().unwrap()).is_ok()),
        ("manifest.json", |path| Index::open(path.parent().unwrap()).is_ok()),
    ];
    for (name, reads) in readers {
        let path = index.join(name);
        let whole = fs::read(&path).unwrap();
        assert!(reads(&path), "{name}");
        // All bytes of a small file. For a large file, its start, its end, and some bytes in between.
        let step = (whole.len() / 300).max(1);
        let ends = (0..200.min(whole.len())).chain(whole.len().saturating_sub(1_500)..whole.len());
        for at in (0..whole.len()).step_by(step).chain(ends) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&path, flipped).unwrap();
            // The Parquet reader panics on some metadata. This is an invalid table as well.
            assert!(!std::panic::catch_unwind(|| reads(&path)).unwrap_or(false), "byte {at} of {name}");
        }
        fs::write(&path, whole).unwrap();
        assert!(reads(&path), "{name}");
    }
    for name in files(&index).into_keys().filter(|name| name != "manifest.json") {
        let path = index.join(&name);
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 4;
        fs::write(&path, flipped).unwrap();
        assert!(Index::open(&index).unwrap_err().to_string().contains(&*name), "{name}");
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn one_of_two_concurrent_builds_succeeds_and_the_other_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let catalogs = [catalog(home.path(), "a", 300), catalog(home.path(), "b", 300)];
    let refused = Cell::new(0);
    // On a busy machine, one run can end before the other starts.
    for attempt in (0..40).take_while(|&attempt| attempt < 6 || refused.get() == 0) {
        let target = home.path().join(format!("out-{attempt}"));
        let start = |catalog: &Vec<String>| {
            catalex(&out(catalog, &target, &["--force"])).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let runs = [start(&catalogs[0]), start(&catalogs[1])];
        let outcomes = runs.map(|run| outcome(&run.wait_with_output().unwrap()));
        assert!(outcomes.iter().any(|(code, _)| *code == 0), "{outcomes:?}");
        for (_, message) in outcomes.iter().filter(|(code, _)| *code != 0) {
            assert!(message.contains("is being written by process"), "{message}");
            refused.set(refused.get() + 1);
        }
        let index = Index::open(&target).unwrap();
        let table = TokenTable::read(&index.path("tokens.parquet")).unwrap();
        let features = Features::read(&index.path("features.parquet")).unwrap();
        assert_eq!(table.item_ids, *features.item_ids());
        let first = table.item_ids.text(0)[..1].to_owned();
        assert!((0..300).all(|row| table.item_ids.text(row).starts_with(&first)));
    }
    assert!(refused.get() > 0, "no two runs overlapped");
    let left: Vec<_> = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let left: Vec<_> = left.iter().filter(|name| name.to_string_lossy().starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_next_run_removes_files_of_a_killed_run() {
    let home = tempfile::tempdir().unwrap();
    let target = home.path().join("index");
    let build = out(&catalog(home.path(), "a", 2_000), &target, &["--epochs=2000", "--patience=2000"]);
    let mut run = catalex(&build).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let partial = home.path().join("index.partial/features.parquet");
    while !partial.exists() {
        assert!(run.try_wait().unwrap().is_none());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    // A running process is distinguished from a killed one.
    let again = || outcome(&catalex(&build).output().unwrap()).1;
    let message = again();
    assert!(message.contains(&format!("is being written by process {}", run.id())), "{message}");
    run.kill().unwrap();
    run.wait().unwrap();
    let parts = || {
        let names = fs::read_dir(home.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".index.")).collect::<Vec<_>>()
    };
    assert!(parts().iter().any(|name| name.contains(".part-")), "{:?}", parts());
    let message = again();
    assert!(message.contains("an interrupted run"), "{message}");
    assert!(parts().is_empty(), "{:?}", parts());
}

#[test]
fn force_keeps_files_that_catalex_did_not_write() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let build = catalog(home.path(), "a", 60);
    let matrix = at("a.npy").to_string_lossy().into_owned();
    let train = ["train", &matrix, "--levels=3", "--codebook-size=16", "--epochs=1", "--threads=1"].map(String::from);
    let web = ("manifest.json", "{\"name\": \"a web app\", \"format_version\": 1}");
    let llm = ("config.json", "{\"architectures\": [\"LlamaForCausalLM\"]}");
    type Case<'a> = (&'a [String], &'a str, &'a str, (&'a str, &'a str));
    let cases: [Case; 5] = [
        (&train, "llm", "llm", llm),
        (&build, "web", "web", web),
        (&build, "x", "x.partial", ("thesis.txt", "years")),
        (&train, "y", "y.checkpoint", ("thesis.txt", "years")),
        (&train, "z", "z.checkpoint", ("", "years")),
    ];
    for (verb, target, foreign, (name, content)) in cases {
        let file = at(foreign).join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let file = if name.is_empty() { at(foreign) } else { file };
        fs::write(&file, content).unwrap();
        for force in [&["--force"][..], &[]] {
            let (code, message) = outcome(&catalex(&out(verb, &at(target), force)).output().unwrap());
            assert_ne!(code, 0, "{foreign}");
            assert_eq!(fs::read_to_string(&file).unwrap(), content, "{message}");
        }
    }
    // An additional file in an index folder.
    let index = at("index");
    succeeds(&out(&build, &index, &[]));
    fs::write(index.join("notes.txt"), "years").unwrap();
    let (_, message) = outcome(&catalex(&out(&build, &index, &["--force"])).output().unwrap());
    assert!(message.contains("the file notes.txt"), "{message}");
    fs::remove_file(index.join("notes.txt")).unwrap();
    // A symbolic link to the index remains a link.
    symlink("index", at("link")).unwrap();
    succeeds(&out(&build, &at("link"), &["--force"]));
    assert!(at("link").symlink_metadata().unwrap().is_symlink());
    // No output is written into an index or over a device.
    let index = index.to_string_lossy().into_owned();
    for report in [format!("{index}/report.html"), format!("{index}/new.html"), "/dev/null".into()] {
        let (code, message) = outcome(&catalex(&["inspect", &index, "--report", &report, "--force"]).output().unwrap());
        assert!(code == 1 && message.contains("such as to") != report.starts_with("/dev"), "{message}");
    }
    Index::open(Path::new(&index)).unwrap();
    let null = fs::metadata("/dev/null").unwrap().file_type();
    assert!(!null.is_file() && !null.is_dir());
}

#[test]
fn every_output_follows_the_umask() {
    let home = tempfile::tempdir().unwrap();
    for (mask, file, folder) in [("077", 0o600, 0o700), ("022", 0o644, 0o755), ("027", 0o640, 0o750)] {
        let inside = home.path().join(mask);
        fs::create_dir(&inside).unwrap();
        let build = catalog(&inside, "a", 60);
        let matrix = inside.join("a.npy").to_string_lossy().into_owned();
        let before: Vec<PathBuf> = modes(&inside).into_keys().collect();
        let text = |name: &str| inside.join(name).to_string_lossy().into_owned();
        let tokenizer = super::support::minilm().to_string_lossy().into_owned();
        let runs = [
            out(&build, &inside.join("index"), &["--tokenizer", &tokenizer]),
            ["tokenize", &matrix, "--model", &text("index"), "--out", &text("t.parquet")].map(String::from).into(),
            ["constrain", &text("index"), "--form=trie,regex", "--out", &text("forms")].map(String::from).into(),
            ["inspect", &text("index"), "--report", &text("r.html")].map(String::from).into(),
        ];
        for run in runs {
            let mut shell = Command::new("sh");
            shell.args(["-c", "umask \"$0\"; exec \"$@\"", mask, env!("CARGO_BIN_EXE_catalex")]).args(&run);
            let output = shell.current_dir(root()).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        for (path, mode) in modes(&inside).into_iter().filter(|(path, _)| !before.contains(path)) {
            assert_eq!(mode, if path.is_dir() { folder } else { file }, "{mask}: {}", path.display());
        }
    }
}

/// Permissions of everything in a folder.
fn modes(folder: &Path) -> BTreeMap<PathBuf, u32> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found.insert(path.clone(), path.metadata().unwrap().permissions().mode() & 0o777);
        if path.is_dir() {
            found.extend(modes(&path));
        }
    }
    found
}

#[test]
fn an_error_for_too_large_numbers_names_the_item() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name).to_string_lossy().into_owned();
    let build = catalog(home.path(), "a", 60);
    succeeds(&out(&build, &home.path().join("index"), &[]));
    for number in [3.4e38, -3.4e38, 1e19] {
        let mut vectors = ndarray::Array2::from_shape_fn((60, 8), |(i, j)| ((i * 7 + j * 3) as f32 * 0.37).sin());
        vectors[[41, 3]] = number;
        write_matrix(&home.path().join("large.npy"), &vectors);
        let tokenize = ["tokenize", &at("large.npy"), "--model", &at("index"), "--out", &at("t.parquet")];
        let (code, message) = outcome(&catalex(&tokenize).output().unwrap());
        assert!(code == 1 && message.contains("item 41: expected"), "{message}");
        let train = ["train", &at("large.npy"), "--levels=3", "--codebook-size=16", "--out", &at("m")];
        let (code, message) = outcome(&catalex(&train).output().unwrap());
        assert!(code == 1 && message.contains("row 42 of the features"), "{message}");
    }
}
