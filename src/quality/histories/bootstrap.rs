//! The paired bootstrap over users.

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;
use rayon::prelude::*;
use serde::Serialize;

use super::entropy::mean;

/// Maximum number of units that are resampled. More users are resampled in groups.
const MAX_UNITS: usize = 20_000;

/// A figure of two sets of IDs on the same users.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairedFigure {
    /// Name of the figure.
    pub name: &'static str,
    /// Whether larger values are better.
    pub larger_is_better: bool,
    /// Its mean with A.
    pub a: f64,
    /// Its mean with B.
    pub b: f64,
    /// `a - b`.
    pub difference: f64,
    /// The 95% interval of the difference: its 2.5% and 97.5% quantiles over resamples of the users.
    pub interval: [f64; 2],
    /// Share of the resamples in which A is better; a resample without a difference counts half.
    pub probability_a_better: f64,
}

impl PairedFigure {
    /// From one value per user with A, and one with B.
    pub(super) fn of_users(
        name: &'static str,
        larger_is_better: bool,
        [a, b]: [&[f64]; 2],
        resamples: usize,
        seed: u64,
    ) -> Self {
        let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        let mut means = resampled_means(&differences, resamples, seed);
        let sign = if larger_is_better { 1.0 } else { -1.0 };
        let better = means.iter().map(|&mean| {
            let gain = sign * mean;
            if gain > 0.0 {
                1.0
            } else if gain == 0.0 {
                0.5
            } else {
                0.0
            }
        });
        let probability_a_better = mean(better);
        means.sort_unstable_by(f64::total_cmp);
        let quantile = |share: f64| means[((means.len() - 1) as f64 * share).round() as usize];
        let (a, b) = (mean(a.iter().copied()), mean(b.iter().copied()));
        let interval = [quantile(0.025), quantile(0.975)];
        let difference = mean(differences.iter().copied());
        PairedFigure { name, larger_is_better, a, b, difference, interval, probability_a_better }
    }

    /// Whether the interval does not include 0.
    pub fn is_clear(&self) -> bool {
        self.interval[0] > 0.0 || self.interval[1] < 0.0
    }

    /// Whether A has the better mean.
    pub fn favours_a(&self) -> bool {
        (self.difference > 0.0) == self.larger_is_better
    }
}

/// Means over resamples. Each resample has its own seed, so the result does not depend on the number of threads.
fn resampled_means(differences: &[f64], resamples: usize, seed: u64) -> Vec<f64> {
    let size = differences.len().div_ceil(MAX_UNITS).max(1);
    let groups: Vec<(f64, f64)> =
        differences.chunks(size).map(|group| (group.iter().sum(), group.len() as f64)).collect();
    (0..resamples.max(1) as u64)
        .into_par_iter()
        .map(|number| {
            let mut rng = Xoshiro256Plus::seed_from_u64(seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            let (mut sum, mut users) = (0.0, 0.0);
            for _ in 0..groups.len() {
                let (value, size) = groups[rng.gen_range(0..groups.len())];
                sum += value;
                users += size;
            }
            if users > 0.0 { sum / users } else { 0.0 }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(larger: bool, a: &[f64], b: &[f64]) -> PairedFigure {
        PairedFigure::of_users("x", larger, [a, b], 1_000, 7)
    }

    #[test]
    fn constant_and_absent_differences() {
        let up = figure(true, &[1.0, 3.0, 0.5], &[0.5, 2.5, 0.0]);
        assert_eq!((up.a, up.difference, up.interval, up.probability_a_better), (1.5, 0.5, [0.5; 2], 1.0));
        assert!(up.is_clear() && up.favours_a());
        let down = figure(false, &[1.0, 3.0, 0.5], &[0.5, 2.5, 0.0]);
        assert_eq!((down.probability_a_better, down.favours_a()), (0.0, false));
        let same = figure(true, &[1.0, 2.0], &[1.0, 2.0]);
        assert_eq!((same.interval, same.probability_a_better, same.is_clear()), ([0.0; 2], 0.5, false));
    }

    #[test]
    fn the_interval_is_that_of_the_normal_approximation() {
        // Half of the users have a difference of 1, the others none: standard error 0.5 / sqrt(n).
        for n in [400, 100_000] {
            let mut rng = Xoshiro256Plus::seed_from_u64(3);
            let a: Vec<f64> = (0..n).map(|_| f64::from(rng.gen_bool(0.5))).collect();
            let found = figure(true, &a, &vec![0.0; n]);
            let half = 1.96 * 0.5 / (n as f64).sqrt();
            let spread = (found.interval[1] - found.interval[0]) / (2.0 * half);
            assert!((0.85..1.15).contains(&spread) && (found.difference - 0.5).abs() < 0.1, "{n}: {found:?}");
        }
    }

    #[test]
    fn the_seed_alone_decides_the_resamples() {
        let a: Vec<f64> = (0..50).map(|user| f64::from(user % 7)).collect();
        let run = |seed| PairedFigure::of_users("x", true, [&a, &vec![3.0; 50]], 200, seed);
        assert_eq!(run(1), run(1));
        assert_ne!(run(1).interval, run(2).interval);
    }
}
