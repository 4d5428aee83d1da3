//! The search for codes on a device: as [`Quantizer::encode`], in blocks of rows.

use tch::{Device, Kind, Tensor};

use super::blocks::blocks;
use crate::rqvae::tensors::{tensor, tensor_of_vector};
use crate::tokenizer::{PreviousCodes, Quantizer};

/// A quantizer on a device, prepared for the search.
pub(super) struct Search {
    levels: Vec<SearchLevel>,
}

/// One level of a [`Search`]. The best code has the highest `rest . codeword - (|codeword|^2 + offset) / 2`.
struct SearchLevel {
    /// `(size, dim)`.
    book: Tensor,
    /// The negative second term of each code, `(size,)`.
    minus_halves: Tensor,
    /// Half of the additional offsets by the code of level 0, `(size of level 0, size)`.
    tables: Vec<Tensor>,
}

/// Previous codes on a device, and half of the price of changing them, per level.
pub(super) struct DeviceKeeping {
    /// `(levels, n)`.
    codes: Tensor,
    /// `(n,)`.
    known: Tensor,
    half_prices: Vec<f64>,
}

impl DeviceKeeping {
    pub(super) fn new(previous: &PreviousCodes, prices: &[f32], device: Device) -> Self {
        DeviceKeeping {
            codes: codes_tensor(&previous.codes, device),
            known: Tensor::from_slice(&previous.known).to_device(device),
            half_prices: prices.iter().map(|&price| 0.5 * f64::from(price)).collect(),
        }
    }

    fn block(&self, from: i64, length: i64) -> Self {
        DeviceKeeping {
            codes: self.codes.narrow(1, from, length),
            known: self.known.narrow(0, from, length),
            half_prices: self.half_prices.clone(),
        }
    }
}

/// Codes `(n, levels)` as a tensor `(levels, n)`.
pub(super) fn codes_tensor(codes: &ndarray::Array2<u16>, device: Device) -> Tensor {
    let values: Vec<i32> = codes.t().iter().map(|&code| i32::from(code)).collect();
    let shape = [codes.ncols() as i64, codes.nrows() as i64];
    Tensor::from_slice(&values).view(shape).to_device(device).to_kind(Kind::Int64)
}

impl Search {
    pub(super) fn new(quantizer: &Quantizer, device: Device) -> Self {
        let (books, offsets) = (quantizer.codebooks(), quantizer.offsets());
        let level = |(level, (book, of_codes)): (usize, (&ndarray::Array2<f32>, &ndarray::Array1<f32>))| {
            let book = tensor(book).to_device(device);
            let lengths = book.square().sum_dim_intlist(1, false, Kind::Float);
            let pairs = offsets.pairs.as_ref().filter(|_| level == 1);
            let last = offsets.last.as_ref().filter(|_| level > 0 && level + 1 == books.len());
            SearchLevel {
                minus_halves: (lengths + tensor_of_vector(of_codes).to_device(device)) * -0.5,
                tables: [pairs, last].into_iter().flatten().map(|t| tensor(t).to_device(device) * 0.5).collect(),
                book,
            }
        };
        Search { levels: books.iter().zip(&offsets.codes).enumerate().map(level).collect() }
    }

    /// The codes `(levels, n)` of `rows (n, dim)`.
    pub(super) fn codes(&self, rows: &Tensor, keeping: Option<&DeviceKeeping>) -> Tensor {
        let columns = self.levels.iter().map(|level| level.book.size()[0].max(level.book.size()[1]));
        let columns = columns.max().unwrap_or(1) as usize;
        let of_blocks: Vec<Tensor> = blocks(rows.size()[0] as usize, columns)
            .map(|(from, length)| {
                let keeping = keeping.map(|keeping| keeping.block(from, length));
                self.codes_of_block(rows.narrow(0, from, length), keeping.as_ref())
            })
            .collect();
        Tensor::cat(&of_blocks, 1)
    }

    fn codes_of_block(&self, mut rest: Tensor, keeping: Option<&DeviceKeeping>) -> Tensor {
        let mut codes: Vec<Tensor> = Vec::new();
        // Whether an item kept its previous codes at the levels before.
        let mut kept = keeping.map(|keeping| keeping.known.shallow_clone());
        for (at, level) in self.levels.iter().enumerate() {
            let mut scores = level.minus_halves.addmm(&rest, &level.book.tr());
            for table in &level.tables {
                let _ = scores.g_sub_(&table.index_select(0, &codes[0]));
            }
            if let (Some(keeping), Some(kept)) = (keeping, &kept) {
                let previous = keeping.codes.get(at as i64).unsqueeze(1);
                let bonus = Tensor::zeros_like(&kept.to_kind(Kind::Float)).masked_fill(kept, keeping.half_prices[at]);
                let raised = scores.gather(1, &previous, false) + bonus.unsqueeze(1);
                let _ = scores.scatter_(1, &previous, &raised);
            }
            // Of equally good codes the lowest: libtorch returns the first of several greatest numbers.
            let code = scores.argmax(1, false);
            if let (Some(keeping), Some(kept)) = (keeping, &mut kept) {
                *kept = kept.logical_and(&code.eq_tensor(&keeping.codes.get(at as i64)));
            }
            if at + 1 < self.levels.len() {
                // A new tensor: the first `rest` is a part of the points.
                let left = &rest - level.book.index_select(0, &code);
                rest = left;
            }
            codes.push(code);
        }
        Tensor::stack(&codes, 0)
    }
}
