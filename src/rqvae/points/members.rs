//! Sums of rows by code on a device, in an order that is always the same.
//!
//! libtorch's `index_add` and `scatter_add` add with atomic operations on a GPU, in an order that differs between runs.
//! Here rows are sorted by code instead, and each piece of a code's rows is added up one after the other.

use tch::{Kind, Tensor};

/// Rows that are added one after the other in single precision. The sums of these pieces are added in double precision.
const PIECE: i64 = 256;

/// The rows of each code.
pub(super) struct CodeMembers {
    /// The rows, sorted by code, and ascending within a code.
    order: Tensor,
    /// Where each piece starts in `order`. No piece crosses the border of a code.
    pieces: Tensor,
    /// The first piece of each code.
    first_pieces: Tensor,
    /// The number of rows of each code `(size, 1)`, in double precision.
    pub(super) counts: Tensor,
}

impl CodeMembers {
    /// The rows of `codes (n,)`, which are below `size`.
    pub(super) fn new(codes: &Tensor, size: usize) -> Self {
        let (n, device) = (codes.size()[0], codes.device());
        let (sorted, order) = codes.sort_stable(true, 0, false);
        let every = Tensor::arange(size as i64, (Kind::Int64, device));
        let edge = |right: bool| every.searchsorted(&sorted, false, right, if right { "right" } else { "left" }, NONE);
        let (starts, ends) = (edge(false), edge(true));
        let even = Tensor::arange_start_step(0, n, PIECE, (Kind::Int64, device));
        let (pieces, _) = Tensor::cat(&[&starts, &even], 0).sort(0, false);
        let first_pieces = starts.searchsorted(&pieces, false, false, "left", NONE);
        CodeMembers { order, pieces, first_pieces, counts: (ends - starts).to_kind(Kind::Double).unsqueeze(1) }
    }

    /// The sum of the rows of each code `(size, dim)`, in double precision.
    pub(super) fn sums(&self, rows: &Tensor) -> Tensor {
        let of_pieces = bag(rows, &self.order, &self.pieces).to_kind(Kind::Double);
        let every = Tensor::arange(of_pieces.size()[0], (Kind::Int64, rows.device()));
        bag(&of_pieces, &every, &self.first_pieces)
    }
}

const NONE: Option<Tensor> = None;

/// The sum of `rows` from each start in `order` to the next start.
fn bag(rows: &Tensor, order: &Tensor, starts: &Tensor) -> Tensor {
    const SUM: i64 = 0;
    Tensor::embedding_bag(rows, order, starts, false, SUM, false, NONE, false).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rqvae::tensors::double_array;
    use ndarray::Array2;

    #[test]
    fn sums_and_counts_are_those_of_each_code_also_of_unused_codes_at_both_ends() {
        for (n, size) in [(1usize, 3usize), (5, 9), (1_000, 7), (700, 1)] {
            // The codes 0 and the last stay unused where there are more than two.
            let code = |row: usize| if size > 2 { 1 + (row * row * 7) % (size - 2) } else { row % size };
            let codes: Vec<i64> = (0..n).map(|row| code(row) as i64).collect();
            let values: Vec<f32> = (0..n * 2).map(|at| (at % 13) as f32 - 4.0).collect();
            let mut expected = Array2::<f64>::zeros((size, 3));
            for row in 0..n {
                for column in 0..2 {
                    expected[[code(row), column]] += f64::from(values[2 * row + column]);
                }
                expected[[code(row), 2]] += 1.0;
            }
            let members = CodeMembers::new(&Tensor::from_slice(&codes), size);
            let sums = members.sums(&Tensor::from_slice(&values).view([n as i64, 2]));
            assert_eq!(double_array(&Tensor::cat(&[&sums, &members.counts], 1)).unwrap(), expected, "{n} rows");
        }
    }
}
