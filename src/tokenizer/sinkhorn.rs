//! Balanced assignment by Sinkhorn iteration, which LC-Rec (arXiv 2311.09049) uses for the last codebook.
//!
//! Computed in the log domain: the published code multiplies `exp(-d / epsilon)`, which overflows for an `epsilon` below
//! 0.0014.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, Zip};

/// The code of each row of `distances (n, size)`: the largest entry of the row in the transport plan with marginals
/// `1 / n` per row and `1 / size` per code, after `iterations` Sinkhorn iterations; of equal entries the lowest code.
/// `epsilon` is the weight of the entropy term; distances are scaled to the range -1 to 1 first.
pub fn balanced(distances: ArrayView2<f32>, epsilon: f64, iterations: usize) -> Vec<usize> {
    let (rows, columns) = distances.dim();
    let least = distances.iter().copied().fold(f32::INFINITY, f32::min);
    let most = distances.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let middle = f64::from(most + least) / 2.0;
    let amplitude = f64::from(most) - middle + 1e-5;
    let scores = distances.mapv(|d| -((f64::from(d) - middle) / amplitude) / epsilon);
    let across = scores.t().as_standard_layout().into_owned();
    let (mut by_row, mut by_column) = (Array1::<f64>::zeros(rows), Array1::<f64>::zeros(columns));
    for _ in 0..iterations {
        scale(&scores, by_column.view(), &mut by_row);
        scale(&across, by_row.view(), &mut by_column);
    }
    let best = |row: ArrayView1<f64>| {
        let shares = row.iter().zip(&by_column).map(|(score, column)| score + column).enumerate();
        shares.fold((0, f64::NEG_INFINITY), |best, (code, share)| if share > best.1 { (code, share) } else { best }).0
    };
    scores.rows().into_iter().map(best).collect()
}

/// Computes the logarithmic factor of each row of `scores` that makes the sum of its exponentials `1 / rows`.
fn scale(scores: &Array2<f64>, others: ArrayView1<f64>, factors: &mut Array1<f64>) {
    let share = (scores.nrows() as f64).ln();
    Zip::from(factors).and(scores.axis_iter(Axis(0))).par_for_each(|factor, row| {
        let greatest = row.iter().zip(others).map(|(a, b)| a + b).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = row.iter().zip(others).map(|(a, b)| (a + b - greatest).exp()).sum();
        *factor = -greatest - sum.ln() - share;
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn rows_with_the_same_nearest_code_are_spread_over_all_codes() {
        // Code 0 is nearest to all; the row with the smallest extra distance gets code 1.
        let distances = array![[0.0, 9.0, 9.5], [0.0, 2.0, 8.0], [0.0, 7.0, 3.0]];
        for epsilon in [0.1, 0.003, 1e-5] {
            assert_eq!(balanced(distances.view(), epsilon, 50), [0, 1, 2], "{epsilon}");
        }
        // Entropy dominates: the plan is flat, and distances decide between near ties.
        assert_eq!(balanced(array![[0.0, 1.0], [1.0, 0.0]].view(), 1e3, 50), [0, 1]);
    }

    #[test]
    fn the_plan_equals_that_of_the_published_iteration() {
        let distances = Array2::from_shape_fn((12, 4), |(i, j)| ((i * 7 + j * 5) % 11) as f32 + 0.1 * i as f32);
        let (least, most) = distances.iter().fold((f32::MAX, f32::MIN), |(a, b), &d| (a.min(d), b.max(d)));
        let (middle, epsilon) = ((most + least) / 2.0, 0.05);
        let mut plan = distances.mapv(|d| (-f64::from((d - middle) / (most - middle + 1e-5)) / epsilon).exp());
        for _ in 0..50 {
            let rows = plan.sum_axis(Axis(1)).insert_axis(Axis(1));
            plan /= &(rows * 12.0);
            let columns = plan.sum_axis(Axis(0));
            plan /= &(columns * 4.0);
        }
        let best = |row: ArrayView1<f64>| (0..4).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
        let expected: Vec<usize> = plan.rows().into_iter().map(best).collect();
        assert_eq!(balanced(distances.view(), epsilon, 50), expected);
    }
}
