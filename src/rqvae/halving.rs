//! Splitting a set of points at the median along the direction of its largest variance.

use ndarray::{Array1, ArrayView2, Axis};

/// Two pieces of a set of points, as rows.
pub(super) type Halves = (Vec<usize>, Vec<usize>);

/// Steps of the power iteration. The direction need not be exact.
pub(super) const POWER_STEPS: usize = 4;

/// The mean of some rows.
pub(super) fn mean(points: ArrayView2<f32>, rows: &[usize]) -> Array1<f32> {
    let mut sum = Array1::<f32>::zeros(points.ncols());
    rows.iter().for_each(|&row| sum += &points.row(row));
    sum / rows.len().max(1) as f32
}

/// Splits rows at the median along the direction of largest variance, which is found by power iteration.
pub(super) fn halves(points: ArrayView2<f32>, rows: &[usize]) -> Halves {
    let centred = points.select(Axis(0), rows) - &mean(points, rows);
    let lengths = centred.map_axis(Axis(1), |row| row.dot(&row));
    let mut direction = centred.row(furthest(&lengths)).to_owned();
    for _ in 0..POWER_STEPS {
        direction = centred.t().dot(&centred.dot(&direction));
        let length = direction.dot(&direction).sqrt().max(f32::MIN_POSITIVE);
        direction /= length;
    }
    halves_along(rows, &centred.dot(&direction))
}

/// The last of the greatest lengths.
pub(super) fn furthest(lengths: &Array1<f32>) -> usize {
    (0..lengths.len()).max_by(|&a, &b| lengths[a].total_cmp(&lengths[b])).unwrap_or_default()
}

/// Splits rows at the median of their place `along` a direction.
pub(super) fn halves_along(rows: &[usize], along: &Array1<f32>) -> Halves {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|&a, &b| along[a].total_cmp(&along[b]));
    let (below, above) = order.split_at(rows.len() / 2);
    let pick = |half: &[usize]| half.iter().map(|&at| rows[at]).collect();
    (pick(below), pick(above))
}
