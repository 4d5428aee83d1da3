//! Codewords for codes that are too full.
//!
//! Where clusters lie equally far apart, as in many dimensions they do, k-means is as content with one cluster for each
//! of most codes and all others under one as with an even share for each: the sum of squares is the same. IDs are not:
//! most items would begin with one code. Such a code is cut into even pieces along the directions in which its points
//! differ most, and the codewords of the emptiest codes are placed there. At the first level that is done until use is
//! about even, which costs no error worth the name: offsets have less to even out after, and a prefix says more.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::regression::members;

/// What is too full, in even shares.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crowding {
    /// A code with more is cut.
    crowded: f32,
    /// What a piece may hold.
    piece: f32,
    /// A code with less gives its codeword away.
    spare: f32,
}

impl Crowding {
    /// About even use, for the first level: a code that many items begin with tells little of each.
    pub(super) const EVEN: Crowding = Crowding { crowded: 1.8, piece: 1.8, spare: 0.35 };
    /// Only what is far too much. Catalogs stay below it by themselves.
    pub(super) const FAR: Crowding = Crowding { crowded: 40.0, piece: 2.0, spare: 1.0 };
}

/// Steps of the power iteration: the direction need not be exact.
const POWER_STEPS: usize = 4;

/// Places codewords of the emptiest codes in those that `codes (n, 1)` crowd. Returns whether there was any.
pub(super) fn split(points: ArrayView2<f32>, codes: &Array2<u16>, book: &mut Array2<f32>, limits: Crowding) -> bool {
    let even = points.nrows() as f32 / book.nrows() as f32;
    let members = members(codes.column(0), book.nrows());
    let mut order: Vec<usize> = (0..book.nrows()).collect();
    order.sort_by_key(|&code| members[code].len());
    // The others keep theirs.
    let mut spare = order.iter().copied().filter(|&code| (members[code].len() as f32) < limits.spare * even);
    let mut any = false;
    for &code in order.iter().rev().take_while(|&&code| members[code].len() as f32 > limits.crowded * even) {
        let mut pieces = vec![(code, members[code].clone())];
        while let Some(at) = largest(&pieces)
            && pieces[at].1.len() as f32 > limits.piece * even
            && let Some(free) = spare.next()
        {
            let (one, other) = halves(points, &pieces[at].1);
            pieces[at].1 = one;
            pieces.push((free, other));
            any = true;
        }
        for (code, rows) in pieces {
            book.row_mut(code).assign(&mean(points, &rows));
        }
    }
    any
}

fn largest(pieces: &[(usize, Vec<usize>)]) -> Option<usize> {
    (0..pieces.len()).rev().max_by_key(|&at| pieces[at].1.len())
}

fn mean(points: ArrayView2<f32>, rows: &[usize]) -> Array1<f32> {
    let mut sum = Array1::<f32>::zeros(points.ncols());
    rows.iter().for_each(|&row| sum += &points.row(row));
    sum / rows.len().max(1) as f32
}

/// The rows below and above the median along the direction of their largest variance, by power iteration.
fn halves(points: ArrayView2<f32>, rows: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let centred = points.select(Axis(0), rows) - &mean(points, rows);
    let furthest = centred.rows().into_iter().max_by(|a, b| a.dot(a).total_cmp(&b.dot(b)));
    let mut direction = furthest.map_or_else(|| Array1::zeros(points.ncols()), |row| row.to_owned());
    for _ in 0..POWER_STEPS {
        direction = centred.t().dot(&centred.dot(&direction));
        let length = direction.dot(&direction).sqrt().max(f32::MIN_POSITIVE);
        direction /= length;
    }
    let along = centred.dot(&direction);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|&a, &b| along[a].total_cmp(&along[b]));
    let (below, above) = order.split_at(rows.len() / 2);
    let pick = |half: &[usize]| half.iter().map(|&at| rows[at]).collect();
    (pick(below), pick(above))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowded_code_is_cut_and_the_emptiest_give_way() {
        // 60 points on a line under the first code; the others have one each.
        let points = Array2::from_shape_fn((63, 2), |(i, d)| if d == 0 { i as f32 } else { 0.0 });
        let codes = Array2::from_shape_fn((63, 1), |(i, _)| i.saturating_sub(59) as u16);
        let mut book = ndarray::array![[29.5f32, 0.0], [60.0, 0.0], [61.0, 0.0], [62.0, 0.0]];
        // An even share is under 16, of which 60 is not 40 times as many.
        assert!(!split(points.view(), &codes, &mut book, Crowding::FAR));
        let mut book = ndarray::concatenate![Axis(0), book, Array2::from_elem((96, 2), 1e3f32)];
        assert!(split(points.view(), &codes, &mut book, Crowding::FAR));
        let used: std::collections::BTreeSet<usize> = (0..60)
            .map(|at| {
                let distance = |code: usize| (&book.row(code) - &points.row(at)).mapv(|v| v * v).sum();
                (0..book.nrows()).min_by(|&a, &b| f32::total_cmp(&distance(a), &distance(b))).unwrap()
            })
            .collect();
        assert!(used.len() >= 15, "{used:?}");
    }

    #[test]
    fn even_use_asks_for_more_than_not_too_uneven() {
        // 12 points under the first of four codes, 4 under the second, none under the others.
        let points = Array2::from_shape_fn((16, 1), |(i, _)| i as f32);
        let codes = Array2::from_shape_fn((16, 1), |(i, _)| u16::from(i >= 12));
        let book = ndarray::array![[5.5f32], [13.5], [90.0], [91.0]];
        let (mut far, mut even) = (book.clone(), book.clone());
        assert!(!split(points.view(), &codes, &mut far, Crowding::FAR));
        assert!(split(points.view(), &codes, &mut even, Crowding::EVEN));
        assert_eq!(even, ndarray::array![[2.5f32], [13.5], [8.5], [91.0]]);
    }
}
