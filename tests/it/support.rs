//! Shared parts of the tests: running the built binary, small inputs, and the models of the set-up.
#![allow(dead_code, reason = "each feature set uses its part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use catalex::features::{Features, Modality};
use catalex::item_ids::ItemIds;
use catalex::tokenizer::{ModalityShape, Network, Offsets, Standardization, Tokenizer, Weights};
use ndarray::{Array1, Array2};

/// The root of the checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The built binary with these arguments. It writes the same time into all manifests.
pub(crate) fn catalex<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_catalex"));
    command.args(arguments).current_dir(root()).env("SOURCE_DATE_EPOCH", "1700000000");
    command
}

/// Runs the binary and returns its stdout.
pub(crate) fn succeeds<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> String {
    let output = catalex(arguments).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The exit code and stderr of a run, which must not have panicked.
pub(crate) fn outcome(output: &Output) -> (i32, String) {
    let stderr = text(&output.stderr);
    assert!(!stderr.contains("panicked"), "{stderr}");
    (output.status.code().unwrap_or(-1), stderr)
}

/// A folder of the set-up. Panics with advice if it does not exist.
fn set_up(variable: &str, inside: &str) -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let cache = || {
        let base = || set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
        set("CATALEX_CACHE").or_else(|| base().map(|b| b.join("catalex"))).unwrap_or_default()
    };
    let path = set(variable).unwrap_or_else(|| cache().join(inside));
    assert!(path.exists(), "{} is not there: run `make setup` first", path.display());
    path
}

/// The text encoder.
pub(crate) fn minilm() -> PathBuf {
    set_up("CATALEX_MODELS", "models").join("minilm")
}

/// The image encoder.
pub(crate) fn mobilenet() -> PathBuf {
    root().join("fixtures/mobilenet_v2")
}

#[cfg(feature = "encoders")]
pub(crate) fn runtime() -> catalex::encoder::Runtime {
    let library = set_up("ORT_DYLIB_PATH", "onnxruntime-1.32.0/libonnxruntime.so");
    catalex::encoder::Runtime::load(&library, 2).unwrap()
}

/// Reproducible numbers in -1..1.
pub(crate) fn numbers(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// `n` vectors around 20 centres.
pub(crate) fn clustered(n: usize, dim: usize) -> Array2<f32> {
    let mut next = numbers(5);
    let centres = Array2::from_shape_simple_fn((20, dim), &mut next);
    Array2::from_shape_fn((n, dim), |(i, j)| centres[[i % 20, j]] + 0.3 * next())
}

/// Features of one modality, ids from 0.
pub(crate) fn features(vectors: Array2<f32>) -> Features {
    let modality = Modality { name: "text".into(), present: vec![true; vectors.nrows()], vectors };
    Features::new(ItemIds::row_numbers(modality.present.len()), vec![modality]).unwrap()
}

/// A model made by hand: the first latent dimensions of the features, codebooks of random numbers.
pub(crate) fn hand_made(dim: usize, sizes: &[usize]) -> Tokenizer {
    hand_made_from(11, dim, sizes)
}

/// The same with other codebooks.
pub(crate) fn hand_made_from(seed: u64, dim: usize, sizes: &[usize]) -> Tokenizer {
    let latent = dim.min(4);
    let mut next = numbers(seed);
    let skip = Array2::from_shape_fn((latent, dim), |(i, j)| if i == j { 1.0 } else { 0.0 });
    let weights = Weights {
        standardization: Standardization {
            mean: Array1::zeros(dim),
            scale: Array1::ones(dim),
            dims: vec![dim],
            completion: None,
        },
        inverse: Network { skip: Some(skip.t().to_owned()), layers: vec![] },
        projection: Network { skip: Some(skip), layers: vec![] },
        offsets: Offsets::zero(sizes.iter().copied()),
        codebooks: sizes.iter().map(|&size| Array2::from_shape_simple_fn((size, latent), &mut next)).collect(),
    };
    let shapes = vec![ModalityShape { name: "text".into(), dim }];
    Tokenizer::new(shapes, weights, None).unwrap()
}

/// Writes a `.npy` matrix of a given element type.
pub(crate) fn write_npy(path: &Path, descr: &str, shape: &[usize], data: &[u8]) {
    let shape = shape.iter().map(|d| format!("{d}, ")).collect::<String>();
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    header += &" ".repeat(63 - (10 + header.len()) % 64);
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    fs::write(path, bytes).unwrap();
}

/// Writes a float32 `.npy` matrix.
pub(crate) fn write_matrix(path: &Path, matrix: &Array2<f32>) {
    let data: Vec<u8> = matrix.iter().flat_map(|v| v.to_le_bytes()).collect();
    write_npy(path, "<f4", &[matrix.nrows(), matrix.ncols()], &data);
}

/// All files below a folder with their contents, by path.
pub(crate) fn files(folder: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(inner, content)| (format!("{name}/{inner}"), content)));
        } else {
            found.insert(name, fs::read(&path).unwrap());
        }
    }
    found
}

/// Words of the small language model. The first is the unknown token.
pub(crate) const WORDS: [&str; 12] =
    ["[UNK]", "red", "green", "blue", "pen", "lamp", "chair", "of", "wood", "steel", "glass", "old"];

/// Writes a Hugging Face folder of a random language model: a tokenizer of words, and embeddings `(rows, dim)` under
/// the given names. Several matrices are written to separate files.
pub(crate) fn language_model(folder: &Path, rows: usize, dim: usize, names: &[&str], dtype: safetensors::Dtype) {
    use safetensors::Dtype;
    fs::create_dir_all(folder).unwrap();
    let vocabulary: serde_json::Map<String, serde_json::Value> =
        WORDS.iter().zip(0..).map(|(word, id)| ((*word).to_owned(), serde_json::json!(id))).collect();
    let tokenizer = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "unk_token": "[UNK]", "vocab": vocabulary},
    });
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let config = format!(
        "{{\n  \"rms_norm_eps\": 1e-05,\n  \"tie_word_embeddings\": {},\n  \"vocab_size\": {rows}\n}}\n",
        names.len() < 2
    );
    fs::write(folder.join("config.json"), config).unwrap();
    let mut next = numbers(3);
    let mut map = serde_json::Map::new();
    for (at, name) in names.iter().enumerate() {
        let values: Vec<f32> = (0..rows * dim).map(|i| next() * (1.0 + (i % dim) as f32 / 4.0) + 0.5).collect();
        let bytes: Vec<u8> = match dtype {
            Dtype::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Dtype::F16 => values.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect(),
            _ => values.iter().flat_map(|v| half::bf16::from_f32(*v).to_le_bytes()).collect(),
        };
        let view = safetensors::tensor::TensorView::new(dtype, vec![rows, dim], &bytes).unwrap();
        let norm = [7u8; 16];
        let other = safetensors::tensor::TensorView::new(Dtype::F32, vec![4], &norm).unwrap();
        let file = if names.len() < 2 { "model.safetensors".to_owned() } else { format!("model-{at}.safetensors") };
        let norm_name = format!("model.norm.{at}");
        let whole = safetensors::serialize([(*name, view), (norm_name.as_str(), other)], None).unwrap();
        map.insert((*name).to_owned(), serde_json::json!(file));
        map.insert(norm_name.clone(), serde_json::json!(file));
        fs::write(folder.join(file), whole).unwrap();
    }
    if names.len() > 1 {
        let index = serde_json::json!({"metadata": {"total_size": 1000}, "weight_map": map});
        fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
    }
}
