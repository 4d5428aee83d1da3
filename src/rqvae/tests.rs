//! Training on a GPU beside training on the CPU, where there is a GPU.

use ndarray::{Array2, ArrayView1, Axis};

use crate::progress::Silent;
use crate::rqvae::device::place;
use crate::rqvae::points::tests::relative_error;
use crate::rqvae::train;
use crate::rqvae::trainer::tests::{config, features};
use crate::tokenizer::{CodeUsage, Tokenizer};
use crate::training::{LcRecConfig, TrainConfig};

/// The ten nearest rows of each 20th row, without itself.
fn nearest(x: &Array2<f32>) -> Vec<Vec<usize>> {
    let distance = |a: ArrayView1<f32>, b: ArrayView1<f32>| (&a - &b).mapv(|v| v * v).sum();
    let of_row = |query: usize| {
        let mut rows: Vec<(f32, usize)> =
            (0..x.nrows()).filter(|&row| row != query).map(|row| (distance(x.row(query), x.row(row)), row)).collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        rows.into_iter().take(10).map(|(_, row)| row).collect()
    };
    (0..x.nrows()).step_by(20).map(of_row).collect()
}

/// Relative error, perplexity per level, and the share of the ten nearest items that decoded vectors find.
fn worth(tokenizer: &Tokenizer, x: &Array2<f32>, expected: &[Vec<usize>]) -> (f32, Vec<f32>, f32) {
    let codes = tokenizer.codes(x.view(), None).unwrap();
    let usage = CodeUsage::of_levels(codes.view(), &tokenizer.config().codebook_sizes);
    let found = nearest(&tokenizer.decode(codes.view()).unwrap());
    let hits = expected.iter().zip(&found).map(|(a, b)| a.iter().filter(|row| b.contains(row)).count()).sum::<usize>();
    let perplexities = usage.iter().map(|usage| usage.perplexity() as f32).collect();
    (relative_error(tokenizer, x), perplexities, hits as f32 / (10 * expected.len()) as f32)
}

#[test]
fn a_gpu_trains_models_that_are_worth_as_much_and_twice_the_same() {
    if let Err(reason) = place("cuda") {
        assert!(reason.to_string().contains("no CUDA device"), "{reason}");
        eprintln!("skipped: {reason}");
        return;
    }
    let items = features(4_000);
    let x = items.concatenated();
    assert_eq!(x.len_of(Axis(0)), 4_000);
    let expected = nearest(&x);
    let default = |device: &str| config(|c| (c.epochs, c.device) = (6, device.into()));
    let lc_rec = |device: &str| -> TrainConfig {
        LcRecConfig {
            codebook_sizes: vec![32; 3],
            hidden: vec![64, 32],
            latent_dim: 8,
            epochs: 100,
            device: device.into(),
            ..LcRecConfig::default()
        }
        .into()
    };
    for (cpu, gpu) in [(default("cpu"), default("cuda")), (lc_rec("cpu"), lc_rec("cuda"))] {
        let on_gpu = || train(&items, gpu.clone(), None, &Silent).unwrap().tokenizer;
        let (one, other) = (train(&items, cpu, None, &Silent).unwrap().tokenizer, on_gpu());
        assert_eq!(other.hash(), on_gpu().hash(), "two runs on the GPU differ");
        let (one, other) = (worth(&one, &x, &expected), worth(&other, &x, &expected));
        eprintln!("CPU {one:?}, GPU {other:?}");
        assert!((one.0 - other.0).abs() < 0.05 * one.0, "error {} and {}", one.0, other.0);
        for (one, other) in one.1.iter().zip(&other.1) {
            assert!((one / other - 1.0).abs() < 0.1, "perplexity {one} and {other}");
        }
        assert!((one.2 - other.2).abs() < 0.03, "recall {} and {}", one.2, other.2);
    }
}
