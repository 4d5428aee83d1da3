use std::os::unix::fs::MetadataExt;

use proptest::prelude::*;

use super::super::{ChangeKind, Generation, IndexWriter, MANIFEST, TOKENS};
use super::*;

/// Writes an index with a token table of its own and a model, which is shared with the parent if there is one.
fn written(target: &Path, parent: Option<&Path>, content: &str) -> PathBuf {
    let mut writer = IndexWriter::create(target, Overwrite::Refuse).unwrap();
    let parent = parent.map(|parent| Index::open(parent).unwrap());
    match &parent {
        Some(parent) => assert_eq!(writer.share(parent, "model").unwrap(), 1),
        None => {
            fs::create_dir(writer.path("model")).unwrap();
            fs::write(writer.path("model/config.json"), "{}").unwrap();
        }
    }
    fs::write(writer.path(TOKENS), content).unwrap();
    let generation = parent.map_or_else(Generation::default, |parent| Generation {
        number: parent.next_number().unwrap(),
        parent: Some(parent.manifest().hash()),
        change: ChangeKind::Append,
        ..Generation::default()
    });
    writer.commit(1, "abc", json!({}), generation).unwrap();
    target.to_path_buf()
}

/// A folder, and a store in it with generations 0 to `n - 1`, each the child of the previous one.
fn filled(n: usize) -> (tempfile::TempDir, Store) {
    let home = tempfile::tempdir().unwrap();
    let store = Store::create(&home.path().join("store")).unwrap();
    for number in 0..n {
        let parent = (number > 0).then(|| store.path().to_path_buf());
        let index = written(&home.path().join(format!("i{number}")), parent.as_deref(), &number.to_string());
        let published = store.publish(&index, &PublishOptions::default()).unwrap();
        assert_eq!((published.number, published.previous), (number as u64, (number as u64).checked_sub(1)));
    }
    (home, store)
}

fn current(store: &Store) -> String {
    fs::read_to_string(Index::open(store.path()).unwrap().path(TOKENS)).unwrap()
}

fn says<T: std::fmt::Debug>(result: Result<T>, what: &str) {
    let message = result.unwrap_err().to_string();
    assert!(message.contains(what), "{message}");
}

#[test]
fn generations_are_published_in_order_and_rolled_back() {
    let (home, store) = filled(3);
    assert_eq!(current(&store), "2");
    assert_eq!(fs::read_link(store.path().join(CURRENT)).unwrap(), Path::new("generations/000002"));
    let rolled = |to| store.begin().unwrap().rollback(to).map(|done| (done.from, done.to));
    assert_eq!((rolled(None).unwrap(), rolled(None).unwrap(), rolled(Some(2)).unwrap()), ((2, 1), (1, 0), (0, 2)));
    assert_eq!((rolled(Some(0)).unwrap(), current(&store).as_str()), ((2, 0), "0"));
    says(rolled(None), "the first generation");
    says(rolled(Some(7)), "the store has 0, 1, 2");
    // A new child of generation 0 gets an unused number.
    let index = written(&home.path().join("other"), Some(store.path()), "other");
    assert_eq!(Index::open(&index).unwrap().manifest().generation.number, 3);
    let published = store.publish(&index, &PublishOptions::default()).unwrap();
    assert_eq!((published.number, rolled(None).unwrap()), (3, (3, 0)));
    let history = store.history().unwrap();
    assert_eq!(
        history.iter().map(|one| (one.number, one.is_current)).collect::<Vec<_>>(),
        [(0, true), (1, false), (2, false), (3, false)]
    );
    assert!(history.iter().all(|one| one.manifest.as_ref().unwrap().generation.number == one.number));
    // Unchanged files are hard links to the same file.
    let inode = |number| store.path_of(number).join("model/config.json").metadata().unwrap().ino();
    assert_eq!((inode(0), inode(1)), (inode(3), inode(2)));
    // A damaged generation does not become the current one.
    fs::write(store.path_of(1).join(TOKENS), "x").unwrap();
    says(rolled(Some(1)), "SHA-256");
    assert_eq!(current(&store), "0");
}

#[test]
fn an_index_made_from_another_generation_is_refused() {
    let (home, store) = filled(2);
    let at = |name: &str| home.path().join(name);
    let publish = |index: &Path, rebuild: bool| {
        let reason = rebuild.then(|| "new encoder".to_owned());
        store.publish(index, &PublishOptions { rebuild, reason, ..PublishOptions::default() })
    };
    // Two indexes are made from the same generation. After the first is published, the second is refused.
    let (first, second) = (written(&at("a"), Some(store.path()), "a"), written(&at("b"), Some(&store.path_of(1)), "b"));
    assert_eq!(publish(&first, false).unwrap().number, 2);
    says(publish(&second, false), "an index made from another generation");
    says(publish(&second, true), "made from generation 2");
    let fresh = written(&at("fresh"), None, "fresh");
    says(publish(&fresh, false), "--rebuild");
    says(publish(&store.path_of(0), false), "catalex rollback");
    assert_eq!(current(&store), "a");
    let published = publish(&fresh, true).unwrap();
    let manifest = read_manifest(&published.path).unwrap().generation;
    assert_eq!(
        (manifest.number, manifest.change, manifest.reason.as_deref()),
        (3, ChangeKind::Build, Some("new encoder"))
    );
    assert_eq!(manifest.parent, Some(read_manifest(&first).unwrap().hash()));
    // Publishing the current generation again changes nothing.
    assert_eq!((publish(&fresh, true).unwrap().number, publish(&fresh, false).unwrap().number), (3, 3));
    assert_eq!(store.numbers().unwrap(), [0, 1, 2, 3]);
}

#[test]
fn the_next_run_finishes_a_publication_that_was_killed() {
    let (home, store) = filled(2);
    let index = written(&home.path().join("a"), Some(store.path()), "a");
    store.publish(&index, &PublishOptions::default()).unwrap();
    store.begin().unwrap().point_to(1).unwrap();
    // Other leftovers of killed runs.
    std::os::unix::fs::symlink("generations/000009", store.path().join(NEXT)).unwrap();
    let left = store.path().join("generations/.000003.part-abcdef");
    fs::create_dir(&left).unwrap();
    let published = store.publish(&index, &PublishOptions::default()).unwrap();
    assert_eq!((published.number, current(&store).as_str(), store.numbers().unwrap().len()), (2, "a", 3));
    assert!(!left.exists() && !store.path().join(NEXT).is_symlink());
}

#[test]
fn prune_removes_old_generations_that_nobody_reads() {
    let (_home, store) = filled(6);
    let prune = |keep| store.begin().unwrap().prune(keep);
    says(prune(0), "at least 1");
    store.begin().unwrap().point_to(1).unwrap();
    let reader = Index::open(&store.path_of(0)).unwrap();
    let by_pointer = resolve_index(&store.path().join(CURRENT)).unwrap();
    store.begin().unwrap().point_to(5).unwrap();
    // Generations 0 and 1 are being read. Generation 1 was resolved while it was current.
    assert!(by_pointer.ends_with("000001"));
    assert_eq!(prune(2).unwrap(), [2, 3]);
    assert_eq!(fs::read_to_string(reader.path(TOKENS)).unwrap(), "0");
    drop((reader, by_pointer));
    // The current generation is kept, even if it is old.
    store.begin().unwrap().point_to(1).unwrap();
    assert_eq!(prune(2).unwrap(), [0]);
    assert_eq!((store.numbers().unwrap(), current(&store).as_str()), (vec![1, 4, 5], "1"));
    // Its parent has been removed.
    says(store.begin().unwrap().rollback(None).map(drop), "none: it was removed; choose another generation");
    let names = fs::read_dir(store.path().join(GENERATIONS)).unwrap().count();
    assert_eq!(names, 3);
}

#[test]
fn a_store_has_one_writer_at_a_time() {
    let (home, store) = filled(1);
    let index = written(&home.path().join("a"), Some(store.path()), "a");
    let writer = store.begin().unwrap();
    says(store.begin(), "is being written by process");
    says(store.publish(&index, &PublishOptions::default()), "is being written by process");
    assert_eq!(current(&store), "0");
    drop(writer);
    store.publish(&index, &PublishOptions::default()).unwrap();
    // If several writers publish at once, one succeeds.
    let more: Vec<PathBuf> =
        (0..8).map(|at| written(&home.path().join(format!("m{at}")), Some(store.path()), &format!("m{at}"))).collect();
    let barrier = std::sync::Barrier::new(more.len());
    let publish = |index: &PathBuf| {
        barrier.wait();
        store.publish(index, &PublishOptions::default()).map(|published| published.number)
    };
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = more.iter().map(|index| scope.spawn(|| publish(index))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    let won = outcomes.iter().position(|outcome| outcome.is_ok()).unwrap();
    assert_eq!((current(&store), store.numbers().unwrap().len()), (format!("m{won}"), 3));
}

#[test]
fn errors_describe_paths_that_are_not_a_store() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    says(Store::open(&at("nothing")), "store.json does not exist");
    fs::create_dir(at("full")).unwrap();
    fs::write(at("full/thesis.txt"), "years").unwrap();
    says(Store::create(&at("full")), "expected a store, or no file");
    says(Store::create(&at("no/such/folder")), "create it first");
    fs::create_dir(at("empty")).unwrap();
    let store = Store::create(&at("empty")).unwrap();
    says(Index::open(store.path()), "publish an index first");
    says(store.begin().unwrap().rollback(None), "publish an index first");
    assert!(store.history().unwrap().is_empty() && Store::create(&at("empty")).is_ok());
    let index = written(&at("index"), None, "x");
    store.publish(&index, &PublishOptions::default()).unwrap();
    // A moved store still works.
    fs::rename(at("empty"), at("moved")).unwrap();
    let store = Store::open(&at("moved")).unwrap();
    assert_eq!(current(&store), "x");
    // Invalid pointers.
    let pointer = store.path().join(CURRENT);
    for (target, expected) in
        [("../index", "a link into"), ("generations/7", "a link into"), ("generations/000007", "--to N")]
    {
        fs::remove_file(&pointer).unwrap();
        std::os::unix::fs::symlink(target, &pointer).unwrap();
        says(Index::open(store.path()), expected);
    }
    fs::remove_file(&pointer).unwrap();
    fs::write(&pointer, "generations/000000").unwrap();
    says(Index::open(store.path()), "a symbolic link");
    // Changed and newer descriptions.
    let description = fs::read_to_string(store.path().join(STORE_FILE)).unwrap();
    fs::write(store.path().join(STORE_FILE), description.replace("0.1", "0.2")).unwrap();
    says(Store::open(store.path()), "SHA-256");
    let newer = seal::to_json(&json!({"format_version": 2, "catalex_version": "9"})).unwrap();
    fs::write(store.path().join(STORE_FILE), newer).unwrap();
    says(Store::open(store.path()), "format version 1");
}

/// A reader sees all files of exactly one generation while a writer publishes and prunes.
#[test]
fn readers_see_one_complete_generation() {
    let (home, store) = filled(1);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let read = || {
            let mut seen = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let index = Index::open(store.path()).unwrap();
                let tokens = fs::read_to_string(index.path(TOKENS)).unwrap();
                std::thread::yield_now();
                assert_eq!(index.manifest().generation.number.to_string(), tokens);
                assert!(index.path(MANIFEST).is_file() && index.path("model/config.json").is_file());
                seen += 1;
            }
            seen
        };
        let readers = [scope.spawn(read), scope.spawn(read)];
        for number in 1..40 {
            let index = written(&home.path().join(format!("w{number}")), Some(store.path()), &number.to_string());
            store.publish(&index, &PublishOptions { keep: Some(1), ..PublishOptions::default() }).unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(readers.into_iter().all(|reader| reader.join().unwrap() > 0));
    });
    store.begin().unwrap().prune(1).unwrap();
    assert_eq!(store.numbers().unwrap(), [39]);
}

/// An operation of a writer.
#[derive(Debug, Clone)]
enum Act {
    Publish,
    Rollback(usize),
    Prune(usize),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// After any operations, numbers increase, and the current generation exists and is the one set last.
    #[test]
    fn any_operations_keep_the_store_consistent(acts in prop::collection::vec(
        prop_oneof![Just(Act::Publish), (0usize..8).prop_map(Act::Rollback), (1usize..4).prop_map(Act::Prune)], 1..14)
    ) {
        let (home, store) = filled(1);
        let (mut highest, mut now) = (0, 0);
        for (step, act) in acts.into_iter().enumerate() {
            let numbers = store.numbers().unwrap();
            match act {
                Act::Publish => {
                    let index = written(&home.path().join(format!("p{step}")), Some(store.path()), &step.to_string());
                    let published = store.publish(&index, &PublishOptions::default()).unwrap();
                    prop_assert_eq!(published.number, highest + 1);
                    (highest, now) = (published.number, published.number);
                }
                Act::Rollback(which) => {
                    now = numbers[which % numbers.len()];
                    store.begin().unwrap().rollback(Some(now)).unwrap();
                }
                Act::Prune(keep) => {
                    let removed = store.begin().unwrap().prune(keep).unwrap();
                    prop_assert!(!removed.contains(&now));
                    prop_assert!(store.numbers().unwrap().len() <= keep + 1);
                }
            }
            prop_assert_eq!(store.current_number().unwrap(), Some(now));
            prop_assert_eq!(Index::open(store.path()).unwrap().manifest().generation.number, now);
            for one in store.history().unwrap() {
                prop_assert_eq!(one.manifest.unwrap().generation.number, one.number);
                Index::open(&one.path).unwrap();
            }
        }
    }
}
