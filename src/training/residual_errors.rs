//! The residual errors of a model on items it was not fitted to: a reference for the errors of new items.

use serde::{Deserialize, Serialize};

/// Number of percentiles, from 0 % to 100 %.
const PERCENTILES: usize = 101;

/// The distribution of residual errors of a model: squared distances between latents and the sums of the codewords that
/// the quantizer chooses, before collisions are resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResidualErrors {
    /// Number of measured items.
    pub items: usize,
    /// Whether these items were held out of training. The errors of training items are too small to be a reference for
    /// new items.
    pub held_out: bool,
    /// The percentiles 0 to 100 of the errors, ascending. Each is the error of one item (nearest rank).
    pub percentiles: Vec<f64>,
}

impl ResidualErrors {
    /// The distribution of these errors. `None` if there are none, or if one is not finite because training diverged.
    pub fn of(mut errors: Vec<f32>, held_out: bool) -> Option<Self> {
        let items = errors.len();
        if errors.iter().any(|error| !error.is_finite()) {
            return None;
        }
        errors.sort_unstable_by(f32::total_cmp);
        let percentile = |percent: usize| errors.get(rank(percent, items)?).map(|&error| f64::from(error));
        let percentiles = (0..PERCENTILES).map(percentile).collect::<Option<_>>()?;
        Some(ResidualErrors { items, held_out, percentiles })
    }

    /// A percentile of the errors; `None` if the record is damaged.
    pub fn percentile(&self, percent: usize) -> Option<f32> {
        self.percentiles.get(percent).map(|&error| error as f32).filter(|_| self.percentiles.len() == PERCENTILES)
    }

    /// Number of measured items from this percentile on, by rank.
    pub fn items_from(&self, percent: usize) -> usize {
        rank(percent, self.items).map_or(0, |rank| self.items - rank)
    }

    /// The share of the measured items that have a smaller error, interpolated linearly between percentiles.
    pub fn share_below(&self, error: f32) -> f64 {
        let error = f64::from(error);
        let above = self.percentiles.partition_point(|&percentile| percentile < error);
        let Some((&low, &high)) =
            above.checked_sub(1).and_then(|at| self.percentiles.get(at)).zip(self.percentiles.get(above))
        else {
            return if above == 0 { 0.0 } else { 1.0 };
        };
        let within = if high > low { (error - low) / (high - low) } else { 0.0 };
        (above as f64 - 1.0 + within) / (PERCENTILES - 1) as f64
    }
}

/// The index of a percentile among the sorted errors (nearest rank).
fn rank(percent: usize, items: usize) -> Option<usize> {
    let last = items.checked_sub(1)?;
    Some((percent * items).div_ceil(100).saturating_sub(1).min(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_errors_of_items() {
        let errors = ResidualErrors::of((0..200).rev().map(|i| i as f32).collect(), true).unwrap();
        let at = |percent| errors.percentile(percent).unwrap();
        assert_eq!((at(0), at(1), at(50), at(99), at(100)), (0.0, 1.0, 99.0, 197.0, 199.0));
        assert_eq!((errors.items_from(99), errors.items_from(100), errors.items_from(0)), (3, 1, 200));
        assert_eq!(ResidualErrors::of(vec![], true), None);
        assert_eq!(ResidualErrors::of(vec![1.0, f32::NAN], true), None);
        let one = ResidualErrors::of(vec![2.5], false).unwrap();
        assert_eq!((one.percentile(0), one.percentile(99), one.items_from(99)), (Some(2.5), Some(2.5), 1));
    }

    #[test]
    fn shares_are_interpolated_between_percentiles() {
        let errors = ResidualErrors::of((0..=1000).map(|i| i as f32).collect(), true).unwrap();
        for (error, share) in [(-1.0, 0.0), (0.0, 0.0), (500.0, 0.5), (505.0, 0.505), (1000.0, 1.0), (2000.0, 1.0)] {
            let found = errors.share_below(error);
            assert!((found - share).abs() < 2e-3, "{error}: {found}");
        }
    }
}
