//! All figures of one set of IDs against histories.

use ndarray::ArrayView2;
use rand::SeedableRng;
use rand::seq::index::sample;
use rand_xoshiro::Xoshiro256Plus;
use serde::Serialize;

use super::entropy::{CodeEntropy, UserFigures, entropy, mean};
use super::kept::CoOccurrenceKept;
use super::mixture::{LAST_ITEMS, NextItem};
use super::purity::PrefixPurity;
use super::ranking::{LIST, ListScore, Ranker};
use super::shuffled::ShuffledIds;
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
    /// The same IDs, shuffled among the items, as a reference; none in a comparison of two sets of IDs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shuffled: Option<ShuffledIds>,
}

impl HistoryFigures {
    /// Figures of `codes`, one row per row of the token table of the histories. Memory holds up to 16 bytes per level and
    /// pair of events that are at most five apart.
    pub fn measure(codes: ArrayView2<u16>, histories: &Histories, progress: &dyn Progress) -> Self {
        let tree = CodeTree::new(codes);
        let users = chosen_users(histories);
        let ranked = ranked_users(users.len(), tree.total_nodes());
        let (mut figures, of_users) = measured(&tree, codes, &users, &ranked, progress);
        figures.shuffled = Some(ShuffledIds::measure(codes, &users, &of_users.nats_given_last));
        figures
    }
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
        shuffled: None,
    };
    progress.advance(1);
    progress.end();
    (figures, of_users)
}
