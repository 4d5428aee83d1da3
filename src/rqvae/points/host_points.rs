//! Points in host memory: the operations in ndarray, in parallel over blocks of rows.

use ndarray::{Array1, Array2, Axis, CowArray, Ix2, Zip, s};
use rayon::prelude::*;

use super::LatentPoints;
use crate::error::Result;
use crate::rqvae::halving::{Halves, halves, mean};
use crate::rqvae::lloyd_start::{SMALLEST_MOVE, first_steps, not_finite};
use crate::rqvae::regression::{fit, residual_spread};
use crate::tokenizer::{PreviousCodes, Quantizer};

impl LatentPoints for Array2<f32> {
    type Codes = Array2<u16>;

    fn count(&self) -> usize {
        self.nrows()
    }

    fn dim(&self) -> usize {
        self.ncols()
    }

    fn duplicate(&self) -> Self {
        self.clone()
    }

    fn select(&self, rows: &[usize]) -> Self {
        Array2::select(self, Axis(0), rows)
    }

    fn truncated(mut self, count: usize) -> Self {
        self.slice_collapse(s![..count, ..]);
        self
    }

    fn rows(&self, rows: &[usize]) -> Result<Array2<f32>> {
        Ok(LatentPoints::select(self, rows))
    }

    fn on_host(&self) -> Result<CowArray<'_, f32, Ix2>> {
        Ok(CowArray::from(self))
    }

    fn squared_lengths(&self) -> Result<Array1<f32>> {
        Ok(self.map_axis(Axis(1), |row| row.dot(&row)))
    }

    fn column_squares(&self) -> Result<Array1<f64>> {
        Ok(self.map_axis(Axis(0), |column| column.iter().map(|&v| f64::from(v * v)).sum::<f64>()))
    }

    fn products(&self, row: usize) -> Result<Array1<f32>> {
        let point = self.row(row);
        Ok(Zip::from(Array2::rows(self)).par_map_collect(|other| other.dot(&point)))
    }

    fn mean(&self, rows: &[usize]) -> Result<Array1<f32>> {
        Ok(mean(self.view(), rows))
    }

    fn halves(&self, rows: &[usize]) -> Result<Halves> {
        Ok(halves(self.view(), rows))
    }

    fn place(&self, codes: Array2<u16>) -> Array2<u16> {
        codes
    }

    fn codes_on_host(codes: &Array2<u16>) -> Result<CowArray<'_, u16, Ix2>> {
        Ok(CowArray::from(codes))
    }

    fn encode(&self, quantizer: &Quantizer) -> Array2<u16> {
        quantizer.encode(self.view())
    }

    fn encode_keeping(&self, quantizer: &Quantizer, previous: &PreviousCodes, prices: &[f32]) -> Array2<u16> {
        quantizer.encode_keeping(self.view(), previous, prices)
    }

    fn subtract(&mut self, codes: &Array2<u16>, level: usize, book: &Array2<f32>) {
        self.axis_iter_mut(Axis(0))
            .into_par_iter()
            .zip(codes.column(level).axis_iter(Axis(0)).into_par_iter())
            .for_each(|(mut row, code)| row -= &book.row(usize::from(code[()])));
    }

    fn errors(&self, quantizer: &Quantizer) -> Result<Vec<f32>> {
        let rest = self - &quantizer.decode(quantizer.encode(self.view()).view());
        Ok(rest.rows().into_iter().map(|row| row.dot(&row)).collect())
    }

    fn residual_spread(&self, codes: &Array2<u16>, books: &[Array2<f32>]) -> Result<Vec<f32>> {
        Ok(residual_spread(self.view(), codes, books))
    }

    fn fit(
        &self,
        codes: &Array2<u16>,
        books: &mut [Array2<f32>],
        ridges: &[Array1<f32>],
        sweeps: usize,
    ) -> Result<f32> {
        Ok(fit(self.view(), codes, books, ridges, sweeps))
    }

    fn move_to_means(&self, codes: &Array2<u16>, book: &mut Array2<f32>) -> Result<()> {
        fit(self.view(), codes, std::slice::from_mut(book), &[Array1::zeros(self.ncols())], 1);
        Ok(())
    }

    fn first_steps(&self, start: Array2<f32>, steps: u64) -> Result<Array2<f32>> {
        if !self.squared_lengths()?.sum().is_finite() {
            return Err(not_finite("points that are NaN or infinite"));
        }
        Ok(first_steps(self.view(), start, steps, SMALLEST_MOVE))
    }
}
