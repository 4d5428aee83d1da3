//! Grounding of generated titles to items, as in BIGRec (Bao et al., arXiv 2308.08434).
//!
//! A model that is tuned to generate titles also generates titles of no item. The embedding of the generated text is
//! therefore compared with the embeddings of all items, by Euclidean distance `d`. Optional weights `w >= 0`, such as the
//! items' popularity, favour some items:
//!
//! ```text
//! score(g, i) = (d(g, i) - min_j d(g, j)) / (max_j d(g, j) - min_j d(g, j)) * (1 + w_i)^(-gamma)
//! ```
//!
//! Lower scores are better. [`Grounding::search`] chooses `gamma` on answers with known items, separately per measure.
//!
//! | file | content |
//! |---|---|
//! | `distances.rs` | distances of answers to all items, as a blocked matrix product |
//! | `nearest.rs` | the best items of an answer, with distances recomputed in double precision |
//! | `search.rs` | ranking measures, and the search for the best gamma per measure |

mod distances;
mod nearest;
mod search;

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

pub use search::{ChosenGammas, MeasuredRanking, RankingMeasure};

use crate::error::{Error, Result};
use crate::progress::Progress;
use distances::Distances;

/// Weights that favour some items.
#[derive(Debug, Clone, PartialEq)]
pub enum GroundingWeights {
    /// One weight per item for all answers, such as popularity.
    Items(Vec<f32>),
    /// One weight per answer and item `(answers, items)`, such as another recommender's scores.
    Answers(Array2<f32>),
}

/// An item that an answer is grounded to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroundedItem {
    /// Row of the item.
    pub item: usize,
    /// Euclidean distance.
    pub distance: f64,
    /// The score that it is ranked by; lower is better.
    pub score: f64,
}

/// Grounds answers to the nearest items.
#[derive(Debug)]
pub struct Grounding<'a> {
    distances: Distances<'a>,
}

impl<'a> Grounding<'a> {
    /// A grounding to items with these vectors `(items, dim)`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] without items.
    pub fn new(items: ArrayView2<'a, f32>) -> Result<Self> {
        if items.is_empty() {
            let got = format!("{:?}", items.dim());
            return Err(Error::mismatch("items' vectors", "at least one item", got, "check how they were written"));
        }
        Ok(Grounding { distances: Distances::new(items) })
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.distances.items()
    }

    /// Always `false`.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `top` best items of each answer `(answers, dim)`; ties by row.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where vectors or weights do not match the items.
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
        let chunk = self.distances.answers_per_chunk();
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

    /// Checks the shapes of vectors and weights.
    fn check(&self, answers: ArrayView2<f32>, weights: Option<&GroundingWeights>) -> Result<()> {
        let items = self.distances.vectors;
        if answers.ncols() != items.ncols() {
            let expected = format!("vectors of length {}, as the items' vectors", items.ncols());
            let help = "embed answers and items with the same model";
            return Err(Error::mismatch("answers' vectors", expected, answers.ncols(), help));
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
            let help = "give one weight per item, or one per answer and item";
            return Err(Error::mismatch("weights", format!("{expected:?} numbers"), format!("{got:?}"), help));
        }
        if negative {
            let help = "shift them, or scale them to the range 0 to 1";
            return Err(Error::mismatch("weights", "finite numbers of at least 0", "negative or infinite ones", help));
        }
        Ok(())
    }
}

/// The factor of a normalized distance.
fn factor(weight: f32, gamma: f64) -> f32 {
    (1.0 + f64::from(weight)).powf(-gamma) as f32
}

/// Popularity weights from counts, scaled linearly from 0 to 1 as in BIGRec.
pub fn popularity(counts: &[u64]) -> GroundingWeights {
    let (least, most) = (counts.iter().min().copied().unwrap_or(0), counts.iter().max().copied().unwrap_or(0));
    let range = (most - least).max(1) as f64;
    GroundingWeights::Items(counts.iter().map(|&count| ((count - least) as f64 / range) as f32).collect())
}

#[cfg(test)]
mod tests;
