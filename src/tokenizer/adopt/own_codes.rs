//! Counts the items whose own codes are those that a model assigns.

use ndarray::{Array2, ArrayView2, Axis};

use crate::tokenizer::Quantizer;

/// Numbers of items whose own codes are the nearest, and of items to which the quantizer assigns their own codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnCodes {
    items: usize,
    nearest: Vec<usize>,
    given_back: Vec<usize>,
}

impl OwnCodes {
    /// Counts of no items, for a model of this many levels.
    pub fn new(levels: usize) -> Self {
        OwnCodes { items: 0, nearest: vec![0; levels], given_back: vec![0; levels] }
    }

    /// Number of items.
    pub fn items(&self) -> usize {
        self.items
    }

    /// Per level, the share of items whose own code has the lowest cost after their own codes of the levels before.
    pub fn nearest(&self) -> Vec<f64> {
        self.shares(&self.nearest)
    }

    /// Per depth, the share of items whose own prefix is the one that the quantizer assigns.
    pub fn given_back(&self) -> Vec<f64> {
        self.shares(&self.given_back)
    }

    fn shares(&self, counts: &[usize]) -> Vec<f64> {
        counts.iter().map(|&count| count as f64 / self.items.max(1) as f64).collect()
    }

    /// Adds items with their own `codes (n, levels)`. Returns the codes that the quantizer assigns to them.
    pub fn count(&mut self, quantizer: &Quantizer, latents: ArrayView2<f32>, codes: ArrayView2<u16>) -> Array2<u16> {
        self.items += latents.nrows();
        let found = quantizer.encode(latents);
        for (own, found) in codes.rows().into_iter().zip(found.rows()) {
            let same = own.iter().zip(found).take_while(|(own, found)| own == found).count();
            self.given_back[..same].iter_mut().for_each(|count| *count += 1);
        }
        let mut residual = latents.to_owned();
        for (level, book) in quantizer.codebooks().iter().enumerate() {
            let lengths = book.map_axis(Axis(1), |codeword| codeword.dot(&codeword));
            let products = residual.dot(&book.t());
            for (row, products) in products.rows().into_iter().enumerate() {
                let own = codes.row(row).to_vec();
                let costs = &lengths + &quantizer.offsets_after(&own[..level]) - &(&products * 2.0);
                let best = costs.iter().copied().fold(f32::INFINITY, f32::min);
                self.nearest[level] += usize::from(costs[usize::from(own[level])] <= best);
                let mut rest = residual.row_mut(row);
                rest -= &book.row(usize::from(own[level]));
            }
        }
        found
    }
}
