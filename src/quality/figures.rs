//! The figures of a token table, with the model and the features where they are at hand.

use ndarray::{Array2, ArrayView2};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::features::Features;
use crate::semantic_id::{CollisionReport, Lookup, TokenTable};
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
    /// What resolving collisions did.
    pub collisions: Option<CollisionReport>,
    /// One entry a level.
    pub usage: Vec<LevelFigures>,
    /// Distinct prefixes of each depth, from 1 to the number of levels.
    pub distinct_prefixes: Vec<usize>,
    /// The most crowded prefixes of each depth but the last.
    pub crowded: Vec<CrowdedPrefix>,
    /// Where model and features are at hand.
    pub reconstruction: Option<Reconstruction>,
}

impl Figures {
    /// Figures of a table; with `source`, of the reconstruction too.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when the features or the model are not the table's.
    pub fn of_table(table: &TokenTable, source: Option<(&Tokenizer, &Features)>) -> Result<Self> {
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
        Ok(Figures {
            items: table.item_ids.len(),
            levels,
            codebook_sizes: table.metadata.codebook_sizes.clone(),
            model_hash: table.metadata.model_hash.clone(),
            distinct_ids: distinct_prefixes.last().copied().unwrap_or(0),
            collisions: table.metadata.collisions.clone(),
            usage: usage(table.codes.view(), &table.metadata.codebook_sizes),
            distinct_prefixes,
            crowded,
            reconstruction: source.map(|(model, features)| reconstruction(table, model, features)).transpose()?,
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
    let standardized = model.standardization().apply(x.view(), Some(present.view()));
    let spread = squares(&standardized);
    let error = |codes: ArrayView2<u16>| -> Result<f64> {
        Ok(squares(&(model.decode_standardized(codes)? - &standardized)) / spread)
    };
    Ok(Reconstruction { before_resolution: error(raw.view())?, after_resolution: error(table.codes.view())? })
}

fn squares(x: &Array2<f32>) -> f64 {
    x.iter().map(|&v| f64::from(v) * f64::from(v)).sum()
}
