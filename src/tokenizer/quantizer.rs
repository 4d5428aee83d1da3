//! Residual quantization: level by level, the nearest codeword of what the levels before left over.

use ndarray::{Array1, Array2, ArrayView2, Axis, Zip};

/// The codebooks of all levels, with what the search needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantizer {
    codebooks: Vec<Array2<f32>>,
    /// Half squared length of each codeword: `argmin |r - c|^2 = argmin |c|^2 / 2 - r . c`.
    half_norms: Vec<Array1<f32>>,
}

impl Quantizer {
    /// Takes one codebook `(size, latent_dim)` a level.
    pub fn new(codebooks: Vec<Array2<f32>>) -> Self {
        let half_norms =
            codebooks.iter().map(|book| book.map_axis(Axis(1), |codeword| 0.5 * codeword.dot(&codeword))).collect();
        Quantizer { codebooks, half_norms }
    }

    /// One codebook `(size, latent_dim)` a level.
    pub fn codebooks(&self) -> &[Array2<f32>] {
        &self.codebooks
    }

    /// Codes `(n, levels)` of the latents `(n, latent_dim)`, greedily; of equally near codewords the lowest.
    pub fn encode(&self, latents: ArrayView2<f32>) -> Array2<u16> {
        let mut codes = Array2::zeros((latents.nrows(), self.codebooks.len()));
        let mut residual = latents.to_owned();
        for (level, (book, half_norms)) in self.codebooks.iter().zip(&self.half_norms).enumerate() {
            let scores = residual.dot(&book.t());
            Zip::from(codes.column_mut(level)).and(scores.rows()).and(residual.rows_mut()).for_each(
                |code, scores, mut residual| {
                    let best = nearest(scores.iter().zip(half_norms).map(|(score, half)| half - score));
                    *code = best as u16;
                    residual -= &book.row(best);
                },
            );
        }
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

/// Index of the smallest value, the first of equals.
fn nearest(distances: impl Iterator<Item = f32>) -> usize {
    let mut best = (0, f32::INFINITY);
    for (i, distance) in distances.enumerate() {
        if distance < best.1 {
            best = (i, distance);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    #[test]
    fn takes_the_nearest_and_the_lowest_of_equals() {
        let quantizer =
            Quantizer::new(vec![array![[0.0, 0.0], [4.0, 0.0], [4.0, 0.0]], array![[1.0, 0.0], [-1.0, 0.0]]]);
        assert_eq!(quantizer.encode(array![[3.2, 0.0], [2.0, 0.0]].view()), array![[1, 1], [0, 0]]);
    }

    proptest! {
        #[test]
        fn every_code_is_the_nearest_to_its_residual(
            points in prop::collection::vec(-4.0f32..4.0, 3 * 7),
            books in prop::collection::vec(-4.0f32..4.0, 2 * 5 * 3),
        ) {
            let points = Array2::from_shape_vec((7, 3), points).unwrap();
            let books: Vec<_> = books.chunks(15).map(|b| Array2::from_shape_vec((5, 3), b.to_vec()).unwrap()).collect();
            let quantizer = Quantizer::new(books.clone());
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
