//! The training latents, and the operations on them whose time grows with their number.
//!
//! [`LatentPoints`] are rows of numbers: latents, or what the codewords of some levels leave of them. In host memory they
//! are a matrix of ndarray; on a device they are a tensor ([`DevicePoints`]). k-means, refinement, separation and the
//! residual errors are written against the trait. What is small stays on the host: codebooks, offsets, counts of codes
//! and random numbers. In each round only codes and codebooks are copied between host and device.
//!
//! Both implementations compute the same, except for the rounding of sums. So codes differ only where two codewords
//! have almost the same cost. On one device and with one libtorch, equal input gives equal bits.

mod blocks;
mod device_points;
mod host_points;
mod members;
mod search;
#[cfg(test)]
pub(super) mod tests;

use ndarray::{Array1, Array2, CowArray, Ix2};

pub(super) use device_points::DevicePoints;

use super::halving::Halves;
use crate::error::Result;
use crate::tokenizer::{PreviousCodes, Quantizer};

/// Points `(n, dim)`, at least one.
pub(super) trait LatentPoints: Sized {
    /// Codes of the points `(n, levels)`, in the memory of the points.
    type Codes: PartialEq;

    /// The number of points.
    fn count(&self) -> usize;

    /// The number of dimensions.
    fn dim(&self) -> usize;

    /// A copy.
    fn duplicate(&self) -> Self;

    /// A copy of some points.
    fn select(&self, rows: &[usize]) -> Self;

    /// The first `count` points.
    fn truncated(self, count: usize) -> Self;

    /// Some points, in host memory.
    fn rows(&self, rows: &[usize]) -> Result<Array2<f32>>;

    /// All points, in host memory.
    fn on_host(&self) -> Result<CowArray<'_, f32, Ix2>>;

    /// The squared length of each point.
    fn squared_lengths(&self) -> Result<Array1<f32>>;

    /// The sum of squares in each dimension.
    fn column_squares(&self) -> Result<Array1<f64>>;

    /// The inner product of each point with one of them.
    fn products(&self, row: usize) -> Result<Array1<f32>>;

    /// The mean of some points.
    fn mean(&self, rows: &[usize]) -> Result<Array1<f32>>;

    /// Splits some points at the median along the direction of their largest variance.
    fn halves(&self, rows: &[usize]) -> Result<Halves>;

    /// Copies codes to the memory of the points.
    fn place(&self, codes: Array2<u16>) -> Self::Codes;

    /// The codes, in host memory.
    fn codes_on_host(codes: &Self::Codes) -> Result<CowArray<'_, u16, Ix2>>;

    /// As [`Quantizer::encode`].
    fn encode(&self, quantizer: &Quantizer) -> Self::Codes;

    /// As [`Quantizer::encode_keeping`].
    fn encode_keeping(&self, quantizer: &Quantizer, previous: &PreviousCodes, prices: &[f32]) -> Self::Codes;

    /// Subtracts the codewords of one level from the points.
    fn subtract(&mut self, codes: &Self::Codes, level: usize, book: &Array2<f32>);

    /// The squared distance of each point from the sum of its codewords.
    fn errors(&self, quantizer: &Quantizer) -> Result<Vec<f32>>;

    /// The mean squared residual before each level.
    fn residual_spread(&self, codes: &Self::Codes, books: &[Array2<f32>]) -> Result<Vec<f32>>;

    /// Joint ridge regression of the points on their codes, as [`fit`](super::regression::fit) describes it.
    fn fit(&self, codes: &Self::Codes, books: &mut [Array2<f32>], ridges: &[Array1<f32>], sweeps: usize)
    -> Result<f32>;

    /// Moves each used codeword of a codebook to the mean of its points. `codes` have one level.
    fn move_to_means(&self, codes: &Self::Codes, book: &mut Array2<f32>) -> Result<()>;

    /// The codebook after at most `steps` Lloyd steps from `start`, which count each codeword as one of its points.
    ///
    /// # Errors
    /// [`crate::Error::Data`] for points that are not finite.
    fn first_steps(&self, start: Array2<f32>, steps: u64) -> Result<Array2<f32>>;
}
