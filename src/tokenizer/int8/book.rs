//! A codebook that is rounded to 8 bits.

use ndarray::{Array1, Array2};

use super::candidates::{Bounds, CandidateSearch};
use super::kernel::{CODES, HUGE, LANES, STEP, STRIP, multiply_strip, round_row, supported};

/// Minimum number of codes. Smaller codebooks would be mostly padding.
const FEWEST_CODES: usize = 48;

/// Minimum number of dimensions.
const FEWEST_DIMENSIONS: usize = 32;

/// Maximum number of dimensions: sums of products fit into 32 bits.
const MOST_DIMENSIONS: usize = 1 << 15;

/// Relative error of one operation in `f32`, doubled.
const ROUNDING: f32 = f32::EPSILON;

/// A codebook `(size, dim)` in 8 bits, with what bounds the error of its products. Codes are padded to a multiple of
/// [`CODES`], dimensions to a multiple of [`LANES`].
#[derive(Debug, Clone, PartialEq)]
pub(in crate::tokenizer) struct Int8Book {
    /// Number of dimensions, padded.
    dim: usize,
    /// The codewords by blocks of [`CODES`] codes, then by [`STEP`] dimensions, code and dimension.
    packed: Vec<i8>,
    /// Per code, -128 times the sum of its numbers: the residuals' numbers are stored with 128 added.
    starts: Vec<i32>,
    /// What the costs follow from, per code.
    bounds: Bounds,
}

impl Int8Book {
    /// The codebook in 8 bits. `halves` are the parts of the costs that do not depend on the residual. `None` if the
    /// processor does not support the search or it would not be faster.
    pub(in crate::tokenizer) fn new(book: &Array2<f32>, halves: &Array1<f32>) -> Option<Self> {
        let (size, columns) = book.dim();
        if !supported() || size < FEWEST_CODES || !(FEWEST_DIMENSIONS..=MOST_DIMENSIONS).contains(&columns) {
            return None;
        }
        let dim = columns.next_multiple_of(LANES);
        let codes = size.next_multiple_of(CODES);
        let mut packed = vec![0; codes * dim];
        let mut starts = vec![0; codes];
        let mut bounds = Bounds::padding(codes);
        for (code, codeword) in book.rows().into_iter().enumerate() {
            let largest = codeword.iter().fold(0.0f32, |largest, v| largest.max(v.abs()));
            if largest > HUGE || !halves[code].is_finite() {
                return None;
            }
            let scale = largest / 127.0;
            let (mut squares, mut errors) = (0.0f64, 0.0f64);
            for (at, &v) in codeword.iter().enumerate() {
                let rounded = if scale > 0.0 { (v / scale).round().clamp(-127.0, 127.0) } else { 0.0 };
                let (block, within) = (code / CODES, code % CODES);
                packed[(block * dim + at / STEP * STEP) * CODES + within * STEP + at % STEP] = rounded as i8;
                starts[code] -= 128 * rounded as i32;
                squares += f64::from(v).powi(2);
                errors += (f64::from(v) - f64::from(scale) * f64::from(rounded)).powi(2);
            }
            bounds.set(code, halves[code], scale, [squares.sqrt() as f32, errors.sqrt() as f32], 16.0 * ROUNDING);
        }
        Some(Int8Book { dim, packed, starts, bounds })
    }

    /// The best code of each row of `residual (n, dim)` by its cost, which is `halves - product` plus half of the offsets
    /// in `tables`. `None` for undecided rows. `book` is the codebook in `f32`.
    pub(in crate::tokenizer) fn search<'a>(
        &self,
        residual: &Array2<f32>,
        book: &Array2<f32>,
        tables: impl Fn(usize) -> [Option<&'a [f32]>; 2],
    ) -> Vec<Option<u16>> {
        let mut best = vec![None; residual.nrows()];
        let (Some(numbers), Some(codewords)) = (residual.as_slice(), book.as_slice()) else { return best };
        let width = residual.ncols();
        let product_error = (width as f32 + 16.0) * ROUNDING;
        let mut rows = vec![128; STRIP * self.dim];
        let mut products = vec![0; STRIP * self.starts.len()];
        let mut search = CandidateSearch::new(&self.bounds, codewords, product_error, 16.0 * ROUNDING);
        let strips = numbers.chunks(STRIP * width).zip(best.chunks_mut(STRIP)).enumerate();
        for (strip, (numbers, best)) in strips {
            let mut rounded = [None; STRIP];
            for ((row, out), rounded) in
                numbers.chunks_exact(width).zip(rows.chunks_exact_mut(self.dim)).zip(&mut rounded)
            {
                *rounded = round_row(row, out);
            }
            multiply_strip(&rows, self.dim, &self.packed, &self.starts, &mut products);
            let found =
                numbers.chunks_exact(width).zip(products.chunks_exact(self.starts.len())).zip(rounded).zip(best);
            for (at, (((row, products), rounded), best)) in found.enumerate() {
                *best = rounded.and_then(|rounded| search.best(row, products, rounded, tables(strip * STRIP + at)));
            }
        }
        best
    }
}
