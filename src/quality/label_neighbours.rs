//! Whether near items have the same label, for each definition of near.

use rand::SeedableRng;
use rand::seq::index::sample;
use rand_xoshiro::Xoshiro256Plus;
use serde::Serialize;

use super::neighbours::{NeighbourSearch, unit_vectors};
use crate::error::{Error, Result};
use crate::features::{Block, FeatureSource, Modality, for_each_block};
use crate::progress::Progress;
use crate::tokenizer::{ModelInput, Tokenizer};

/// Neighbours per item.
const NEIGHBOURS: usize = 10;
/// Maximum number of items whose neighbours are searched. Larger catalogs are sampled at random.
const MAX_QUERIES: usize = 5_000;
/// Seed of the sample.
const SEED: u64 = 42;

/// How often the neighbours of an item have its label. Items without a label are left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelNeighbours {
    /// Neighbours per item.
    pub neighbours: usize,
    /// Fraction of all pairs of items that have the same label.
    pub by_chance: f64,
    /// Fraction of an item's neighbours that have its label, by definition of near.
    pub shares: Vec<Nearness>,
}

/// One definition of near.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Nearness {
    /// The name of a modality, whose cosine is used; "side by side": all modalities, scaled to equal lengths; "fused":
    /// the latents that the model quantizes.
    pub by: String,
    /// Labelled items that have these vectors.
    pub items: usize,
    /// Fraction of their neighbours with the same label.
    pub share: f64,
}

impl LabelNeighbours {
    /// Compares the labels of neighbours; `labels` by row, an empty label is none. Reads the features three times:
    /// which modalities the labelled items have, the queries, and all labelled items.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the numbers of labels and items differ, or the features are not the model's;
    /// [`Error::Data`] for fewer than two items with a label; as [`FeatureSource::blocks`].
    pub fn measure(
        model: &Tokenizer,
        features: &dyn FeatureSource,
        labels: &[String],
        progress: &dyn Progress,
    ) -> Result<Self> {
        if labels.len() != features.rows() {
            let help = "give every item a label, or an empty one";
            return Err(Error::mismatch("labels", features.rows(), labels.len(), help));
        }
        let labelled: Vec<bool> = labels.iter().map(|label| !label.is_empty()).collect();
        let count = labelled.iter().filter(|&&has| has).count();
        if count < 2 {
            let help = "name a column that some items have";
            return Err(Error::data("neighbours by label", "two items with a label", count, help));
        }
        let input = ModelInput::new(model, features)?;
        let mut spaces = spaces(features, labelled, model.config().latent_dim)?;
        for_each_block(features, |block| {
            for space in &mut spaces {
                let rows = block.first_row..block.first_row + block.features.len();
                let queries = space.search.queries_in(rows.clone()).to_vec();
                if !queries.is_empty() {
                    let vectors = space.vectors(block, &queries, &input)?;
                    let unit = unit_vectors(&vectors.modalities(), &vectors.places);
                    space.search.set_queries(rows, unit.view());
                }
            }
            Ok(())
        })?;
        progress.begin("compare neighbours", Some(features.rows() as u64), "items");
        for_each_block(features, |block| {
            for space in &mut spaces {
                let rows = block.first_row..block.first_row + block.features.len();
                let members: Vec<usize> = rows.filter(|&row| space.members[row]).collect();
                if !members.is_empty() {
                    let vectors = space.vectors(block, &members, &input)?;
                    let unit = |places| unit_vectors(&vectors.modalities(), &vectors.places[places]);
                    space.search.compare(&members, unit);
                }
            }
            progress.advance(block.features.len() as u64);
            Ok(())
        })?;
        progress.end();
        Ok(LabelNeighbours {
            neighbours: NEIGHBOURS.min(count - 1),
            by_chance: by_chance(labels),
            shares: spaces.into_iter().map(|space| space.nearness(labels)).collect(),
        })
    }
}

/// One definition of near, with its search.
struct Space {
    name: String,
    axes: Axes,
    /// Which rows are compared.
    members: Vec<bool>,
    search: NeighbourSearch,
}

/// Which vectors a space compares.
#[derive(Clone, Copy)]
enum Axes {
    Modality(usize),
    SideBySide,
    Latents,
}

/// The vectors of some items of a block.
enum SpaceVectors<'a> {
    Features(Vec<&'a Modality>),
    Latents(Modality),
}

/// These, with the places of the items in them.
struct Placed<'a> {
    vectors: SpaceVectors<'a>,
    places: Vec<usize>,
}

impl Placed<'_> {
    fn modalities(&self) -> Vec<&Modality> {
        match &self.vectors {
            SpaceVectors::Features(modalities) => modalities.clone(),
            SpaceVectors::Latents(latents) => vec![latents],
        }
    }
}

/// Every modality that at least two labelled items have, all of them side by side if there are several, and the latents.
fn spaces(features: &dyn FeatureSource, labelled: Vec<bool>, latent_dim: usize) -> Result<Vec<Space>> {
    let shapes = features.shapes();
    let mut has = vec![labelled.clone(); shapes.len()];
    for_each_block(features, |block| {
        for (has, modality) in has.iter_mut().zip(block.features.modalities()) {
            let rows = has[block.first_row..].iter_mut().zip(&modality.present);
            rows.for_each(|(has, &present)| *has &= present);
        }
        Ok(())
    })?;
    let mut spaces = Vec::new();
    for (m, ((name, dim), has)) in shapes.iter().zip(has).enumerate() {
        if has.iter().filter(|&&has| has).count() >= 2 {
            spaces.push(Space::new(name, Axes::Modality(m), has, *dim));
        }
    }
    if shapes.len() > 1 {
        let dim = shapes.iter().map(|(_, dim)| dim).sum();
        spaces.push(Space::new("side by side", Axes::SideBySide, labelled.clone(), dim));
    }
    spaces.push(Space::new("fused", Axes::Latents, labelled, latent_dim));
    Ok(spaces)
}

impl Space {
    fn new(name: &str, axes: Axes, members: Vec<bool>, dim: usize) -> Self {
        let rows: Vec<usize> = (0..members.len()).filter(|&row| members[row]).collect();
        let n = rows.len();
        let drawn = sample(&mut Xoshiro256Plus::seed_from_u64(SEED), n, n.min(MAX_QUERIES));
        let mut queries: Vec<usize> = drawn.into_iter().map(|at| rows[at]).collect();
        queries.sort_unstable();
        let search = NeighbourSearch::new(queries, dim, NEIGHBOURS.min(n.saturating_sub(1)));
        Space { name: name.into(), axes, members, search }
    }

    /// The vectors of these rows, which are in the block.
    fn vectors<'a>(&self, block: &'a Block, rows: &[usize], input: &ModelInput) -> Result<Placed<'a>> {
        let places: Vec<usize> = rows.iter().map(|row| row - block.first_row).collect();
        let modalities = block.features.modalities();
        Ok(match self.axes {
            Axes::Modality(m) => Placed { vectors: SpaceVectors::Features(vec![&modalities[m]]), places },
            Axes::SideBySide => Placed { vectors: SpaceVectors::Features(modalities.iter().collect()), places },
            Axes::Latents => {
                let latents = input.encode(&block.features.take(&places)?)?.latents;
                let latents = Modality { name: self.name.clone(), vectors: latents, present: vec![true; rows.len()] };
                Placed { vectors: SpaceVectors::Latents(latents), places: (0..rows.len()).collect() }
            }
        })
    }

    fn nearness(self, labels: &[String]) -> Nearness {
        let items = self.members.iter().filter(|&&member| member).count();
        let (mut same, mut all) = (0, 0);
        for (query, found) in self.search.finish() {
            same += found.iter().filter(|&&row| labels[row] == labels[query]).count();
            all += found.len();
        }
        Nearness { by: self.name, items, share: same as f64 / all.max(1) as f64 }
    }
}

/// The fraction of all pairs of labelled items that have the same label.
fn by_chance(labels: &[String]) -> f64 {
    let mut counts = std::collections::BTreeMap::<&str, f64>::new();
    let labelled = labels.iter().filter(|label| !label.is_empty());
    labelled.for_each(|label| *counts.entry(label).or_default() += 1.0);
    let n = counts.values().sum::<f64>();
    counts.values().map(|count| count * (count - 1.0)).sum::<f64>() / (n * (n - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::Features;
    use crate::item_ids::ItemIds;
    use crate::progress::Silent;
    use ndarray::Array2;

    #[test]
    fn the_modality_that_determines_the_label_has_the_neighbours() {
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
        let model = crate::quality::tests::model([2, 2], vec![Array2::eye(2)]);
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
