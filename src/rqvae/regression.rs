//! Ridge regression of the latents on the codes, for the codewords of all levels together, by block coordinate descent.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

/// Fits `books`, one `(size, dim)` per level, to `latents (n, dim)` with `codes (n, levels)`. Minimises
/// `sum |latent - sum of its codewords|^2 + sum ridge_d codeword_d^2`, with one `ridges (dim,)` per level, by `sweeps` over
/// the levels, each of which is solved with the others fixed. Unused codewords do not change. Returns the mean squared
/// error.
pub(super) fn fit(
    latents: ArrayView2<f32>,
    codes: &Array2<u16>,
    books: &mut [Array2<f32>],
    ridges: &[Array1<f32>],
    sweeps: usize,
) -> f32 {
    let rows: Vec<Vec<Vec<usize>>> =
        books.iter().zip(codes.columns()).map(|(book, column)| members(column, book.nrows())).collect();
    let mut left = latents.to_owned();
    left.axis_iter_mut(Axis(0)).into_par_iter().zip(codes.axis_iter(Axis(0)).into_par_iter()).for_each(
        |(mut left, codes)| {
            for (book, &code) in books.iter().zip(codes) {
                left -= &book.row(usize::from(code));
            }
        },
    );
    for _ in 0..sweeps {
        for (level, (book, ridge)) in books.iter_mut().zip(ridges).enumerate() {
            let before = book.clone();
            book.axis_iter_mut(Axis(0)).into_par_iter().zip(&rows[level]).for_each(|(mut codeword, rows)| {
                if rows.is_empty() {
                    return;
                }
                let count = rows.len() as f32;
                codeword *= count;
                for &row in rows {
                    codeword += &left.row(row);
                }
                ndarray::Zip::from(&mut codeword).and(ridge).for_each(|c, &ridge| *c /= count + ridge);
            });
            let moved = &before - &*book;
            left.axis_iter_mut(Axis(0))
                .into_par_iter()
                .zip(codes.column(level).axis_iter(Axis(0)).into_par_iter())
                .for_each(|(mut left, code)| left += &moved.row(usize::from(code[()])));
        }
    }
    let squares: Vec<f64> = left.axis_iter(Axis(0)).into_par_iter().map(|row| f64::from(row.dot(&row))).collect();
    (squares.iter().sum::<f64>() / squares.len() as f64) as f32
}

/// Mean squared residual before each level.
pub(super) fn residual_spread(latents: ArrayView2<f32>, codes: &Array2<u16>, books: &[Array2<f32>]) -> Vec<f32> {
    let mut spread = vec![0.0f64; books.len()];
    for (latent, codes) in latents.rows().into_iter().zip(codes.rows()) {
        let mut rest = latent.to_owned();
        for ((sum, book), &code) in spread.iter_mut().zip(books).zip(codes) {
            *sum += f64::from(rest.dot(&rest));
            rest -= &book.row(usize::from(code));
        }
    }
    spread.iter().map(|sum| (sum / latents.nrows() as f64) as f32).collect()
}

/// The rows of each of `size` codes, in ascending order.
pub(super) fn members(column: ArrayView1<u16>, size: usize) -> Vec<Vec<usize>> {
    let mut members = vec![Vec::new(); size];
    for (row, &code) in column.iter().enumerate() {
        members[usize::from(code)].push(row);
    }
    members
}

/// The number of rows of each of `size` codes.
pub(super) fn counts(column: ArrayView1<u16>, size: usize) -> Array1<f32> {
    let mut counts = Array1::zeros(size);
    column.iter().for_each(|&code| counts[usize::from(code)] += 1.0);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn one_level_is_the_shrunk_mean() {
        let latents = array![[1.0f32, 2.0], [3.0, 2.0], [5.0, 5.0]];
        let mut books = vec![array![[0.0f32, 0.0], [9.0, 9.0], [7.0, 7.0]]];
        let left = fit(latents.view(), &array![[0], [0], [1]], &mut books, &[array![0.0, 2.0]], 1);
        // Sums 4 and 4 divided by 2 + 0 and 2 + 2 items; 5 and 5 by 1 + 0 and 1 + 2; the third is unused.
        assert_eq!(books[0], array![[2.0, 1.0], [5.0, 5.0 / 3.0], [7.0, 7.0]]);
        let expected = (1.0 + 1.0 + 1.0 + 1.0 + (10.0f32 / 3.0).powi(2)) / 3.0;
        assert!((left - expected).abs() < 1e-5, "{left}");
    }

    #[test]
    fn levels_together_represent_what_none_can_alone() {
        // Each latent is the sum of a row and a column effect, which two levels represent exactly.
        let codes = Array2::from_shape_fn((12, 2), |(i, l)| if l == 0 { (i / 4) as u16 } else { (i % 4) as u16 });
        let latents = Array2::from_shape_fn((12, 1), |(i, _)| (i / 4) as f32 * 10.0 + (i % 4) as f32);
        let mut books = vec![Array2::zeros((3, 1)), Array2::zeros((4, 1))];
        for _ in 0..4 {
            fit(latents.view(), &codes, &mut books, &[array![0.0], array![0.0]], 2);
        }
        assert!(fit(latents.view(), &codes, &mut books, &[array![0.0], array![0.0]], 2) < 1e-8);
    }
}
