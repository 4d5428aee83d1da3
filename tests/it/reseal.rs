//! The fuzzer changes files and then updates their hashes (`fuzz/src/reseal.rs`), so that the readers behind the hash
//! checks are tested. These tests show that such files pass the hash checks.

use std::fs;

use catalex::ErrorKind;
use catalex::artifact::Overwrite;
use catalex::constraint::Trie;
use catalex::features::{FeatureFile, Features};
use catalex::index::Index;
use catalex::semantic_id::TokenTable;
use catalex::tokenizer::{ModalityShape, Network, Offsets, Standardization, Tokenizer, Weights};
use ndarray::{Array1, Array2, array};

use super::support::root;

#[path = "../../fuzz/src/reseal.rs"]
mod fuzz;

/// The bytes with the first occurrence of a text replaced by one of the same length.
fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).expect(from);
    [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()
}

fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    fuzz::reseal(&mut bytes);
    bytes
}

#[test]
fn resealed_tables_pass_the_hash_check() {
    let golden = root().join("tests/golden/index-0.1");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    // The footer has the name and version of the library, which can be replaced by those of another release.
    let version = concat!("catalex ", env!("CARGO_PKG_VERSION"));
    let other = version.replace('0', "9");
    TokenTable::read(&golden.join("tokens.parquet")).unwrap().write(&path, Overwrite::Replace).unwrap();
    let changed = replaced(&fs::read(&path).unwrap(), version, &other);
    assert!(TokenTable::of_bytes(changed.clone()).unwrap_err().to_string().contains("SHA-256"));
    TokenTable::of_bytes(resealed(changed.clone())).unwrap();
    // The checks after the hash check find the error.
    let wrong = TokenTable::of_bytes(resealed(replaced(&changed, "catalex.levels", "catalex.levelz")));
    let message = wrong.unwrap_err().to_string();
    assert!(message.contains("catalex.levels") && !message.contains("SHA-256"), "{message}");
    Features::read(&golden.join("features.parquet")).unwrap().write(&path, Overwrite::Replace).unwrap();
    let changed = replaced(&fs::read(&path).unwrap(), version, &other);
    fs::write(&path, &changed).unwrap();
    assert!(FeatureFile::open(&path).unwrap_err().to_string().contains("SHA-256"));
    fs::write(&path, resealed(changed)).unwrap();
    FeatureFile::open(&path).unwrap();
}

#[test]
fn resealed_models_pass_the_hash_check() {
    let identity = || Network { skip: Some(Array2::eye(2)), layers: vec![] };
    let weights = Weights {
        standardization: Standardization {
            mean: Array1::zeros(2),
            scale: Array1::ones(2),
            dims: vec![2],
            completion: None,
        },
        projection: identity(),
        inverse: identity(),
        codebooks: vec![array![[0.0, 0.0], [10.0, 0.0]]],
        offsets: Offsets::zero([2]),
    };
    let model = Tokenizer::new(vec![ModalityShape { name: "text".into(), dim: 2 }], weights, None).unwrap();
    let (settings, mut weights) = model.to_bytes().unwrap();
    let last = weights.len() - 1;
    weights[last] ^= 1;
    assert!(Tokenizer::of_bytes(&settings, &weights).unwrap_err().to_string().contains("SHA-256"));
    Tokenizer::of_bytes(&fuzz::settings_for(&weights, &settings).unwrap(), &weights).unwrap();
}

#[test]
fn resealed_manifests_and_tries_pass_the_hash_check() {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("index");
    let writer = catalex::index::IndexWriter::create(&index, Overwrite::Refuse).unwrap();
    writer.commit(48, "abc", serde_json::json!({}), catalex::index::Generation::default()).unwrap();
    let manifest = index.join("manifest.json");
    let changed = replaced(&fs::read(&manifest).unwrap(), "48", "49");
    fs::write(&manifest, &changed).unwrap();
    assert!(Index::open(&index).is_err());
    fs::write(&manifest, resealed(changed)).unwrap();
    assert_eq!(Index::open(&index).unwrap().manifest().items, 49);
    let path = folder.path().join("a.trie");
    Trie::new(array![[0u16, 1], [1, 0]].view()).unwrap().save(&path, Overwrite::Refuse).unwrap();
    let content = fuzz::unchecked(&fs::read(&path).unwrap()).unwrap().to_vec();
    fs::write(&path, fuzz::checksummed(content.clone())).unwrap();
    Trie::load(&path).unwrap();
    fs::write(&path, fuzz::checksummed(content[..content.len() - 1].to_vec())).unwrap();
    let error = Trie::load(&path).unwrap_err();
    assert!(!error.to_string().contains("SHA-256") && error.kind() == ErrorKind::Artifact, "{error}");
}
