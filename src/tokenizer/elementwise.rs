//! Loops over rows, compiled a second time for AVX2. Each number is computed alone, so the results are the same.

use ndarray::{ArrayView1, ArrayViewMut1, Zip};

/// Subtracts a codeword from a residual.
pub(super) fn subtract(mut residual: ArrayViewMut1<f32>, codeword: ArrayView1<f32>) {
    match (residual.as_slice_mut(), codeword.as_slice()) {
        (Some(residual), Some(codeword)) => subtract_slice(residual, codeword),
        _ => residual -= &codeword,
    }
}

/// Centres and scales a row.
pub(super) fn standardize(
    row: ArrayView1<f32>,
    mean: ArrayView1<f32>,
    scale: ArrayView1<f32>,
    mut out: ArrayViewMut1<f32>,
) {
    match (row.as_slice(), mean.as_slice(), scale.as_slice(), out.as_slice_mut()) {
        (Some(row), Some(mean), Some(scale), Some(out)) => standardize_slice(row, mean, scale, out),
        _ => Zip::from(out).and(row).and(mean).and(scale).for_each(|out, x, mean, scale| *out = (x - mean) * scale),
    }
}

fn subtract_slice(residual: &mut [f32], codeword: &[f32]) {
    #[inline(always)]
    fn each(residual: &mut [f32], codeword: &[f32]) {
        residual.iter_mut().zip(codeword).for_each(|(left, c)| *left -= c);
    }
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn wide(residual: &mut [f32], codeword: &[f32]) {
            each(residual, codeword);
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor supports the instructions.
            return unsafe { wide(residual, codeword) };
        }
    }
    each(residual, codeword);
}

fn standardize_slice(row: &[f32], mean: &[f32], scale: &[f32], out: &mut [f32]) {
    #[inline(always)]
    fn each(row: &[f32], mean: &[f32], scale: &[f32], out: &mut [f32]) {
        out.iter_mut().zip(row).zip(mean).zip(scale).for_each(|(((out, x), mean), scale)| *out = (x - mean) * scale);
    }
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn wide(row: &[f32], mean: &[f32], scale: &[f32], out: &mut [f32]) {
            each(row, mean, scale, out);
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor supports the instructions.
            return unsafe { wide(row, mean, scale, out) };
        }
    }
    each(row, mean, scale, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, Array2, s};

    #[test]
    fn rows_with_gaps_give_the_same_numbers_as_contiguous_ones() {
        let numbers = |n: usize, by: usize| Array1::from_shape_fn(n, |i| ((i * by) % 31) as f32 / 7.0 - 1.3);
        for n in [1, 7, 8, 33] {
            let (row, mean, scale) = (numbers(n, 5), numbers(n, 11), numbers(n, 3));
            let expected = Array1::from_shape_fn(n, |i| (row[i] - mean[i]) * scale[i]);
            let mut spread = Array2::zeros((2 * n, 2));
            spread.slice_mut(s![..;2, 0]).assign(&row);
            for row in [row.view(), spread.slice(s![..;2, 0])] {
                let mut out = Array1::zeros(n);
                standardize(row, mean.view(), scale.view(), out.view_mut());
                assert_eq!(out, expected);
            }
            let mut left = row.clone();
            subtract(left.view_mut(), mean.view());
            subtract(spread.slice_mut(s![..;2, 0]), mean.view());
            assert_eq!(left, &row - &mean);
            assert_eq!(spread.slice(s![..;2, 0]), left);
        }
    }
}
