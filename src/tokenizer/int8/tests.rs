//! On processors without the instructions, both quantizers are the same and the tests say nothing.

use ndarray::{Array1, Array2};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;

use super::Int8Book;
use crate::tokenizer::{Offsets, Quantizer};

/// Codewords around few centres, so that costs are close; some codewords are equal, some zero.
fn book(rng: &mut Xoshiro256Plus, (size, dim): (usize, usize), scale: f32) -> Array2<f32> {
    let centres = Array2::from_shape_simple_fn((5, dim), || rng.gen_range(-1.0f32..1.0));
    let mut book = Array2::from_shape_fn((size, dim), |(code, at)| {
        scale * (centres[[code % 5, at]] + 0.2 * rng.gen_range(-1.0f32..1.0)) / (1.0 + at as f32).sqrt()
    });
    for code in (0..size).step_by(9).skip(1) {
        let other = book.row(code - 1).to_owned();
        book.row_mut(code).assign(&other);
    }
    book.row_mut(rng.gen_range(0..size)).fill(0.0);
    book
}

/// Rows near codewords, rows halfway between two codewords, and zeros.
fn rows(rng: &mut Xoshiro256Plus, book: &Array2<f32>, n: usize, noise: f32) -> Array2<f32> {
    let mut rows = Array2::zeros((n, book.ncols()));
    for (number, mut row) in rows.rows_mut().into_iter().enumerate() {
        let [a, b] = [0, 1].map(|_| rng.gen_range(0..book.nrows()));
        row += &book.row(a);
        match number % 4 {
            0 => {
                row += &book.row(b);
                row *= 0.5;
            }
            1 => row.mapv_inplace(|v| v + noise * v.abs() * rng.gen_range(-1.0f32..1.0)),
            2 => row.mapv_inplace(|v| v * rng.gen_range(-4.0f32..4.0)),
            _ => {}
        }
    }
    rows.row_mut(n / 2).fill(0.0);
    rows
}

fn offsets(rng: &mut Xoshiro256Plus, sizes: &[usize], strength: f32) -> Offsets {
    let mut table = |shape: (usize, usize)| {
        Array2::from_shape_simple_fn(shape, || strength * (rng.gen_range(-2i32..2) as f32 + rng.gen_range(0.0..0.1)))
    };
    let (first, last) = (sizes[0], sizes[sizes.len() - 1]);
    let (pairs, ends) = (table((first, sizes[1])), table((first, last)));
    let codes = sizes.iter().map(|&size| Array1::from_shape_fn(size, |at| pairs[[0, at % sizes[1]]])).collect();
    Offsets { codes, pairs: Some(pairs), last: Some(ends) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn the_codes_are_those_of_products_in_f32(
        seed: u64,
        sizes in prop::collection::vec(40usize..300, 2..4),
        dim in 30usize..300,
        n in 16usize..80,
        exponent in -14i32..16,
        strength in prop::sample::select(vec![0.0f32, 1e-6, 0.05, 3.0]),
    ) {
        let mut rng = Xoshiro256Plus::seed_from_u64(seed);
        let scale = 10f32.powi(exponent);
        let books: Vec<_> = sizes.iter().map(|&size| book(&mut rng, (size, dim), scale)).collect();
        let rows = rows(&mut rng, &books[0], n, 0.3);
        let offsets = offsets(&mut rng, &sizes, strength * scale * scale);
        let quantizer = Quantizer::new(books, offsets);
        prop_assert_eq!(quantizer.encode(rows.view()), quantizer.clone().without_int8().encode(rows.view()));
    }
}

#[test]
fn most_rows_are_decided() {
    let mut rng = Xoshiro256Plus::seed_from_u64(3);
    let book = Array2::from_shape_simple_fn((256, 128), || rng.gen_range(-1.0f32..1.0));
    let rows = Array2::from_shape_simple_fn((600, 128), || rng.gen_range(-1.0f32..1.0));
    let halves = book.map_axis(ndarray::Axis(1), |codeword| 0.5 * codeword.dot(&codeword));
    let Some(int8) = Int8Book::new(&book, &halves) else { return };
    let found = int8.search(&rows, &book, |_| [None, None]);
    assert!(found.iter().filter(|best| best.is_none()).count() < 6);
}

#[test]
fn numbers_that_overflow_are_left_to_the_caller() {
    let quantizer = |scale: f32| {
        let book = Array2::from_shape_fn((64, 32), |(i, j)| scale * ((i * 7 + j * 13) % 31) as f32);
        Quantizer::new(vec![book], Offsets::zero([64]))
    };
    for (scale, rows) in [(1.0, 1e18), (1e18, 1.0), (1e-20, 1e-20), (1e18, 1e18), (1.0, f32::INFINITY)] {
        let quantizer = quantizer(scale);
        let rows = Array2::from_shape_fn((40, 32), |(i, j)| rows * ((i * 11 + j * 5) % 29) as f32);
        assert_eq!(quantizer.encode(rows.view()), quantizer.clone().without_int8().encode(rows.view()), "{scale}");
    }
}

/// The largest rounding error that the bounds allow: it is parallel to the other vector.
#[test]
fn rounding_errors_that_add_up_do_not_change_codes() {
    const DIM: usize = 64;
    let sign = |at: usize| if at * at % 7 < 3 { 1.0f32 } else { -1.0 };
    // Rounds to (127, 0, 0, ...).
    let rounded = |of: f32| Array1::from_shape_fn(DIM, |at| if at == 0 { 127.0 } else { of * 0.45 * sign(at) });
    let exact = |of: f32| Array1::from_shape_fn(DIM, |at| if at == 0 { 0.0 } else { of * sign(at) });
    for (row, first, second) in [(rounded(1.0), exact(1.0), exact(-1.0)), (exact(1.0), rounded(1.0), rounded(-1.0))] {
        let mut book = Array2::zeros((48, DIM));
        book.row_mut(7).assign(&first);
        book.row_mut(9).assign(&second);
        // The products are 28.35 and -28.35, and 0 and 0 after rounding. The costs are 11.65 and 28.35, and 40 and 0.
        let mut offsets = Offsets::zero([48]);
        offsets.codes[0].fill(1e6);
        let squares = first.dot(&first);
        (offsets.codes[0][7], offsets.codes[0][9]) = (80.0 - squares, -squares);
        let quantizer = Quantizer::new(vec![book], offsets);
        let rows = ndarray::stack(ndarray::Axis(0), &[row.view(); 20]).unwrap();
        assert!(quantizer.encode(rows.view()).iter().all(|&code| code == 7));
    }
}
