//! Residual quantization: level by level, the best codeword for what the levels before left over.
//!
//! Best is the least of squared distance plus *offset*. Offsets on codes make the cells of a level a power diagram
//! (Aurenhammer, 1987), whose cells can be given any size: they even out how often codes are used. Offsets on pairs of
//! the first two codes favour codes that are frequent under a prefix, so that neighbours meet under one prefix.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, Zip};
use rayon::prelude::*;

/// Rows that are quantized at once: the scores of a level fit the cache.
const BLOCK: usize = 512;

/// What is added to the squared distances of codewords.
#[derive(Debug, Clone, PartialEq)]
pub struct Offsets {
    /// One `(size,)` a level.
    pub codes: Vec<Array1<f32>>,
    /// `(size of level 0, size of level 1)`: more for the codes of level 1, by the code of level 0.
    pub pairs: Option<Array2<f32>>,
}

impl Offsets {
    /// None at all: plain nearest codewords.
    pub fn zero(sizes: impl IntoIterator<Item = usize>) -> Self {
        Offsets { codes: sizes.into_iter().map(Array1::zeros).collect(), pairs: None }
    }
}

/// The codebooks of all levels, with what the search needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantizer {
    codebooks: Vec<Array2<f32>>,
    offsets: Offsets,
    /// `argmin |r - c|^2 + o = argmin (|c|^2 + o) / 2 - r . c`: the first term of each codeword.
    halves: Vec<Array1<f32>>,
}

impl Quantizer {
    /// Takes one codebook `(size, latent_dim)` and one vector of offsets `(size,)` a level.
    pub fn new(codebooks: Vec<Array2<f32>>, offsets: Offsets) -> Self {
        let half = |(book, offset): (&Array2<f32>, &Array1<f32>)| {
            (book.map_axis(Axis(1), |codeword| codeword.dot(&codeword)) + offset) * 0.5
        };
        let halves = codebooks.iter().zip(&offsets.codes).map(half).collect();
        Quantizer { codebooks, offsets, halves }
    }

    /// One codebook `(size, latent_dim)` a level.
    pub fn codebooks(&self) -> &[Array2<f32>] {
        &self.codebooks
    }

    /// What is added to squared distances.
    pub fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    /// What is added to the squared distances at the level after `prefix`, `(size,)`.
    pub fn offsets_after(&self, prefix: &[u16]) -> Array1<f32> {
        let own = &self.offsets.codes[prefix.len()];
        match (&self.offsets.pairs, prefix) {
            (Some(pairs), [first]) => own + &pairs.row(usize::from(*first)),
            _ => own.clone(),
        }
    }

    /// Codes `(n, levels)` of the latents `(n, latent_dim)`, level by level; of equally good codewords the lowest.
    /// Blocks of rows run in parallel; how they are cut does not depend on the number of threads.
    pub fn encode(&self, latents: ArrayView2<f32>) -> Array2<u16> {
        let mut codes = Array2::zeros((latents.nrows(), self.codebooks.len()));
        codes
            .axis_chunks_iter_mut(Axis(0), BLOCK)
            .into_par_iter()
            .zip(latents.axis_chunks_iter(Axis(0), BLOCK).into_par_iter())
            .for_each(|(mut codes, latents)| {
                let mut residual = latents.to_owned();
                for (level, book) in self.codebooks.iter().enumerate() {
                    let mut scores = residual.dot(&book.t());
                    let pairs = self.offsets.pairs.as_ref().filter(|_| level == 1);
                    for (row, mut scores) in scores.rows_mut().into_iter().enumerate() {
                        if let Some(pairs) = pairs {
                            scores.scaled_add(-0.5, &pairs.row(usize::from(codes[[row, 0]])));
                        }
                        let best = nearest(scores.view(), &self.halves[level]);
                        codes[[row, level]] = best as u16;
                        let mut left = residual.row_mut(row);
                        left -= &book.row(best);
                    }
                }
            });
        codes
    }

    /// Sums of the codewords, `(n, latent_dim)`. Codes must be within their codebooks.
    pub fn decode(&self, codes: ArrayView2<u16>) -> Array2<f32> {
        let dim = self.codebooks.first().map_or(0, |book| book.ncols());
        let mut sums = Array2::zeros((codes.nrows(), dim));
        for (codes, mut sum) in codes.rows().into_iter().zip(sums.rows_mut()) {
            for (book, &code) in self.codebooks.iter().zip(codes) {
                sum += &book.row(usize::from(code));
            }
        }
        sums
    }
}

/// Index of the smallest of `halves - scores`, the first of equals.
fn nearest(scores: ArrayView1<f32>, halves: &Array1<f32>) -> usize {
    let mut best = (0, f32::INFINITY);
    Zip::indexed(&scores).and(halves).for_each(|code, &score, &half| {
        if half - score < best.1 {
            best = (code, half - score);
        }
    });
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    #[test]
    fn takes_the_nearest_and_the_lowest_of_equals() {
        let books = vec![array![[0.0, 0.0], [4.0, 0.0], [4.0, 0.0]], array![[1.0, 0.0], [-1.0, 0.0]]];
        let points = array![[3.2, 0.0], [2.0, 0.0]];
        let quantizer = Quantizer::new(books.clone(), Offsets::zero([3, 2]));
        assert_eq!(quantizer.encode(points.view()), array![[1, 1], [0, 0]]);
        // A handicap of 5 on the third code makes it lose a tie no more; one of 1.3 on a pair turns that pair only.
        let mut offsets = Offsets::zero([3, 2]);
        offsets.codes[0] = array![0.0, 5.0, 0.0];
        offsets.pairs = Some(array![[0.0, 0.0], [0.0, 0.0], [0.0, 3.3]]);
        let quantizer = Quantizer::new(books, offsets);
        assert_eq!(quantizer.encode(points.view()), array![[2, 0], [0, 0]]);
        assert_eq!(quantizer.offsets_after(&[2]), array![0.0, 3.3]);
        assert_eq!(quantizer.offsets_after(&[]), array![0.0, 5.0, 0.0]);
    }

    proptest! {
        #[test]
        fn every_code_is_the_nearest_to_its_residual(
            points in prop::collection::vec(-4.0f32..4.0, 3 * 7),
            books in prop::collection::vec(-4.0f32..4.0, 2 * 5 * 3),
        ) {
            let points = Array2::from_shape_vec((7, 3), points).unwrap();
            let books: Vec<_> = books.chunks(15).map(|b| Array2::from_shape_vec((5, 3), b.to_vec()).unwrap()).collect();
            let quantizer = Quantizer::new(books.clone(), Offsets::zero([5, 5]));
            let codes = quantizer.encode(points.view());
            for (point, codes) in points.rows().into_iter().zip(codes.rows()) {
                let mut residual = point.to_owned();
                for (book, &code) in books.iter().zip(codes) {
                    let distance = |row: usize| (&book.row(row) - &residual).mapv(|v| v * v).sum();
                    let chosen = distance(usize::from(code));
                    prop_assert!((0..5).all(|row| chosen <= distance(row) + 1e-3));
                    residual -= &book.row(usize::from(code));
                }
            }
        }
    }
}
