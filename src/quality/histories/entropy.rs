//! Conditional entropy of the codes on the last event of each user.

use rayon::prelude::*;
use serde::Serialize;

use super::mixture::{LAST_ITEMS, NextItem, leaves, trained};
use super::ranking::ListScore;
use crate::behaviour::UserHistory;

/// Mean `-ln p` of the code of one level, given its prefix, on the last event of each user.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LevelEntropy {
    /// 0-based level.
    pub level: usize,
    /// By popularity alone.
    pub by_popularity: f64,
    /// Given the first code of the item before.
    pub given_first_code: f64,
    /// Given all codes of the item before.
    pub given_last_item: f64,
}

/// Conditional entropy of the codes, in nats.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CodeEntropy {
    /// One entry per level.
    pub levels: Vec<LevelEntropy>,
    /// Mean logarithm of the number of items with the ID.
    pub shared_id: f64,
    /// Sum over the levels and `shared_id`, by popularity alone.
    pub by_popularity: f64,
    /// The sum given the first code of the item before.
    pub given_first_code: f64,
    /// The sum given all codes of the item before.
    pub given_last_item: f64,
}

/// The figures of each user's last event.
pub(super) struct UserFigures {
    /// `-ln p` of the item, of all users.
    pub(super) nats: Vec<f64>,
    /// `-ln p` of the item given the item before alone.
    pub(super) nats_given_last: Vec<f64>,
    /// Whether the item and the one before share the first code, less the expected value by chance: of the users whose last
    /// two items differ.
    pub(super) first_code_above_chance: Vec<f64>,
    /// Credit for the right ID.
    pub(super) credit: Vec<f64>,
    /// Of the users that were ranked.
    pub(super) lists: Vec<ListScore>,
}

/// Conditional entropy, and what it is the mean of.
pub(super) fn entropy(fitted: &NextItem<'_>, users: &[UserHistory<'_>]) -> (CodeEntropy, UserFigures) {
    let tree = fitted.tree;
    struct Event {
        levels: Vec<[f64; 3]>,
        nats: f64,
        size: f64,
        first_code_shared: Option<f64>,
    }
    let of_users: Vec<Event> = users
        .par_iter()
        .map(|user| {
            let (earlier, rest) = user.rows.split_at(trained(user));
            let before = earlier.last();
            let earlier = leaves(tree, &earlier[earlier.len().saturating_sub(LAST_ITEMS)..]);
            let (leaf, last) = (tree.leaf(rest[0]), earlier[earlier.len() - 1]);
            let path = fitted.model.path(tree, last, leaf);
            let size = f64::from(tree.size(leaf));
            let depth = tree.levels().min(1);
            Event {
                levels: path.iter().map(|p| [p.popularity, p.first_code, p.whole].map(|p| -p.ln())).collect(),
                nats: size.ln() - fitted.probability(&earlier, leaf).ln(),
                size,
                first_code_shared: (before != Some(&rest[0]))
                    .then(|| f64::from(tree.node(depth, last) == tree.node(depth, leaf))),
            }
        })
        .collect();
    let levels: Vec<LevelEntropy> = (0..tree.levels())
        .map(|level| {
            let of = |at: usize| mean(of_users.iter().map(|user| user.levels[level][at]));
            LevelEntropy { level, by_popularity: of(0), given_first_code: of(1), given_last_item: of(2) }
        })
        .collect();
    let shared_id = mean(of_users.iter().map(|user| user.size.ln()));
    let sum = |of: fn(&LevelEntropy) -> f64| levels.iter().map(of).sum::<f64>() + shared_id;
    let entropy = CodeEntropy {
        shared_id,
        by_popularity: sum(|level| level.by_popularity),
        given_first_code: sum(|level| level.given_first_code),
        given_last_item: sum(|level| level.given_last_item),
        levels,
    };
    let given_last = |user: &Event| user.levels.iter().map(|level| level[2]).sum::<f64>() + user.size.ln();
    let figures = UserFigures {
        nats: of_users.iter().map(|user| user.nats).collect(),
        nats_given_last: of_users.iter().map(given_last).collect(),
        first_code_above_chance: of_users.iter().filter_map(|user| user.first_code_shared).collect(),
        credit: of_users.iter().map(|user| 1.0 / user.size).collect(),
        lists: Vec::new(),
    };
    (entropy, figures)
}

/// The mean; 0 of nothing.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0u64), |(sum, n), value| (sum + value, n + 1));
    sum / n.max(1) as f64
}
