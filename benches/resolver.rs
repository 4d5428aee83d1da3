//! What making IDs unique costs: a million items of which a tenth have another one's code, and the worst that can come.
//!
//!     cargo bench --locked --no-default-features --bench resolver

use std::time::Instant;

use catalex::item_ids::ItemIds;
use catalex::progress::Silent;
use catalex::semantic_id::{UnresolvedItems, resolve};
use catalex::tokenizer::{Offsets, Quantizer};
use ndarray::{Array2, Axis};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;

/// Resolves the collisions of `points` and tells what it took.
fn measure(what: &str, points: &Array2<f32>, quantizer: &Quantizer) {
    let codes = quantizer.encode(points.view());
    let errors = (points - &quantizer.decode(codes.view())).map_axis(Axis(1), |rest| rest.dot(&rest)).to_vec();
    let ids = ItemIds::row_numbers(points.nrows());
    let (latents, item_ids) = (&points.view(), &ids);
    let items = UnresolvedItems { latents, codes: codes.view(), errors: &errors, item_ids };
    let began = Instant::now();
    let assignment = resolve(&items, quantizer, &Silent);
    let seconds = began.elapsed().as_secs_f64();
    match assignment.map(|assignment| assignment.report) {
        Ok(report) => println!(
            "{what}: {} items, {:.1} % without a code of their own, {} moved ({} to another prefix), {seconds:.2} s",
            report.items,
            100.0 * report.collision_rate,
            report.moved,
            report.moved_to_other_prefix,
        ),
        Err(e) => println!("{what}: {e}"),
    }
}

fn main() {
    const DIM: usize = 64;
    let mut rng = Xoshiro256Plus::seed_from_u64(1);
    let mut book =
        |size: usize, spread: f32| Array2::from_shape_simple_fn((size, DIM), || rng.gen_range(-spread..spread));
    let books: Vec<Array2<f32>> = [1.0, 0.5, 0.25, 0.12].map(|spread| book(256, spread)).into();
    let quantizer = Quantizer::new(books, Offsets::zero([256; 4]));
    let mut rng = Xoshiro256Plus::seed_from_u64(2);
    let n = 1_000_000;
    let mut codes = Array2::from_shape_simple_fn((n, 4), || rng.gen_range(0..256u16));
    // Every tenth item is near the one before.
    for row in (9..n).step_by(10) {
        let before = codes.row(row - 1).to_owned();
        codes.row_mut(row).assign(&before);
    }
    let mut points = quantizer.decode(codes.view());
    points.iter_mut().for_each(|v| *v += rng.gen_range(-0.02..0.02));
    measure("near duplicates", &points, &quantizer);
    drop(points);

    let wide = Quantizer::new(vec![book_of(65_536)], Offsets::zero([65_536]));
    measure("equal items, as many as codes", &Array2::from_elem((65_536, 2), 0.5), &wide);
    let narrow = Quantizer::new(vec![book_of(16), book_of(16), book_of(256)], Offsets::zero([16, 16, 256]));
    measure("equal items, as many as IDs", &Array2::from_elem((65_536, 2), 0.5), &narrow);
    let apart = Array2::from_shape_fn((4_096, 2), |(row, j)| if j == 0 { 0.5 + 1e-6 * row as f32 } else { 0.5 });
    measure("different items of one code", &apart, &Quantizer::new(vec![book_of(4_096)], Offsets::zero([4_096])));
}

fn book_of(size: usize) -> Array2<f32> {
    Array2::from_shape_fn((size, 2), |(i, j)| if j == 0 { i as f32 } else { 0.1 * i as f32 })
}
