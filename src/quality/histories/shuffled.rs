//! What the meaning of IDs is worth: the same IDs, shuffled among the items, as a reference.

use ndarray::{Array2, ArrayView2, Axis};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256Plus;
use serde::Serialize;

use super::entropy::{entropy, mean};
use super::mixture::NextItem;
use super::tree::CodeTree;
use crate::behaviour::UserHistory;

/// Seed of the shuffle.
const SEED: u64 = 42;

/// Gain in nats below which IDs are not said to help. Two shuffles of the same IDs can differ by a few hundredths, which the
/// standard error over users does not cover.
const CHANCE: f64 = 0.05;

/// The next item by the codes, compared with the same IDs shuffled among the items. Shuffled IDs have the same shape, and
/// no meaning.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShuffledIds {
    /// Mean `-ln p` of the item given the item before, with shuffled IDs.
    pub nats: f64,
    /// By how much the mean is lower with the IDs themselves. Above 0 if their codes help to predict the next item.
    pub gain: f64,
    /// Standard error of the gain, over users.
    pub standard_error: f64,
}

impl ShuffledIds {
    /// Fits the Markov model to the shuffled `codes` of the items. `nats_given_last` are those of each user
    /// with the IDs themselves.
    pub(super) fn measure(codes: ArrayView2<u16>, users: &[UserHistory<'_>], nats_given_last: &[f64]) -> Self {
        let tree = CodeTree::new(given_to_others(codes, SEED).view());
        let (_, shuffled) = entropy(&NextItem::fit(&tree, users), users);
        let gains: Vec<f64> =
            shuffled.nats_given_last.iter().zip(nats_given_last).map(|(shuffled, own)| shuffled - own).collect();
        let gain = mean(gains.iter().copied());
        let squares: f64 = gains.iter().map(|of_user| (of_user - gain).powi(2)).sum();
        let n = gains.len() as f64;
        let standard_error = (squares / (n - 1.0).max(1.0) / n.max(1.0)).sqrt();
        ShuffledIds { nats: mean(shuffled.nats_given_last.iter().copied()), gain, standard_error }
    }

    /// Whether the gain is above two standard errors and above 0.05 nats.
    pub fn is_clear(&self) -> bool {
        self.gain > (2.0 * self.standard_error).max(CHANCE)
    }
}

/// The same IDs, given to other items in random order.
pub(super) fn given_to_others(codes: ArrayView2<u16>, seed: u64) -> Array2<u16> {
    let mut rows: Vec<usize> = (0..codes.nrows()).collect();
    rows.shuffle(&mut Xoshiro256Plus::seed_from_u64(seed));
    codes.select(Axis(0), &rows)
}
