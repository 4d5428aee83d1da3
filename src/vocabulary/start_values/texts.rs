//! The items' texts as token ids of the language model.

use std::collections::HashMap;
use std::path::Path;

use rayon::prelude::*;

use super::matrix::EmbeddingMatrix;
use crate::artifact::read_text;
use crate::catalog::{CatalogJoin, CatalogSpec, MissingItems, cut_text};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::semantic_id::TokenTable;
use crate::text_tokenizer::TextTokenizer;

/// A token with this relative frequency has weight one half. After Arora, Liang and Ma: "A Simple but Tough-to-Beat
/// Baseline for Sentence Embeddings", ICLR 2017.
const HALF_WEIGHT_FREQUENCY: f32 = 1e-3;

/// Maximum number of bytes of an item's text, about 10,000 tokens.
const MOST_BYTES: usize = 64 << 10;

/// The token ids of each item's text, in the order of the table, and the weights of the tokens.
pub(super) struct ItemTokens {
    ids: Vec<Vec<u32>>,
    weights: HashMap<u32, f32>,
}

impl ItemTokens {
    /// Reads and encodes the texts of the table's items.
    ///
    /// # Errors
    /// As [`CatalogJoin::read`]: every item of the table must be in the catalog; [`Error::Data`] if no item has a text.
    pub(super) fn read(
        catalog: &CatalogSpec,
        table: &TokenTable,
        tokenizer: &Path,
        rows: usize,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let unusable = |reason: String| {
            let help = "save it again with AutoTokenizer's save_pretrained";
            Error::file(tokenizer, "a Hugging Face tokenizer", reason, help)
        };
        let text = read_text(tokenizer).map_err(|e| Error::io("read", tokenizer, e))?;
        let encoder = TextTokenizer::parse(&text).map_err(unusable)?;
        let mut cut = 0;
        let mut ids: Vec<Vec<u32>> = vec![Vec::new(); table.item_ids.len()];
        progress.begin("read texts", Some(ids.len() as u64), "items");
        CatalogJoin::new(&table.item_ids).read(catalog, MissingItems::Refuse, progress, |batch, pairs| {
            let texts: Vec<(usize, String)> =
                pairs.iter().map(|&(at, row)| (row, batch.texts[at].join(". "))).collect();
            cut += texts.iter().filter(|(_, text)| text.len() > MOST_BYTES).count();
            let encode = |(row, text): &(usize, String)| (*row, encoder.encode(cut_text(text, MOST_BYTES, false)));
            let encoded: Vec<_> = texts.par_iter().map(encode).collect();
            for (row, encoding) in encoded {
                let encoding = encoding.map_err(unusable)?;
                // Ids without a row in the matrix are tokens that the model does not have.
                ids[row] = encoding.get_ids().iter().copied().filter(|&id| (id as usize) < rows).collect();
                progress.advance(1);
            }
            Ok(())
        })?;
        progress.end();
        if cut > 0 {
            progress.warn(&format!("{cut} texts were truncated to {MOST_BYTES} bytes for the start values"));
        }
        if ids.iter().all(Vec::is_empty) {
            return Err(Error::data(
                "start values from the items' texts",
                "items with a text",
                format!("{} items without text", ids.len()),
                "pass the text columns with --text, or --start-values mean",
            ));
        }
        Ok(ItemTokens { weights: weights(&ids), ids })
    }

    /// Whether an item has a text.
    pub(super) fn has_text(&self, row: usize) -> bool {
        !self.ids[row].is_empty()
    }

    /// Adds the weighted mean of the embedding rows of an item's text to `sum`.
    pub(super) fn add_vector(&self, row: usize, matrix: &EmbeddingMatrix, sum: &mut [f64]) {
        let weight = |id: &u32| self.weights.get(id).copied().unwrap_or(1.0);
        let total: f32 = self.ids[row].iter().map(weight).sum();
        for id in &self.ids[row] {
            let share = f64::from(weight(id) / total);
            sum.iter_mut().zip(matrix.row(*id as usize)).for_each(|(sum, value)| *sum += share * f64::from(value));
        }
    }
}

/// `HALF_WEIGHT_FREQUENCY / (HALF_WEIGHT_FREQUENCY + share)` of each token.
fn weights(ids: &[Vec<u32>]) -> HashMap<u32, f32> {
    let mut counts: HashMap<u32, u64> = HashMap::new();
    ids.iter().flatten().for_each(|&id| *counts.entry(id).or_default() += 1);
    let all: u64 = counts.values().sum();
    counts
        .into_iter()
        .map(|(id, count)| (id, HALF_WEIGHT_FREQUENCY / (HALF_WEIGHT_FREQUENCY + count as f32 / all as f32)))
        .collect()
}
