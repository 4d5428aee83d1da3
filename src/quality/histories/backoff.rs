//! The probability of a code given its prefix and an earlier item: a Markov model over codes that backs off to shorter
//! prefixes of the earlier item.
//!
//! Let `p` be the prefix so far, `c` a code that may follow it, and `q_d` the first `d` codes of the earlier item:
//!
//! ```text
//! P(c | p)          = (n(p c) + k share(c)) / (n(p) + k)                    popularity
//! P_0(c | p, q)     = s [c = q's code] + (1 - s) P(c | p)                   if p is also a prefix of q, else P(c | p)
//! P_d(c | p, q_d)   = (n(q_d, p c) + a_d P_(d-1)) / (n(q_d, p) + a_d)       for d = 1 to the number of levels
//! ```
//!
//! `n` are counts of the training part and `share` is the share of the items under `p`. Each level has its own `k`, `s` and
//! `a_d`. They maximize the likelihood of the last training event of each user, by coordinate search over fixed values.
//! This is the Dirichlet smoothing of MacKay and Peto (1995), with one more level for a repeated prefix.

use rayon::prelude::*;

use super::transitions::CodeTransitions;
use super::tree::CodeTree;

/// Values of `k` and `a_d` that are tried.
const STRENGTHS: [f64; 16] =
    [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 16384.0, 1e6];
/// Values of `s` that are tried.
const REPEATS: [f64; 16] = [0.0, 0.005, 0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9];
/// Passes of the coordinate search.
const PASSES: usize = 2;

/// The smoothing of one level.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LevelSmoothing {
    /// `k`: how many events the shares of the items count as.
    pub(super) popularity: f64,
    /// `s`: the probability of repeating the earlier item's code.
    pub(super) repeat: f64,
    /// `a_d` by depth: how many transitions the next shorter prefix counts as.
    pub(super) contexts: Vec<f64>,
}

impl LevelSmoothing {
    /// The values before the search.
    fn start(levels: usize) -> Self {
        LevelSmoothing { popularity: 8.0, repeat: 0.02, contexts: vec![128.0; levels] }
    }
}

/// The counts that the probability of one code depends on.
#[derive(Debug, Clone, PartialEq)]
struct TransitionCounts {
    /// Events of the code and of its prefix.
    events: [u64; 2],
    /// Share of the items under the prefix.
    share: f64,
    /// Whether the prefix is one of the earlier item; if so, whether the code is too.
    repeats: Option<bool>,
    /// By depth of the earlier item's prefix: transitions to the code and to its prefix.
    contexts: Vec<[u64; 2]>,
}

/// The probabilities of one code, from the shortest context to the longest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CodeProbability {
    /// By popularity.
    pub(super) popularity: f64,
    /// Given the first code of the earlier item.
    pub(super) first_code: f64,
    /// Given all codes of the earlier item.
    pub(super) whole: f64,
}

impl TransitionCounts {
    fn probability(&self, smoothing: &LevelSmoothing) -> CodeProbability {
        let [code, prefix] = self.events.map(|count| count as f64);
        let k = smoothing.popularity;
        let popularity = (code + k * self.share) / (prefix + k);
        let mut p = match self.repeats {
            Some(same) => (1.0 - smoothing.repeat) * popularity + if same { smoothing.repeat } else { 0.0 },
            None => popularity,
        };
        let mut first_code = p;
        for (at, (counts, &a)) in self.contexts.iter().zip(&smoothing.contexts).enumerate() {
            let [code, prefix] = counts.map(|count| count as f64);
            p = (code + a * p) / (prefix + a);
            if at == 0 {
                first_code = p;
            }
        }
        CodeProbability { popularity, first_code, whole: p }
    }
}

/// The model: counts, and the smoothing of each level.
#[derive(Debug, PartialEq)]
pub(super) struct Backoff {
    /// Counts of the training part.
    pub(super) counts: CodeTransitions,
    /// One entry per level.
    pub(super) levels: Vec<LevelSmoothing>,
}

impl Backoff {
    /// The probability of each code of a leaf, given an earlier leaf.
    pub(super) fn path(&self, tree: &CodeTree, earlier: u32, leaf: u32) -> Vec<CodeProbability> {
        let of_level =
            |(level, smoothing)| code_counts(tree, &self.counts, level, earlier, leaf).probability(smoothing);
        self.levels.iter().enumerate().map(of_level).collect()
    }

    /// Chooses the smoothing that gives these pairs of an earlier and a following leaf the largest likelihood.
    pub(super) fn smoothing(tree: &CodeTree, counts: &CodeTransitions, pairs: &[(u32, u32)]) -> Vec<LevelSmoothing> {
        (0..tree.levels())
            .map(|level| {
                let observed: Vec<TransitionCounts> = pairs
                    .par_iter()
                    .map(|&(earlier, leaf)| code_counts(tree, counts, level, earlier, leaf))
                    // A single continuation has probability 1 under every smoothing.
                    .filter(|counts| counts.share < 1.0)
                    .collect();
                search(&observed, tree.levels())
            })
            .collect()
    }
}

fn code_counts(tree: &CodeTree, counts: &CodeTransitions, level: usize, earlier: u32, leaf: u32) -> TransitionCounts {
    let node = tree.node(level + 1, leaf);
    let parent = tree.node(level, leaf);
    let (under_node, under_parent) = (tree.leaves_of(level + 1, node), tree.leaves_of(level, parent));
    let on_path = tree.node(level, earlier) == parent;
    TransitionCounts {
        events: [counts.events(under_node.clone()), counts.events(under_parent.clone())],
        share: tree.items(under_node.clone()) as f64 / tree.items(under_parent.clone()) as f64,
        repeats: on_path.then(|| tree.node(level + 1, earlier) == node),
        contexts: (1..=tree.levels())
            .map(|depth| counts.followed(depth, tree.node(depth, earlier), under_node.clone(), under_parent.clone()))
            .collect(),
    }
}

/// Coordinate search: each value in turn becomes the best of its list, the others fixed.
fn search(observed: &[TransitionCounts], levels: usize) -> LevelSmoothing {
    let mut best = LevelSmoothing::start(levels);
    if observed.is_empty() {
        return best;
    }
    let likelihood = |smoothing: &LevelSmoothing| -> f64 {
        observed.iter().map(|counts| counts.probability(smoothing).whole.ln()).sum()
    };
    for _ in 0..PASSES {
        for coordinate in 0..levels + 2 {
            let values = if coordinate == 1 { REPEATS } else { STRENGTHS };
            let tried: Vec<(f64, LevelSmoothing)> = values
                .par_iter()
                .map(|&value| {
                    let mut other = best.clone();
                    match coordinate {
                        0 => other.popularity = value,
                        1 => other.repeat = value,
                        depth => other.contexts[depth - 2] = value,
                    }
                    (likelihood(&other), other)
                })
                .collect();
            let mut highest = f64::NEG_INFINITY;
            for (value, smoothing) in tried {
                if value > highest {
                    (highest, best) = (value, smoothing);
                }
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::super::tests::histories;
    use super::*;
    use ndarray::array;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} {b}");
    }

    #[test]
    fn probabilities_by_hand() {
        let tree = CodeTree::new(array![[0u16, 0], [0, 1], [1, 0]].view());
        let read = histories(&[&[0, 1, 2, 2], &[1, 2, 0]], 3);
        let counts = CodeTransitions::count(&tree, &read.users().collect::<Vec<_>>(), |user| user.rows.len() - 1);
        let smoothing = LevelSmoothing { popularity: 3.0, repeat: 0.5, contexts: vec![1.0, 2.0] };
        let model = Backoff { counts, levels: vec![smoothing.clone(), smoothing] };
        let path = model.path(&tree, 0, 1);
        // Events of the first code: 3 of 5; it has 2 of 3 items.
        let popularity = (3.0 + 3.0 * 2.0 / 3.0) / 8.0;
        close(path[0].popularity, popularity);
        let repeated = 0.5 * popularity + 0.5;
        // The first code of item 0 is followed by that code 5 times, and 19 times in all.
        let first = (5.0 + repeated) / 20.0;
        close(path[0].first_code, first);
        // Item 0 itself: 5 of 9.
        close(path[0].whole, (5.0 + 2.0 * first) / 11.0);
        // Level 2: events of item 1 are 2 of 3, half of the items; its code is not that of item 0.
        let popularity = (2.0 + 1.5) / 6.0;
        close(path[1].popularity, popularity);
        let first = (5.0 + 0.5 * popularity) / 6.0;
        close(path[1].first_code, first);
        close(path[1].whole, (5.0 + 2.0 * first) / 7.0);
    }

    #[test]
    fn probabilities_of_all_leaves_add_up_to_one() {
        let tree = CodeTree::new(array![[0u16, 0], [0, 1], [1, 0], [1, 1], [1, 1], [3, 0]].view());
        let read = histories(&[&[0, 1, 2, 3, 5], &[1, 2, 0, 4, 4]], 6);
        let counts = CodeTransitions::count(&tree, &read.users().collect::<Vec<_>>(), |user| user.rows.len() - 1);
        let levels = Backoff::smoothing(&tree, &counts, &[(0, 1), (1, 2), (2, 2), (0, 4)]);
        let model = Backoff { counts, levels };
        for earlier in 0..tree.len() as u32 {
            let leaf = |leaf| model.path(&tree, earlier, leaf).iter().map(|code| code.whole).product::<f64>();
            close((0..tree.len() as u32).map(leaf).sum(), 1.0);
        }
    }
}
