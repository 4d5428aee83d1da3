//! How fast items get codes: the frozen model beside a loop in libtorch, as PyTorch code does it, and beside what the
//! machine's matrix products allow. One run, same threads, same model and items.
//!
//!     cargo bench --locked --bench tokenize [-- ITEMS]

use std::time::Instant;

use catalex::features::{Features, Modality};
use catalex::item_ids::ItemIds;
use catalex::progress::Silent;
use catalex::rqvae;
use catalex::tokenizer::Tokenizer;
use catalex::training::QuantizerConfig;
use ndarray::{Array2, ArrayView2, Axis, linalg::general_mat_mul};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;
use rayon::prelude::*;
use tch::{Kind, Tensor, no_grad};

const DIM: usize = 384;
const THREADS: usize = 2;
/// Rows of a batch in libtorch.
const BATCH: i64 = 4_096;
const RUNS: usize = 5;

/// Vectors in 3,000 clusters, variance falling along the axes.
fn vectors(n: usize, seed: u64) -> Array2<f32> {
    let mut centre = Xoshiro256Plus::seed_from_u64(7);
    let mut draw = || centre.gen_range(-1.0f32..1.0);
    let centres = Array2::from_shape_simple_fn((3_000, DIM), &mut draw);
    let mut rng = Xoshiro256Plus::seed_from_u64(seed);
    let mut rows = Array2::from_shape_simple_fn((n, DIM), || 0.8 * rng.gen_range(-1.0f32..1.0));
    for mut row in rows.rows_mut() {
        row += &centres.row(rng.gen_range(0..3_000));
    }
    rows.axis_iter_mut(Axis(1)).enumerate().for_each(|(j, mut column)| column /= (1.0 + j as f32 / 16.0).sqrt());
    rows
}

/// Seconds of the quickest of some runs.
fn seconds(mut work: impl FnMut()) -> f64 {
    let run = |_| {
        let began = Instant::now();
        work();
        began.elapsed().as_secs_f64()
    };
    (0..RUNS).map(run).fold(f64::INFINITY, f64::min)
}

fn tensor(array: ArrayView2<f32>) -> Tensor {
    let values: Vec<f32> = array.iter().copied().collect();
    Tensor::from_slice(&values).view([array.nrows() as i64, array.ncols() as i64])
}

/// Codes as a PyTorch loop makes them: squared distances of every residual from every codeword, argmin.
struct Loop {
    mean: Tensor,
    scale: Tensor,
    skip: Tensor,
    books: Vec<Tensor>,
    offsets: Vec<Tensor>,
    pairs: Option<Tensor>,
    last: Option<Tensor>,
}

impl Loop {
    fn new(model: &Tokenizer) -> Option<Self> {
        let row = |v: &ndarray::Array1<f32>| tensor(v.view().insert_axis(Axis(0)));
        let offsets = model.quantizer().offsets();
        Some(Loop {
            mean: row(&model.standardization().mean),
            scale: row(&model.standardization().scale),
            skip: tensor(model.projection().skip.as_ref()?.view()).tr(),
            books: model.codebooks().iter().map(|book| tensor(book.view())).collect(),
            offsets: offsets.codes.iter().map(row).collect(),
            pairs: offsets.pairs.as_ref().map(|pairs| tensor(pairs.view())),
            last: offsets.last.as_ref().map(|last| tensor(last.view())),
        })
    }

    fn codes(&self, x: &Tensor) -> Tensor {
        no_grad(|| {
            let mut rest = ((x - &self.mean) * &self.scale).matmul(&self.skip);
            let mut codes: Vec<Tensor> = Vec::new();
            for (level, (book, offsets)) in self.books.iter().zip(&self.offsets).enumerate() {
                let lengths = rest.square().sum_dim_intlist(1, true, Kind::Float);
                let codewords = book.square().sum_dim_intlist(1, false, Kind::Float);
                let mut distances = lengths + codewords - rest.matmul(&book.tr()) * 2.0 + offsets;
                let pairs = self.pairs.as_ref().filter(|_| level == 1);
                let last = self.last.as_ref().filter(|_| level > 0 && level + 1 == self.books.len());
                for table in [pairs, last].into_iter().flatten() {
                    distances += table.index_select(0, &codes[0]);
                }
                let code = distances.argmin(1, false);
                rest -= book.index_select(0, &code);
                codes.push(code);
            }
            Tensor::stack(&codes, 1)
        })
    }
}

fn main() {
    let n = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(131_072);
    if rayon::ThreadPoolBuilder::new().num_threads(THREADS).build_global().is_err() {
        return eprintln!("no {THREADS} threads");
    }
    rqvae::set_threads(THREADS);
    let training = vectors(20_000, 1);
    let modality = Modality { name: "x".into(), present: vec![true; training.nrows()], vectors: training };
    let features = Features::new(ItemIds::row_numbers(20_000), vec![modality]);
    let config = QuantizerConfig { epochs: 0, ..QuantizerConfig::default() };
    let model = match features.and_then(|features| rqvae::train(&features, config.into(), None, &Silent)) {
        Ok(trained) => trained.tokenizer,
        Err(error) => return eprintln!("{error}"),
    };
    let Some(torch) = Loop::new(&model) else { return eprintln!("a model without a linear path") };
    let x = vectors(n, 2);
    let batches = tensor(x.view()).split(BATCH, 0);

    let mut given = Array2::zeros((0, 0));
    let ours = seconds(|| given = model.codes(x.view(), None).unwrap_or_default());
    let mut taken = Vec::new();
    let theirs = seconds(|| taken = batches.iter().map(|batch| torch.codes(batch)).collect());
    let taken = Vec::<i64>::try_from(Tensor::cat(&taken, 0).view(-1)).unwrap_or_default();
    let same = given.iter().zip(&taken).filter(|&(&a, &b)| i64::from(a) == b).count();

    let latent = model.config().latent_dim;
    let widths: usize = DIM + model.codebooks().iter().map(|book| book.nrows()).sum::<usize>();
    let flops = 2.0 * (n * latent * widths) as f64;
    let z = Array2::from_shape_fn((n, latent), |(i, j)| x[[i, j]]);
    let book = model.codebooks()[0].t();
    let product = seconds(|| {
        z.axis_chunks_iter(Axis(0), 512).into_par_iter().for_each(|rows| {
            let mut out = Array2::zeros((rows.nrows(), book.ncols()));
            general_mat_mul(1.0, &rows, &book, 0.0, &mut out);
            std::hint::black_box(out);
        });
    });
    let rate = 2.0 * (n * latent * book.ncols()) as f64 / product;
    let gemm = tensor(z.view());
    let (right, rows) = (tensor(book), gemm.split(BATCH, 0));
    let torch_product = seconds(|| rows.iter().for_each(|rows| drop(std::hint::black_box(rows.matmul(&right)))));
    let torch_rate = 2.0 * (n * latent * book.ncols()) as f64 / torch_product;

    println!(
        "{n} x {DIM}, {} levels, latents of {latent}, {THREADS} threads, the best of {RUNS} runs",
        model.config().levels()
    );
    println!("frozen model        {:>9.0} items/s  {:>5.1} GFLOP/s", n as f64 / ours, flops / ours / 1e9);
    println!("libtorch, {BATCH} a batch {:>7.0} items/s  {:>5.1} GFLOP/s", n as f64 / theirs, flops / theirs / 1e9);
    println!("matrix products alone, this crate's {:.1} GFLOP/s, libtorch's {:.1}", rate / 1e9, torch_rate / 1e9);
    println!(
        "frozen model: {:.2} times the loop in libtorch, {:.0} % of its own matrix products' rate, {:.0} % of libtorch's",
        theirs / ours,
        100.0 * flops / ours / rate,
        100.0 * flops / ours / torch_rate,
    );
    println!("{:.3} % of the codes are the same", 100.0 * same as f64 / taken.len() as f64);
}
