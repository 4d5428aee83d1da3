//! Balance: offsets on the distances to the codewords that equalise how often codes are used.

use ndarray::{Array1, ArrayView2, Zip};

use super::regression::counts;
use crate::tokenizer::Offsets;

/// Added to the count of every code, as a fraction of the mean count, so that the offset of an unused code stays bounded.
const FLOOR: f32 = 0.2;
/// Deviations from the mean count below this (as a logarithm) are left alone, because moving items increases the error.
const TOLERANCE: f32 = 0.4;
/// A decrease of the entropy, in nats, above what the movement of the codewords alone causes.
const LOSS: f32 = 0.05;

/// Changes offsets step by step until codes are used about equally often.
#[derive(Debug)]
pub(super) struct Balance {
    /// Step size of each level.
    strengths: Vec<f32>,
    /// Highest entropy of the counts of each level so far.
    entropies: Vec<f32>,
}

impl Balance {
    pub(super) fn new(strength: f32, levels: usize) -> Self {
        Balance { strengths: vec![strength; levels], entropies: vec![0.0; levels] }
    }

    /// Raises the offsets of overused codes and lowers those of underused codes, by `strength * spread` times the logarithm
    /// of their count relative to the mean.
    ///
    /// Where many points are equally far from several codewords, a small change of an offset moves all of them at once, and
    /// use becomes less even. A level whose entropy decreased goes halfway back to zero and continues with half the step.
    pub(super) fn step(&mut self, codes: ArrayView2<u16>, spread: &[f32], offsets: &mut Offsets) {
        for (level, (offsets, column)) in offsets.codes.iter_mut().zip(codes.columns()).enumerate() {
            let even = column.len() as f32 / offsets.len() as f32;
            let used = counts(column, offsets.len());
            let entropy = entropy(&used);
            if entropy < self.entropies[level] - LOSS {
                *offsets *= 0.5;
                self.strengths[level] *= 0.5;
                continue;
            }
            self.entropies[level] = self.entropies[level].max(entropy);
            let strength = self.strengths[level] * spread[level];
            Zip::from(&mut *offsets).and(&used).for_each(|offset, &used| {
                let uneven = (used / even + FLOOR).ln();
                *offset += strength * (uneven - uneven.clamp(-TOLERANCE, TOLERANCE));
            });
            let mean = offsets.mean().unwrap_or(0.0);
            *offsets -= mean;
        }
    }
}

/// Entropy of a distribution that is given by counts, in nats.
fn entropy(counts: &Array1<f32>) -> f32 {
    let total = counts.sum();
    counts.iter().filter(|&&count| count > 0.0).map(|count| -count / total * (count / total).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn offsets_after(columns: &[&[u16]]) -> (Balance, Array1<f32>) {
        let (mut balance, mut offsets) = (Balance::new(0.1, 1), Offsets::zero([3]));
        for column in columns {
            let codes = Array2::from_shape_fn((column.len(), 1), |(i, _)| column[i]);
            balance.step(codes.view(), &[1.0], &mut offsets);
        }
        (balance, offsets.codes[0].clone())
    }

    #[test]
    fn overused_codes_get_higher_offsets_than_underused_ones() {
        let (_, offsets) = offsets_after(&[&[0, 0, 0, 0, 0, 1, 1, 1, 2]]);
        assert!(offsets[0] > offsets[1] && offsets[1] > offsets[2], "{offsets}");
        let (_, even) = offsets_after(&[&[0, 0, 0, 1, 1, 1, 2, 2, 2]]);
        assert_eq!(even, ndarray::array![0.0, 0.0, 0.0]);
    }

    #[test]
    fn a_step_that_made_usage_less_even_is_half_reverted() {
        let (first, second) = (&[0u16, 0, 0, 0, 1, 2][..], &[0u16, 1, 1, 1, 1, 1][..]);
        let (_, before) = offsets_after(&[first]);
        let (balance, after) = offsets_after(&[first, second]);
        assert_eq!(after, before * 0.5);
        assert_eq!(balance.strengths, [0.05]);
    }
}
