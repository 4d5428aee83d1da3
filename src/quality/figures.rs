//! The figures of a token table, with the model and the features where they are at hand.

use ndarray::{Array2, ArrayView2, s};
use serde::Serialize;

use super::{LabelFigures, NeighbourFigures};
use crate::error::{Error, Result};
use crate::features::Features;
use crate::progress::Progress;
use crate::semantic_id::{CollisionReport, Collisions, Lookup, TokenTable};
use crate::tokenizer::{Tokenizer, Usage};

/// Crowded prefixes that are listed a depth.
const LISTED: usize = 5;

/// Usage of one level's codebook.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LevelFigures {
    /// 0-based level.
    pub level: usize,
    /// Size of the codebook.
    pub codes: usize,
    /// Codes that some item has.
    pub used: usize,
    /// Exponential of the entropy of the codes, from 1 to the codebook's size.
    pub perplexity: f64,
    /// `perplexity / codes`: the share of the codebook that is put to use, 1 when all codes are used alike.
    pub effective_share: f64,
    /// 0 when all codes are used alike, near 1 when one code takes all.
    pub gini: f64,
}

/// A prefix that many items share.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CrowdedPrefix {
    /// Number of codes in it.
    pub depth: usize,
    /// The prefix as tokens.
    pub prefix: String,
    /// Items under it.
    pub items: usize,
}

/// Relative reconstruction error `|x - x'|^2 / |x - mean|^2` over all items, in standardised units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Reconstruction {
    /// With the codes the quantizer gives.
    pub before_resolution: f64,
    /// With the unique codes of the table.
    pub after_resolution: f64,
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
    /// Hash of the model that gave the codes.
    pub model_hash: String,
    /// Distinct full codes; equal to the items where IDs are unique.
    pub distinct_ids: usize,
    /// What became of items that the quantizer gave one code.
    pub collision_policy: Collisions,
    /// What resolving collisions did.
    pub collisions: Option<CollisionReport>,
    /// One entry a level.
    pub usage: Vec<LevelFigures>,
    /// Codes that some item has, over all levels, as a share of all codes: rows of an embedding table that are met.
    pub hit_rate: f64,
    /// Distinct prefixes of each depth, from 1 to the number of levels.
    pub distinct_prefixes: Vec<usize>,
    /// The most crowded prefixes of each depth but the last.
    pub crowded: Vec<CrowdedPrefix>,
    /// Where model and features are at hand.
    pub reconstruction: Option<Reconstruction>,
    /// Where features are at hand.
    pub neighbours: Option<NeighbourFigures>,
    /// Where a label was named.
    pub labels: Option<LabelFigures>,
}

impl Figures {
    /// Figures of a table; with `source`, of the reconstruction and of neighbours too. A label's are the caller's to
    /// add, by [`LabelFigures::measure`].
    ///
    /// # Errors
    /// [`Error::Mismatch`] when the features or the model are not the table's.
    pub fn of_table(
        table: &TokenTable,
        source: Option<(&Tokenizer, &Features)>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let lookup = Lookup::new(table);
        let levels = table.codes.ncols();
        let distinct_prefixes: Vec<usize> = (1..=levels).map(|depth| lookup.prefix_counts(depth).len()).collect();
        let crowded = (1..levels)
            .flat_map(|depth| {
                let counts = lookup.prefix_counts(depth).into_iter().take(LISTED);
                counts.map(move |(codes, items)| (depth, codes, items))
            })
            .map(|(depth, codes, items)| CrowdedPrefix {
                depth,
                prefix: table.metadata.token_format.semantic_id(&codes),
                items,
            })
            .collect();
        let usage = usage(table.codes.view(), &table.metadata.codebook_sizes);
        let (used, codes) = usage.iter().fold((0, 0), |(used, codes), level| (used + level.used, codes + level.codes));
        // First the check that all of them belong together.
        let reconstruction = source.map(|(model, features)| reconstruction(table, model, features)).transpose()?;
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
            neighbours: source.and_then(|(_, f)| NeighbourFigures::measure(table, &lookup, f, progress)),
            labels: None,
        })
    }
}

/// Usage of every level.
fn usage(codes: ArrayView2<u16>, sizes: &[usize]) -> Vec<LevelFigures> {
    Usage::of_levels(codes, sizes)
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

fn reconstruction(table: &TokenTable, model: &Tokenizer, features: &Features) -> Result<Reconstruction> {
    if model.hash() != table.metadata.model_hash {
        let help = "name the model that gave the table its codes";
        return Err(Error::mismatch("model of the token table", &table.metadata.model_hash, model.hash(), help));
    }
    if features.item_ids() != &table.item_ids {
        return Err(Error::mismatch(
            "items of the features",
            format!("the {} items of the token table, in its order", table.item_ids.len()),
            format!("{} others", features.len()),
            "name the features that the table was made from",
        ));
    }
    let (x, present) = (features.concatenated(), features.presence());
    let raw = model.encode(x.view(), Some(present.view()))?.codes;
    let standardized = model.standardization().apply_with_gaps(x.view(), Some(present.view()));
    let spread = squares(&standardized);
    let error = |codes: ArrayView2<u16>| -> Result<f64> {
        let mut left = model.decode_standardized(codes)? - &standardized;
        clear_gaps(&mut left, present.view(), &features.dims());
        Ok(squares(&left) / spread)
    };
    Ok(Reconstruction { before_resolution: error(raw.view())?, after_resolution: error(table.quantized())? })
}

/// Nothing can be said of how well a vector is met that is not there.
fn clear_gaps(left: &mut Array2<f32>, present: ArrayView2<bool>, dims: &[usize]) {
    let mut start = 0;
    for (m, &dim) in dims.iter().enumerate() {
        for (mut row, _) in left.rows_mut().into_iter().zip(present.column(m)).filter(|(_, has)| !**has) {
            row.slice_mut(s![start..start + dim]).fill(0.0);
        }
        start += dim;
    }
}

fn squares(x: &Array2<f32>) -> f64 {
    x.iter().map(|&v| f64::from(v) * f64::from(v)).sum()
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
