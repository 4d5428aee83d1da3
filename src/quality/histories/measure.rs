//! All figures of one set of IDs against histories.

use ndarray::ArrayView2;
use rand::SeedableRng;
use rand::seq::index::sample;
use rand_xoshiro::Xoshiro256Plus;
use rayon::prelude::*;
use serde::Serialize;

use super::kept::CoOccurrenceKept;
use super::mixture::{LAST_ITEMS, NextItem, leaves, trained};
use super::purity::PrefixPurity;
use super::ranking::{LIST, ListScore, Ranker};
use super::spread::{PopularitySpread, SharedIdEvents};
use super::tree::CodeTree;
use crate::behaviour::{Histories, UserHistory};
use crate::progress::Progress;

/// Maximum number of events. Of more, a random sample of the users is measured.
const MAX_EVENTS: usize = 4_000_000;
/// Maximum number of prefixes that are scored for all users and their last items together. A random sample of the users is
/// ranked if there are more.
const MAX_SCORED: usize = 10_000_000_000;
/// Seed of both samples: figures of different IDs on the same histories are of the same users.
const SEED: u64 = 42;

/// How well a Markov model over the codes predicts the last event of each user. Nothing but the earlier events is fitted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NextItemFigures {
    /// Length of the recommended list.
    pub list: usize,
    /// Recall of the list. Items that share an ID share the hit.
    pub recall: f64,
    /// NDCG of the list.
    pub ndcg: f64,
    /// Mean `-ln p` of the item. Items that share an ID have equal parts of its probability.
    pub nats: f64,
    /// Recall if all users are recommended the most popular items.
    pub recall_by_popularity: f64,
    /// NDCG of the most popular items.
    pub ndcg_by_popularity: f64,
}

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

/// Figures of a set of IDs against histories. The last event of each user is used for testing only.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HistoryFigures {
    /// Users that were measured.
    pub users: usize,
    /// Events of these users.
    pub events: usize,
    /// Users whose last events were ranked: a random sample if there are many users and items.
    pub ranked_users: usize,
    /// How well the next item is predicted from the codes.
    pub next_item: NextItemFigures,
    /// Conditional entropy of the codes.
    pub entropy: CodeEntropy,
    /// How often consecutive items share a prefix, by depth.
    pub purity: Vec<PrefixPurity>,
    /// How many co-occurring items share a prefix, by depth.
    pub co_occurrence: Vec<CoOccurrenceKept>,
    /// How the events spread over prefixes, by depth.
    pub spread: Vec<PopularitySpread>,
    /// Events of items that share their ID.
    pub shared_ids: SharedIdEvents,
}

impl HistoryFigures {
    /// Figures of `codes`, one row per row of the token table of the histories. Memory holds up to 16 bytes per level and
    /// pair of events that are at most five apart.
    pub fn measure(codes: ArrayView2<u16>, histories: &Histories, progress: &dyn Progress) -> Self {
        let tree = CodeTree::new(codes);
        let users = chosen_users(histories);
        let ranked = ranked_users(users.len(), tree.total_nodes());
        measured(&tree, codes, &users, &ranked, progress).0
    }
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

/// Users to measure.
pub(super) fn chosen_users(histories: &Histories) -> Vec<UserHistory<'_>> {
    let (users, events) = (histories.users().len(), histories.counted.events);
    let most = if events <= MAX_EVENTS { users } else { (users as f64 * MAX_EVENTS as f64 / events as f64) as usize };
    sampled(users, most).into_iter().map(|number| histories.user(number)).collect()
}

/// Positions of the users to rank among `users`, if each prefix of a tree of `nodes` is scored.
pub(super) fn ranked_users(users: usize, nodes: usize) -> Vec<usize> {
    sampled(users, MAX_SCORED / (nodes.max(1) * (LAST_ITEMS + 1)))
}

/// At most `most` of the numbers below `n`, ascending.
fn sampled(n: usize, most: usize) -> Vec<usize> {
    if most >= n {
        return (0..n).collect();
    }
    let mut chosen = sample(&mut Xoshiro256Plus::seed_from_u64(SEED), n, most.max(1)).into_vec();
    chosen.sort_unstable();
    chosen
}

/// The figures of some users, and of each of them. `ranked` are positions of `users`.
pub(super) fn measured(
    tree: &CodeTree,
    codes: ArrayView2<u16>,
    users: &[UserHistory<'_>],
    ranked: &[usize],
    progress: &dyn Progress,
) -> (HistoryFigures, UserFigures) {
    let items = codes.nrows();
    progress.begin("measure histories", Some(4), "steps");
    let fitted = NextItem::fit(tree, users);
    progress.advance(1);
    let to_rank: Vec<UserHistory<'_>> = ranked.iter().map(|&at| users[at]).collect();
    let ranker = Ranker::new(&fitted);
    let (lists, popular) = (ranker.scores(&to_rank), ranker.popularity_scores(&to_rank));
    progress.advance(1);
    let (entropy, mut of_users) = entropy(&fitted, users);
    of_users.lists = lists;
    let purity = PrefixPurity::measure(tree, items, users);
    let chance = purity.first().map_or(0.0, |first_code| first_code.by_chance);
    of_users.first_code_above_chance.iter_mut().for_each(|shared| *shared -= chance);
    progress.advance(1);
    let mut events = vec![0u64; items];
    users.iter().flat_map(|user| user.rows).for_each(|&row| events[row as usize] += 1);
    let of_lists = |lists: &[ListScore], of: fn(&ListScore) -> f64| mean(lists.iter().map(of));
    let figures = HistoryFigures {
        users: users.len(),
        events: users.iter().map(|user| user.rows.len()).sum(),
        ranked_users: ranked.len(),
        next_item: NextItemFigures {
            list: LIST,
            recall: of_lists(&of_users.lists, |list| list.recall),
            ndcg: of_lists(&of_users.lists, |list| list.ndcg),
            nats: mean(of_users.nats.iter().copied()),
            recall_by_popularity: of_lists(&popular, |list| list.recall),
            ndcg_by_popularity: of_lists(&popular, |list| list.ndcg),
        },
        entropy,
        purity,
        co_occurrence: CoOccurrenceKept::measure(tree, items, users),
        spread: PopularitySpread::measure(tree, codes, &events),
        shared_ids: SharedIdEvents::measure(tree, &events),
    };
    progress.advance(1);
    progress.end();
    (figures, of_users)
}

/// Conditional entropy, and what it is the mean of.
fn entropy(fitted: &NextItem<'_>, users: &[UserHistory<'_>]) -> (CodeEntropy, UserFigures) {
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
