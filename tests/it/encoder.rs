//! The encoders against their Python originals: sentence-transformers' MiniLM in float32, torchvision's MobileNetV2
//! with its own preprocessing. `scripts/make_encoder_goldens.py` wrote the vectors.

use std::fs;

use catalex::catalog::ImageSource;
use catalex::encoder::{ImageEncoder, TextEncoder, TextOptions};
use catalex::features::Features;
use catalex::progress::Silent;
use ndarray::{Array2, ArrayView1};

use super::support::{minilm, mobilenet, root, runtime};

fn cosine(a: ArrayView1<f32>, b: ArrayView1<f32>) -> f32 {
    a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
}

fn golden(name: &str, list: &str) -> (Vec<String>, Array2<f32>) {
    let folder = root().join("tests/golden/encoder");
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join(format!("{name}.json"))).unwrap()).unwrap();
    let inputs: Vec<String> = serde_json::from_value(json[list].clone()).unwrap();
    let vectors = Features::read(&folder.join(format!("{name}.npy"))).unwrap().concatenated();
    assert_eq!(inputs.len(), vectors.nrows());
    (inputs, vectors)
}

#[test]
fn texts_are_encoded_as_by_the_original() {
    let (texts, expected) = golden("text", "texts");
    let mut encoder = TextEncoder::load(&minilm(), &TextOptions::default(), &runtime()).unwrap();
    let got = encoder.encode(&texts, &Silent).unwrap();
    for ((text, got), expected) in texts.iter().zip(got.rows()).zip(expected.rows()) {
        let cosine = cosine(got, expected);
        assert!(cosine >= 0.999, "{cosine} for {text:?}");
        assert!((got.dot(&got) - 1.0).abs() < 1e-3, "normalised");
    }
}

#[test]
fn copies_of_a_model_give_the_vectors_of_one() {
    let texts: Vec<String> = (0..700).map(|i| format!("item {i} {}", "of several words ".repeat(i * 7 % 11))).collect();
    let encode = |runtime| {
        let mut encoder = TextEncoder::load(&minilm(), &TextOptions::default(), &runtime).unwrap();
        encoder.encode(&texts, &Silent).unwrap()
    };
    let one = encode(runtime().one_batch());
    assert_eq!(encode(runtime()), one);
    assert!(
        one.rows().into_iter().zip(one.rows().into_iter().skip(1)).all(|(a, b)| a != b),
        "each text has its vector"
    );
}

#[test]
fn images_are_encoded_as_by_the_original() {
    let (paths, expected) = golden("image", "images");
    let mut encoder = ImageEncoder::load(&mobilenet(), None, &runtime()).unwrap();
    let pictures: Vec<ImageSource> = paths.iter().map(|path| ImageSource::Path(root().join(path))).collect();
    let got = encoder.encode(&pictures, &paths).unwrap();
    for ((path, got), expected) in paths.iter().zip(got.rows()).zip(expected.rows()) {
        let cosine = cosine(got, expected);
        assert!(cosine >= 0.999, "{cosine} for {path}");
    }
}
