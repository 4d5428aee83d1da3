//! Stores on the command line: all verbs accept a store, and a killed run or a full disk does not change the current
//! generation.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use catalex::index::{ChangeKind, Generation, Index, Store};
use catalex::semantic_id::TokenTable;
use serde_json::Value;

use super::support::{catalex, files, numbers, outcome, root, succeeds, text};
use super::verify::parts;

fn argument(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Two indexes. The second is the next generation of the first.
fn two(home: &Path, report: usize) -> [String; 2] {
    let first = parts(24).write(&home.join("first"));
    let mut second = parts(30);
    second.report = "x".repeat(report);
    second.generation = Generation {
        number: 1,
        parent: Some(Index::open(&first).unwrap().manifest().hash()),
        change: ChangeKind::Append,
        reason: Some("six more".into()),
        ..Generation::default()
    };
    [argument(&first), argument(&second.write(&home.join("second")))]
}

#[test]
fn generations_are_published_listed_and_rolled_back() {
    let home = tempfile::tempdir().unwrap();
    let [first, second] = two(home.path(), 10);
    let store = argument(&home.path().join("store"));
    assert!(succeeds(&["publish", &first, "--store", &store]).starts_with("generation 0 is now current\n"));
    let more = ["publish", &second, "--store", &store, "--reason", "a week", "--json"];
    let published: Value = serde_json::from_str(&succeeds(&more)).unwrap();
    assert_eq!((published["number"].as_u64(), published["previous"].as_u64()), (Some(1), Some(0)));
    let printed = succeeds(&["history", &store]);
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines.len() == 3 && lines[1].starts_with("         0       -  build        24"), "{printed}");
    assert!(lines[2].starts_with("*        1       0  append       30") && lines[2].ends_with("a week"), "{printed}");
    let listed: Value = serde_json::from_str(&succeeds(&["history", &store, "--json"])).unwrap();
    assert_eq!((listed[1]["parent"].as_u64(), listed[1]["current"].as_bool()), (Some(0), Some(true)));
    assert_eq!(serde_json::from_str::<Value>(&succeeds(&["history", &first, "--json"])).unwrap()[0]["items"], 24);
    assert_eq!(succeeds(&["rollback", "--store", &store]), "generation 0 is now current, replacing 1\n");
    assert_eq!(succeeds(&["rollback", "--store", &store, "--to", "1"]), "generation 1 is now current, replacing 0\n");
    let removed = succeeds(&["publish", &second, "--store", &store, "--keep", "1"]);
    assert!(removed.contains("is already current") && removed.contains("removed            0"), "{removed}");
    let (code, message) = outcome(&catalex(&["publish", &first, "--store", &store]).output().unwrap());
    assert!(code == 1 && message.contains("--rebuild"), "{message}");
    // While another process writes the store.
    let writer = Store::open(store.as_ref()).unwrap().begin().unwrap();
    for arguments in [&["publish", &second, "--store", &store][..], &["rollback", "--store", &store, "--to", "1"]] {
        let (code, message) = outcome(&catalex(arguments).output().unwrap());
        assert!(code == 1 && message.contains("is being written by process"), "{message}");
    }
    drop(writer);
    // A command checks the hashes of only the files that it reads, so a damaged report does not affect `lookup`.
    fs::write(format!("{store}/current/report.html"), "y").unwrap();
    assert!(!succeeds(&["lookup", &store, "--item", "3"]).is_empty());
    assert_eq!(outcome(&catalex(&["inspect", &store]).output().unwrap()).0, 1);
    // No output is written into a generation.
    let inside = format!("{store}/current/x.parquet");
    let (_, message) = outcome(&catalex(&["tokenize", &store, "--model", &store, "--out", &inside]).output().unwrap());
    assert!(message.contains("a path outside any index"), "{message}");
}

/// The output of a verb for a store, and for its pointer `current`, equals that for the published index.
#[test]
fn every_verb_accepts_a_store_in_place_of_an_index() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| argument(&home.path().join(name));
    let golden = argument(&root().join("tests/golden/index-0.1"));
    let store = at("store");
    succeeds(&["publish", &golden, "--store", &store]);
    let pointer = format!("{store}/current");
    let ids = TokenTable::read(&root().join("tests/golden/index-0.1/tokens.parquet")).unwrap().item_ids;
    let items: Vec<String> = (0..8).map(|row| ids.text(row)).collect();
    let events: String = (0..6).map(|user| format!("u{user} {}\n", items.join(" "))).collect();
    fs::write(at("events.txt"), events).unwrap();
    let printing: [&[&str]; 4] = [
        &["inspect", "INDEX", "--json"],
        &["lookup", "INDEX", "--item", "1F415"],
        &["history", "INDEX", "--json"],
        &["verify", "INDEX"],
    ];
    let events = at("events.txt");
    let writing: [&[&str]; 6] = [
        &["tokenize", "INDEX", "--model", "INDEX", "--out", "OUT"],
        &["vocab", "INDEX", "--out", "OUT"],
        &["constrain", "INDEX", "--form", "trie,regex", "--out", "OUT"],
        &["export", "INDEX", "--for", "sequences", "--interactions", &events, "--out", "OUT"],
        &["ground", "INDEX", "--items", "INDEX", "--out", "OUT"],
        #[cfg(feature = "train")]
        &["train", "INDEX", "--levels", "3", "--codebook-size", "4", "--epochs", "1", "--threads", "1", "--out", "OUT"],
        #[cfg(not(feature = "train"))]
        &["vocab", "INDEX", "--out", "OUT"],
    ];
    let filled = |verb: &[&str], index: &str, out: &str| -> Vec<String> {
        verb.iter().map(|word| word.replace("INDEX", index).replace("OUT", out)).collect()
    };
    for verb in printing {
        let printed = |index: &str| succeeds(&filled(verb, index, ""));
        let expected = printed(&golden);
        if verb[0] == "history" {
            let first = |index: &str| serde_json::from_str::<Value>(&printed(index)).unwrap()[0]["hash"].clone();
            assert_eq!(first(&store), first(&golden));
            continue;
        }
        let same = |text: String| {
            text.replace("store", "index")
                .lines()
                .skip(usize::from(verb[0] == "verify") * 2)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (same(printed(&store)), same(printed(&pointer))),
            (same(expected.clone()), same(expected)),
            "{verb:?}"
        );
    }
    for (case, verb) in writing.into_iter().enumerate() {
        let written = |index: &str, name: &str| {
            let out = at(&format!("{name}{case}/same"));
            fs::create_dir(at(&format!("{name}{case}"))).unwrap();
            succeeds(&filled(verb, index, &out));
            files(home.path().join(format!("{name}{case}")).as_ref())
        };
        let expected = written(&golden, "index");
        assert!(written(&store, "store") == expected && written(&pointer, "pointer") == expected, "{verb:?}");
    }
}

#[test]
fn a_killed_publish_leaves_the_old_or_the_new_generation() {
    let home = tempfile::tempdir().unwrap();
    let [first, second] = two(home.path(), 300_000);
    let mut next = numbers(std::process::id().into());
    let (mut whole, mut outcomes) = (Duration::ZERO, [0, 0]);
    for attempt in 0..24 {
        let store = home.path().join(format!("store-{attempt}"));
        succeeds(&["publish", &first, "--store", &argument(&store)]);
        let began = Instant::now();
        let mut run = catalex(&["publish", &second, "--store", &argument(&store)]);
        let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        if attempt == 0 {
            assert!(run.wait().unwrap().success());
            whole = began.elapsed();
        } else {
            std::thread::sleep(whole.mul_f32((next() + 1.0) * 0.6));
            let _ = run.kill();
            run.wait().unwrap();
        }
        let opened = Store::open(&store).unwrap();
        let current = opened.current_number().unwrap().unwrap();
        outcomes[current as usize] += 1;
        assert_eq!(Index::open(&store).unwrap().manifest().generation.number, current);
        let printed = succeeds(&["verify", &argument(&store)]);
        assert!(printed.contains("problems           0"), "{printed}");
        // The next run completes the publication, and removes files of the killed run.
        succeeds(&["publish", &second, "--store", &argument(&store)]);
        assert_eq!((opened.current_number().unwrap(), opened.numbers().unwrap()), (Some(1), vec![0, 1]));
        let left = |folder: &Path| fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
        assert_eq!(left(&store.join("generations")).len(), 2);
        assert!(left(&store).iter().all(|name| !name.to_string_lossy().starts_with('.')), "{:?}", left(&store));
    }
    assert!(outcomes[0] > 0 && outcomes[1] > 0, "no run was killed in time: {outcomes:?}");
}

#[test]
fn a_full_disk_does_not_change_the_current_generation() {
    let home = tempfile::tempdir().unwrap();
    let [first, second] = two(home.path(), 3_000_000);
    let disk = home.path().join("disk");
    fs::create_dir(&disk).unwrap();
    // A file system of 1 MB in a separate mount namespace, which needs no privileges.
    let script = format!(
        "mount -t tmpfs -o size=1m none '{disk}' || exit 77\ncd '{disk}'\n\
         '{catalex}' publish '{first}' --store store || exit 1\n\
         '{catalex}' publish '{second}' --store store && exit 2\n\
         '{catalex}' verify store || exit 3\n\
         '{catalex}' history store --json || exit 4\n\
         ls -A store/generations >&2",
        disk = disk.display(),
        catalex = env!("CARGO_BIN_EXE_catalex"),
    );
    let run = Command::new("unshare").args(["-rm", "sh", "-c", &script]).output();
    let Ok(output) = run.map(|output| (output.status.code(), text(&output.stdout), text(&output.stderr))) else {
        return eprintln!("A FULL DISK IS NOT TESTED: the program unshare is missing");
    };
    let (code, printed, message) = output;
    if code == Some(77) || message.contains("unshare failed") {
        return eprintln!("A FULL DISK IS NOT TESTED: {message}");
    }
    assert_eq!(code, Some(0), "{printed}{message}");
    assert!(message.contains("free some space and run the command again; nothing was replaced"), "{message}");
    assert!(message.ends_with("000000\n"), "{message}");
    let listed: Value = serde_json::from_str(&printed[printed.find('[').unwrap()..]).unwrap();
    assert!(listed.as_array().unwrap().len() == 1 && listed[0]["current"] == true, "{printed}");
}
