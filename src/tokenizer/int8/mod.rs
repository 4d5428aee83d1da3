//! Exact search of the best codeword by products of 8-bit integers.
//!
//! Most of the time of encoding is spent on the products of residuals and codewords. Processors with AVX-512 VNNI
//! multiply 8-bit integers four times as fast as `f32`. The search has three steps:
//!
//! 1. Residuals and codewords are rounded to 8 bits, each with a scale of its own. The integer products give an estimate
//!    of each codeword's cost. By the Cauchy-Schwarz inequality, the lengths of the rounding errors bound its error.
//! 2. Codewords whose lowest possible cost is at most the smallest of the highest possible costs are candidates. If there
//!    are several, their products are computed in `f32`, again with a bound on the rounding error.
//! 3. If several candidates remain, the row is undecided, and the caller computes its costs with
//!    [`multiply`](super::rows::multiply).
//!
//! The codes are therefore the same, bit for bit, as those of the products in `f32`.

#[cfg(target_arch = "x86_64")]
mod book;
#[cfg(target_arch = "x86_64")]
mod candidates;
#[cfg(target_arch = "x86_64")]
mod kernel;
#[cfg(test)]
mod tests;
#[cfg(not(target_arch = "x86_64"))]
mod unsupported;

#[cfg(target_arch = "x86_64")]
pub(super) use book::Int8Book;
#[cfg(not(target_arch = "x86_64"))]
pub(super) use unsupported::NoInt8Book as Int8Book;

/// Minimum number of rows. For fewer, reading the codewords once takes as long as the search.
pub(super) const FEWEST_ROWS: usize = 16;
