//! Residual quantization: each level assigns the best codeword to the residual of the levels before.
//!
//! The best codeword has the smallest squared distance plus *offset*, a penalty. Offsets on codes turn the cells of a level
//! into a power diagram (Aurenhammer, 1987), whose cells can have any size: they balance how often codes are used. Offsets
//! on pairs of the first two codes favour codes that are frequent under a prefix, so that neighbours share a prefix.
//! Offsets on pairs of the first and the last code separate items that would share all codes.

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::int8::{FEWEST_ROWS, Int8Book};
use super::level::Level;
use super::previous::{Keeping, PreviousCodes};

/// Rows per block: the scores of a level fit into the cache.
const BLOCK: usize = 512;

/// Penalties that are added to the squared distances of codewords.
#[derive(Debug, Clone, PartialEq)]
pub struct Offsets {
    /// One `(size,)` per level.
    pub codes: Vec<Array1<f32>>,
    /// `(size of level 0, size of level 1)`: additional offsets of the codes of level 1, by the code of level 0.
    pub pairs: Option<Array2<f32>>,
    /// `(size of level 0, size of the last level)`: additional offsets of the codes of the last level, by the code of
    /// level 0.
    pub last: Option<Array2<f32>>,
}

impl Offsets {
    /// Zero offsets: the nearest codeword is the best.
    pub fn zero(sizes: impl IntoIterator<Item = usize>) -> Self {
        Offsets { codes: sizes.into_iter().map(Array1::zeros).collect(), pairs: None, last: None }
    }

    /// The tables of additional offsets at one of `levels` levels, by the code of level 0.
    fn tables(&self, level: usize, levels: usize) -> [Option<&Array2<f32>>; 2] {
        let pairs = self.pairs.as_ref().filter(|_| level == 1);
        [pairs, self.last.as_ref().filter(|_| level > 0 && level + 1 == levels)]
    }
}

/// The codebooks of all levels, prepared for the search.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantizer {
    codebooks: Vec<Array2<f32>>,
    /// Their transposes, in row-major order.
    columns: Vec<Array2<f32>>,
    offsets: Offsets,
    /// `argmin |r - c|^2 + o = argmin (|c|^2 + o) / 2 - r . c`: the first term of each codeword.
    halves: Vec<Array1<f32>>,
    /// The codebooks in 8 bits, where the search with them is faster.
    int8: Vec<Option<Int8Book>>,
}

impl Quantizer {
    /// A quantizer with one codebook `(size, latent_dim)` and one vector of offsets `(size,)` per level.
    pub fn new(codebooks: Vec<Array2<f32>>, offsets: Offsets) -> Self {
        let half = |(book, offset): (&Array2<f32>, &Array1<f32>)| {
            (book.map_axis(Axis(1), |codeword| codeword.dot(&codeword)) + offset) * 0.5
        };
        let halves: Vec<_> = codebooks.iter().zip(&offsets.codes).map(half).collect();
        let int8 = codebooks.iter().zip(&halves).map(|(book, halves)| Int8Book::new(book, halves)).collect();
        // Rows are accessed as slices.
        let in_rows = |matrix: Array2<f32>| matrix.as_standard_layout().into_owned();
        let offsets =
            Offsets { pairs: offsets.pairs.map(in_rows), last: offsets.last.map(in_rows), codes: offsets.codes };
        let columns = codebooks.iter().map(|book| in_rows(book.t().to_owned())).collect();
        Quantizer { codebooks: codebooks.into_iter().map(in_rows).collect(), columns, offsets, halves, int8 }
    }

    /// The same quantizer, with all products in `f32`.
    #[cfg(test)]
    pub(super) fn without_int8(mut self) -> Self {
        self.int8.fill(None);
        self
    }

    /// One codebook `(size, latent_dim)` per level.
    pub fn codebooks(&self) -> &[Array2<f32>] {
        &self.codebooks
    }

    /// The penalties on codes.
    pub fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    /// The offsets `(size,)` of the codes that follow `prefix`.
    pub fn offsets_after(&self, prefix: &[u16]) -> Array1<f32> {
        let mut offsets = self.offsets.codes[prefix.len()].clone();
        for table in self.offsets.tables(prefix.len(), self.codebooks.len()).into_iter().flatten() {
            offsets += &table.row(usize::from(prefix[0]));
        }
        offsets
    }

    /// The codes `(n, levels)` of the latents `(n, latent_dim)`; of equally good codewords the lowest. Blocks of rows run in
    /// parallel; the blocks do not depend on the number of threads.
    pub fn encode(&self, latents: ArrayView2<f32>) -> Array2<u16> {
        let mut codes = Array2::zeros((latents.nrows(), self.codebooks.len()));
        codes
            .axis_chunks_iter_mut(Axis(0), BLOCK)
            .into_par_iter()
            .zip(latents.axis_chunks_iter(Axis(0), BLOCK).into_par_iter())
            .for_each(|(codes, latents)| self.encode_block(latents.to_owned(), codes, None));
        codes
    }

    /// As [`Quantizer::encode`], but an item keeps its previous code at a level unless the cost of another code is
    /// lower by more than the level's price. This applies only if the item kept its previous codes at the levels
    /// before. An infinite price keeps every code. `previous` has one row per latent, and `prices` one value per level.
    pub fn encode_keeping(&self, latents: ArrayView2<f32>, previous: &PreviousCodes, prices: &[f32]) -> Array2<u16> {
        let mut codes = Array2::zeros((latents.nrows(), self.codebooks.len()));
        let before = previous.codes.axis_chunks_iter(Axis(0), BLOCK).into_par_iter();
        codes
            .axis_chunks_iter_mut(Axis(0), BLOCK)
            .into_par_iter()
            .zip(latents.axis_chunks_iter(Axis(0), BLOCK).into_par_iter())
            .zip(before.zip(previous.known.par_chunks(BLOCK)))
            .for_each(|((codes, latents), (before, known))| {
                self.encode_block(latents.to_owned(), codes, Some(Keeping { codes: before, known, prices }));
            });
        codes
    }

    /// The quantizer with other names for its codes: code `c` of level `l` becomes `names[l][c]`. `names` has one
    /// permutation of the codes per level.
    pub fn renamed(&self, names: &[Vec<u16>]) -> Quantizer {
        let inverse: Vec<Vec<usize>> = names
            .iter()
            .map(|names| {
                let mut inverse = vec![0; names.len()];
                names.iter().enumerate().for_each(|(code, &name)| inverse[usize::from(name)] = code);
                inverse
            })
            .collect();
        let books = self.codebooks.iter().zip(&inverse).map(|(book, from)| book.select(Axis(0), from)).collect();
        let codes = self.offsets.codes.iter().zip(&inverse).map(|(offsets, from)| offsets.select(Axis(0), from));
        let table = |table: &Option<Array2<f32>>, level: usize| {
            table.as_ref().map(|table| table.select(Axis(0), &inverse[0]).select(Axis(1), &inverse[level]))
        };
        let offsets = Offsets {
            codes: codes.collect(),
            pairs: table(&self.offsets.pairs, 1),
            last: table(&self.offsets.last, self.codebooks.len() - 1),
        };
        Quantizer::new(books, offsets)
    }

    /// The codes of a block of latents.
    pub(super) fn encode_block(&self, latents: Array2<f32>, mut codes: ArrayViewMut2<u16>, keeping: Option<Keeping>) {
        let in_rows = latents.is_standard_layout();
        let mut residual = if in_rows { latents } else { latents.as_standard_layout().into_owned() };
        let mut scores = Array2::zeros((0, 0));
        for (at, book) in self.codebooks.iter().enumerate() {
            let tables = self.offsets.tables(at, self.codebooks.len());
            let level = Level { level: at, columns: &self.columns[at], halves: &self.halves[at], tables, book };
            match &self.int8[at] {
                Some(int8) if keeping.is_none() && residual.nrows() >= FEWEST_ROWS => {
                    level.search(int8, &mut codes, &mut residual);
                }
                _ => level.compare_all(keeping, &mut scores, &mut codes, &mut residual),
            }
        }
    }

    /// The sums of the codewords `(n, latent_dim)` of codes, which must be within their codebooks.
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

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    #[test]
    fn the_nearest_code_is_assigned_and_ties_go_to_the_lowest() {
        let books = vec![array![[0.0, 0.0], [4.0, 0.0], [4.0, 0.0]], array![[1.0, 0.0], [-1.0, 0.0]]];
        let points = array![[3.2, 0.0], [2.0, 0.0]];
        let quantizer = Quantizer::new(books.clone(), Offsets::zero([3, 2]));
        assert_eq!(quantizer.encode(points.view()), array![[1, 1], [0, 0]]);
        // An offset of 5 on the second code lets the third win their tie; one of 3.3 on a pair changes that pair only.
        let mut offsets = Offsets::zero([3, 2]);
        offsets.codes[0] = array![0.0, 5.0, 0.0];
        offsets.pairs = Some(array![[0.0, 0.0], [0.0, 0.0], [0.0, 3.3]]);
        let quantizer = Quantizer::new(books, offsets);
        assert_eq!(quantizer.encode(points.view()), array![[2, 0], [0, 0]]);
        assert_eq!(quantizer.offsets_after(&[2]), array![0.0, 3.3]);
        assert_eq!(quantizer.offsets_after(&[]), array![0.0, 5.0, 0.0]);
        // The table of the last level is added.
        let mut offsets = quantizer.offsets().clone();
        offsets.last = Some(array![[1.5, 0.0], [0.0, 0.0], [0.0, 0.0]]);
        let quantizer = Quantizer::new(quantizer.codebooks().to_vec(), offsets);
        assert_eq!(quantizer.encode(array![[1.2, 0.0], [0.1, 0.0]].view()), array![[0, 0], [0, 1]]);
        assert_eq!(quantizer.offsets_after(&[0]), array![1.5, 0.0]);
    }

    /// Latents, and a quantizer with all kinds of offsets.
    fn made() -> (Array2<f32>, Quantizer) {
        let value = |i: usize, j: usize| ((i * 37 + j * 101) % 23) as f32 / 3.0;
        let mut offsets = Offsets::zero([5, 5, 5]);
        offsets.codes[1] = Array1::from_shape_fn(5, |i| value(i, 3) / 9.0);
        offsets.pairs = Some(Array2::from_shape_fn((5, 5), |(i, j)| value(i, j) / 7.0));
        offsets.last = Some(Array2::from_shape_fn((5, 5), |(i, j)| value(j, i) / 7.0));
        let books = (0..3).map(|l| Array2::from_shape_fn((5, 2), |(i, j)| value(i + 2 * l, j) / (l + 1) as f32));
        (Array2::from_shape_fn((40, 2), |(i, j)| value(i, j) * 1.7), Quantizer::new(books.collect(), offsets))
    }

    #[test]
    fn previous_codes_are_kept_up_to_a_price() {
        let (points, quantizer) = made();
        let natural = quantizer.encode(points.view());
        let codes = Array2::from_shape_fn((40, 3), |(i, l)| (natural[[i, l]] + u16::from((i + l) % 3 == 0)) % 5);
        let previous = PreviousCodes { codes: codes.clone(), known: (0..40).map(|i| i % 4 > 0).collect() };
        let kept = |price: f32| {
            let codes = quantizer.encode_keeping(points.view(), &previous, &[price; 3]);
            ((0..40).filter(|&row| previous.is(row, &codes.row(row).to_vec())).count(), codes)
        };
        assert_eq!(kept(0.0).1, natural);
        let (all, codes) = kept(f32::INFINITY);
        assert_eq!((all, codes.row(0)), (30, natural.row(0)), "items without previous codes are encoded as usual");
        let shares = [0.0, 0.5, 4.0, 1e9].map(|price| kept(price).0);
        assert!(shares.is_sorted() && shares[0] < shares[1] && shares[1] < shares[2] && shares[3] == 30, "{shares:?}");
    }

    #[test]
    fn a_renamed_quantizer_assigns_the_renamed_codes() {
        let (points, quantizer) = made();
        let names: Vec<Vec<u16>> = vec![vec![2, 0, 1, 4, 3], vec![1, 2, 3, 4, 0], vec![4, 3, 2, 1, 0]];
        let natural = quantizer.encode(points.view());
        let expected = Array2::from_shape_fn((40, 3), |(i, l)| names[l][usize::from(natural[[i, l]])]);
        let renamed = quantizer.renamed(&names);
        assert_eq!(renamed.encode(points.view()), expected);
        assert_eq!(renamed.decode(expected.view()), quantizer.decode(natural.view()));
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
