//! The programs of `examples/` work as described. They are included as modules, because building each as a separate
//! program would link libtorch again.

use std::collections::BTreeSet;

use catalex::semantic_id::TokenTable;

use super::support::root;

#[cfg(all(feature = "train", feature = "encoders"))]
#[path = "../../examples/build_index.rs"]
#[allow(dead_code, reason = "main is not called")]
mod build_index;
#[path = "../../examples/constrain_decoder.rs"]
#[allow(dead_code, reason = "main is not called")]
mod constrain_decoder;
#[path = "../../examples/tokenize_frozen.rs"]
#[allow(dead_code, reason = "main is not called")]
mod tokenize_frozen;

#[test]
fn every_example_is_tested() {
    let entries = std::fs::read_dir(root().join("examples")).unwrap();
    let names: BTreeSet<String> = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["build_index.rs", "constrain_decoder.rs", "tokenize_frozen.rs"]);
}

#[cfg(all(feature = "train", feature = "encoders"))]
#[test]
fn an_index_is_built_from_precomputed_vectors() {
    use catalex::pipeline::{LookupKey, LookupSpec, lookup};

    let folder = tempfile::tempdir().unwrap();
    let summary = build_index::build_index(folder.path()).unwrap();
    assert_eq!((summary.figures.items, summary.figures.distinct_ids), (300, 300));
    assert!(summary.report.is_file() && !summary.prefixes.is_empty());
    let found = lookup(&LookupSpec::new(summary.index, LookupKey::Item("sku-7".into()))).unwrap();
    assert_eq!((found.len(), found[0].codes.len()), (1, 3));
    // The catalog has two columns; the fullest prefixes hold items of one kind.
    let kinds = |items: &[String]| {
        let kind = |item: &String| item.strip_prefix("sku-").unwrap().parse::<usize>().unwrap() % 12;
        items.iter().map(kind).collect::<BTreeSet<_>>()
    };
    assert!(summary.prefixes.iter().all(|prefix| kinds(&prefix.items).len() == 1), "{:?}", summary.prefixes);
}

#[test]
fn a_frozen_model_gives_ids() {
    let index = root().join("tests/golden/index-0.1");
    let table = tokenize_frozen::tokenize(&index.join("model"), &index.join("features.parquet")).unwrap();
    let written = TokenTable::read(&index.join("tokens.parquet")).unwrap();
    assert_eq!((table.item_ids, table.codes), (written.item_ids, written.codes));
}

#[test]
fn a_constrained_decoder_generates_ids_of_items_only() {
    let table = TokenTable::read(&root().join("tests/golden/index-0.1/tokens.parquet")).unwrap();
    let sizes = &table.metadata.codebook_sizes;
    let tokens = 100 + sizes.iter().sum::<usize>();
    let mut generated = BTreeSet::new();
    for seed in 0..50 {
        let model = |so_far: &[i64]| {
            (0..tokens).map(|token| ((token * (37 + seed) + so_far.len() * 101) % 97) as f32).collect()
        };
        let answer = constrain_decoder::generate(&table, model).unwrap();
        let codes = answer
            .iter()
            .enumerate()
            .map(|(level, &token)| (token as usize - sizes[..level].iter().sum::<usize>()) as u16);
        let codes: Vec<u16> = codes.collect();
        assert!(table.codes.rows().into_iter().any(|row| row.to_vec() == codes), "{codes:?} is no item's ID");
        generated.insert(codes);
    }
    assert!(generated.len() > 5, "the model's scores matter");
}
