//! Whether items that are near each other have the same label, by each way to say what near is.

use ndarray::Axis;
use rand::SeedableRng;
use rand::seq::index::sample;
use rand_xoshiro::Xoshiro256Plus;
use serde::Serialize;

use super::neighbours::nearest;
use crate::error::{Error, Result};
use crate::features::{Features, Modality};
use crate::progress::Progress;
use crate::tokenizer::Tokenizer;

/// Neighbours of an item that are looked at.
const NEIGHBOURS: usize = 10;
/// Most items whose neighbours are looked at; of more, this many are drawn.
const MOST_QUERIES: usize = 5_000;
/// Seed of the draw.
const SEED: u64 = 42;

/// How often the neighbours of an item have its label, all items without one left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelNeighbours {
    /// Neighbours of each item that were looked at.
    pub neighbours: usize,
    /// The share of any two items that have the same label.
    pub by_chance: f64,
    /// The share of an item's neighbours that have its label.
    pub shares: Vec<Nearness>,
}

/// One way to say what near is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Nearness {
    /// A modality's cosine; "side by side", all modalities at equal lengths; "fused", the latents that the model
    /// quantizes.
    pub by: String,
    /// Labelled items that have what it takes.
    pub items: usize,
    /// Share of their neighbours with the same label.
    pub share: f64,
}

impl LabelNeighbours {
    /// Looks at the neighbours of items with these labels, by row; an empty label is none.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for another number of labels than items, or features of another width than the model's;
    /// [`Error::Data`] for fewer than two items with a label.
    pub fn measure(model: &Tokenizer, features: &Features, labels: &[String], progress: &dyn Progress) -> Result<Self> {
        if labels.len() != features.len() {
            let help = "give every item a label, or an empty one";
            return Err(Error::mismatch("labels", features.len(), labels.len(), help));
        }
        let labelled: Vec<usize> = (0..labels.len()).filter(|&row| !labels[row].is_empty()).collect();
        if labelled.len() < 2 {
            let help = "name a column that some items have";
            return Err(Error::data("neighbours by label", "two items with a label", labelled.len(), help));
        }
        let (features, labels) =
            (features.take(&labelled)?, labelled.iter().map(|&row| labels[row].as_str()).collect::<Vec<_>>());
        let mut shares = Vec::new();
        for modality in features.modalities() {
            let rows: Vec<usize> = (0..features.len()).filter(|&row| modality.present[row]).collect();
            if rows.len() < 2 {
                continue;
            }
            let alone = Modality {
                name: modality.name.clone(),
                vectors: modality.vectors.select(Axis(0), &rows),
                present: vec![true; rows.len()],
            };
            let labels: Vec<&str> = rows.iter().map(|&row| labels[row]).collect();
            let alone = Features::new(features.item_ids().take(&rows), vec![alone])?;
            shares.push(nearness(&modality.name, &alone, &labels, progress));
        }
        if features.modalities().len() > 1 {
            shares.push(nearness("side by side", &features, &labels, progress));
        }
        let latents = model.encode(features.concatenated().view(), Some(features.presence().view()))?.latents;
        let fused = Modality { name: "fused".into(), vectors: latents, present: vec![true; features.len()] };
        let fused = Features::new(features.item_ids().clone(), vec![fused])?;
        shares.push(nearness("fused", &fused, &labels, progress));
        let k = NEIGHBOURS.min(features.len() - 1);
        Ok(LabelNeighbours { neighbours: k, by_chance: by_chance(&labels), shares })
    }
}

fn nearness(by: &str, features: &Features, labels: &[&str], progress: &dyn Progress) -> Nearness {
    let n = features.len();
    let mut queries = sample(&mut Xoshiro256Plus::seed_from_u64(SEED), n, n.min(MOST_QUERIES)).into_vec();
    queries.sort_unstable();
    let found = nearest(features, &queries, NEIGHBOURS.min(n.saturating_sub(1)), progress);
    let (mut same, mut all) = (0, 0);
    for (&query, found) in queries.iter().zip(&found) {
        same += found.iter().filter(|&&row| labels[row] == labels[query]).count();
        all += found.len();
    }
    Nearness { by: by.into(), items: n, share: same as f64 / all.max(1) as f64 }
}

fn by_chance(labels: &[&str]) -> f64 {
    let mut counts = std::collections::BTreeMap::<&str, f64>::new();
    labels.iter().for_each(|&label| *counts.entry(label).or_default() += 1.0);
    let n = labels.len() as f64;
    counts.values().map(|count| count * (count - 1.0)).sum::<f64>() / (n * (n - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item_ids::ItemIds;
    use crate::progress::Silent;
    use crate::tokenizer::{ModalityShape, Network, Offsets, Standardization, Weights};
    use ndarray::{Array1, Array2};

    #[test]
    fn the_modality_that_knows_has_the_neighbours() {
        // 24 items of two labels: "a" tells them apart, "b" does not, and the last item has no label.
        let angle = |turn: f32| [turn.cos(), turn.sin()];
        let vectors = |turn: &dyn Fn(usize) -> f32| Array2::from_shape_fn((25, 2), |(row, j)| angle(turn(row))[j]);
        let modality =
            |name: &str, vectors: Array2<f32>| Modality { name: name.into(), vectors, present: vec![true; 25] };
        let modalities = vec![
            modality("a", vectors(&|row| (row % 2) as f32 * 3.0 + row as f32 * 0.01)),
            modality("b", vectors(&|row| row as f32 * 0.25)),
        ];
        let features = Features::new(ItemIds::row_numbers(25), modalities).unwrap();
        let labels: Vec<String> =
            (0..25).map(|row| if row == 24 { String::new() } else { ["x", "y"][row % 2].to_owned() }).collect();
        // Latents are "a" alone.
        let skip = Array2::from_shape_fn((2, 4), |(i, j)| f32::from(i == j));
        let weights = Weights {
            standardization: Standardization {
                mean: Array1::zeros(4),
                scale: Array1::ones(4),
                dims: vec![2, 2],
                completion: None,
            },
            inverse: Network { skip: Some(skip.t().to_owned()), layers: vec![] },
            projection: Network { skip: Some(skip), layers: vec![] },
            offsets: Offsets::zero([2]),
            codebooks: vec![Array2::eye(2)],
        };
        let shapes = ["a", "b"].map(|name| ModalityShape { name: name.into(), dim: 2 });
        let model = Tokenizer::new(shapes.into(), weights, None).unwrap();
        let found = LabelNeighbours::measure(&model, &features, &labels, &Silent).unwrap();
        let share = |by: &str| found.shares.iter().find(|nearness| nearness.by == by).unwrap();
        assert_eq!((share("a").share, share("fused").share, share("a").items), (1.0, 1.0, 24));
        assert!(share("b").share < 0.6, "{found:?}");
        assert!((found.by_chance - 11.0 / 23.0).abs() < 1e-12);
        let fails = |labels: &[String]| LabelNeighbours::measure(&model, &features, labels, &Silent).unwrap_err();
        assert!(fails(&labels[1..]).to_string().contains("expected 25, got 24"));
        assert!(fails(&vec![String::new(); 25]).to_string().contains("two items with a label"));
    }
}
