//! From estimated products to the best code: bounds of the costs, candidates, and their products in `f32`.

use std::arch::x86_64::*;

use super::kernel::{LANES, RoundedRow, dot};

/// Maximum number of candidates whose products are computed in `f32`. Rows with more are undecided.
const MOST: usize = 48;

/// Factor on lengths that are computed in `f32`, above their rounding error.
const LONGER: f32 = 1.001;

/// What the costs of each code and the bounds of their errors follow from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bounds {
    /// The part of the cost that does not depend on the residual; infinite for padding.
    halves: Vec<f32>,
    /// The codeword is about its scale times its integers.
    scales: Vec<f32>,
    /// Lengths of the codewords.
    norms: Vec<f32>,
    /// Lengths of the differences between codewords and their rounded forms.
    errors: Vec<f32>,
    /// Rounding errors of the costs that do not depend on the residual.
    slacks: Vec<f32>,
}

impl Bounds {
    /// Codes that are never the best.
    pub(super) fn padding(codes: usize) -> Self {
        let zeros = || vec![0.0; codes];
        Bounds { halves: vec![f32::INFINITY; codes], scales: zeros(), norms: zeros(), errors: zeros(), slacks: zeros() }
    }

    pub(super) fn set(&mut self, code: usize, half: f32, scale: f32, [norm, error]: [f32; 2], rounding: f32) {
        self.halves[code] = half;
        self.scales[code] = scale;
        self.norms[code] = norm * LONGER;
        self.errors[code] = error * LONGER;
        self.slacks[code] = half.abs() * rounding;
    }
}

/// The search in one codebook, with its buffers.
pub(super) struct CandidateSearch<'a> {
    bounds: &'a Bounds,
    /// The codebook in `f32`, by row.
    codewords: &'a [f32],
    /// Maximum error of a product in `f32`, relative to the lengths of its vectors.
    product_error: f32,
    /// Relative rounding error of a sum of two or three numbers.
    rounding: f32,
    /// The lowest possible costs of all codes.
    lowest: Vec<f32>,
    /// The codes that can be the best, and the lowest and highest possible cost of each.
    candidates: Vec<(usize, f32, f32)>,
}

impl<'a> CandidateSearch<'a> {
    pub(super) fn new(bounds: &'a Bounds, codewords: &'a [f32], product_error: f32, rounding: f32) -> Self {
        let lowest = vec![0.0; bounds.halves.len()];
        CandidateSearch { bounds, codewords, product_error, rounding, lowest, candidates: Vec::with_capacity(MOST) }
    }

    /// The best code of a row. `products` are those of the integers of row and codewords, `tables` additional offsets of
    /// all codes. `None` if it cannot be decided.
    pub(super) fn best(
        &mut self,
        row: &[f32],
        products: &[i32],
        rounded: RoundedRow,
        tables: [Option<&[f32]>; 2],
    ) -> Option<u16> {
        let codes = self.codewords.len() / row.len();
        assert!(products.len() == self.lowest.len() && codes <= products.len());
        assert!(tables.into_iter().flatten().all(|table| table.len() == codes));
        // SAFETY: an `Int8Book` exists only if the processor has the instructions, and the lengths fit.
        let least = unsafe { self.estimate(products, rounded, tables, codes) };
        // SAFETY: as above.
        unsafe { self.choose_candidates(least) };
        match self.candidates[..] {
            [(code, ..)] => return Some(code as u16),
            [] => return None,
            _ if self.candidates.len() > MOST => return None,
            _ => {}
        }
        let row_error = rounded.norm * LONGER * self.product_error;
        for (code, lowest, highest) in &mut self.candidates {
            let product = dot(row, &self.codewords[*code * row.len()..(*code + 1) * row.len()]);
            let offset: f32 = tables.into_iter().flatten().map(|table| 0.5 * table[*code]).sum();
            let size: f32 = tables.into_iter().flatten().map(|table| 0.5 * table[*code].abs()).sum();
            let cost = self.bounds.halves[*code] - product + offset;
            let error = self.bounds.norms[*code] * row_error + self.bounds.slacks[*code] + size * self.rounding;
            (*lowest, *highest) = (cost - error, cost + error);
        }
        let least = self.candidates.iter().fold(f32::INFINITY, |least, candidate| least.min(candidate.2));
        let mut left = self.candidates.iter().filter(|candidate| candidate.1 <= least);
        match (left.next(), left.next()) {
            (Some(only), None) => Some(only.0 as u16),
            _ => None,
        }
    }

    /// Computes the lowest possible costs. Returns the smallest of the highest possible costs.
    #[target_feature(enable = "avx512f")]
    unsafe fn estimate(&mut self, products: &[i32], row: RoundedRow, tables: [Option<&[f32]>; 2], codes: usize) -> f32 {
        let scale = _mm512_set1_ps(row.scale);
        // |r . c - r' . c'| <= |r - r'| |c| + |r'| |c - c'|, where r' and c' are rounded.
        let by_norm = _mm512_set1_ps(LONGER * (row.error + row.norm * self.product_error));
        let by_error = _mm512_set1_ps(LONGER * (row.error + row.norm));
        let (half, rounding) = (_mm512_set1_ps(0.5), _mm512_set1_ps(self.rounding));
        let mut least = _mm512_set1_ps(f32::INFINITY);
        for from in (0..products.len()).step_by(LANES) {
            // SAFETY: the lengths of all arrays but the tables are that of `products`, a multiple of the lanes.
            let load = |numbers: &[f32]| unsafe { _mm512_loadu_ps(numbers.as_ptr().add(from)) };
            let product = unsafe { _mm512_cvtepi32_ps(_mm512_loadu_si512(products.as_ptr().add(from).cast())) };
            let scales = _mm512_mul_ps(load(&self.bounds.scales), scale);
            let mut cost = _mm512_fnmadd_ps(scales, product, load(&self.bounds.halves));
            let mut error = _mm512_fmadd_ps(load(&self.bounds.norms), by_norm, load(&self.bounds.slacks));
            error = _mm512_fmadd_ps(load(&self.bounds.errors), by_error, error);
            for table in tables.into_iter().flatten() {
                let lanes = if codes >= from + LANES { !0 } else { (1u32 << codes.saturating_sub(from)) as u16 - 1 };
                // SAFETY: the mask ends with the table.
                let offsets = unsafe { _mm512_maskz_loadu_ps(lanes, table.as_ptr().wrapping_add(from)) };
                let offsets = _mm512_mul_ps(offsets, half);
                cost = _mm512_add_ps(cost, offsets);
                error = _mm512_fmadd_ps(_mm512_abs_ps(offsets), rounding, error);
            }
            least = _mm512_min_ps(_mm512_add_ps(cost, error), least);
            // SAFETY: as for loading.
            unsafe { _mm512_storeu_ps(self.lowest.as_mut_ptr().add(from), _mm512_sub_ps(cost, error)) };
        }
        _mm512_reduce_min_ps(least)
    }

    /// Finds the codes whose lowest possible cost is at most `least`, one more than [`MOST`] at most.
    #[target_feature(enable = "avx512f")]
    unsafe fn choose_candidates(&mut self, least: f32) {
        self.candidates.clear();
        let least = _mm512_set1_ps(least);
        for (number, lowest) in self.lowest.chunks_exact(LANES).enumerate() {
            // SAFETY: the chunk has as many numbers as a register.
            let lowest = unsafe { _mm512_loadu_ps(lowest.as_ptr()) };
            let mut found = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(lowest, least);
            while found != 0 && self.candidates.len() <= MOST {
                self.candidates.push((number * LANES + found.trailing_zeros() as usize, 0.0, 0.0));
                found &= found - 1;
            }
        }
    }
}
