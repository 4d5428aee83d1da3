//! The figures of a token table; with its model and features, also those that compare codes with vectors.

use ndarray::ArrayView2;
use serde::Serialize;

use super::histories::HistoryFigures;
use super::labels::LabelFigures;
use super::neighbours::unit_vectors;
use super::recall::NeighbourFigures;
use super::reconstruction::{Reconstruction, ReconstructionSums};
use crate::error::Result;
use crate::features::{Block, FeatureSource, Modality, for_each_block};
use crate::progress::Progress;
use crate::semantic_id::{CollisionReport, Collisions, Lookup, TokenTable};
use crate::tokenizer::{CodeUsage, Tokenizer};

/// Crowded prefixes listed per depth.
const LISTED: usize = 5;

/// Usage of one level's codebook.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LevelFigures {
    /// 0-based level.
    pub level: usize,
    /// Size of the codebook.
    pub codes: usize,
    /// Codes that at least one item has.
    pub used: usize,
    /// Perplexity: the exponential of the entropy of the code distribution, from 1 to the codebook size.
    pub perplexity: f64,
    /// `perplexity / codes`: 1 if all codes are used equally often.
    pub effective_share: f64,
    /// Gini coefficient: 0 if all codes are used equally often, near 1 if one code has all items.
    pub gini: f64,
}

/// A prefix shared by many items.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CrowdedPrefix {
    /// Number of codes in it.
    pub depth: usize,
    /// The prefix as tokens.
    pub prefix: String,
    /// Items under it.
    pub items: usize,
}

/// All that `catalex inspect` prints of a token table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Number of items.
    pub items: usize,
    /// Number of levels.
    pub levels: usize,
    /// Codes per level.
    pub codebook_sizes: Vec<usize>,
    /// Hash of the model that assigned the codes.
    pub model_hash: String,
    /// Distinct semantic IDs; equal to `items` if IDs are unique.
    pub distinct_ids: usize,
    /// How ID collisions were resolved.
    pub collision_policy: Collisions,
    /// Outcome of the collision resolution.
    pub collisions: Option<CollisionReport>,
    /// One entry per level.
    pub usage: Vec<LevelFigures>,
    /// Fraction of the codes of all levels that at least one item has: the rows of an embedding table that are used.
    pub hit_rate: f64,
    /// Distinct prefixes per depth, from 1 to the number of levels.
    pub distinct_prefixes: Vec<usize>,
    /// The prefixes with most items, per depth except the last.
    pub crowded: Vec<CrowdedPrefix>,
    /// If model and features are given.
    pub reconstruction: Option<Reconstruction>,
    /// If model and features are given.
    pub neighbours: Option<NeighbourFigures>,
    /// If a label is given.
    pub labels: Option<LabelFigures>,
    /// If interactions are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub histories: Option<HistoryFigures>,
}

impl Figures {
    /// Figures of a table. With `source`, the model and the features that the table was made from, reconstruction and
    /// neighbours are measured too, in two passes over the features. [`LabelFigures::measure`] gives those of a label.
    ///
    /// # Errors
    /// [`Error::Mismatch`](crate::Error::Mismatch) if the model or the features are not the table's; as
    /// [`FeatureSource::blocks`].
    pub fn of_table(
        table: &TokenTable,
        source: Option<(&Tokenizer, &dyn FeatureSource)>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let lookup = Lookup::new(table);
        let levels = table.codes.ncols();
        let distinct_prefixes: Vec<usize> = (1..=levels).map(|depth| lookup.distinct_prefixes(depth)).collect();
        let crowded = (1..levels)
            .flat_map(|depth| {
                let fullest = lookup.fullest_prefixes(depth, LISTED).into_iter();
                fullest.map(move |(codes, items)| (depth, codes, items))
            })
            .map(|(depth, codes, items)| CrowdedPrefix {
                depth,
                prefix: table.metadata.token_format.semantic_id(&codes),
                items,
            })
            .collect();
        let usage = usage(table.codes.view(), &table.metadata.codebook_sizes);
        let (used, codes) = usage.iter().fold((0, 0), |(used, codes), level| (used + level.used, codes + level.codes));
        let compared =
            source.map(|(model, features)| compare(table, &lookup, model, features, progress)).transpose()?;
        let (reconstruction, neighbours) =
            compared.map_or((None, None), |(reconstruction, neighbours)| (Some(reconstruction), neighbours));
        Ok(Figures {
            items: table.item_ids.len(),
            levels,
            codebook_sizes: table.metadata.codebook_sizes.clone(),
            model_hash: table.metadata.model_hash.clone(),
            distinct_ids: distinct_prefixes.last().copied().unwrap_or(0),
            collision_policy: table.metadata.policy,
            collisions: table.metadata.collisions.clone(),
            usage,
            hit_rate: used as f64 / codes.max(1) as f64,
            distinct_prefixes,
            crowded,
            reconstruction,
            neighbours,
            labels: None,
            histories: None,
        })
    }
}

/// The figures that compare codes with features. The first pass sums up reconstruction errors and collects the queries
/// of the neighbour search; the second compares all items with the queries.
fn compare(
    table: &TokenTable,
    lookup: &Lookup<&TokenTable>,
    model: &Tokenizer,
    features: &dyn FeatureSource,
    progress: &dyn Progress,
) -> Result<(Reconstruction, Option<NeighbourFigures>)> {
    let rows = |block: &Block| block.first_row..block.first_row + block.features.len();
    let mut sums = ReconstructionSums::new(table, model, features)?;
    let mut search = NeighbourFigures::search(features);
    progress.begin("measure reconstruction", Some(features.rows() as u64), "items");
    for_each_block(features, |block| {
        sums.add(block)?;
        if let Some(search) = &mut search {
            let rows = rows(block);
            let queries: Vec<usize> = search.queries_in(rows.clone()).iter().map(|row| row - rows.start).collect();
            let modalities: Vec<&Modality> = block.features.modalities().iter().collect();
            search.set_queries(rows, unit_vectors(&modalities, &queries).view());
        }
        progress.advance(block.features.len() as u64);
        Ok(())
    })?;
    progress.end();
    let Some(mut search) = search else { return Ok((sums.finish(), None)) };
    progress.begin("compare neighbours", Some(features.rows() as u64), "items");
    for_each_block(features, |block| {
        let modalities: Vec<&Modality> = block.features.modalities().iter().collect();
        let rows: Vec<usize> = rows(block).collect();
        search.compare(&rows, |places| unit_vectors(&modalities, &places.collect::<Vec<_>>()));
        progress.advance(rows.len() as u64);
        Ok(())
    })?;
    progress.end();
    Ok((sums.finish(), Some(NeighbourFigures::of_search(table, lookup, search))))
}

/// Usage of every level.
fn usage(codes: ArrayView2<u16>, sizes: &[usize]) -> Vec<LevelFigures> {
    CodeUsage::of_levels(codes, sizes)
        .into_iter()
        .enumerate()
        .map(|(level, usage)| LevelFigures {
            level,
            codes: usage.counts.len(),
            used: usage.used(),
            perplexity: usage.perplexity(),
            effective_share: usage.perplexity() / usage.counts.len() as f64,
            gini: usage.gini(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use crate::quality::tests::table;
    use ndarray::array;

    #[test]
    fn usage_by_hand() {
        let table = table(array![[0, 0], [0, 1], [1, 2], [1, 3]], &[4, 4]);
        let figures = Figures::of_table(&table, None, &Silent).unwrap();
        assert_eq!(figures.distinct_prefixes, [2, 4]);
        // Two of four codes, then four of four.
        assert_eq!(figures.hit_rate, 0.75);
        let share: Vec<f64> = figures.usage.iter().map(|level| level.effective_share).collect();
        assert!((share[0] - 0.5).abs() < 1e-12 && (share[1] - 1.0).abs() < 1e-12, "{share:?}");
        assert_eq!(figures.crowded[0], CrowdedPrefix { depth: 1, prefix: "<a_0>".into(), items: 2 });
    }
}
