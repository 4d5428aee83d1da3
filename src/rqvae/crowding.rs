//! Splitting of overfull codes.
//!
//! In many dimensions clusters are about equally far apart. Then k-means may end with one cluster per code for most codes
//! and all other clusters under a single code: the sum of squares is the same as for an even assignment. For IDs it is not
//! the same, as most items would start with that code. An overfull code is therefore split into equal pieces along the
//! directions of largest variance, and the codewords of the emptiest codes move to the pieces. At the first level codes are
//! split until use is about even. This hardly increases the error, leaves less for the offsets to balance, and makes
//! prefixes more informative.

use ndarray::{Array2, ArrayView2};

use super::points::LatentPoints;
use super::regression::members;
use crate::error::Result;

/// When a code is overfull. Limits are multiples of the mean number of points per code.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crowding {
    /// Codes with more points are split.
    crowded: f32,
    /// Maximum number of points of a piece.
    piece: f32,
    /// Codes with fewer points give their codeword to a piece.
    spare: f32,
}

impl Crowding {
    /// About even use, for the first level: a first code that many items share says little about them.
    pub(super) const EVEN: Crowding = Crowding { crowded: 1.8, piece: 1.8, spare: 0.35 };
    /// Extreme cases only. Ordinary catalogs stay below these limits.
    pub(super) const FAR: Crowding = Crowding { crowded: 40.0, piece: 2.0, spare: 1.0 };
}

/// Splits the overfull codes of `codes (n, 1)`, with the codewords of the emptiest codes. Returns whether any was split.
pub(super) fn split<P: LatentPoints>(
    points: &P,
    codes: ArrayView2<u16>,
    book: &mut Array2<f32>,
    limits: Crowding,
) -> Result<bool> {
    let even = points.count() as f32 / book.nrows() as f32;
    let members = members(codes.column(0), book.nrows());
    let mut order: Vec<usize> = (0..book.nrows()).collect();
    order.sort_by_key(|&code| members[code].len());
    let mut spare = order.iter().copied().filter(|&code| (members[code].len() as f32) < limits.spare * even);
    let mut any = false;
    for &code in order.iter().rev().take_while(|&&code| members[code].len() as f32 > limits.crowded * even) {
        let mut pieces = vec![(code, members[code].clone())];
        while let Some(at) = largest(&pieces)
            && pieces[at].1.len() as f32 > limits.piece * even
            && let Some(free) = spare.next()
        {
            let (one, other) = points.halves(&pieces[at].1)?;
            pieces[at].1 = one;
            pieces.push((free, other));
            any = true;
        }
        for (code, rows) in pieces {
            book.row_mut(code).assign(&points.mean(&rows)?);
        }
    }
    Ok(any)
}

fn largest(pieces: &[(usize, Vec<usize>)]) -> Option<usize> {
    (0..pieces.len()).rev().max_by_key(|&at| pieces[at].1.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Axis;

    #[test]
    fn an_overfull_code_gets_the_codewords_of_the_emptiest_codes() {
        // 60 points on a line have the first code, one point each of the others.
        let points = Array2::from_shape_fn((63, 2), |(i, d)| if d == 0 { i as f32 } else { 0.0 });
        let codes = Array2::from_shape_fn((63, 1), |(i, _)| i.saturating_sub(59) as u16);
        let mut book = ndarray::array![[29.5f32, 0.0], [60.0, 0.0], [61.0, 0.0], [62.0, 0.0]];
        // The mean is 15.75, and 60 is not 40 times as many.
        assert!(!split(&points, codes.view(), &mut book, Crowding::FAR).unwrap());
        let mut book = ndarray::concatenate![Axis(0), book, Array2::from_elem((96, 2), 1e3f32)];
        assert!(split(&points, codes.view(), &mut book, Crowding::FAR).unwrap());
        let used: std::collections::BTreeSet<usize> = (0..60)
            .map(|at| {
                let distance = |code: usize| (&book.row(code) - &points.row(at)).mapv(|v| v * v).sum();
                (0..book.nrows()).min_by(|&a, &b| f32::total_cmp(&distance(a), &distance(b))).unwrap()
            })
            .collect();
        assert!(used.len() >= 15, "{used:?}");
    }

    #[test]
    fn the_first_level_is_split_more_than_the_others() {
        // 12 points have the first of four codes, 4 the second, none the others.
        let points = Array2::from_shape_fn((16, 1), |(i, _)| i as f32);
        let codes = Array2::from_shape_fn((16, 1), |(i, _)| u16::from(i >= 12));
        let book = ndarray::array![[5.5f32], [13.5], [90.0], [91.0]];
        let (mut far, mut even) = (book.clone(), book.clone());
        assert!(!split(&points, codes.view(), &mut far, Crowding::FAR).unwrap());
        assert!(split(&points, codes.view(), &mut even, Crowding::EVEN).unwrap());
        assert_eq!(even, ndarray::array![[2.5f32], [13.5], [8.5], [91.0]]);
    }
}
