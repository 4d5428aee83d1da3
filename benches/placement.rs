//! Assigning IDs to new items when other codes are taken. Prints the added distortion at several occupancies, compared
//! with giving each item the nearest free code, and the time and memory for 1,000,000 new items and 10,000,000 taken
//! codes.
//!
//!     cargo bench --locked --no-default-features --bench placement

use std::time::Instant;

use catalex::item_ids::ItemIds;
use catalex::progress::Silent;
use catalex::semantic_id::{Assignment, Occupied, UnresolvedItems, place};
use catalex::tokenizer::{Offsets, Quantizer};
use ndarray::{Array2, ArrayView1, Axis, s};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;

const PREFIXES: usize = 64;
const LAST: usize = 256;
const DIM: usize = 16;

/// Points that resemble the latents of a catalog: the variance decreases from dimension to dimension.
fn points(n: usize, rng: &mut Xoshiro256Plus) -> Array2<f32> {
    let mut normal = || (0..12).map(|_| rng.r#gen::<f32>()).sum::<f32>() - 6.0;
    let mut rows = Array2::from_shape_simple_fn((n, DIM), &mut normal);
    for (j, mut column) in rows.axis_iter_mut(Axis(1)).enumerate() {
        column /= (1.0 + j as f32).sqrt();
    }
    rows
}

/// Two levels. The codewords start as some of the points or residuals, and a few rounds of k-means improve them.
fn quantizer(rng: &mut Xoshiro256Plus) -> Quantizer {
    let mut rest = points(40_000, rng);
    let mut books = Vec::new();
    for size in [PREFIXES, LAST] {
        let mut book = rest.slice(s![..size, ..]).to_owned();
        let coded = |book: &Array2<f32>, rest: &Array2<f32>| {
            Quantizer::new(vec![book.clone()], Offsets::zero([size])).encode(rest.view())
        };
        for _ in 0..10 {
            let codes = coded(&book, &rest);
            let (mut sums, mut counts) = (Array2::<f32>::zeros(book.dim()), vec![0.0f32; size]);
            for (row, code) in rest.rows().into_iter().zip(codes.column(0)) {
                let mut sum = sums.row_mut(usize::from(*code));
                sum += &row;
                counts[usize::from(*code)] += 1.0;
            }
            for (code, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
                book.row_mut(code).assign(&(&sums.row(code) / count));
            }
        }
        let codes = coded(&book, &rest);
        rest -= &Quantizer::new(vec![book.clone()], Offsets::zero([size])).decode(codes.view());
        books.push(book);
    }
    Quantizer::new(books, Offsets::zero([PREFIXES, LAST]))
}

fn errors(points: &Array2<f32>, codes: &Array2<u16>, quantizer: &Quantizer) -> Vec<f32> {
    (points - &quantizer.decode(codes.view())).map_axis(Axis(1), |rest| rest.dot(&rest)).to_vec()
}

fn placed(points: &Array2<f32>, quantizer: &Quantizer, occupied: &Occupied) -> Assignment {
    let codes = quantizer.encode(points.view());
    let errors = errors(points, &codes, quantizer);
    let ids = ItemIds::row_numbers(points.nrows());
    let items = UnresolvedItems { latents: &points.view(), codes: codes.view(), errors: &errors, item_ids: &ids };
    place(&items, quantizer, occupied, &Silent).unwrap_or_else(|e| panic!("{e}"))
}

/// Gives each item in turn the nearest free code of its prefix, or of the nearest prefix with free codes if its own is
/// full.
fn nearest_of_prefix(points: &Array2<f32>, quantizer: &Quantizer, taken: &mut [Vec<bool>]) -> Array2<u16> {
    let mut given = quantizer.encode(points.view());
    let [first, last] = quantizer.codebooks() else { return given };
    for (point, mut codes) in points.rows().into_iter().zip(given.rows_mut()) {
        let own = usize::from(codes[0]);
        let prefixes = nearest(point, first).into_iter().map(|(prefix, _)| prefix);
        let room = |prefix: &usize| taken[*prefix].iter().any(|&taken| !taken);
        let Some(prefix) = std::iter::once(own).chain(prefixes).find(room) else { continue };
        let rest = &point - &first.row(prefix);
        let Some((code, _)) = nearest(rest.view(), last).into_iter().find(|&(code, _)| !taken[prefix][code]) else {
            continue;
        };
        taken[prefix][code] = true;
        (codes[0], codes[1]) = (prefix as u16, code as u16);
    }
    given
}

/// Gives each item in turn the nearest of all free codes. With `shared`, codes remain free. Unlike the quantizer, this
/// searches both levels jointly. It therefore finds nearer codes than the quantizer even in an empty table.
fn nearest_of_all(points: &Array2<f32>, quantizer: &Quantizer, taken: &mut [Vec<bool>], shared: bool) -> Array2<u16> {
    let mut given = quantizer.encode(points.view());
    let [first, last] = quantizer.codebooks() else { return given };
    for (point, mut codes) in points.rows().into_iter().zip(given.rows_mut()) {
        let free_of = |prefix: usize| {
            let rest = &point - &first.row(prefix);
            let free = nearest(rest.view(), last).into_iter().find(|&(code, _)| !taken[prefix][code]);
            free.map(|(code, distance)| (distance, prefix, code))
        };
        let best = (0..PREFIXES).filter_map(free_of).min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, prefix, code)) = best else { continue };
        taken[prefix][code] = !shared;
        (codes[0], codes[1]) = (prefix as u16, code as u16);
    }
    given
}

/// The codewords with their squared distances, in ascending order.
fn nearest(point: ArrayView1<f32>, book: &Array2<f32>) -> Vec<(usize, f32)> {
    let distance = |(code, word): (usize, ArrayView1<f32>)| {
        (code, point.iter().zip(word).map(|(a, b)| (a - b) * (a - b)).sum::<f32>())
    };
    let mut order: Vec<(usize, f32)> = book.rows().into_iter().enumerate().map(distance).collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    order
}

/// Prints the added distortion at an occupancy in percent, which is the same for all prefixes. New items fill half of
/// the free codes.
fn at_occupancy(percent: usize, quantizer: &Quantizer, rng: &mut Xoshiro256Plus) {
    let (all, per_prefix) = (PREFIXES * LAST, LAST * percent / 100);
    // The taken codes of a prefix are resolved codes of items; the occupancy determines their number.
    let mut held = vec![0; PREFIXES];
    let mut old = Vec::new();
    let drawn = points(4 * all, rng);
    for (row, codes) in quantizer.encode(drawn.view()).rows().into_iter().enumerate() {
        if held[usize::from(codes[0])] < per_prefix {
            held[usize::from(codes[0])] += 1;
            old.push(row);
        }
    }
    let mut occupied = Occupied::new(&[PREFIXES, LAST]).unwrap_or_else(|e| panic!("{e}"));
    let frozen = placed(&drawn.select(Axis(0), &old), quantizer, &occupied).codes;
    occupied.insert(frozen.view()).unwrap_or_else(|e| panic!("{e}"));
    let new = points((all - occupied.len()) / 2, rng);
    let before: f64 = errors(&new, &quantizer.encode(new.view()), quantizer).iter().map(|&e| f64::from(e)).sum();
    let added = |codes: &Array2<u16>| {
        let after: f64 = errors(&new, codes, quantizer).iter().map(|&e| f64::from(e)).sum();
        100.0 * (after / before - 1.0)
    };
    let taken = || {
        let mut taken = vec![vec![false; LAST]; PREFIXES];
        frozen.rows().into_iter().for_each(|codes| taken[usize::from(codes[0])][usize::from(codes[1])] = true);
        taken
    };
    let ours = placed(&new, quantizer, &occupied);
    let by_prefix = added(&nearest_of_prefix(&new, quantizer, &mut taken()));
    let by_all = added(&nearest_of_all(&new, quantizer, &mut taken(), false));
    let in_empty = added(&nearest_of_all(&new, quantizer, &mut vec![vec![false; LAST]; PREFIXES], true));
    println!(
        "| {:.0} % | {} | {} | **{:.1} %** | {by_prefix:.1} % | {by_all:.1} % | {in_empty:.1} % |",
        100.0 * occupied.len() as f64 / all as f64,
        new.nrows(),
        ours.report.moved_to_other_prefix,
        added(&ours.codes),
    );
}

/// Peak memory of the process, in MB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).unwrap_or(0) / 1_000
}

fn at_scale(old: usize, new: usize) {
    const WIDTH: usize = 64;
    let mut rng = Xoshiro256Plus::seed_from_u64(1);
    let mut book = |spread: f32| Array2::from_shape_simple_fn((256, WIDTH), || rng.gen_range(-spread..spread));
    let quantizer = Quantizer::new([1.0, 0.5, 0.25, 0.12].map(&mut book).into(), Offsets::zero([256; 4]));
    let mut rng = Xoshiro256Plus::seed_from_u64(2);
    // Squares of uniform random numbers: some prefixes have many items.
    let mut code = || (rng.r#gen::<f32>().powi(2) * 256.0) as u16;
    let frozen = Array2::from_shape_simple_fn((old, 4), &mut code);
    let began = Instant::now();
    let mut occupied = Occupied::new(&[256; 4]).unwrap_or_else(|e| panic!("{e}"));
    occupied.insert(frozen.view()).unwrap_or_else(|e| panic!("{e}"));
    let inserted = began.elapsed().as_secs_f64();
    let mut codes = Array2::from_shape_simple_fn((new, 4), &mut code);
    // Every tenth new item resembles an old one.
    for row in (9..new).step_by(10) {
        codes.row_mut(row).assign(&frozen.row(row));
    }
    drop(frozen);
    let mut points = quantizer.decode(codes.view());
    points.iter_mut().for_each(|v| *v += rng.gen_range(-0.02..0.02));
    let before = peak_memory();
    let began = Instant::now();
    let report = placed(&points, &quantizer, &occupied).report;
    println!(
        "{new} items, {} taken codes: {inserted:.1} s to read the codes, {:.1} s to place; {} moved ({} to another \
         prefix); memory {} MB, before placing {before} MB",
        occupied.len(),
        began.elapsed().as_secs_f64(),
        report.moved,
        report.moved_to_other_prefix,
        peak_memory(),
    );
}

fn main() {
    let mut rng = Xoshiro256Plus::seed_from_u64(3);
    let quantizer = quantizer(&mut rng);
    println!(
        "| occupancy | new items | to another prefix | matching | nearest free of the prefix | nearest free of all | nearest of all in an empty table |"
    );
    println!("|---|---|---|---|---|---|---|");
    for percent in [50, 80, 95] {
        at_occupancy(percent, &quantizer, &mut rng);
    }
    at_scale(10_000_000, 1_000_000);
}
