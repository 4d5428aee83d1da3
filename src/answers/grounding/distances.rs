//! Squared distances of answers to all items, as `|x|^2 + |y|^2 - 2 x y` with blocked matrix products.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, s};

/// Items per block, so that a block stays in the cache.
const ITEMS_PER_BLOCK: usize = 1_024;
/// Maximum number of distances in memory per thread (128 MB).
const MAX_DISTANCES: usize = 1 << 25;
/// Maximum number of answers per chunk; more do not speed up the product.
const MAX_ANSWERS: usize = 256;

/// The items' vectors and squared lengths.
#[derive(Debug)]
pub(super) struct Distances<'a> {
    pub(super) vectors: ArrayView2<'a, f32>,
    squares: Vec<f32>,
}

impl<'a> Distances<'a> {
    pub(super) fn new(vectors: ArrayView2<'a, f32>) -> Self {
        let squares = vectors.rows().into_iter().map(|row| square(row) as f32).collect();
        Distances { vectors, squares }
    }

    pub(super) fn items(&self) -> usize {
        self.vectors.nrows()
    }

    /// Answers per chunk.
    pub(super) fn answers_per_chunk(&self) -> usize {
        (MAX_DISTANCES / self.items()).clamp(1, MAX_ANSWERS)
    }

    /// Squared distances `(answers, items)`, in single precision.
    pub(super) fn squares(&self, answers: ArrayView2<f32>) -> Array2<f32> {
        let mut out = Array2::zeros((answers.nrows(), self.items()));
        let own: Vec<f32> = answers.rows().into_iter().map(|row| square(row) as f32).collect();
        for from in (0..self.items()).step_by(ITEMS_PER_BLOCK) {
            let to = self.items().min(from + ITEMS_PER_BLOCK);
            let mut block = out.slice_mut(s![.., from..to]);
            general_mat_mul(-2.0, &answers, &self.vectors.slice(s![from..to, ..]).t(), 0.0, &mut block);
            for (mut row, own) in block.axis_iter_mut(Axis(0)).zip(&own) {
                let squares = &self.squares[from..to];
                row.iter_mut().zip(squares).for_each(|(out, square)| *out = (*out + own + square).max(0.0));
            }
        }
        out
    }

    /// The distance of an answer to one item, in double precision.
    pub(super) fn exact(&self, answer: ArrayView1<f32>, item: usize) -> f64 {
        let difference = |(&a, &b): (&f32, &f32)| (f64::from(a) - f64::from(b)).powi(2);
        answer.iter().zip(self.vectors.row(item)).map(difference).sum::<f64>().sqrt()
    }
}

fn square(vector: ArrayView1<f32>) -> f64 {
    vector.iter().map(|&v| f64::from(v) * f64::from(v)).sum()
}
