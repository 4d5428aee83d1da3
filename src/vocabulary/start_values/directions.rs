//! Directions of the codes' rows before they are fitted to the model: from the texts of the codes' items, and from the
//! codebooks.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

use super::Additions;
use super::matrix::EmbeddingMatrix;
use super::symmetric::Eigen;
use super::texts::ItemTokens;
use crate::error::Result;

/// Shrinkage of a code's direction: counts as this many additional items with a zero vector.
const PRIOR_ITEMS: f64 = 1.0;
/// Weight of the codebook for a code with many items.
const GEOMETRY_SHARE: f64 = 0.5;
/// With this many items, the texts have half of the remaining weight.
const GEOMETRY_ITEMS: f64 = 2.0;

/// The directions of the codes, with mean squared norm 1 per level.
pub(super) struct Directions {
    /// `(codes of all levels, dim)`.
    pub(super) rows: Array2<f32>,
    /// Number of items with a text per code. A code without any has no direction from texts.
    pub(super) items: Vec<usize>,
}

/// Directions from texts, level by level like a residual quantizer: the row of a code is the mean vector of its items'
/// texts, minus the mean of all items and minus the rows of the items' earlier codes.
pub(super) fn of_texts(new: &Additions, tokens: &ItemTokens, matrix: &EmbeddingMatrix) -> Directions {
    let (vocabulary, table) = (new.vocabulary, new.table);
    let mut rows = Array2::<f64>::zeros((vocabulary.len(), matrix.dim));
    let mut items = vec![0; vocabulary.len()];
    let mut common = vec![0.0; matrix.dim];
    for (level, &size) in table.metadata.codebook_sizes.iter().enumerate() {
        let mut members = vec![Vec::new(); size];
        for (row, &code) in table.codes.column(level).iter().enumerate() {
            if tokens.has_text(row) {
                members[usize::from(code)].push(row);
            }
        }
        let mut sums: Vec<Vec<f64>> = members
            .par_iter()
            .map(|members| {
                let mut sum = vec![0.0; matrix.dim];
                members.iter().for_each(|&row| tokens.add_vector(row, matrix, &mut sum));
                sum
            })
            .collect();
        if level == 0 {
            let all = members.iter().map(Vec::len).sum::<usize>() as f64;
            for sum in &sums {
                common.iter_mut().zip(sum).for_each(|(common, sum)| *common += sum / all);
            }
        }
        let earlier_rows = rows.view();
        sums.par_iter_mut().zip(&members).for_each(|(sum, members)| {
            sum.iter_mut().zip(&common).for_each(|(sum, common)| *sum -= common * members.len() as f64);
            for &row in members {
                for earlier in 0..level {
                    let index = vocabulary.index(earlier, table.codes[[row, earlier]]);
                    sum.iter_mut().zip(earlier_rows.row(index)).for_each(|(sum, value)| *sum -= value);
                }
            }
            let count = members.len() as f64 + PRIOR_ITEMS;
            sum.iter_mut().for_each(|sum| *sum /= count);
        });
        for (code, (sum, members)) in sums.iter().zip(&members).enumerate() {
            let index = vocabulary.offset(level) + code;
            rows.row_mut(index).iter_mut().zip(sum).for_each(|(to, &from)| *to = from);
            items[index] = members.len();
        }
    }
    let mut rows = rows.mapv(|value| value as f32);
    for level in 0..table.metadata.codebook_sizes.len() {
        to_norm_one(of_level(&mut rows, new, level), |code| items[vocabulary.offset(level) + code] > 0);
    }
    Directions { rows, items }
}

/// Blends the codebooks' geometry into directions from texts. One rotation for all levels maps the codewords to the rows of
/// their texts as closely as possible (orthogonal Procrustes problem; Schönemann, 1966), so that it preserves distances
/// between codewords. The fewer items a code has, the larger is the weight of the geometry.
pub(super) fn with_geometry(directions: &mut Directions, new: &Additions, codebooks: &[Array2<f32>]) -> Result<()> {
    let vocabulary = new.vocabulary;
    let dim = directions.rows.ncols();
    let latent_dim = codebooks.first().map_or(0, |book| book.ncols());
    let books: Vec<Array2<f32>> = codebooks
        .iter()
        .enumerate()
        .map(|(level, book)| {
            let used = |code: usize| directions.items[vocabulary.offset(level) + code] as f32;
            let mut book = book - &centre(book.view(), used).insert_axis(Axis(0));
            to_norm_one(book.view_mut(), |_| true);
            book
        })
        .collect();
    let mut agreement = Array2::<f64>::zeros((latent_dim, dim));
    for (level, book) in books.iter().enumerate() {
        let from = vocabulary.offset(level);
        let rows = directions.rows.slice(s![from..from + book.nrows(), ..]);
        agreement += &book.t().dot(&rows).mapv(f64::from);
    }
    let rotation = Eigen::of(agreement.dot(&agreement.t()))?.power(-0.5, 1e-9).dot(&agreement).mapv(|x| x as f32);
    for (level, book) in books.iter().enumerate() {
        let mut geometry = book.dot(&rotation);
        to_norm_one(geometry.view_mut(), |_| true);
        let offset = vocabulary.offset(level);
        for (code, geometry) in geometry.rows().into_iter().enumerate() {
            let items = directions.items[offset + code] as f64;
            let texts = (1.0 - GEOMETRY_SHARE) * items / (items + GEOMETRY_ITEMS);
            let mut row = directions.rows.row_mut(offset + code);
            row *= texts as f32;
            row.scaled_add((1.0 - texts) as f32, &geometry);
            // Every code has a direction now.
            directions.items[offset + code] = directions.items[offset + code].max(1);
        }
        to_norm_one(of_level(&mut directions.rows, new, level), |_| true);
    }
    Ok(())
}

/// The rows of a level.
pub(super) fn of_level<'a>(rows: &'a mut Array2<f32>, new: &Additions, level: usize) -> ArrayViewMut2<'a, f32> {
    rows.slice_mut(s![new.vocabulary.offset(level)..new.vocabulary.offset(level + 1), ..])
}

/// Scales all rows so that the mean squared norm of the selected ones is 1.
pub(super) fn to_norm_one(mut rows: ArrayViewMut2<f32>, counts: impl Fn(usize) -> bool) {
    let squares: Vec<f64> = rows
        .rows()
        .into_iter()
        .enumerate()
        .filter(|(code, _)| counts(*code))
        .map(|(_, row)| f64::from(row.dot(&row)))
        .collect();
    let mean = squares.iter().sum::<f64>() / squares.len().max(1) as f64;
    if mean > 0.0 {
        rows /= mean.sqrt() as f32;
    }
}

/// Mean of the codewords weighted by their items. Unweighted if there are no items.
fn centre(book: ArrayView2<f32>, items: impl Fn(usize) -> f32) -> ndarray::Array1<f32> {
    let all: f32 = (0..book.nrows()).map(&items).sum();
    let mut centre = ndarray::Array1::zeros(book.ncols());
    for (code, row) in book.rows().into_iter().enumerate() {
        let share = if all > 0.0 { items(code) / all } else { 1.0 / book.nrows() as f32 };
        centre.scaled_add(share, &row);
    }
    centre
}
