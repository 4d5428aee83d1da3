//! Ranking measures of grounded answers, and the search for the best gamma.

use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;
use serde::Serialize;

use super::{Grounding, GroundingWeights, factor};
use crate::error::{Error, Result};
use crate::progress::Progress;

/// Number of gammas in the search: 0, and 60 values from 0.01 to 100 on a logarithmic scale, the range of BIGRec.
const GAMMAS: usize = 61;
const MIN_GAMMA: f64 = 0.01;
const MAX_GAMMA: f64 = 100.0;
/// The cut-offs `k` of the measures.
const DEPTHS: [usize; 5] = [1, 3, 5, 10, 20];

/// A measure of rankings with one right item each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RankingMeasure {
    /// Share of answers with the right item among the first `k`.
    Recall(usize),
    /// As recall, but an item at rank `p` (from 1) counts `1 / log2(1 + p)`.
    Ndcg(usize),
}

impl RankingMeasure {
    /// All measures that are reported.
    pub fn all() -> impl Iterator<Item = RankingMeasure> {
        DEPTHS.into_iter().flat_map(|k| [RankingMeasure::Recall(k), RankingMeasure::Ndcg(k)])
    }

    /// The usual name, such as `Recall@10`.
    pub fn name(self) -> String {
        match self {
            RankingMeasure::Recall(k) => format!("Recall@{k}"),
            RankingMeasure::Ndcg(k) => format!("NDCG@{k}"),
        }
    }

    /// The value for ranks that count from 0.
    fn of(self, ranks: impl ExactSizeIterator<Item = usize>) -> f64 {
        let n = ranks.len().max(1) as f64;
        let gain = |rank: usize| match self {
            RankingMeasure::Recall(k) => f64::from(u8::from(rank < k)),
            RankingMeasure::Ndcg(k) if rank < k => 1.0 / ((rank + 2) as f64).log2(),
            RankingMeasure::Ndcg(_) => 0.0,
        };
        ranks.map(gain).sum::<f64>() / n
    }
}

/// The value of a measure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeasuredRanking {
    /// Name of the measure.
    pub measure: String,
    /// The gamma of the ranking.
    pub gamma: f64,
    /// The value.
    pub value: f64,
}

/// The best gamma per measure, in the order of [`RankingMeasure::all`].
#[derive(Debug, Clone, PartialEq)]
pub struct ChosenGammas {
    /// Per measure: the gamma, and the value on the answers that it was chosen on.
    pub measured: Vec<MeasuredRanking>,
}

impl ChosenGammas {
    /// One given gamma for all measures.
    pub fn of(gamma: f64) -> Self {
        let measured = |measure: RankingMeasure| MeasuredRanking { measure: measure.name(), gamma, value: f64::NAN };
        ChosenGammas { measured: RankingMeasure::all().map(measured).collect() }
    }
}

impl Grounding<'_> {
    /// The best gamma per measure on answers `(answers, dim)` with known items; of equally good gammas the smallest.
    ///
    /// # Errors
    /// As [`Grounding::rank`]; [`Error::Mismatch`] where the numbers of targets and answers differ.
    pub fn search(
        &self,
        answers: ArrayView2<f32>,
        weights: &GroundingWeights,
        targets: &[usize],
        progress: &dyn Progress,
    ) -> Result<ChosenGammas> {
        let ratio = (MAX_GAMMA / MIN_GAMMA).powf(1.0 / (GAMMAS - 2) as f64);
        let gammas: Vec<f64> =
            [0.0].into_iter().chain((0..GAMMAS - 1).map(|n| MIN_GAMMA * ratio.powi(n as i32))).collect();
        let ranks = self.ranks(answers, Some(weights), &gammas, targets, progress)?;
        let measured = RankingMeasure::all().map(|measure| {
            let values = gammas.iter().enumerate().map(|(at, &gamma)| {
                (gamma, measure.of(ranks.iter().map(|of_answer| of_answer[at]).collect::<Vec<_>>().into_iter()))
            });
            let (gamma, value) =
                values.fold((0.0, f64::NEG_INFINITY), |best, one| if one.1 > best.1 { one } else { best });
            MeasuredRanking { measure: measure.name(), gamma, value }
        });
        Ok(ChosenGammas { measured: measured.collect() })
    }

    /// All measures on answers with known items; with weights, each measure uses the gamma chosen for it.
    ///
    /// # Errors
    /// As [`Grounding::search`].
    pub fn measure(
        &self,
        answers: ArrayView2<f32>,
        weights: Option<(&GroundingWeights, &ChosenGammas)>,
        targets: &[usize],
        progress: &dyn Progress,
    ) -> Result<Vec<MeasuredRanking>> {
        let gammas: Vec<f64> = match weights {
            Some((_, chosen)) => chosen.measured.iter().map(|measured| measured.gamma).collect(),
            None => RankingMeasure::all().map(|_| 0.0).collect(),
        };
        let ranks = self.ranks(answers, weights.map(|(weights, _)| weights), &gammas, targets, progress)?;
        let measured = RankingMeasure::all().zip(&gammas).enumerate().map(|(at, (measure, &gamma))| MeasuredRanking {
            measure: measure.name(),
            gamma,
            value: measure.of(ranks.iter().map(|of_answer| of_answer[at]).collect::<Vec<_>>().into_iter()),
        });
        Ok(measured.collect())
    }

    /// The rank of each answer's item, from 0, for each gamma.
    fn ranks(
        &self,
        answers: ArrayView2<f32>,
        weights: Option<&GroundingWeights>,
        gammas: &[f64],
        targets: &[usize],
        progress: &dyn Progress,
    ) -> Result<Vec<Vec<usize>>> {
        self.check(answers, weights)?;
        if targets.len() != answers.nrows() || targets.iter().any(|&target| target >= self.len()) {
            let help = "pass the item of every answer";
            return Err(Error::mismatch("targets", format!("{} items", answers.nrows()), targets.len(), help));
        }
        progress.begin("ground answers", Some(answers.nrows() as u64), "answers");
        let of_items: Option<Vec<Vec<f32>>> = match weights {
            Some(GroundingWeights::Items(w)) => {
                Some(gammas.par_iter().map(|&gamma| w.iter().map(|&w| factor(w, gamma)).collect()).collect())
            }
            _ => None,
        };
        let chunk = self.distances.answers_per_chunk();
        let chunks = answers.axis_chunks_iter(Axis(0), chunk).into_par_iter().enumerate();
        let found: Vec<Vec<Vec<usize>>> = chunks
            .map(|(at, some)| {
                let squares = self.distances.squares(some);
                let of_answer = |row: usize| {
                    let (squares, target) = (squares.row(row), targets[at * chunk + row]);
                    let least = squares.iter().copied().fold(f32::INFINITY, f32::min).sqrt();
                    let scores: Vec<f32> = squares.iter().map(|square| square.sqrt() - least).collect();
                    let rank = |(at_gamma, &gamma): (usize, &f64)| match (weights, &of_items) {
                        (None, _) => rank_of(&scores, target, |_| 1.0),
                        (_, Some(factors)) => rank_of(&scores, target, |item| factors[at_gamma][item]),
                        (Some(GroundingWeights::Answers(w)), _) => {
                            let w = w.row(at * chunk + row);
                            rank_of(&scores, target, |item| factor(w[item], gamma))
                        }
                        (Some(GroundingWeights::Items(w)), None) => {
                            rank_of(&scores, target, |item| factor(w[item], gamma))
                        }
                    };
                    gammas.iter().enumerate().map(rank).collect::<Vec<usize>>()
                };
                let ranks: Vec<Vec<usize>> = (0..some.nrows()).map(of_answer).collect();
                progress.advance(ranks.len() as u64);
                ranks
            })
            .collect();
        progress.end();
        Ok(found.into_iter().flatten().collect())
    }
}

/// The number of items ranked before the target; ties by row.
fn rank_of(scores: &[f32], target: usize, factor: impl Fn(usize) -> f32) -> usize {
    let target_score = scores[target] * factor(target);
    let before = |(item, score): (usize, &f32)| {
        let score = score * factor(item);
        score < target_score || (score == target_score && item < target)
    };
    scores.iter().enumerate().filter(|&one| before(one)).count()
}
