//! One level of residual quantization: the code of the lowest cost for each row.

use ndarray::{Array1, Array2, ArrayViewMut2, Axis};

use super::elementwise::subtract;
use super::int8::Int8Book;
use super::previous::Keeping;
use super::rows::multiply;

/// One level of the quantizer.
pub(super) struct Level<'a> {
    pub(super) level: usize,
    /// The transposed codebook.
    pub(super) columns: &'a Array2<f32>,
    pub(super) halves: &'a Array1<f32>,
    /// Offsets by the code of level 0.
    pub(super) tables: [Option<&'a Array2<f32>>; 2],
    pub(super) book: &'a Array2<f32>,
}

impl Level<'_> {
    /// As [`Level::compare_all`], with products in `f32` only for rows that the search leaves undecided.
    pub(super) fn search(&self, int8: &Int8Book, codes: &mut ArrayViewMut2<u16>, residual: &mut Array2<f32>) {
        let first = codes.column(0).to_vec();
        let table_rows =
            |row: usize| self.tables.map(|table| table.and_then(|table| table.row(usize::from(first[row])).to_slice()));
        let found = int8.search(residual, self.book, table_rows);
        let undecided: Vec<usize> = (0..found.len()).filter(|&row| found[row].is_none()).collect();
        let mut others = residual.select(Axis(0), &undecided);
        let mut other_codes = codes.select(Axis(0), &undecided);
        if !undecided.is_empty() {
            self.compare_all(None, &mut Array2::zeros((0, 0)), &mut other_codes.view_mut(), &mut others);
        }
        let mut other_codes = other_codes.column(self.level).into_iter();
        for ((found, left), mut codes) in found.into_iter().zip(residual.rows_mut()).zip(codes.rows_mut()) {
            let best = found.or_else(|| other_codes.next().copied()).unwrap_or_default();
            codes[self.level] = best;
            subtract(left, self.book.row(usize::from(best)));
        }
    }

    /// Assigns each row the code of the lowest cost, and subtracts the codeword from its residual. `scores` is a buffer.
    pub(super) fn compare_all(
        &self,
        keeping: Option<Keeping>,
        scores: &mut Array2<f32>,
        codes: &mut ArrayViewMut2<u16>,
        residual: &mut Array2<f32>,
    ) {
        if scores.dim() != (residual.nrows(), self.book.nrows()) {
            *scores = Array2::zeros((residual.nrows(), self.book.nrows()));
        }
        multiply(residual.view(), self.columns.view(), false, scores);
        if let Some(keeping) = &keeping {
            keeping.favour(self.level, codes.view(), scores);
        }
        self.choose(scores, codes, residual);
    }

    /// Assigns each row the code of the lowest cost, `halves - scores` plus half of the tables' offsets, and subtracts the
    /// codeword from its residual. Uses AVX2 where the processor has it; the result is the same.
    fn choose(&self, scores: &mut Array2<f32>, codes: &mut ArrayViewMut2<u16>, residual: &mut Array2<f32>) {
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2")]
            fn wide(
                level: &Level,
                scores: &mut Array2<f32>,
                codes: &mut ArrayViewMut2<u16>,
                residual: &mut Array2<f32>,
            ) {
                level.choose_rows(scores, codes, residual);
            }
            if std::arch::is_x86_feature_detected!("avx2") {
                // SAFETY: the processor supports the instructions.
                return unsafe { wide(self, scores, codes, residual) };
            }
        }
        self.choose_rows(scores, codes, residual);
    }

    #[inline(always)]
    fn choose_rows(&self, scores: &mut Array2<f32>, codes: &mut ArrayViewMut2<u16>, residual: &mut Array2<f32>) {
        let halves = self.halves.as_slice().unwrap_or_default();
        let rows = scores.rows_mut().into_iter().zip(residual.rows_mut()).zip(codes.rows_mut());
        for ((scores, left), mut codes) in rows {
            let (Some(scores), Some(left)) = (scores.into_slice(), left.into_slice()) else { continue };
            for table in self.tables.into_iter().flatten() {
                let row = table.row(usize::from(codes[0])).to_slice().unwrap_or_default();
                scores.iter_mut().zip(row).for_each(|(score, offset)| *score -= 0.5 * offset);
            }
            let best = nearest(scores, halves);
            codes[self.level] = best as u16;
            let codeword = self.book.row(best);
            left.iter_mut().zip(codeword.to_slice().unwrap_or_default()).for_each(|(left, c)| *left -= c);
        }
    }
}

/// Index of the smallest value of `halves - scores`, the first of equal ones. First finds the smallest value, then its
/// index: both loops vectorise, as they have no branch per number.
#[inline(always)]
fn nearest(scores: &[f32], halves: &[f32]) -> usize {
    const LANES: usize = 16;
    let lower = |a: f32, b: f32| if b < a { b } else { a };
    let mut least = [f32::INFINITY; LANES];
    let (score_lanes, half_lanes) = (scores.chunks_exact(LANES), halves.chunks_exact(LANES));
    let rest = score_lanes.remainder().iter().zip(half_lanes.remainder());
    for (scores, halves) in score_lanes.zip(half_lanes) {
        for ((least, score), half) in least.iter_mut().zip(scores).zip(halves) {
            *least = lower(*least, half - score);
        }
    }
    let rest = rest.fold(f32::INFINITY, |least, (score, half)| lower(least, half - score));
    let least = least.into_iter().fold(rest, lower);
    for (at, (scores, halves)) in scores.chunks(LANES).zip(halves.chunks(LANES)).enumerate() {
        if scores.iter().zip(halves).fold(false, |found, (score, half)| found | (half - score == least)) {
            let at_lane = scores.iter().zip(halves).position(|(score, half)| half - score == least);
            return at * LANES + at_lane.unwrap_or_default();
        }
    }
    0
}
