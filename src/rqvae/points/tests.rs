//! The same computations in host memory and on a device. The device is the CPU of libtorch, which runs the same code as
//! a GPU.

use ndarray::{Array1, Array2, array};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;

use super::{DevicePoints, LatentPoints};
use crate::progress::Silent;
use crate::rqvae::halving::Halves;
use crate::rqvae::init::quantizer;
use crate::rqvae::keep::Kept;
use crate::rqvae::tensors::tensor;
use crate::rqvae::trainer::finished;
use crate::rqvae::valid_config::ValidQuantizerConfig;
use crate::tokenizer::{CodeUsage, Offsets, PreviousCodes, Quantizer};
use crate::training::QuantizerConfig;

fn rng(seed: u64) -> Xoshiro256Plus {
    Xoshiro256Plus::seed_from_u64(seed)
}

fn random(shape: (usize, usize), seed: u64) -> Array2<f32> {
    let mut rng = rng(seed);
    Array2::from_shape_simple_fn(shape, || rng.gen_range(-1.0f32..1.0))
}

/// Noisy clusters of different sizes.
fn clusters(n: usize, dim: usize) -> Array2<f32> {
    let (centres, mut rng) = (random((30, dim), 3), rng(4));
    let mut points = random((n, dim), 5) * 0.4;
    points.rows_mut().into_iter().for_each(|mut row| row += &centres.row((rng.r#gen::<f32>().powi(2) * 30.0) as usize));
    points
}

fn on_device(points: &Array2<f32>) -> DevicePoints {
    DevicePoints::new(tensor(points))
}

fn codes_of<P: LatentPoints>(codes: &P::Codes) -> Array2<u16> {
    P::codes_on_host(codes).unwrap().into_owned()
}

/// A quantizer with these sizes and every kind of offsets.
fn with_offsets(sizes: &[usize], dim: usize) -> Quantizer {
    let books = sizes.iter().enumerate().map(|(level, &size)| random((size, dim), level as u64) / (level + 1) as f32);
    let mut offsets = Offsets::zero(sizes.iter().copied());
    for (level, offsets) in offsets.codes.iter_mut().enumerate() {
        offsets.assign(&(random((1, offsets.len()), 20 + level as u64).row(0).to_owned() * 0.1));
    }
    if let [first, second, ..] = *sizes {
        offsets.pairs = Some(random((first, second), 30) * 0.2);
        offsets.last = Some(random((first, sizes[sizes.len() - 1]), 31) * 0.2);
    }
    Quantizer::new(books.collect(), offsets)
}

#[track_caller]
fn assert_near<'a>(
    one: impl IntoIterator<Item = &'a f32>,
    other: impl IntoIterator<Item = &'a f32>,
    tolerance: f32,
    what: &str,
) {
    let (one, other): (Vec<f32>, Vec<f32>) = (one.into_iter().copied().collect(), other.into_iter().copied().collect());
    assert_eq!(one.len(), other.len(), "{what}");
    let scale = one.iter().fold(1e-3f32, |most, v| most.max(v.abs()));
    let worst = one.iter().zip(&other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= tolerance * scale, "{what}: {worst} of {scale}");
}

#[test]
fn codes_are_equal_with_all_offsets_and_other_sizes_per_level() {
    for sizes in [&[9][..], &[40, 7], &[16, 300, 5], &[8; 8]] {
        let (points, quantizer) = (clusters(1_500, 12), with_offsets(sizes, 12));
        let (host, device) = (points.encode(&quantizer), on_device(&points));
        assert_eq!(codes_of::<DevicePoints>(&device.encode(&quantizer)), host, "{sizes:?}");
        assert_near(&points.errors(&quantizer).unwrap(), &device.errors(&quantizer).unwrap(), 1e-5, "errors");
        let placed = device.place(host.clone());
        assert_eq!(codes_of::<DevicePoints>(&placed), host);
        let (one, other) = (LatentPoints::residual_spread(&points, &host, quantizer.codebooks()).unwrap(), {
            device.residual_spread(&placed, quantizer.codebooks()).unwrap()
        });
        assert_near(&one, &other, 1e-5, "spread");
    }
}

#[test]
fn of_equal_codewords_the_lowest_is_chosen() {
    let book = array![[3.0f32, 0.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0]];
    let quantizer = Quantizer::new(vec![book.clone(), book], Offsets::zero([4, 4]));
    let points = Array2::from_elem((5_000, 2), 1.0f32);
    let codes = codes_of::<DevicePoints>(&on_device(&points).encode(&quantizer));
    assert_eq!(codes, points.encode(&quantizer));
    assert!(codes.rows().into_iter().all(|row| row.to_vec() == [1, 1]));
}

#[test]
fn previous_codes_are_kept_at_the_same_price() {
    let (points, quantizer) = (clusters(900, 6), with_offsets(&[12, 9, 7], 6));
    let mut rng = rng(6);
    let natural = points.encode(&quantizer);
    let changed = |(at, level): (usize, usize)| if at % 3 == 0 { rng.gen_range(0..7) } else { natural[[at, level]] };
    let codes = Array2::from_shape_fn((900, 3), changed);
    let previous = PreviousCodes { codes, known: (0..900).map(|at| at % 5 > 0).collect() };
    let device = on_device(&points);
    for prices in [[0.0; 3], [0.3, 0.1, 0.2], [f32::INFINITY; 3]] {
        let kept = device.encode_keeping(&quantizer, &previous, &prices);
        assert_eq!(
            codes_of::<DevicePoints>(&kept),
            points.encode_keeping(&quantizer, &previous, &prices),
            "{prices:?}"
        );
    }
}

#[test]
fn sums_means_and_products_are_equal() {
    let (points, mut book) = (clusters(2_000, 10), random((50, 10), 8));
    let device = on_device(&points);
    assert_near(&points.squared_lengths().unwrap(), &device.squared_lengths().unwrap(), 1e-6, "lengths");
    let columns = |squares: Array1<f64>| squares.mapv(|v| v as f32);
    let (one, other) = (points.column_squares().unwrap(), device.column_squares().unwrap());
    assert_near(&columns(one), &columns(other), 1e-6, "columns");
    assert_near(&points.products(7).unwrap(), &device.products(7).unwrap(), 1e-6, "products");
    let rows: Vec<usize> = (0..700).map(|at| at * 2).collect();
    assert_near(&LatentPoints::mean(&points, &rows).unwrap(), &device.mean(&rows).unwrap(), 1e-5, "mean");
    let sorted = |(mut one, mut other): Halves| {
        one.sort_unstable();
        other.sort_unstable();
        (one, other)
    };
    // Points that are almost equally far along the direction can be in another order, but the halves are the same.
    assert_eq!(sorted(points.halves(&rows).unwrap()), sorted(device.halves(&rows).unwrap()));
    assert_eq!(LatentPoints::rows(&points, &[5, 5, 0]).unwrap(), device.rows(&[5, 5, 0]).unwrap());
    assert_eq!(device.on_host().unwrap(), points);
    assert_eq!(device.select(&rows).on_host().unwrap(), LatentPoints::select(&points, &rows));
    assert_eq!(on_device(&points).truncated(3).on_host().unwrap(), points.clone().truncated(3));
    // The last ten codes are unused.
    let codes = Array2::from_shape_fn((2_000, 1), |(row, _)| (row * row % 40) as u16);
    let mut other = book.clone();
    points.move_to_means(&codes, &mut book).unwrap();
    device.move_to_means(&device.place(codes.clone()), &mut other).unwrap();
    assert_near(&book, &other, 1e-5, "means");
    let (mut one, mut two) = (points.clone(), device.duplicate());
    one.subtract(&codes, 0, &book);
    two.subtract(&device.place(codes), 0, &book);
    assert_near(&one, &two.on_host().unwrap(), 1e-6, "rest");
    assert_eq!(device.on_host().unwrap(), points, "the duplicate has its own memory");
    let start = random((20, 10), 9);
    let steps = |steps| (points.first_steps(start.clone(), steps), device.first_steps(start.clone(), steps));
    let (one, other) = steps(5);
    assert_near(&one.unwrap(), &other.unwrap(), 1e-4, "first steps");
    let infinite = on_device(&Array2::from_elem((30, 2), 3e38f32));
    assert!(infinite.first_steps(random((3, 2), 1), 2).unwrap_err().to_string().contains("finite latents"));
}

#[test]
fn the_regression_is_equal_also_with_unused_codes() {
    for sizes in [vec![30], vec![20, 70, 9], vec![6; 8]] {
        let points = clusters(1_200, 8);
        let value = |(row, level): (usize, usize)| ((row * (2 * level + 7) + row / 31) % (sizes[level] - 1)) as u16;
        let codes = Array2::from_shape_fn((1_200, sizes.len()), value);
        let start: Vec<_> = sizes.iter().map(|&size| random((size, 8), size as u64) * 0.3).collect();
        let ridges = vec![Array1::from_shape_fn(8, |at| at as f32 * 0.5); sizes.len()];
        let (mut one, mut other) = (start.clone(), start);
        let device = on_device(&points);
        let left = LatentPoints::fit(&points, &codes, &mut one, &ridges, 2).unwrap();
        let left_on_device = device.fit(&device.place(codes.clone()), &mut other, &ridges, 2).unwrap();
        assert_near(&[left], &[left_on_device], 1e-5, "error");
        for (one, other) in one.iter().zip(&other) {
            assert_near(one, other, 1e-4, "codewords");
        }
    }
}

fn config(items: usize, change: impl Fn(&mut QuantizerConfig)) -> ValidQuantizerConfig {
    let mut config = QuantizerConfig { codebook_sizes: vec![32; 3], kmeans_items_per_code: 20, ..Default::default() };
    change(&mut config);
    ValidQuantizerConfig::new(config, items, &[("text".into(), 16)]).unwrap()
}

/// What a quantizer is worth on points: mean squared error, perplexity per level, and how many items share all codes.
fn worth(points: &Array2<f32>, quantizer: &Quantizer) -> (f64, Vec<f64>, usize) {
    let codes = quantizer.encode(points.view());
    let errors = LatentPoints::errors(points, quantizer).unwrap();
    let sizes: Vec<usize> = quantizer.codebooks().iter().map(|book| book.nrows()).collect();
    let usage = CodeUsage::of_levels(codes.view(), &sizes);
    let distinct: std::collections::HashSet<Vec<u16>> = codes.rows().into_iter().map(|row| row.to_vec()).collect();
    let error = errors.iter().map(|&e| f64::from(e)).sum::<f64>() / errors.len() as f64;
    (error, usage.iter().map(|usage| usage.perplexity()).collect(), codes.nrows() - distinct.len())
}

/// k-means, refinement, use of every code and separation.
fn trained(points: impl LatentPoints, config: &ValidQuantizerConfig, kept: Option<Kept>) -> (Quantizer, Vec<f32>) {
    let rows: Vec<usize> = (0..points.count()).collect();
    let kept = kept.map(|kept| kept.of(&rows));
    let quantizer = quantizer(&points, kept.as_ref(), config, &mut rng(42), &Silent).unwrap();
    finished(points, kept.as_ref().map(|kept| (kept, rows.len())), quantizer, config.separation as f32).unwrap()
}

#[track_caller]
fn assert_equal_worth(points: &Array2<f32>, config: &ValidQuantizerConfig, kept: Option<Kept>) {
    let (host, of_host) = trained(points.clone(), config, kept);
    let (device, prices) = trained(on_device(points), config, kept);
    let again = trained(on_device(points), config, kept);
    assert_eq!((&device, &prices), (&again.0, &again.1), "two runs on a device differ");
    let (one, other) = (worth(points, &host), worth(points, &device));
    assert!((one.0 - other.0).abs() <= 0.02 * one.0 + 1e-6, "errors {} and {}", one.0, other.0);
    for (one, other) in one.1.iter().zip(&other.1) {
        assert!((one / other - 1.0).abs() < 0.05, "perplexities {one} and {other}");
    }
    let most = points.nrows() / 100 + one.2 / 5;
    assert!(one.2.abs_diff(other.2) <= most, "{} and {} items share all codes", one.2, other.2);
    assert_near(&of_host, &prices, 0.05, "prices");
}

#[test]
fn training_has_the_same_error_and_perplexities() {
    let points = clusters(1_500, 16);
    assert_equal_worth(&points, &config(1_500, |_| ()), None);
    assert_equal_worth(&points, &config(1_500, |c| c.codebook_sizes = vec![64]), None);
    assert_equal_worth(&points, &config(1_500, |c| c.codebook_sizes = vec![6; 8]), None);
    assert_equal_worth(&points, &config(1_500, |c| c.codebook_sizes = vec![40, 17, 60]), None);
}

#[test]
fn duplicates_and_fewer_distinct_points_than_codes_are_no_obstacle() {
    let few = clusters(20, 16);
    let repeated = LatentPoints::select(&few, &(0..1_200).map(|at| at % 20).collect::<Vec<_>>());
    let (host, _) = trained(repeated.clone(), &config(1_200, |_| ()), None);
    let (device, _) = trained(on_device(&repeated), &config(1_200, |_| ()), None);
    for quantizer in [&host, &device] {
        assert!(quantizer.codebooks().iter().flatten().all(|v| v.is_finite()));
        assert!(worth(&repeated, quantizer).0 < 1e-3, "{:?}", worth(&repeated, quantizer));
    }
    let twice = LatentPoints::select(&clusters(700, 16), &(0..1_400).map(|at| at / 2).collect::<Vec<_>>());
    assert_equal_worth(&twice, &config(1_400, |_| ()), None);
}

#[test]
fn retraining_keeps_the_same_codes() {
    let points = clusters(1_200, 16);
    let config = config(1_200, |_| ());
    let before = trained(random((1_200, 16), 11) * 0.1 + &points, &config, None).0.encode(points.view());
    let previous = PreviousCodes { codes: before.clone(), known: (0..1_200).map(|at| at % 4 > 0).collect() };
    for strength in [0.2, 1.0] {
        let kept = Kept { previous: &previous, strength };
        assert_equal_worth(&points, &config, Some(kept));
        let (quantizer, prices) = trained(on_device(&points), &config, Some(kept));
        let codes = on_device(&points).encode_keeping(&quantizer, &previous, &prices);
        let codes = codes_of::<DevicePoints>(&codes);
        let same = (0..1_200).filter(|&row| previous.is(row, &codes.row(row).to_vec())).count();
        assert!(same >= if strength == 1.0 { 900 } else { 300 }, "{same} kept at {strength}");
    }
}

/// Squared error of the reconstruction, relative to the variance of the features.
pub(in crate::rqvae) fn relative_error(tokenizer: &crate::tokenizer::Tokenizer, x: &Array2<f32>) -> f32 {
    let decoded = tokenizer.decode(tokenizer.codes(x.view(), None).unwrap().view()).unwrap();
    let mean = x.mean_axis(ndarray::Axis(0)).unwrap();
    (&decoded - x).mapv(|v| v * v).sum() / (x - &mean).mapv(|v| v * v).sum()
}

#[test]
fn a_whole_training_on_a_device_is_deterministic_and_as_good_and_resumes() {
    use crate::rqvae::device::TENSORS;
    use crate::rqvae::trainer::tests::{Interruption, config, features};
    use crate::rqvae::{Checkpoints, train};
    use crate::training::{LcRecConfig, TrainConfig};
    let items = features(1_300);
    let x = items.concatenated();
    let lc_rec = |device: &str| -> TrainConfig {
        LcRecConfig {
            codebook_sizes: vec![16; 3],
            hidden: vec![64, 32],
            latent_dim: 8,
            epochs: 20,
            batch_size: 256,
            device: device.into(),
            ..LcRecConfig::default()
        }
        .into()
    };
    let default = |device: &str| config(|c| (c.epochs, c.device) = (6, device.into()));
    for (host, device) in [(default("cpu"), default(TENSORS)), (lc_rec("cpu"), lc_rec(TENSORS))] {
        let one = train(&items, host, None, &Silent).unwrap();
        let other = train(&items, device.clone(), None, &Silent).unwrap();
        assert_eq!(other.tokenizer, train(&items, device.clone(), None, &Silent).unwrap().tokenizer, "two runs");
        let (error, on_device) = (relative_error(&one.tokenizer, &x), relative_error(&other.tokenizer, &x));
        assert!((error - on_device).abs() < 0.05 * error, "errors {error} and {on_device}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.checkpoint");
        let checkpoints = |resume| Checkpoints { path: path.clone(), every: std::time::Duration::ZERO, resume };
        let interruption = Interruption(3.into());
        assert!(train(&items, device.clone(), Some(&checkpoints(false)), &interruption).is_err());
        let resumed = train(&items, device, Some(&checkpoints(true)), &Silent).unwrap();
        assert_eq!((resumed.tokenizer, resumed.history), (other.tokenizer, other.history));
    }
}
