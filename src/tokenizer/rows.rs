//! Matrix products that are fast for few rows.
//!
//! A general matrix product first copies both matrices into a packed layout. For one row, that takes longer than the
//! product itself, whose cost is reading the matrix once. Products with few rows therefore skip the packing. They add in
//! the same order as `matrixmultiply`, which ndarray uses, so that an item's result is the same bit for bit whether it is
//! encoded alone or in a batch.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2};

/// Maximum number of rows without packing: for more, the general product is faster.
const FEW: usize = 8;
/// Number of terms in a partial sum of `matrixmultiply`.
const PART: usize = 256;
/// Rows of the matrix that are read together.
const ROWS: usize = 4;

/// `out (n, outputs) = x (n, inputs) matrix (inputs, outputs)`, or `out += ...` with `add`.
pub(super) fn multiply(x: ArrayView2<f32>, matrix: ArrayView2<f32>, add: bool, out: &mut Array2<f32>) {
    if let (Some(numbers), true) = (matrix.as_slice(), x.nrows() <= FEW && out.is_standard_layout()) {
        let mut sums = vec![0.0; matrix.ncols()];
        for (x, mut out) in x.rows().into_iter().zip(out.rows_mut()) {
            let (x, Some(out)) = (x.to_vec(), out.as_slice_mut()) else { continue };
            if !add {
                out.fill(0.0);
            }
            add_row(&x, numbers, &mut sums, out);
        }
    } else {
        general_mat_mul(1.0, &x, &matrix, if add { 1.0 } else { 0.0 }, out);
    }
}

/// One row, with AVX2 and fused multiply-add on processors where `matrixmultiply` uses them.
fn add_row(x: &[f32], matrix: &[f32], sums: &mut [f32], out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma")]
        fn wide(x: &[f32], matrix: &[f32], sums: &mut [f32], out: &mut [f32]) {
            add_in_order::<true>(x, matrix, sums, out);
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            // SAFETY: the processor supports the instructions.
            return unsafe { wide(x, matrix, sums, out) };
        }
    }
    add_in_order::<{ cfg!(target_arch = "aarch64") }>(x, matrix, sums, out);
}

#[inline(always)]
fn add_in_order<const FUSED: bool>(x: &[f32], matrix: &[f32], sums: &mut [f32], out: &mut [f32]) {
    let width = out.len();
    let times = |sum: f32, x: f32, m: f32| if FUSED { x.mul_add(m, sum) } else { sum + x * m };
    for (x, part) in x.chunks(PART).zip(matrix.chunks(PART * width)) {
        sums.fill(0.0);
        let (whole, rows) = (x.chunks_exact(ROWS), part.chunks_exact(ROWS * width));
        let rest = whole.remainder().iter().zip(rows.remainder().chunks_exact(width));
        for (x, rows) in whole.zip(rows) {
            let (a, rows) = rows.split_at(width);
            let (b, rows) = rows.split_at(width);
            let (c, d) = rows.split_at(width);
            for ((((sum, a), b), c), d) in sums.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                *sum = times(times(times(times(*sum, x[0], *a), x[1], *b), x[2], *c), x[3], *d);
            }
        }
        for (x, row) in rest {
            sums.iter_mut().zip(row).for_each(|(sum, m)| *sum = times(*sum, *x, *m));
        }
        out.iter_mut().zip(sums.iter()).for_each(|(out, sum)| *out += sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256Plus;

    proptest! {
        #[test]
        fn a_row_alone_gives_the_same_bits_as_in_a_batch(seed: u64, inputs in 1usize..700, outputs in 1usize..80, add: bool) {
            let mut rng = Xoshiro256Plus::seed_from_u64(seed);
            let mut random = |shape: (usize, usize)| Array2::from_shape_simple_fn(shape, || rng.gen_range(-1.0f32..1.0));
            let (x, matrix, before) = (random((9, inputs)), random((inputs, outputs)), random((9, outputs)));
            let mut together = before.clone();
            multiply(x.view(), matrix.view(), add, &mut together);
            for row in 0..9 {
                let rows = ndarray::s![row..=row, ..];
                let mut alone = before.slice(rows).to_owned();
                multiply(x.slice(rows), matrix.view(), add, &mut alone);
                prop_assert_eq!(alone, together.slice(rows));
            }
        }
    }
}
