//! Training through the command line, and a comparison of the two forward passes.

use std::fs;

use catalex::features::Features;
use catalex::progress::Silent;
use catalex::rqvae;
use catalex::training::{QuantizerConfig, TrainConfig};
use ndarray::Array2;

use super::support::{catalex, clustered, features, outcome, succeeds, write_matrix};

/// Latents agree within 1e-4 of their length; codes are equal, except where two codewords are equally near.
pub(crate) fn assert_parity(features: &Features, config: TrainConfig) {
    let tokenizer = rqvae::train(features, config, None, &Silent).unwrap().tokenizer;
    let (x, present) = (features.concatenated(), features.presence());
    let frozen = tokenizer.encode(x.view(), Some(present.view())).unwrap();
    let torch = rqvae::encode(&tokenizer, x.view(), Some(present.view()), "cpu").unwrap();
    let norm = |v: &Array2<f32>| v.iter().map(|v| v * v).sum::<f32>().sqrt();
    let difference = norm(&(&frozen.latents - &torch.latents)) / norm(&frozen.latents);
    assert!(difference < 1e-4, "latents differ by {difference}");
    for row in 0..features.len() {
        let (a, b) = (frozen.codes.row(row), torch.codes.row(row));
        let Some(level) = (0..a.len()).find(|&level| a[level] != b[level]) else { continue };
        let mut rest = frozen.latents.row(row).to_owned();
        (0..level).for_each(|l| rest -= &tokenizer.codebooks()[l].row(usize::from(a[l])));
        let distance = |code: u16| {
            let away = &rest - &tokenizer.codebooks()[level].row(usize::from(code));
            away.dot(&away)
        };
        let (a, b) = (distance(a[level]), distance(b[level]));
        assert!((a - b).abs() <= 1e-5 * (a + rest.dot(&rest)), "row {row}, level {level}: {a} and {b} are no tie");
    }
}

#[test]
fn the_frozen_model_agrees_with_libtorch() {
    let config =
        QuantizerConfig { codebook_sizes: vec![32; 3], hidden: vec![64, 48], epochs: 4, ..QuantizerConfig::default() };
    assert_parity(&features(clustered(1_500, 24)), config.into());
}

/// Two modalities of the same 20 clusters. Some items lack one of them.
fn gappy(n: usize) -> Features {
    let mut next = super::support::numbers(8);
    let present = |lacking: usize| (0..n).map(|row| row % 5 != lacking).collect::<Vec<_>>();
    let (text, image) = (clustered(n, 24), clustered(n, 16) + Array2::from_shape_simple_fn((n, 16), || 0.1 * next()));
    let modality = |name: &str, vectors, present| catalex::features::Modality { name: name.into(), vectors, present };
    let modalities = vec![modality("text", text, present(1)), modality("image", image, present(3))];
    Features::new(catalex::ItemIds::row_numbers(n), modalities).unwrap()
}

#[test]
fn both_forward_passes_complete_missing_modalities_equally() {
    let config = QuantizerConfig {
        codebook_sizes: vec![32; 3],
        latent_dim: 24,
        hidden: vec![48],
        epochs: 4,
        ..QuantizerConfig::default()
    };
    assert_parity(&gappy(1_500), config.into());
}

#[test]
fn missing_modalities_are_learned_and_round_trip_through_a_file() {
    let features = gappy(1_500);
    let config: TrainConfig =
        QuantizerConfig { codebook_sizes: vec![20, 16, 16], latent_dim: 24, epochs: 3, ..QuantizerConfig::default() }
            .into();
    let trained = rqvae::train(&features, config.clone(), None, &Silent).unwrap();
    assert!(trained.history.iter().all(|figures| figures.error.is_finite() && figures.error < 0.6));
    assert_eq!(trained.tokenizer, rqvae::train(&features, config, None, &Silent).unwrap().tokenizer, "twice");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    trained.tokenizer.save(&path, catalex::artifact::Overwrite::Refuse).unwrap();
    let model = catalex::tokenizer::Tokenizer::load(&path).unwrap();
    assert_eq!(model, trained.tokenizer);
    let kept = |present: Array2<bool>| {
        let x = features.concatenated();
        let full = model.codes(x.view(), Some(features.presence().view())).unwrap();
        let codes = model.codes(x.view(), Some(present.view())).unwrap();
        let whole: Vec<usize> = (0..features.len()).filter(|row| row % 5 == 0 || row % 5 == 2).collect();
        whole.iter().filter(|&&row| codes[[row, 0]] == full[[row, 0]]).count() as f64 / whole.len() as f64
    };
    for hidden in [0, 1] {
        let kept = kept(Array2::from_shape_fn((features.len(), 2), |(_, m)| m != hidden));
        assert!(kept > 0.8, "without modality {hidden}, {kept} keep their first code");
    }
}

#[test]
fn a_killed_training_resumes_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    write_matrix(path("x.npy").as_ref(), &clustered(3_000, 32));
    let (features, whole, cut) = (path("x.npy"), path("whole"), path("cut"));
    let train = |out: &str| {
        let settings = "--epochs 300 --patience 300 --codebook-size 64 --threads 2 --checkpoint-every 0";
        let arguments = format!("train {features} --out {out} {settings}");
        arguments.split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    let mut child = catalex(&train(&cut)).spawn().unwrap();
    let checkpoint = folder.path().join("cut.checkpoint");
    while !checkpoint.exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!folder.path().join("cut").exists(), "300 epochs take longer than one");
    let (code, message) = outcome(&catalex(&train(&cut)).output().unwrap());
    assert_eq!(code, 1);
    assert!(message.contains("cut.checkpoint") && message.contains("--resume"), "{message}");
    succeeds(&[&train(&cut)[..], &["--resume".into()]].concat());
    succeeds(&train(&whole));
    assert!(super::support::files(whole.as_ref()) == super::support::files(cut.as_ref()));
    assert!(!checkpoint.exists());
}

#[test]
fn a_matrix_becomes_a_model_and_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    write_matrix(path("x.npy").as_ref(), &clustered(300, 8));
    for model in ["a", "b"] {
        succeeds(&["train", &path("x.npy"), "--out", &path(model), "--epochs", "5", "--threads", "2"]);
    }
    for file in ["model.safetensors", "config.json"] {
        let read = |model: &str| fs::read(folder.path().join(model).join(file)).unwrap();
        assert_eq!(read("a"), read("b"), "{file} of two runs");
    }
    succeeds(&["tokenize", &path("x.npy"), "--model", &path("a"), "--out", &path("t.parquet")]);
    let figures: serde_json::Value =
        serde_json::from_str(&succeeds(&["inspect", &path("t.parquet"), "--json"])).unwrap();
    assert_eq!(figures["distinct_ids"], 300);

    fs::write(path("c.toml"), "levels = 2\ncodebook-size = [64, 32]\nepochs = 1\nhidden = [0]\nseed = 7\n").unwrap();
    succeeds(&["train", &path("x.npy"), "--out", &path("c"), "--config", &path("c.toml"), "--seed", "9"]);
    let config: serde_json::Value = serde_json::from_slice(&fs::read(path("c/config.json")).unwrap()).unwrap();
    assert_eq!(config["codebook_sizes"], serde_json::json!([64, 32]), "from the file");
    assert_eq!(config["training"]["config"]["seed"], 9, "the flag wins");
    assert_eq!(config["hidden"], serde_json::json!([]));
}
