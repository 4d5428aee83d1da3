//! How well answers are grounded, and the gamma with which they are grounded best.

use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;
use serde::Serialize;

use super::{Grounding, GroundingWeights, factor};
use crate::error::{Error, Result};
use crate::progress::Progress;

/// The gammas that are tried: none, and 60 of equal ratio from 0.01 to 100, as far as BIGRec looks.
const GAMMAS: usize = 61;
const LEAST: f64 = 0.01;
const MOST: f64 = 100.0;
/// Depths at which lists are measured.
const DEPTHS: [usize; 5] = [1, 3, 5, 10, 20];

/// A measure of ranked lists with one right item each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RankingMeasure {
    /// Share of answers whose item is among the first `k`.
    Recall(usize),
    /// The same, an item at place `p` (from 1) counting `1 / log2(1 + p)`.
    Ndcg(usize),
}

impl RankingMeasure {
    /// All that are told.
    pub fn all() -> impl Iterator<Item = RankingMeasure> {
        DEPTHS.into_iter().flat_map(|k| [RankingMeasure::Recall(k), RankingMeasure::Ndcg(k)])
    }

    /// As papers write it.
    pub fn name(self) -> String {
        match self {
            RankingMeasure::Recall(k) => format!("Recall@{k}"),
            RankingMeasure::Ndcg(k) => format!("NDCG@{k}"),
        }
    }

    /// Of places from 0 on.
    fn of(self, places: impl ExactSizeIterator<Item = usize>) -> f64 {
        let n = places.len().max(1) as f64;
        let gain = |place: usize| match self {
            RankingMeasure::Recall(k) => f64::from(u8::from(place < k)),
            RankingMeasure::Ndcg(k) if place < k => 1.0 / ((place + 2) as f64).log2(),
            RankingMeasure::Ndcg(_) => 0.0,
        };
        places.map(gain).sum::<f64>() / n
    }
}

/// A measure's value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeasuredRanking {
    /// Its name.
    pub measure: String,
    /// The gamma it was grounded with.
    pub gamma: f64,
    /// Its value.
    pub value: f64,
}

/// The gammas that are best by each measure, in the order of [`RankingMeasure::all`].
#[derive(Debug, Clone, PartialEq)]
pub struct ChosenGammas {
    /// The measure's value on the answers that it was chosen by, and the gamma.
    pub measured: Vec<MeasuredRanking>,
}

impl ChosenGammas {
    /// One gamma for all measures, chosen by somebody else.
    pub fn of(gamma: f64) -> Self {
        let measured = |measure: RankingMeasure| MeasuredRanking { measure: measure.name(), gamma, value: f64::NAN };
        ChosenGammas { measured: RankingMeasure::all().map(measured).collect() }
    }
}

impl Grounding<'_> {
    /// The best gamma by each measure, of answers `(answers, dim)` whose items are known; of equally good ones the least.
    ///
    /// # Errors
    /// As [`Grounding::rank`]; [`Error::Mismatch`] where there are not as many targets as answers.
    pub fn search(
        &self,
        answers: ArrayView2<f32>,
        weights: &GroundingWeights,
        targets: &[usize],
        progress: &dyn Progress,
    ) -> Result<ChosenGammas> {
        let ratio = (MOST / LEAST).powf(1.0 / (GAMMAS - 2) as f64);
        let gammas: Vec<f64> = [0.0].into_iter().chain((0..GAMMAS - 1).map(|n| LEAST * ratio.powi(n as i32))).collect();
        let places = self.places(answers, Some(weights), &gammas, targets, progress)?;
        let measured = RankingMeasure::all().map(|measure| {
            let values = gammas.iter().enumerate().map(|(at, &gamma)| {
                (gamma, measure.of(places.iter().map(|of_answer| of_answer[at]).collect::<Vec<_>>().into_iter()))
            });
            let (gamma, value) =
                values.fold((0.0, f64::NEG_INFINITY), |best, one| if one.1 > best.1 { one } else { best });
            MeasuredRanking { measure: measure.name(), gamma, value }
        });
        Ok(ChosenGammas { measured: measured.collect() })
    }

    /// All measures of answers whose items are known; with weights, each with the gamma that was chosen for it.
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
        let places = self.places(answers, weights.map(|(weights, _)| weights), &gammas, targets, progress)?;
        let measured = RankingMeasure::all().zip(&gammas).enumerate().map(|(at, (measure, &gamma))| MeasuredRanking {
            measure: measure.name(),
            gamma,
            value: measure.of(places.iter().map(|of_answer| of_answer[at]).collect::<Vec<_>>().into_iter()),
        });
        Ok(measured.collect())
    }

    /// The place of each answer's item, from 0 on, with each gamma.
    fn places(
        &self,
        answers: ArrayView2<f32>,
        weights: Option<&GroundingWeights>,
        gammas: &[f64],
        targets: &[usize],
        progress: &dyn Progress,
    ) -> Result<Vec<Vec<usize>>> {
        self.check(answers, weights)?;
        if targets.len() != answers.nrows() || targets.iter().any(|&target| target >= self.len()) {
            let help = "name the item of every answer";
            return Err(Error::mismatch("targets", format!("{} items", answers.nrows()), targets.len(), help));
        }
        progress.begin("look for items", Some(answers.nrows() as u64), "answers");
        let of_items: Option<Vec<Vec<f32>>> = match weights {
            Some(GroundingWeights::Items(w)) => {
                Some(gammas.par_iter().map(|&gamma| w.iter().map(|&w| factor(w, gamma)).collect()).collect())
            }
            _ => None,
        };
        let chunk = self.distances.answers_at_once();
        let chunks = answers.axis_chunks_iter(Axis(0), chunk).into_par_iter().enumerate();
        let found: Vec<Vec<Vec<usize>>> = chunks
            .map(|(at, some)| {
                let squares = self.distances.squares(some);
                let of_answer = |row: usize| {
                    let (squares, target) = (squares.row(row), targets[at * chunk + row]);
                    let least = squares.iter().copied().fold(f32::INFINITY, f32::min).sqrt();
                    let scores: Vec<f32> = squares.iter().map(|square| square.sqrt() - least).collect();
                    let place = |(at_gamma, &gamma): (usize, &f64)| match (weights, &of_items) {
                        (None, _) => place(&scores, target, |_| 1.0),
                        (_, Some(factors)) => place(&scores, target, |item| factors[at_gamma][item]),
                        (Some(GroundingWeights::Answers(w)), _) => {
                            let w = w.row(at * chunk + row);
                            place(&scores, target, |item| factor(w[item], gamma))
                        }
                        (Some(GroundingWeights::Items(w)), None) => {
                            place(&scores, target, |item| factor(w[item], gamma))
                        }
                    };
                    gammas.iter().enumerate().map(place).collect::<Vec<usize>>()
                };
                let places: Vec<Vec<usize>> = (0..some.nrows()).map(of_answer).collect();
                progress.advance(places.len() as u64);
                places
            })
            .collect();
        progress.end();
        Ok(found.into_iter().flatten().collect())
    }
}

/// How many items stand before the wanted one; of equally good ones those of lower rows.
fn place(scores: &[f32], target: usize, factor: impl Fn(usize) -> f32) -> usize {
    let wanted = scores[target] * factor(target);
    let before = |(item, score): (usize, &f32)| {
        let score = score * factor(item);
        score < wanted || (score == wanted && item < target)
    };
    scores.iter().enumerate().filter(|&one| before(one)).count()
}
