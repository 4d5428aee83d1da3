//! `retrain` and `drift`: new codebooks for an index that has grown, and whether they are needed.

use std::fs;
use std::path::{Path, PathBuf};

use catalex::artifact::Overwrite;
use catalex::constraint::Trie;
use catalex::features::{Features, Modality};
use catalex::index::{ChangeKind, DELTA, Generation, Index, IndexWriter, MODEL, TOKENS, VOCABULARY};
use catalex::item_ids::ItemIds;
use catalex::pipeline::{
    Advice, AppendSettings, BuildSpec, DriftSpec, EncodeSettings, Output, RetrainSettings, RetrainSpec, RetrainSummary,
    drift, retrain, spec,
};
use catalex::progress::Silent;
use catalex::rqvae;
use catalex::semantic_id::{Collisions, IdChange, IdDelta, TokenFormat, TokenTable};
use catalex::training::TrainSettings;
use catalex::vocabulary::{VocabularyOptions, write_vocabulary};
use ndarray::{Array2, Axis, s};

use super::support::{clustered, files, succeeds};

const OLD: usize = 1_200;
const ALL: usize = 1_500;
const DIM: usize = 8;

/// Items of 20 clusters, in an order that does not depend on the cluster.
fn items() -> Array2<f32> {
    let all = clustered(ALL, DIM);
    let order: Vec<usize> = (0..ALL).map(|row| row * 7 % ALL).collect();
    all.select(Axis(0), &order)
}

/// Writes a catalog and its vectors.
fn write(folder: &Path, name: &str, vectors: &Array2<f32>, first: usize) -> (PathBuf, String) {
    let ids: Vec<String> = (first..first + vectors.nrows()).map(|item| format!("i{item}")).collect();
    let catalog = folder.join(format!("{name}.csv"));
    let lines: String = ids.iter().map(|id| format!("{id},Item {id}\n")).collect();
    fs::write(&catalog, format!("item_id,title\n{lines}")).unwrap();
    let modality = Modality { name: "text".into(), present: vec![true; ids.len()], vectors: vectors.clone() };
    let path = folder.join(format!("{name}.parquet"));
    Features::new(ItemIds::Strings(ids), vec![modality]).unwrap().write(&path, Overwrite::Replace).unwrap();
    (catalog, format!("text={}", path.display()))
}

fn settings(last: usize) -> TrainSettings {
    TrainSettings { codebook_size: Some(vec![16, 16, last]), epochs: Some(0), ..TrainSettings::default() }
}

/// An index of the old items, as `build` writes it, with `last` codes at the last level.
fn index(folder: &Path, vectors: &Array2<f32>, last: usize) -> PathBuf {
    let (catalog, embedding) = write(folder, "old", vectors, 0);
    let features = Features::read(&folder.join("old.parquet")).unwrap();
    let model = rqvae::train(&features, settings(last).config().unwrap(), None, &Silent).unwrap().tokenizer;
    let format = TokenFormat::default();
    let table = TokenTable::of_features(&features, &model, format, Collisions::Resolve, &Silent).unwrap();
    let out = folder.join("index");
    let writer = IndexWriter::create(&out, Overwrite::Refuse).unwrap();
    fs::copy(folder.join("old.parquet"), writer.path("features.parquet")).unwrap();
    model.save(&writer.path(MODEL), Overwrite::Refuse).unwrap();
    table.write(&writer.path(TOKENS), Overwrite::Refuse).unwrap();
    let options = VocabularyOptions::default();
    write_vocabulary(&writer.path(VOCABULARY), &table, &options, Overwrite::Refuse, &Silent).unwrap();
    let encode = EncodeSettings { embedding: Some(spec::Embeddings(vec![embedding])), ..EncodeSettings::default() };
    let settings = BuildSpec { catalog, encode, train: settings(last), ..BuildSpec::default() };
    let settings = serde_json::to_value(settings).unwrap();
    writer.commit(OLD as u64, model.hash(), settings, Generation::default()).unwrap();
    out
}

fn retrained(folder: &Path, index: &Path, out: &str, keep: Option<f64>) -> RetrainSummary {
    let (catalog, embedding) = write(folder, "all", &items(), 0);
    let append = AppendSettings {
        embedding: Some(spec::Embeddings(vec![embedding])),
        constraint_form: Some(vec!["trie".into()]),
        ..AppendSettings::default()
    };
    let events: String = (0..100).map(|event| format!("u{} i{event} i{}\n", event % 9, event * 3)).collect();
    let interactions = folder.join("events.txt");
    fs::write(&interactions, events).unwrap();
    let spec = RetrainSpec {
        index: index.into(),
        catalog: Some(catalog),
        settings: RetrainSettings { keep, interactions: Some(interactions), ..RetrainSettings::default() },
        append,
        output: Output::new(folder.join(out)),
        ..RetrainSpec::default()
    };
    retrain(&spec, &Silent).unwrap()
}

#[test]
fn keep_determines_how_many_items_keep_their_ids() {
    let home = tempfile::tempdir().unwrap();
    let index = index(home.path(), &items().slice(s![..OLD, ..]).to_owned(), 64);
    let before = TokenTable::read(&index.join(TOKENS)).unwrap();
    let mut last = 1.1;
    for (name, keep) in [("none", Some(0.0)), ("little", Some(0.005)), ("default", None), ("all", Some(1.0))] {
        let summary = retrained(home.path(), &index, name, keep);
        let path = home.path().join(name);
        let next = Index::open(&path).unwrap();
        let table = TokenTable::read(&next.path(TOKENS)).unwrap();
        assert_eq!((table.item_ids.len(), table.metadata.model_hash.as_str()), (ALL, summary.model_hash.as_str()));
        assert_ne!(table.metadata.model_hash, before.metadata.model_hash);
        let generation = &next.manifest().generation;
        assert_eq!((generation.number, generation.change), (1, ChangeKind::Retrain));
        // The delta lists exactly the items whose ID changed.
        let moved = (0..OLD).filter(|&row| table.codes.row(row) != before.codes.row(row)).count();
        let delta = IdDelta::read(&next.path(DELTA)).unwrap();
        assert_eq!(
            (delta.count(IdChange::Reassigned), delta.count(IdChange::Added)),
            (moved as u64, (ALL - OLD) as u64)
        );
        let changed = &summary.changed[2];
        assert!((changed.items - moved as f64 / OLD as f64).abs() < 1e-9 && changed.events.is_some());
        assert!(summary.changed.is_sorted_by(|a, b| a.items <= b.items), "{:?}", summary.changed);
        assert!(changed.items < last, "{keep:?}: {} after {last}", changed.items);
        last = changed.items;
        if keep.is_none() {
            // Within a cluster, the vectors are noise, so many codewords have similar distances.
            assert!(changed.items < 0.35 && summary.changed[0].items < 0.05, "{:?}", summary.changed);
            let bytes = files(&path);
            fs::remove_dir_all(&path).unwrap();
            retrained(home.path(), &index, name, keep);
            assert_eq!(files(&path), bytes, "the same seed gives the same bytes");
        }
    }
    assert_eq!(last, 0.0);
    // Without a catalog, retrain uses the items of the index.
    let out = home.path().join("again");
    let printed =
        succeeds(&["retrain".as_ref(), home.path().join("all").as_os_str(), "--out".as_ref(), out.as_os_str()]);
    assert!(printed.contains("depth  items changed") && Index::open(&out).is_ok(), "{printed}");
    // The constraint forms that the first retraining added match the IDs of both new indexes.
    for index in [home.path().join("all"), out] {
        let table = TokenTable::read(&index.join(TOKENS)).unwrap();
        Trie::load(&index.join("constraint/ids.trie")).unwrap().check_table(&table).unwrap();
    }
}

#[test]
fn items_of_new_clusters_are_drift_and_items_of_known_clusters_are_not() {
    let home = tempfile::tempdir().unwrap();
    let all = items();
    // The codebooks have room for many more items of every cluster.
    let index = index(home.path(), &all.slice(s![..OLD, ..]).to_owned(), 256);
    let mut department = all.slice(s![OLD.., ..]).to_owned();
    department.invert_axis(Axis(1));
    department.mapv_inplace(|v| 1.5 - 2.0 * v);
    for (name, vectors, advice) in
        [("same", all.slice(s![OLD.., ..]).to_owned(), Advice::Append), ("department", department, Advice::Retrain)]
    {
        write(home.path(), name, &vectors, OLD);
        let features = home.path().join(format!("{name}.parquet"));
        let spec = DriftSpec { index: index.clone(), items: features.clone(), ..DriftSpec::default() };
        let found = drift(&spec, &Silent).unwrap();
        assert_eq!((found.advice, found.items, found.new), (advice, OLD, ALL - OLD), "{name}: {found:?}");
        let printed = succeeds(&["drift".as_ref(), index.as_os_str(), features.as_os_str()]);
        assert!(printed.contains("advice"), "{printed}");
    }
    let spec = DriftSpec { index: index.clone(), items: home.path().join("old.parquet"), ..DriftSpec::default() };
    assert!(drift(&spec, &Silent).unwrap_err().to_string().contains("new items"));
}

#[test]
fn new_interactions_replace_the_behaviour_vectors() {
    let home = tempfile::tempdir().unwrap();
    let index = index(home.path(), &items().slice(s![..OLD, ..]).to_owned(), 64);
    let (catalog, embedding) = write(home.path(), "all", &items(), 0);
    let renewed = |from: &Path, out: &str, step: usize, behaviour: &str| {
        // Users take items at equal distances.
        let line = |user: usize| {
            let items = (0..8).map(|at| format!(" i{}", (user + at * step) % (ALL - 1)));
            format!("u{user}{}\n", items.collect::<String>())
        };
        let interactions = home.path().join(format!("{step}.txt"));
        fs::write(&interactions, (0..ALL).map(line).collect::<String>()).unwrap();
        let given = from == index.as_path();
        let spec = RetrainSpec {
            index: from.into(),
            catalog: given.then(|| catalog.clone()),
            settings: RetrainSettings {
                interactions: (behaviour != "renew without").then_some(interactions),
                behaviour: (behaviour != "default").then(|| behaviour.split(' ').next().unwrap().into()),
                ..RetrainSettings::default()
            },
            append: AppendSettings {
                embedding: given.then(|| spec::Embeddings(vec![embedding.clone()])),
                ..AppendSettings::default()
            },
            output: Output::new(home.path().join(out)),
            ..RetrainSpec::default()
        };
        retrain(&spec, &Silent).map(|_| home.path().join(out))
    };
    let first = renewed(&index, "first", 7, "renew").unwrap();
    let second = renewed(&first, "second", 11, "default").unwrap();
    let of = |index: &Path| {
        let index = Index::open(index).unwrap();
        let table = TokenTable::read(&index.path(TOKENS)).unwrap();
        (index.features(&table.item_ids).unwrap().read().unwrap(), index.manifest().settings.clone())
    };
    let [(one, _), (two, settings)] = [of(&first), of(&second)];
    for features in [&one, &two] {
        let names: Vec<&str> = features.modalities().iter().map(|modality| modality.name.as_str()).collect();
        assert_eq!(names, ["text", "behaviour"]);
        // Item 1,499 occurs in no history.
        let present: Vec<bool> = (0..ALL).map(|row| features.item_ids().text(row) != "i1499").collect();
        assert_eq!(features.modalities()[1].present, present);
    }
    assert_eq!(one.modalities()[0], two.modalities()[0]);
    assert_ne!(one.modalities()[1], two.modalities()[1]);
    // Items that are taken together have similar vectors, also if one of them is new.
    let row = |item: usize| (0..ALL).find(|&row| two.item_ids().text(row) == format!("i{item}")).unwrap();
    let cosine = |a: usize, b: usize| {
        let (a, b) = (two.modalities()[1].vectors.row(row(a)), two.modalities()[1].vectors.row(row(b)));
        a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
    };
    let mean = |step: usize| (0..200).map(|at| cosine(at * 5, (at * 5 + step) % (ALL - 1))).sum::<f32>() / 200.0;
    assert!(mean(11) > mean(7) + 0.2, "{} {}", mean(11), mean(7));
    assert_eq!(settings["behaviour"]["interactions"], home.path().join("11.txt").to_string_lossy().as_ref());
    succeeds(&["verify".as_ref(), second.as_os_str()]);
    let bytes = files(&second);
    fs::remove_dir_all(&second).unwrap();
    assert_eq!(files(&renewed(&first, "second", 11, "default").unwrap()), bytes, "the same seed gives the same bytes");
    let kept = renewed(&second, "kept", 7, "keep").unwrap();
    assert_eq!(of(&kept).0.modalities()[1], two.modalities()[1]);
    let message = renewed(&first, "refused", 7, "renew without").unwrap_err().to_string();
    assert!(message.contains("--interactions"), "{message}");
    assert!(renewed(&first, "refused", 7, "new").unwrap_err().to_string().contains("keep or renew"));
}
