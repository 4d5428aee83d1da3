//! Sums over items: of the products of their features, and of their features per code.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, Axis, s};

/// Rows per product in single precision. The products are summed in double precision.
const ROWS_AT_ONCE: usize = 2_048;

/// A lower and a higher level, from 0.
type LevelPair = (usize, usize);

/// The sums from which codebooks are fitted to given codes.
#[derive(Debug, Clone)]
pub struct CodeMoments {
    /// Number of items.
    pub(super) items: usize,
    /// Codebook size per level.
    pub(super) sizes: Vec<usize>,
    /// Sum of the outer products of the vectors with themselves, `(dim, dim)`.
    pub(super) products: Array2<f64>,
    /// Sum of the vectors per code, one level after the other, `(codes of all levels, dim)`.
    pub(super) sums: Array2<f64>,
    /// The codes of each item at two levels, for each pair of a lower and a higher level.
    pub(super) together: Vec<(LevelPair, Vec<(u16, u16)>)>,
}

impl CodeMoments {
    /// Sums over no items, for codebooks of these sizes and vectors of length `dim`.
    pub fn new(sizes: &[usize], dim: usize) -> Self {
        let pairs = (0..sizes.len()).flat_map(|low| (low + 1..sizes.len()).map(move |high| ((low, high), Vec::new())));
        CodeMoments {
            items: 0,
            sizes: sizes.to_vec(),
            products: Array2::zeros((dim, dim)),
            sums: Array2::zeros((sizes.iter().sum(), dim)),
            together: pairs.collect(),
        }
    }

    /// Adds items with centred vectors `x (n, dim)` and `codes (n, levels)`, which must be within their codebooks.
    pub fn add(&mut self, x: ArrayView2<f32>, codes: ArrayView2<u16>) {
        self.items += x.nrows();
        for rows in x.axis_chunks_iter(Axis(0), ROWS_AT_ONCE) {
            let mut products = Array2::<f32>::zeros(self.products.dim());
            general_mat_mul(1.0, &rows.t(), &rows, 0.0, &mut products);
            self.products.zip_mut_with(&products, |sum, &product| *sum += f64::from(product));
        }
        for (x, codes) in x.rows().into_iter().zip(codes.rows()) {
            let mut first = 0;
            for (&code, &size) in codes.iter().zip(&self.sizes) {
                let mut sum = self.sums.row_mut(first + usize::from(code));
                sum.zip_mut_with(&x, |sum, &x| *sum += f64::from(x));
                first += size;
            }
        }
        for ((low, high), pairs) in &mut self.together {
            pairs.extend(codes.column(*low).iter().copied().zip(codes.column(*high).iter().copied()));
        }
        if self.sizes.len() == 1 {
            // One level has no pairs, so each code is stored as a pair with 0.
            let pairs = codes.column(0).iter().map(|&code| (code, 0)).collect::<Vec<_>>();
            match self.together.first_mut() {
                Some((_, all)) => all.extend(pairs),
                None => self.together.push(((0, 0), pairs)),
            }
        }
    }

    /// Adds the sums of `other`, which has the same codebook sizes.
    pub fn merge(&mut self, other: CodeMoments) {
        self.items += other.items;
        self.products += &other.products;
        self.sums += &other.sums;
        for (levels, pairs) in other.together {
            match self.together.iter_mut().find(|(known, _)| *known == levels) {
                Some((_, all)) => all.extend(pairs),
                None => self.together.push((levels, pairs)),
            }
        }
    }

    /// The sum of squares of a range of columns.
    pub fn squares(&self, columns: std::ops::Range<usize>) -> f64 {
        self.products.diag().slice(s![columns]).sum()
    }

    /// Multiplies every column of the vectors by its factor.
    pub fn scale(&mut self, factors: &Array1<f64>) {
        self.products *= factors;
        self.products *= &factors.view().insert_axis(Axis(1));
        self.sums *= factors;
    }
}
