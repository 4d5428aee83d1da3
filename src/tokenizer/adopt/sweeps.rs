//! Joint ridge regression on codes, computed from sums: the normal equations of all codewords are solved level by level
//! until convergence (block Gauss-Seidel). `rqvae::regression` does the same on the items themselves.

use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::moments::CodeMoments;

/// Maximum number of sweeps over the levels.
const MOST: usize = 60;
/// Convergence threshold: maximum relative change of the codewords in the last sweep.
const SETTLED: f64 = 1e-5;

/// Number of items per code, and per pair of codes at two levels.
#[derive(Debug)]
pub(super) struct CodeCounts {
    /// First row of each level.
    first: Vec<usize>,
    sizes: Vec<usize>,
    /// Number of items per code, one level after the other.
    pub(super) items: Vec<f64>,
    /// For each code, the rows of the codes that its items have at the other levels, each with its number of items.
    others: Vec<Vec<(u32, f64)>>,
}

impl CodeCounts {
    pub(super) fn of(moments: &CodeMoments) -> Self {
        let first: Vec<usize> = moments
            .sizes
            .iter()
            .scan(0, |next, &size| {
                *next += size;
                Some(*next - size)
            })
            .collect();
        let total: usize = moments.sizes.iter().sum();
        let (mut items, mut others) = (vec![0.0; total], vec![Vec::new(); total]);
        for ((low, high), pairs) in &moments.together {
            let mut sorted = pairs.clone();
            sorted.par_sort_unstable();
            for run in sorted.chunk_by(|a, b| a == b) {
                let (a, b) = (first[*low] + usize::from(run[0].0), first[*high] + usize::from(run[0].1));
                // Each level is counted once: the first level in its pairs with the last, the others in their pairs
                // with the first.
                if *low == 0 && *high + 1 == moments.sizes.len() {
                    items[a] += run.len() as f64;
                }
                if *low == 0 && *high > 0 {
                    items[b] += run.len() as f64;
                }
                if low != high {
                    others[a].push((b as u32, run.len() as f64));
                    others[b].push((a as u32, run.len() as f64));
                }
            }
        }
        CodeCounts { first, sizes: moments.sizes.clone(), items, others }
    }

    /// The codewords of all levels `(codes, dim)` that fit `sums (codes, dim)`, with a ridge penalty in items.
    /// Codewords of codes without items are zero.
    pub(super) fn codewords(&self, sums: ArrayView2<f64>, ridge: f64) -> Array2<f64> {
        let mut books = Array2::<f64>::zeros(sums.dim());
        for _ in 0..MOST {
            let (mut change, mut size) = (0.0, 0.0);
            for (&first, &codes) in self.first.iter().zip(&self.sizes) {
                let rows = s![first..first + codes, ..];
                let mut level = sums.slice(rows).to_owned();
                level.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(code, mut sum)| {
                    let items = self.items[first + code];
                    if items == 0.0 {
                        return sum.fill(0.0);
                    }
                    for &(other, count) in &self.others[first + code] {
                        sum.scaled_add(-count, &books.row(other as usize));
                    }
                    sum /= items + ridge;
                });
                change += (&level - &books.slice(rows)).mapv(|v| v * v).sum();
                size += level.mapv(|v| v * v).sum();
                books.slice_mut(rows).assign(&level);
            }
            if change <= SETTLED * SETTLED * size {
                break;
            }
        }
        books
    }

    /// For each code, the sum over its items of the codewords of all their codes, `(codes, dim)`.
    pub(super) fn sums_of(&self, books: ArrayView2<f64>) -> Array2<f64> {
        let mut sums = books.to_owned();
        sums.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(code, mut sum)| {
            sum *= self.items[code];
            for &(other, count) in &self.others[code] {
                sum.scaled_add(count, &books.row(other as usize));
            }
        });
        sums
    }

    /// One codebook per level.
    pub(super) fn by_level(&self, books: ArrayView2<f64>) -> Vec<Array2<f32>> {
        let of = |(&first, &codes): (&usize, &usize)| books.slice(s![first..first + codes, ..]).mapv(|v| v as f32);
        self.first.iter().zip(&self.sizes).map(of).collect()
    }

    /// Number of items per code, for each level.
    pub(super) fn items_by_level(&self) -> impl Iterator<Item = &[f64]> {
        self.first.iter().zip(&self.sizes).map(|(&first, &codes)| &self.items[first..first + codes])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every item is the sum of one effect per level.
    fn moments(levels: usize) -> (CodeMoments, Array2<f32>, Array2<u16>) {
        let codes = Array2::from_shape_fn((60, levels), |(i, l)| if l == 0 { i as u16 / 15 } else { i as u16 % 5 });
        let x = Array2::from_shape_fn((60, 2), |(i, j)| {
            (i / 15) as f32 * (10 + j) as f32 + if levels > 1 { (i % 5) as f32 } else { 0.0 }
        });
        let mut moments = CodeMoments::new(&[4, 6][..levels], 2);
        moments.add(x.slice(s![..25, ..]), codes.slice(s![..25, ..]));
        let mut rest = CodeMoments::new(&[4, 6][..levels], 2);
        rest.add(x.slice(s![25.., ..]), codes.slice(s![25.., ..]));
        moments.merge(rest);
        (moments, x, codes)
    }

    #[test]
    fn two_levels_fit_additive_effects() {
        for levels in [1, 2] {
            let (moments, x, codes) = moments(levels);
            let counts = CodeCounts::of(&moments);
            assert_eq!(counts.items[..4], [15.0; 4]);
            if levels == 2 {
                assert_eq!(counts.items[4..], [12.0, 12.0, 12.0, 12.0, 12.0, 0.0]);
            }
            let books = counts.codewords(moments.sums.view(), 0.0);
            for (x, codes) in x.rows().into_iter().zip(codes.rows()) {
                let mut sum = x.mapv(f64::from);
                codes.iter().enumerate().for_each(|(l, &code)| sum -= &books.row(4 * l + usize::from(code)));
                assert!(sum.iter().all(|v| v.abs() < 1e-3), "{levels}: {sum}");
            }
            // The normal equations, without a penalty.
            let rest = &counts.sums_of(books.view()) - &moments.sums;
            assert!(rest.iter().all(|v| v.abs() < 1e-2), "{rest}");
        }
    }

    #[test]
    fn the_ridge_shrinks_rare_codes_more() {
        let mut moments = CodeMoments::new(&[3], 1);
        moments.add(
            ndarray::array![[3.0f32], [3.0], [3.0], [3.0], [6.0]].view(),
            ndarray::array![[0u16], [0], [0], [0], [1]].view(),
        );
        let books = CodeCounts::of(&moments).codewords(moments.sums.view(), 2.0);
        assert_eq!(books, ndarray::array![[2.0], [2.0], [0.0]]);
    }
}
