//! Points on a device, as a tensor of libtorch.

use ndarray::{Array1, Array2, CowArray, Ix2};
use tch::{Device, Kind, Tensor, no_grad};

use super::LatentPoints;
use super::blocks::{add_codewords, blocks};
use super::members::CodeMembers;
use super::search::{DeviceKeeping, Search, codes_tensor};
use crate::error::Result;
use crate::rqvae::halving::{Halves, POWER_STEPS, furthest, halves_along};
use crate::rqvae::lloyd_start::{SMALLEST_MOVE, not_finite};
use crate::rqvae::tensors::{array, double_values, tensor, tensor_of_vector, unreadable, vector};
use crate::tokenizer::{Offsets, PreviousCodes, Quantizer};

/// Points on a device. Failures of libtorch are panics: see [`on_device`](super::super::device::on_device).
#[derive(Debug)]
pub(in crate::rqvae) struct DevicePoints {
    /// `(n, dim)`, contiguous and of single precision.
    rows: Tensor,
}

/// Codes on a device, `(levels, n)`.
#[derive(Debug)]
pub(in crate::rqvae) struct DeviceCodes(Tensor);

impl PartialEq for DeviceCodes {
    fn eq(&self, other: &Self) -> bool {
        self.0.equal(&other.0)
    }
}

impl DevicePoints {
    /// The rows of a tensor `(n, dim)`, which is not copied.
    pub(in crate::rqvae) fn new(rows: Tensor) -> Self {
        DevicePoints { rows: rows.detach().contiguous() }
    }

    fn device(&self) -> Device {
        self.rows.device()
    }

    /// The points in blocks for temporary matrices of as many columns as the points have.
    fn blocks(&self) -> impl Iterator<Item = (i64, i64)> + use<> {
        blocks(self.count(), self.dim())
    }

    fn chosen(&self, rows: &[usize]) -> Tensor {
        let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        self.rows.index_select(0, &Tensor::from_slice(&rows).to_device(self.device()))
    }

    /// What the codewords of all levels leave of the points.
    fn rest(&self, codes: &Tensor, books: &[Tensor]) -> Tensor {
        let rest = self.rows.copy();
        for (level, book) in books.iter().enumerate() {
            add_codewords(&rest, &codes.get(level as i64), book, -1.0);
        }
        rest
    }

    fn books(&self, books: &[Array2<f32>]) -> Vec<Tensor> {
        books.iter().map(|book| tensor(book).to_device(self.device())).collect()
    }
}

/// The squared length of each row, `(n,)`.
fn lengths(rows: &Tensor) -> Tensor {
    let size = rows.size();
    let of_block = |(from, length)| rows.narrow(0, from, length).square().sum_dim_intlist(1, false, Kind::Float);
    Tensor::cat(&blocks(size[0] as usize, size[1] as usize).map(of_block).collect::<Vec<_>>(), 0)
}

/// The sum of squared lengths in double precision, as a tensor without dimensions.
fn sum_of_squares(rows: &Tensor) -> Tensor {
    lengths(rows).sum(Kind::Double)
}

impl LatentPoints for DevicePoints {
    type Codes = DeviceCodes;

    fn count(&self) -> usize {
        self.rows.size()[0] as usize
    }

    fn dim(&self) -> usize {
        self.rows.size()[1] as usize
    }

    fn duplicate(&self) -> Self {
        DevicePoints { rows: self.rows.copy() }
    }

    fn select(&self, rows: &[usize]) -> Self {
        DevicePoints { rows: self.chosen(rows) }
    }

    fn truncated(self, count: usize) -> Self {
        DevicePoints { rows: self.rows.narrow(0, 0, count as i64) }
    }

    fn rows(&self, rows: &[usize]) -> Result<Array2<f32>> {
        array(&self.chosen(rows))
    }

    fn on_host(&self) -> Result<CowArray<'_, f32, Ix2>> {
        Ok(CowArray::from(array(&self.rows)?))
    }

    fn squared_lengths(&self) -> Result<Array1<f32>> {
        vector(&lengths(&self.rows))
    }

    fn column_squares(&self) -> Result<Array1<f64>> {
        let sums = self.blocks().map(|(from, length)| {
            let squares = self.rows.narrow(0, from, length).square();
            squares.sum_dim_intlist(0, false, Kind::Double)
        });
        Ok(Array1::from(double_values(&Tensor::stack(&sums.collect::<Vec<_>>(), 0).sum_dim_intlist(
            0,
            false,
            Kind::Double,
        ))?))
    }

    fn products(&self, row: usize) -> Result<Array1<f32>> {
        vector(&self.rows.mv(&self.rows.get(row as i64)))
    }

    fn mean(&self, rows: &[usize]) -> Result<Array1<f32>> {
        let sum = self.chosen(rows).sum_dim_intlist(0, false, Kind::Double);
        vector(&(sum / rows.len().max(1) as f64).to_kind(Kind::Float))
    }

    fn halves(&self, rows: &[usize]) -> Result<Halves> {
        let mut centred = self.chosen(rows);
        let _ = centred.g_sub_(&tensor_of_vector(&self.mean(rows)?).to_device(self.device()));
        let furthest = furthest(&vector(&lengths(&centred))?);
        let mut direction = centred.get(furthest as i64).copy();
        for _ in 0..POWER_STEPS {
            direction = centred.tr().mv(&centred.mv(&direction));
            let length = direction.square().sum(Kind::Double).sqrt().to_kind(Kind::Float);
            direction /= length.clamp_min(f64::from(f32::MIN_POSITIVE));
        }
        Ok(halves_along(rows, &vector(&centred.mv(&direction))?))
    }

    fn place(&self, codes: Array2<u16>) -> DeviceCodes {
        DeviceCodes(codes_tensor(&codes, self.device()))
    }

    fn codes_on_host(codes: &DeviceCodes) -> Result<CowArray<'_, u16, Ix2>> {
        let shape = (codes.0.size()[1] as usize, codes.0.size()[0] as usize);
        let values = codes.0.tr().to_kind(Kind::Int).contiguous().view(-1).to_device(Device::Cpu);
        let values = Vec::<i32>::try_from(values).map_err(unreadable)?;
        Ok(CowArray::from(Array2::from_shape_fn(shape, |(row, level)| values[row * shape.1 + level] as u16)))
    }

    fn encode(&self, quantizer: &Quantizer) -> DeviceCodes {
        DeviceCodes(no_grad(|| Search::new(quantizer, self.device()).codes(&self.rows, None)))
    }

    fn encode_keeping(&self, quantizer: &Quantizer, previous: &PreviousCodes, prices: &[f32]) -> DeviceCodes {
        let keeping = DeviceKeeping::new(previous, prices, self.device());
        DeviceCodes(Search::new(quantizer, self.device()).codes(&self.rows, Some(&keeping)))
    }

    fn subtract(&mut self, codes: &DeviceCodes, level: usize, book: &Array2<f32>) {
        add_codewords(&self.rows, &codes.0.get(level as i64), &tensor(book).to_device(self.device()), -1.0);
    }

    fn errors(&self, quantizer: &Quantizer) -> Result<Vec<f32>> {
        let codes = self.encode(quantizer);
        Ok(vector(&lengths(&self.rest(&codes.0, &self.books(quantizer.codebooks()))))?.to_vec())
    }

    fn residual_spread(&self, codes: &DeviceCodes, books: &[Array2<f32>]) -> Result<Vec<f32>> {
        let books = self.books(books);
        let mut sums = Tensor::zeros([books.len() as i64], (Kind::Double, self.device()));
        for (from, length) in self.blocks() {
            let rest = self.rows.narrow(0, from, length).copy();
            let of_levels: Vec<Tensor> = books
                .iter()
                .enumerate()
                .map(|(level, book)| {
                    let sum = sum_of_squares(&rest);
                    if level + 1 < books.len() {
                        add_codewords(&rest, &codes.0.get(level as i64).narrow(0, from, length), book, -1.0);
                    }
                    sum
                })
                .collect();
            sums += Tensor::stack(&of_levels, 0);
        }
        Ok(double_values(&sums)?.into_iter().map(|sum| (sum / self.count() as f64) as f32).collect())
    }

    fn fit(
        &self,
        codes: &DeviceCodes,
        books: &mut [Array2<f32>],
        ridges: &[Array1<f32>],
        sweeps: usize,
    ) -> Result<f32> {
        let mut fitted = self.books(books);
        let members: Vec<CodeMembers> = books
            .iter()
            .enumerate()
            .map(|(level, book)| CodeMembers::new(&codes.0.get(level as i64), book.nrows()))
            .collect();
        let divisors: Vec<Tensor> = members
            .iter()
            .zip(ridges)
            .map(|(members, ridge)| &members.counts + tensor_of_vector(ridge).to_device(self.device()))
            .collect();
        let left = self.rest(&codes.0, &fitted);
        for _ in 0..sweeps {
            for (level, book) in fitted.iter_mut().enumerate() {
                let (members, code) = (&members[level], codes.0.get(level as i64));
                let sums = book.to_kind(Kind::Double) * &members.counts + members.sums(&left);
                let solved = (sums / &divisors[level]).to_kind(Kind::Float);
                let next = solved.where_self(&members.counts.gt(0.0), book);
                add_codewords(&left, &code, &(&*book - &next), 1.0);
                *book = next;
            }
        }
        for (book, fitted) in books.iter_mut().zip(&fitted) {
            *book = array(fitted)?;
        }
        Ok((double_values(&sum_of_squares(&left))?[0] / self.count() as f64) as f32)
    }

    fn move_to_means(&self, codes: &DeviceCodes, book: &mut Array2<f32>) -> Result<()> {
        let members = CodeMembers::new(&codes.0.get(0), book.nrows());
        let before = tensor(book).to_device(self.device());
        let means = (members.sums(&self.rows) / &members.counts).to_kind(Kind::Float);
        *book = array(&means.where_self(&members.counts.gt(0.0), &before))?;
        Ok(())
    }

    fn first_steps(&self, start: Array2<f32>, steps: u64) -> Result<Array2<f32>> {
        let size = start.nrows();
        let mut book = start;
        for _ in 0..steps {
            let codes = self.encode(&Quantizer::new(vec![book.clone()], Offsets::zero([size])));
            let members = CodeMembers::new(&codes.0.get(0), size);
            let before = tensor(&book).to_device(self.device());
            let next = (members.sums(&self.rows) + &before) / (&members.counts + 1.0);
            book = array(&next.to_kind(Kind::Float))?;
            let moved = double_values(&(next - before).square().sum(Kind::Double).sqrt())?[0];
            if moved < f64::from(SMALLEST_MOVE) {
                break;
            }
        }
        let finite = book.iter().all(|v| v.is_finite()) && (self.squared_lengths()?.sum()).is_finite();
        if finite { Ok(book) } else { Err(not_finite("points that are NaN or infinite")) }
    }
}
