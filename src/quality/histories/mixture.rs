//! The next item given a whole history: a mixture of the back-off model over the last items, and of popularity.

use rayon::prelude::*;

use super::backoff::Backoff;
use super::transitions::CodeTransitions;
use super::tree::CodeTree;
use crate::behaviour::{SplitPart, UserHistory};

/// Number of last items that the next item depends on.
pub(super) const LAST_ITEMS: usize = 5;
/// Maximum number of users whose last training events choose smoothing and mixture.
const MAX_TUNING_USERS: usize = 50_000;
/// Iterations of expectation maximization.
const ITERATIONS: usize = 30;

/// The fitted model.
#[derive(Debug, PartialEq)]
pub(super) struct NextItem<'a> {
    pub(super) tree: &'a CodeTree,
    pub(super) model: Backoff,
    /// Weight of popularity, then of the last item, the one before it, and so on.
    weights: Vec<f64>,
}

/// Number of events of a user before the test event.
pub(super) fn trained(user: &UserHistory<'_>) -> usize {
    user.part(SplitPart::Test).start
}

impl<'a> NextItem<'a> {
    /// Fits the model to the events before each user's last one. Smoothing and mixture are chosen by the last of these
    /// events, with counts of the others; the counts of the result include it.
    pub(super) fn fit(tree: &'a CodeTree, users: &[UserHistory<'_>]) -> Self {
        let counts = CodeTransitions::count(tree, users, |user| trained(user).saturating_sub(1));
        let tuning: Vec<Vec<u32>> = users
            .iter()
            .step_by(users.len().div_ceil(MAX_TUNING_USERS).max(1))
            .map(|user| leaves(tree, &user.rows[..trained(user)]))
            .filter(|leaves| leaves.len() > 1)
            .collect();
        let pairs: Vec<(u32, u32)> =
            tuning.iter().map(|leaves| (leaves[leaves.len() - 2], leaves[leaves.len() - 1])).collect();
        let levels = Backoff::smoothing(tree, &counts, &pairs);
        let mut fitted = NextItem { tree, model: Backoff { counts, levels }, weights: vec![1.0; LAST_ITEMS + 1] };
        fitted.weights = fitted.mixture(&tuning);
        fitted.model.counts = CodeTransitions::count(tree, users, trained);
        fitted
    }

    /// The probability of a leaf by popularity, given the last leaf, given the leaf before it, and so on.
    fn components(&self, earlier: &[u32], leaf: u32) -> Vec<f64> {
        let mut found = Vec::with_capacity(LAST_ITEMS + 1);
        for &context in earlier.iter().rev().take(LAST_ITEMS) {
            let path = self.model.path(self.tree, context, leaf);
            if found.is_empty() {
                found.push(path.iter().map(|code| code.popularity).product());
            }
            found.push(path.iter().map(|code| code.whole).product());
        }
        found
    }

    /// The weights of the mixture for a number of earlier items, which add up to 1.
    pub(super) fn weights(&self, earlier: usize) -> Vec<f64> {
        let used = &self.weights[..=earlier.min(LAST_ITEMS)];
        let sum: f64 = used.iter().sum();
        used.iter().map(|weight| weight / sum).collect()
    }

    /// The probability of a leaf after some leaves, of which there is at least one.
    pub(super) fn probability(&self, earlier: &[u32], leaf: u32) -> f64 {
        let components = self.components(earlier, leaf);
        self.weights(earlier.len()).iter().zip(components).map(|(weight, p)| weight * p).sum()
    }

    /// The weights that give the last leaf of each history the largest likelihood.
    fn mixture(&self, histories: &[Vec<u32>]) -> Vec<f64> {
        let observed: Vec<Vec<f64>> = histories
            .par_iter()
            .filter_map(|leaves| leaves.split_last().map(|(&last, earlier)| self.components(earlier, last)))
            .collect();
        let mut weights = vec![1.0 / (LAST_ITEMS + 1) as f64; LAST_ITEMS + 1];
        for _ in 0..ITERATIONS {
            // Expected number of events that a component explains, and the number that it could explain.
            let (mut explained, mut possible) = (vec![0.0; weights.len()], vec![0.0; weights.len()]);
            for components in &observed {
                let share: f64 = weights[..components.len()].iter().sum();
                let sum: f64 = weights.iter().zip(components).map(|(weight, p)| weight * p).sum();
                for (at, p) in components.iter().enumerate() {
                    explained[at] += weights[at] * p / sum;
                    possible[at] += 1.0 / share;
                }
            }
            for (at, weight) in weights.iter_mut().enumerate() {
                *weight = if possible[at] > 0.0 { explained[at] / possible[at] } else { 0.0 };
            }
            let sum: f64 = weights.iter().sum();
            if sum <= 0.0 {
                return vec![1.0 / weights.len() as f64; weights.len()];
            }
            weights.iter_mut().for_each(|weight| *weight /= sum);
        }
        // Popularity keeps a share, so that no weight of a short history is zero.
        weights[0] = weights[0].max(1e-6);
        weights
    }
}

/// The leaves of items.
pub(super) fn leaves(tree: &CodeTree, rows: &[u32]) -> Vec<u32> {
    rows.iter().map(|&row| tree.leaf(row)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::histories;
    use super::*;
    use ndarray::array;

    #[test]
    fn the_last_events_do_not_change_the_model() {
        let tree = CodeTree::new(array![[0u16, 0], [0, 1], [1, 0], [1, 1], [2, 0]].view());
        let one = histories(&[&[0, 1, 2, 3], &[1, 2, 0], &[4, 4, 1, 2]], 5);
        let other = histories(&[&[0, 1, 2, 0], &[1, 2, 4], &[4, 4, 1, 1]], 5);
        let fitted = |read: &crate::behaviour::Histories| NextItem::fit(&tree, &read.users().collect::<Vec<_>>());
        assert_eq!(fitted(&one), fitted(&other));
        let earlier = histories(&[&[0, 1, 4, 3], &[1, 2, 0], &[4, 4, 1, 2]], 5);
        assert_ne!(fitted(&one), fitted(&earlier));
    }

    #[test]
    fn probabilities_of_all_leaves_add_up_to_one() {
        let tree = CodeTree::new(array![[0u16, 0], [0, 1], [1, 0], [1, 1], [2, 0]].view());
        let read = histories(&[&[0, 1, 2, 3, 1, 0, 2], &[1, 2, 0], &[4, 4, 1, 2]], 5);
        let fitted = NextItem::fit(&tree, &read.users().collect::<Vec<_>>());
        for earlier in [&[3][..], &[0, 1], &[4, 1, 1, 0, 2, 3, 3]] {
            let sum: f64 = (0..5).map(|leaf| fitted.probability(earlier, leaf)).sum();
            assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        }
    }
}
