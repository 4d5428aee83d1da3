//! Which of two sets of IDs predicts the next item better.

use ndarray::ArrayView2;
use serde::Serialize;

use super::bootstrap::PairedFigure;
use super::entropy::UserFigures;
use super::measure::{HistoryFigures, chosen_users, measured, ranked_users};
use super::ranking::ListScore;
use super::tree::CodeTree;
use crate::behaviour::Histories;
use crate::progress::Progress;

/// The figure that decides, an entry of [`IdComparison::figures`], and how the result calls it. Of all figures, it has the
/// highest rank correlation with the Recall of trained recommenders (docs/quality.md).
const DECIDES: (&str, &str) = ("nats given the last item", "the cost of the next item in nats, given the last item,");

/// The better of two sets of IDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BetterIds {
    /// The first.
    A,
    /// The second.
    B,
    /// The histories show no difference.
    Neither,
}

/// Two sets of IDs on the same items and histories.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IdComparison {
    /// The better set by the figure that decides.
    pub better: BetterIds,
    /// The result in a sentence.
    pub result: String,
    /// Name of the figure that decides.
    pub decided_by: &'static str,
    /// Users that were compared.
    pub users: usize,
    /// Users whose recommendations were ranked.
    pub ranked_users: usize,
    /// Number of resamples of the users.
    pub resamples: usize,
    /// The figures that each user has, with intervals.
    pub figures: Vec<PairedFigure>,
    /// All figures of A.
    pub a: HistoryFigures,
    /// All figures of B.
    pub b: HistoryFigures,
}

impl IdComparison {
    /// Compares the codes `a (n, levels)` and `b (n, levels)` of the same items. The result depends on the seed, but not on
    /// the number of threads.
    pub fn measure(
        [a, b]: [ArrayView2<u16>; 2],
        histories: &Histories,
        resamples: usize,
        seed: u64,
        progress: &dyn Progress,
    ) -> Self {
        let users = chosen_users(histories);
        let trees = [CodeTree::new(a), CodeTree::new(b)];
        let nodes = trees.iter().map(CodeTree::total_nodes).max().unwrap_or(0);
        let ranked = ranked_users(users.len(), nodes);
        let (a, of_a) = measured(&trees[0], a, &users, &ranked, progress);
        let (b, of_b) = measured(&trees[1], b, &users, &ranked, progress);
        progress.begin("resample users", None, "");
        let paired = |name, larger, of: &dyn Fn(&UserFigures) -> Vec<f64>| {
            PairedFigure::of_users(name, larger, [&of(&of_a), &of(&of_b)], resamples, seed)
        };
        let of_lists = |figures: &UserFigures, of: fn(&ListScore) -> f64| figures.lists.iter().map(of).collect();
        let figures = vec![
            paired(DECIDES.0, false, &|users| users.nats_given_last.clone()),
            paired("first code shared, above chance", true, &|users| users.first_code_above_chance.clone()),
            paired("nats given the last five items", false, &|users| users.nats.clone()),
            paired("ndcg@10", true, &|users| of_lists(users, |list| list.ndcg)),
            paired("recall@10", true, &|users| of_lists(users, |list| list.recall)),
            paired("credit of a correct ID", true, &|users| users.credit.clone()),
        ];
        progress.end();
        let (better, result) = verdict(&figures);
        IdComparison {
            better,
            result,
            decided_by: DECIDES.0,
            users: users.len(),
            ranked_users: ranked.len(),
            resamples,
            figures,
            a,
            b,
        }
    }
}

/// The better set, and the sentence that says so.
fn verdict(figures: &[PairedFigure]) -> (BetterIds, String) {
    let (decides, name) = DECIDES;
    let Some(figure) = figures.iter().find(|figure| figure.name == decides) else {
        return (BetterIds::Neither, String::new());
    };
    let ([low, high], difference) = (figure.interval, figure.difference);
    if !figure.is_clear() {
        let result = format!(
            "No difference that these histories show: {name} differs by {difference:.4} (A - B), and the 95% interval \
             from {low:.4} to {high:.4} includes 0"
        );
        return (BetterIds::Neither, result);
    }
    let (better, letter) = if figure.favours_a() { (BetterIds::A, "A") } else { (BetterIds::B, "B") };
    let which = if figure.larger_is_better { "higher" } else { "lower" };
    let (least, most) = (low.abs().min(high.abs()), low.abs().max(high.abs()));
    let result = format!(
        "Take {letter}: {name} is {which} by {:.4} (95% interval from {least:.4} to {most:.4})",
        difference.abs()
    );
    (better, result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_says_which_set_is_better_or_that_none_is() {
        let of = |a: [f64; 4], b: [f64; 4]| verdict(&[PairedFigure::of_users(DECIDES.0, false, [&a, &b], 500, 1)]);
        let (better, result) = of([5.0, 6.0, 7.0, 8.0], [5.5, 6.5, 7.5, 8.5]);
        assert_eq!(better, BetterIds::A);
        assert!(result.ends_with("is lower by 0.5000 (95% interval from 0.5000 to 0.5000)"), "{result}");
        assert_eq!(of([5.5, 6.5, 7.5, 8.5], [5.0, 6.0, 7.0, 8.0]).0, BetterIds::B);
        let (better, result) = of([5.0, 6.0, 7.0, 8.0], [5.5, 5.5, 7.5, 7.5]);
        assert_eq!(better, BetterIds::Neither);
        assert!(result.starts_with("No difference that these histories show") && result.contains("includes 0"));
    }
}
