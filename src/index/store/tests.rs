use std::os::unix::fs::MetadataExt;

use proptest::prelude::*;

use super::super::{ChangeKind, Generation, IndexWriter, MANIFEST, TOKENS};
use super::*;

/// An index with one file of its own and one of its parent, if it has one.
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

/// A folder, and a store in it with generations 0 to `n - 1`, each made of the one before.
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
fn generations_follow_each_other_and_the_pointer_goes_back_and_forth() {
    let (home, store) = filled(3);
    assert_eq!(current(&store), "2");
    assert_eq!(fs::read_link(store.path().join(CURRENT)).unwrap(), Path::new("generations/000002"));
    let rolled = |to| store.begin().unwrap().rollback(to).map(|done| (done.from, done.to));
    assert_eq!((rolled(None).unwrap(), rolled(None).unwrap(), rolled(Some(2)).unwrap()), ((2, 1), (1, 0), (0, 2)));
    assert_eq!((rolled(Some(0)).unwrap(), current(&store).as_str()), ((2, 0), "0"));
    says(rolled(None), "the first one");
    says(rolled(Some(7)), "the store has 0, 1, 2");
    // What follows generation 0 gets a number that no generation has had.
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
    // Files that did not change are the same files.
    let inode = |number| store.path_of(number).join("model/config.json").metadata().unwrap().ino();
    assert_eq!((inode(0), inode(1)), (inode(3), inode(2)));
    // A damaged generation does not become the current one.
    fs::write(store.path_of(1).join(TOKENS), "x").unwrap();
    says(rolled(Some(1)), "SHA-256");
    assert_eq!(current(&store), "0");
}

#[test]
fn an_index_of_another_generation_is_refused() {
    let (home, store) = filled(2);
    let at = |name: &str| home.path().join(name);
    let publish = |index: &Path, rebuild: bool| {
        let reason = rebuild.then(|| "new encoder".to_owned());
        store.publish(index, &PublishOptions { rebuild, reason, ..PublishOptions::default() })
    };
    // Two are made of the same generation: the second one comes too late.
    let (first, second) = (written(&at("a"), Some(store.path()), "a"), written(&at("b"), Some(&store.path_of(1)), "b"));
    assert_eq!(publish(&first, false).unwrap().number, 2);
    says(publish(&second, false), "the store has moved on");
    says(publish(&second, true), "made of generation 2");
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
    // What is published again stays as it is.
    assert_eq!((publish(&fresh, true).unwrap().number, publish(&fresh, false).unwrap().number), (3, 3));
    assert_eq!(store.numbers().unwrap(), [0, 1, 2, 3]);
}

#[test]
fn a_run_that_was_killed_before_it_moved_the_pointer_is_finished_by_the_next() {
    let (home, store) = filled(2);
    let index = written(&home.path().join("a"), Some(store.path()), "a");
    store.publish(&index, &PublishOptions::default()).unwrap();
    store.begin().unwrap().point_to(1).unwrap();
    // And leftovers of other kinds.
    std::os::unix::fs::symlink("generations/000009", store.path().join(NEXT)).unwrap();
    let left = store.path().join("generations/.000003.part-abcdef");
    fs::create_dir(&left).unwrap();
    let published = store.publish(&index, &PublishOptions::default()).unwrap();
    assert_eq!((published.number, current(&store).as_str(), store.numbers().unwrap().len()), (2, "a", 3));
    assert!(!left.exists() && !store.path().join(NEXT).is_symlink());
}

#[test]
fn old_generations_go_but_those_that_are_read() {
    let (_home, store) = filled(6);
    let prune = |keep| store.begin().unwrap().prune(keep);
    says(prune(0), "from 1 on");
    store.begin().unwrap().point_to(1).unwrap();
    let reader = Index::open(&store.path_of(0)).unwrap();
    let by_pointer = resolve_index(&store.path().join(CURRENT)).unwrap();
    store.begin().unwrap().point_to(5).unwrap();
    // 0 and 1 are read: 1 was resolved when it was the current one.
    assert!(by_pointer.ends_with("000001"));
    assert_eq!(prune(2).unwrap(), [2, 3]);
    assert_eq!(fs::read_to_string(reader.path(TOKENS)).unwrap(), "0");
    drop((reader, by_pointer));
    // The current one stays, however old.
    store.begin().unwrap().point_to(1).unwrap();
    assert_eq!(prune(2).unwrap(), [0]);
    assert_eq!((store.numbers().unwrap(), current(&store).as_str()), (vec![1, 4, 5], "1"));
    // Its parent is gone.
    says(store.begin().unwrap().rollback(None).map(drop), "none: it was removed; name another one");
    let names = fs::read_dir(store.path().join(GENERATIONS)).unwrap().count();
    assert_eq!(names, 3);
}

#[test]
fn one_writer_has_a_store() {
    let (home, store) = filled(1);
    let index = written(&home.path().join("a"), Some(store.path()), "a");
    let writer = store.begin().unwrap();
    says(store.begin(), "is being written by process");
    says(store.publish(&index, &PublishOptions::default()), "is being written by process");
    assert_eq!(current(&store), "0");
    drop(writer);
    store.publish(&index, &PublishOptions::default()).unwrap();
    // Of many at once, one wins.
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
fn what_is_no_store_is_named() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    says(Store::open(&at("nothing")), "store.json does not exist");
    fs::create_dir(at("full")).unwrap();
    fs::write(at("full/thesis.txt"), "years").unwrap();
    says(Store::create(&at("full")), "expected a store, or nothing");
    says(Store::create(&at("no/such/folder")), "create it first");
    fs::create_dir(at("empty")).unwrap();
    let store = Store::create(&at("empty")).unwrap();
    says(Index::open(store.path()), "publish an index first");
    says(store.begin().unwrap().rollback(None), "publish an index first");
    assert!(store.history().unwrap().is_empty() && Store::create(&at("empty")).is_ok());
    let index = written(&at("index"), None, "x");
    store.publish(&index, &PublishOptions::default()).unwrap();
    // A store that is moved is the same store.
    fs::rename(at("empty"), at("moved")).unwrap();
    let store = Store::open(&at("moved")).unwrap();
    assert_eq!(current(&store), "x");
    // Another pointer.
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
    // Another description.
    let description = fs::read_to_string(store.path().join(STORE_FILE)).unwrap();
    fs::write(store.path().join(STORE_FILE), description.replace("0.1", "0.2")).unwrap();
    says(Store::open(store.path()), "SHA-256");
    let newer = seal::to_json(&json!({"format_version": 2, "catalex_version": "9"})).unwrap();
    fs::write(store.path().join(STORE_FILE), newer).unwrap();
    says(Store::open(store.path()), "format version 1");
}

/// A reader has files of one generation only, and all of them, whatever a writer does meanwhile.
#[test]
fn readers_are_never_disturbed() {
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

/// What a writer may do.
#[derive(Debug, Clone)]
enum Act {
    Publish,
    Rollback(usize),
    Prune(usize),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever happens to a store, its numbers rise, its current generation is there and is the one that was made so.
    #[test]
    fn a_store_keeps_what_it_promises(acts in prop::collection::vec(
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
