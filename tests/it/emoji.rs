//! The index of the emoji with default settings: its files have the hashes in `tests/golden/emoji-index.json`. It is
//! built once for all tests that use it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use catalex::artifact::sha256_file;
use serde::Deserialize;
use tempfile::TempDir;

use super::support::{minilm, root, succeeds};

/// The folder with the index, and the output of the build.
static BUILT: LazyLock<(TempDir, String)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let (encoder, out) = (minilm().to_string_lossy().into_owned(), folder.path().join("index"));
    let mut arguments =
        vec!["build", "fixtures/emoji/catalog.parquet", "--text", "label,tags", "--text-encoder", &encoder];
    arguments.extend(["--image", "image", "--image-encoder", "fixtures/mobilenet_v2", "--tokenizer", &encoder]);
    let out = out.to_string_lossy().into_owned();
    arguments.extend(["--threads", "2", "--out", &out]);
    let printed = succeeds(&arguments);
    (folder, printed)
});

/// The index of all emoji.
pub(crate) fn emoji_index() -> PathBuf {
    BUILT.0.path().join("index")
}

/// Hashes of an index per kind of processor. Bytes are reproducible only on the same kind.
#[derive(Deserialize)]
struct Golden {
    catalex_version: String,
    processors: BTreeMap<String, BTreeMap<String, String>>,
}

/// The vendor, and the instruction sets by which libtorch, ONNX Runtime and our kernels select their code.
fn processor() -> String {
    const CHOSEN_BY: [&str; 10] =
        ["amx_bf16", "amx_int8", "asimd", "avx2", "avx512_bf16", "avx512_vnni", "avx512f", "avx_vnni", "fma", "sve"];
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim()).unwrap_or_default()
    };
    let flags: BTreeSet<&str> = value("flags").split_whitespace().chain(value("Features").split_whitespace()).collect();
    let vendor = [value("vendor_id"), value("CPU implementer")].concat();
    std::iter::once(&*vendor)
        .chain(CHOSEN_BY.into_iter().filter(|flag| flags.contains(flag)))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn the_bytes_of_the_index_equal_the_committed_hashes() {
    let golden = fs::read_to_string(root().join("tests/golden/emoji-index.json")).unwrap();
    let golden: Golden = serde_json::from_str(&golden).unwrap();
    // Parquet files name the version that wrote them.
    assert_eq!(golden.catalex_version, env!("CARGO_PKG_VERSION"), "update tests/golden/emoji-index.json");
    assert!(BUILT.1.contains("distinct IDs       1852"), "{}", BUILT.1);
    let index = emoji_index();
    let hash = |name: &str| sha256_file(&index.join(name)).unwrap();
    let Some(expected) = golden.processors.get(&processor()) else {
        let names = golden.processors.values().next().unwrap().keys();
        let found: BTreeMap<&String, String> = names.map(|name| (name, hash(name))).collect();
        eprintln!(
            "THE BYTES OF THE EMOJI INDEX ARE NOT TESTED HERE: tests/golden/emoji-index.json has no hashes for the \
             processor \"{}\". They are {found:#?}",
            processor()
        );
        return;
    };
    let found: BTreeMap<String, String> = expected.keys().map(|name| (name.clone(), hash(name))).collect();
    assert!(
        found == *expected,
        "The bytes of the emoji index changed. If that is intended, explain it in CHANGELOG.md and write into \
         tests/golden/emoji-index.json: {found:#?}, instead of {expected:#?}"
    );
}
