//! Which of two sets of IDs to take.

use std::path::Path;

use ndarray::Axis;
use serde::Serialize;

use super::histories::{histories, warn_of_seen_events};
use super::spec::CompareSpec;
use crate::catalog::CsvDialect;
use crate::error::{Error, Result, quoted};
use crate::index::{Index, TOKENS, resolve_index};
use crate::progress::Progress;
use crate::quality::IdComparison;
use crate::semantic_id::TokenTable;
use crate::settings::SettingGroup;

/// Default number of resamples.
const RESAMPLES: usize = 2_000;
/// Default seed.
const SEED: u64 = 42;
/// Maximum number of example items that only one table has.
const EXAMPLES: usize = 3;

/// Result of [`compare`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CompareSummary {
    /// Items of A.
    pub items_a: usize,
    /// Items of B.
    pub items_b: usize,
    /// Items of both, which alone are compared.
    pub common_items: usize,
    /// Some items that only A has.
    pub only_a: Vec<String>,
    /// Some items that only B has.
    pub only_b: Vec<String>,
    /// The comparison.
    #[serde(flatten)]
    pub comparison: IdComparison,
}

/// Compares two sets of IDs on the items that both have: how well they predict the last event of each user, with a paired
/// bootstrap over users. No recommender is trained.
///
/// # Errors
/// [`Error::Config`] without interactions; [`Error::Mismatch`] if no item is in both tables; for files that cannot be read.
pub fn compare(spec: &CompareSpec, progress: &dyn Progress) -> Result<CompareSummary> {
    spec.compare.check()?;
    let without_histories = || {
        let help = "pass --interactions FILE; `catalex diff` compares two tables without histories";
        Error::config("interactions", "a file of interactions", "none", help)
    };
    if spec.histories.interactions.is_none() {
        return Err(without_histories());
    }
    let (a, b) = (table(&spec.a, progress)?, table(&spec.b, progress)?);
    let rows_in_b = a.item_ids.rows_in(&b.item_ids);
    let (rows_a, rows_b): (Vec<usize>, Vec<usize>) =
        rows_in_b.iter().enumerate().filter_map(|(row, other)| Some((row, (*other)?))).unzip();
    if rows_a.is_empty() {
        let example = |table: &TokenTable| match table.item_ids.is_empty() {
            true => "no items".to_owned(),
            false => format!("items such as {}", quoted(&table.item_ids.text(0))),
        };
        let (expected, got) = (format!("some of A's items: {}", example(&a)), example(&b));
        return Err(Error::mismatch("items of B", expected, got, "pass two token tables of the same catalog"));
    }
    let mut is_common = vec![false; b.item_ids.len()];
    rows_b.iter().for_each(|&row| is_common[row] = true);
    let only = |table: &TokenTable, is_common: &dyn Fn(usize) -> bool| -> Vec<String> {
        let others = (0..table.item_ids.len()).filter(|&row| !is_common(row));
        others.take(EXAMPLES).map(|row| table.item_ids.text(row)).collect()
    };
    let only_a = only(&a, &|row| rows_in_b[row].is_some());
    let only_b = only(&b, &|row| is_common[row]);
    let item_ids = a.item_ids.take(&rows_a);
    let csv = CsvDialect { quote: spec.compare.csv_quote, escape: spec.compare.csv_escape };
    let histories = histories(&spec.histories, csv, &item_ids, progress)?.ok_or_else(without_histories)?;
    let codes = [a.codes.select(Axis(0), &rows_a), b.codes.select(Axis(0), &rows_b)];
    let (resamples, seed) = (spec.compare.resamples.unwrap_or(RESAMPLES), spec.compare.seed.unwrap_or(SEED));
    let comparison = IdComparison::measure([codes[0].view(), codes[1].view()], &histories, resamples, seed, progress);
    let (items_a, items_b) = (a.item_ids.len(), b.item_ids.len());
    Ok(CompareSummary { items_a, items_b, common_items: rows_a.len(), only_a, only_b, comparison })
}

/// A token table, or the one of an index.
fn table(path: &Path, progress: &dyn Progress) -> Result<TokenTable> {
    let resolved = resolve_index(path)?;
    if !Index::is_index(&resolved) {
        return TokenTable::read(&resolved);
    }
    let index = Index::open_for(&resolved, &[TOKENS])?;
    warn_of_seen_events(&index, path, progress);
    TokenTable::read(&index.path(TOKENS))
}
