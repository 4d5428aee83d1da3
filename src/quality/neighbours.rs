//! Exact cosine neighbours in the features, the reference that prefixes are compared with.
//!
//! Each modality of an item is scaled to length one, so that its units do not decide its influence. Nothing is centred:
//! encoders are trained for the cosine of their vectors as they are.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::features::Modality;

/// Items per matrix product.
const BLOCK: usize = 2_048;
/// Maximum number of queries per matrix product.
const CHUNK: usize = 256;

/// A search for the nearest neighbours of some items, to which the items of a source are given block by block: first
/// the vectors of the queries, then, in a second pass, those of all items.
pub(super) struct NeighbourSearch {
    /// Rows of the queries in the source, ascending.
    queries: Vec<usize>,
    /// Unit vectors of the queries `(queries, dim)`.
    vectors: Array2<f32>,
    /// Number of neighbours.
    k: usize,
    /// Cosine and row of the nearest items so far, by query.
    found: Vec<Vec<(f32, usize)>>,
}

impl NeighbourSearch {
    /// A search for the `k` nearest neighbours of the items in these rows, in ascending order, of vectors of length `dim`.
    pub(super) fn new(queries: Vec<usize>, dim: usize, k: usize) -> Self {
        let found = vec![Vec::with_capacity(k + 1); queries.len()];
        NeighbourSearch { vectors: Array2::zeros((queries.len(), dim)), queries, k, found }
    }

    /// The queries in a range of rows.
    pub(super) fn queries_in(&self, rows: Range<usize>) -> &[usize] {
        &self.queries[self.places_of(rows)]
    }

    fn places_of(&self, rows: Range<usize>) -> Range<usize> {
        let place = |row: usize| self.queries.partition_point(|&query| query < row);
        place(rows.start)..place(rows.end)
    }

    /// Takes the unit vectors of [`NeighbourSearch::queries_in`] the same range of rows.
    pub(super) fn set_queries(&mut self, rows: Range<usize>, vectors: ArrayView2<f32>) {
        let places = self.places_of(rows);
        self.vectors.slice_mut(s![places, ..]).assign(&vectors);
    }

    /// Compares all queries with the items in `rows`, which ascend from call to call. `vectors_of` gives the unit vectors
    /// of some of them, by their places in `rows`.
    pub(super) fn compare(&mut self, rows: &[usize], vectors_of: impl Fn(Range<usize>) -> Array2<f32>) {
        let (k, chunk) = (self.k, chunk(self.queries.len()));
        for from in (0..rows.len()).step_by(BLOCK) {
            let places = from..rows.len().min(from + BLOCK);
            let (rows, vectors) = (&rows[places.clone()], vectors_of(places));
            let wanted = self.vectors.axis_chunks_iter(Axis(0), chunk).into_par_iter();
            let chunks = self.found.par_chunks_mut(chunk).zip(wanted);
            chunks.zip(self.queries.par_chunks(chunk)).for_each(|((found, wanted), queries)| {
                let cosines = wanted.dot(&vectors.t());
                for ((best, cosines), &query) in found.iter_mut().zip(cosines.rows()).zip(queries) {
                    let worst = |best: &[(f32, usize)]| {
                        if best.len() < k { f32::NEG_INFINITY } else { best.last().map_or(f32::INFINITY, |b| b.0) }
                    };
                    let mut least = worst(best);
                    for (&cosine, &row) in cosines.iter().zip(rows) {
                        // Of equally near items the first stays: the lowest row.
                        if cosine > least && row != query {
                            let place = best.partition_point(|&(other, _)| other >= cosine);
                            best.insert(place, (cosine, row));
                            best.truncate(k);
                            least = worst(best);
                        }
                    }
                }
            });
        }
    }

    /// Each query's row with the rows of its nearest items, the nearest first, of equally near ones the lowest row;
    /// never the query itself.
    pub(super) fn finish(self) -> impl Iterator<Item = (usize, Vec<usize>)> {
        let rows = |found: Vec<(f32, usize)>| found.into_iter().map(|(_, row)| row).collect();
        self.queries.into_iter().zip(self.found.into_iter().map(rows))
    }
}

/// Queries per matrix product: equal shares for all threads. The shares do not change the result.
fn chunk(queries: usize) -> usize {
    let threads = rayon::current_num_threads();
    let rounds = queries.div_ceil(CHUNK * threads).max(1);
    queries.div_ceil(threads * rounds).max(1)
}

/// Unit vectors `(rows, sum of dims)` of the items in these rows: modalities at equal lengths, side by side.
pub(super) fn unit_vectors(modalities: &[&Modality], rows: &[usize]) -> Array2<f32> {
    let mut out = Array2::zeros((rows.len(), modalities.iter().map(|m| m.dim()).sum()));
    out.axis_iter_mut(Axis(0)).into_par_iter().zip(rows).for_each(|(mut out, &row)| {
        let there = modalities.iter().filter(|m| m.present[row]).count().max(1) as f64;
        let mut start = 0;
        for modality in modalities {
            let vector = modality.vectors.row(row);
            let length = vector.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
            if length > 0.0 {
                let factor = 1.0 / (length * there.sqrt());
                let mut part = out.slice_mut(s![start..start + modality.dim()]);
                part.zip_mut_with(&vector, |o, &v| *o = (f64::from(v) * factor) as f32);
            }
            start += modality.dim();
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn nearest(modalities: &[&Modality], queries: &[usize], k: usize, block: usize) -> Vec<Vec<usize>> {
        let n = modalities[0].present.len();
        let dim = modalities.iter().map(|m| m.dim()).sum();
        let mut search = NeighbourSearch::new(queries.to_vec(), dim, k);
        let blocks = || (0..n).step_by(block).map(|from| from..n.min(from + block));
        for rows in blocks() {
            let vectors = unit_vectors(modalities, search.queries_in(rows.clone()));
            search.set_queries(rows, vectors.view());
        }
        for rows in blocks() {
            let rows: Vec<usize> = rows.collect();
            search.compare(&rows, |places| unit_vectors(modalities, &rows[places]));
        }
        search.finish().map(|(_, found)| found).collect()
    }

    #[test]
    fn modalities_have_equal_weight_and_ties_go_to_the_lowest_row() {
        // In text 0 and 1 agree; in pictures, a thousand times as long, 0 and 2 do; 3 has no picture.
        let text = array![[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [1.0, 0.0]];
        let image = array![[0.0, 900.0], [900.0, 0.0], [0.0, 10.0], [0.0, 0.0]];
        let modality =
            |name: &str, vectors: Array2<f32>, present: Vec<bool>| Modality { name: name.into(), vectors, present };
        let text = modality("text", text, vec![true; 4]);
        let image = modality("image", image, vec![true, true, true, false]);
        for block in [1, 3, 4] {
            // Cosines with 0: one half, one half, and 1 / sqrt 2 of the one that has a text only.
            assert_eq!(nearest(&[&text, &image], &[0, 2], 3, block), [vec![3, 1, 2], vec![0, 1, 3]]);
            assert_eq!(nearest(&[&text, &image], &[0], 1, block), [vec![3]]);
        }
    }

    #[test]
    fn the_search_equals_comparing_one_by_one() {
        let value = |i: usize, j: usize| ((i * 7_919 + j * 104_729) % 1_009) as f32 - 504.0;
        // Every item is there twice, so there are ties.
        let vectors = Array2::from_shape_fn((3_000, 9), |(i, j)| value(i % 1_500, j));
        let modality = Modality { name: "text".into(), vectors, present: vec![true; 3_000] };
        let queries: Vec<usize> = (0..3_000).step_by(7).collect();
        let found = nearest(&[&modality], &queries, 5, 900);
        let all: Vec<usize> = (0..3_000).collect();
        let vectors = unit_vectors(&[&modality], &all);
        let cosines = vectors.dot(&vectors.t());
        for (&query, found) in queries.iter().zip(found) {
            let mut order: Vec<usize> = all.iter().copied().filter(|&row| row != query).collect();
            order.sort_by(|&a, &b| cosines[[query, b]].total_cmp(&cosines[[query, a]]));
            assert_eq!(found, order[..5]);
        }
    }
}
