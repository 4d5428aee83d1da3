//! From what a language model said to items: BIGRec's grounding (Bao et al., arXiv 2308.08434).
//!
//! A model that was tuned to answer with titles says some that no item has. The vector of what it said is compared with
//! the vectors of all items, by Euclidean distance `d`. Where something else is known of the items, such as how popular
//! they are, a weight `w >= 0` draws the ones with more of it nearer:
//!
//! ```text
//! score(g, i) = (d(g, i) - min_j d(g, j)) / (max_j d(g, j) - min_j d(g, j)) * (1 + w_i)^(-gamma)
//! ```
//!
//! the lower the better. `gamma` is chosen on answers whose item is known ([`Grounding::search`]), for each measure by
//! itself.
//!
//! | file | its job |
//! |---|---|
//! | `distances.rs` | distances of some answers to all items, as a blocked matrix product |
//! | `nearest.rs` | the best of a row, and their distances once more, in double precision |
//! | `search.rs` | measures, and the gamma that is best by each |

mod distances;
mod nearest;
mod search;

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

pub use search::{ChosenGammas, MeasuredRanking, RankingMeasure};

use crate::error::{Error, Result};
use crate::progress::Progress;
use distances::Distances;

/// What else is known of the items.
#[derive(Debug, Clone, PartialEq)]
pub enum GroundingWeights {
    /// A number an item, the same for all answers: popularity.
    Items(Vec<f32>),
    /// A number an answer and item `(answers, items)`: another recommender's scores.
    Answers(Array2<f32>),
}

/// An item, and how near an answer it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroundedItem {
    /// Row of the item.
    pub item: usize,
    /// Euclidean distance.
    pub distance: f64,
    /// What it is ranked by, see the module.
    pub score: f64,
}

/// The vectors of all items, to find those that answers mean.
#[derive(Debug)]
pub struct Grounding<'a> {
    distances: Distances<'a>,
}

impl<'a> Grounding<'a> {
    /// Of the items' vectors `(items, dim)`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] without items.
    pub fn new(items: ArrayView2<'a, f32>) -> Result<Self> {
        if items.is_empty() {
            let got = format!("{:?}", items.dim());
            return Err(Error::mismatch("items' vectors", "one item or more", got, "check how they were written"));
        }
        Ok(Grounding { distances: Distances::new(items) })
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.distances.items()
    }

    /// Whether there is no item; there always is one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `top` best items of each answer `(answers, dim)`, of equally good ones the lowest row.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where vectors or weights do not fit the items.
    pub fn rank(
        &self,
        answers: ArrayView2<f32>,
        weights: Option<(&GroundingWeights, f64)>,
        top: usize,
        progress: &dyn Progress,
    ) -> Result<Vec<Vec<GroundedItem>>> {
        self.check(answers, weights.map(|(weights, _)| weights))?;
        progress.begin("compare with items", Some(answers.nrows() as u64), "answers");
        let of_items = weights.and_then(|(weights, gamma)| match weights {
            GroundingWeights::Items(weights) => Some(weights.iter().map(|&w| factor(w, gamma)).collect::<Vec<f32>>()),
            GroundingWeights::Answers(_) => None,
        });
        let chunk = self.distances.answers_at_once();
        let chunks = answers.axis_chunks_iter(Axis(0), chunk).into_par_iter().enumerate();
        let found = chunks.map(|(at, some)| {
            let squares = self.distances.squares(some);
            let rank = |(row, squares): (usize, &[f32])| {
                let of_answer: Option<Vec<f32>> = match weights {
                    Some((GroundingWeights::Answers(all), gamma)) => {
                        Some(all.row(at * chunk + row).iter().map(|&w| factor(w, gamma)).collect())
                    }
                    _ => None,
                };
                let factors = of_answer.as_deref().or(of_items.as_deref());
                nearest::best(&self.distances, some.row(row), squares, factors, top)
            };
            let ranked: Vec<Vec<GroundedItem>> = squares
                .axis_iter(Axis(0))
                .enumerate()
                .filter_map(|(row, s)| Some(rank((row, s.to_slice()?))))
                .collect();
            progress.advance(ranked.len() as u64);
            ranked
        });
        let found: Vec<Vec<Vec<GroundedItem>>> = found.collect();
        progress.end();
        Ok(found.into_iter().flatten().collect())
    }

    /// Whether vectors and weights fit the items.
    fn check(&self, answers: ArrayView2<f32>, weights: Option<&GroundingWeights>) -> Result<()> {
        let items = self.distances.vectors;
        if answers.ncols() != items.ncols() {
            let expected = format!("{} numbers each, as the items' have", items.ncols());
            let help = "make both with the same model";
            return Err(Error::mismatch("answers' vectors", expected, format!("{}", answers.ncols()), help));
        }
        let (expected, got, negative) = match weights {
            None => return Ok(()),
            Some(GroundingWeights::Items(w)) => {
                (vec![self.len()], vec![w.len()], w.iter().any(|&w| !(w >= 0.0 && w.is_finite())))
            }
            Some(GroundingWeights::Answers(w)) => {
                let negative = w.iter().any(|&w| !(w >= 0.0 && w.is_finite()));
                (vec![answers.nrows(), self.len()], w.shape().to_vec(), negative)
            }
        };
        if expected != got {
            let help = "give one number an item, or one an answer and item";
            return Err(Error::mismatch("weights", format!("{expected:?} numbers"), format!("{got:?}"), help));
        }
        if negative {
            let help = "shift them, or scale them to between 0 and 1";
            return Err(Error::mismatch("weights", "finite numbers of 0 and more", "others among them", help));
        }
        Ok(())
    }
}

/// What a weight multiplies a normalised distance by.
fn factor(weight: f32, gamma: f64) -> f32 {
    (1.0 + f64::from(weight)).powf(-gamma) as f32
}

/// Popularity from counts, as BIGRec scales it: from 0 for the least to 1 for the most.
pub fn popularity(counts: &[u64]) -> GroundingWeights {
    let (least, most) = (counts.iter().min().copied().unwrap_or(0), counts.iter().max().copied().unwrap_or(0));
    let range = (most - least).max(1) as f64;
    GroundingWeights::Items(counts.iter().map(|&count| ((count - least) as f64 / range) as f32).collect())
}

#[cfg(test)]
mod tests;
