//! Drift: compares new items with the training items of a model.

use std::path::Path;

use serde::Serialize;

use super::grown_index::{GrownIndex, Growth};
use super::spec::DriftSpec;
use super::{sources, threads};
use crate::error::{Error, Result};
use crate::features::{FeatureFile, FeatureSource, SelectedRows, for_each_block};
use crate::index::{ChangeKind, DELTA, Index, MODEL, TOKENS, resolve_index};
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::quality::{CrowdedGrowth, PrefixNovelty, ResidualDrift, UsageShift};
use crate::semantic_id::{IdChange, IdDelta, QuantizedItems, TokenTable};
use crate::settings::SettingGroup;
use crate::tokenizer::{ModelInput, Tokenizer};

/// The advice is to retrain if the codebooks have room for fewer additions of the same size.
const SOON: u64 = 3;

/// The advice is to reassign IDs if a larger share of the changed items belongs under another prefix of two codes.
const MISPLACED: f64 = 0.2;

/// Minimum number of changed items for this advice.
const FEWEST_CHANGED: usize = 10;

/// What to do with the new items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Advice {
    /// Append them.
    Append,
    /// Append them with `changed: reassign`, so that changed items get new IDs.
    Reassign,
    /// Train new codebooks.
    Retrain,
}

/// Result of [`drift`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drift {
    /// Number of items in the index.
    pub items: usize,
    /// Number of new items, that is, items that are not in the index.
    pub new: usize,
    /// The residual errors of the new items compared with those of held-out items. `None` if the model has none.
    pub residuals: Option<ResidualDrift>,
    /// For each depth but the last, the share of new items under prefixes that no item of the index has.
    pub novelty: Vec<PrefixNovelty>,
    /// For each level, the use of its codes without and with the new items.
    pub usage: Vec<UsageShift>,
    /// The most crowded prefixes, counting the new items.
    pub crowded: Vec<CrowdedGrowth>,
    /// How many more additions of the same size fit before a prefix has more items than last codes. `None` if no prefix
    /// grows.
    pub generations_left: Option<u64>,
    /// Number of items whose content changed.
    pub changed: usize,
    /// Share of the changed items whose vector now belongs under another prefix of two codes. `None` without such
    /// items.
    pub misplaced: Option<f64>,
    /// The advice.
    pub advice: Advice,
    /// The reasons for the advice.
    pub reasons: Vec<String>,
}

/// Compares new items with the training items of an index's model. Writes nothing.
///
/// # Errors
/// For an index, features or a catalog that cannot be read; [`Error::Data`] if there are no new items.
pub fn drift(spec: &DriftSpec, progress: &dyn Progress) -> Result<Drift> {
    spec.append.check()?;
    if spec.append.constraint_form.is_some() {
        let help = "omit it: drift writes no index";
        return Err(Error::config("constraint-form", "no constraint forms", "some", help));
    }
    let resolved = resolve_index(&spec.index)?;
    let index = Index::open_for(&resolved, &[TOKENS, MODEL])?;
    let table = TokenTable::read(&index.path(TOKENS))?;
    let model = Tokenizer::load(&index.path(MODEL))?;
    let grown = if Index::is_index(&spec.items) {
        Some(GrownIndex::of(&spec.items))
    } else if is_features(&spec.items, &model) {
        None
    } else {
        let growth = Growth {
            index: &resolved,
            catalog: &spec.items,
            settings: &spec.append,
            threads: spec.threads,
            environment: &spec.environment,
        };
        Some(GrownIndex::new(&growth, &std::env::temp_dir().join("drift"), progress)?)
    };
    threads::with_threads(spec.threads, |_| {
        let path = grown.as_ref().map_or(spec.items.as_path(), GrownIndex::path);
        let features = sources::features(path)?;
        let mut ids = ItemIds::default();
        for_each_block(&features, |block| {
            ids.append(block.features.item_ids().clone());
            Ok(())
        })?;
        let known = ids.rows_in(&table.item_ids);
        let new: Vec<usize> = (0..known.len()).filter(|&row| known[row].is_none()).collect();
        if new.is_empty() {
            let help = "pass a catalog or features with items that are not in the index";
            return Err(Error::data("drift", "new items", format!("{} items of the index", known.len()), help));
        }
        let quantized = Quantized::of(&features, new, &model)?;
        let changed = match &grown {
            Some(grown) => changed_rows(&Index::open_for(grown.path(), &[])?, &ids)?,
            None => Vec::new(),
        };
        let misplaced = misplaced(&features, &changed, &known, (&table, &model))?;
        let report = measured(&table, &model, &quantized, changed.len(), misplaced);
        progress.end();
        Ok(report)
    })
}

/// The rows of the items whose content a generation changed, among `ids`; ascending.
fn changed_rows(index: &Index, ids: &ItemIds) -> Result<Vec<usize>> {
    let path = index.path(DELTA);
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let delta = IdDelta::read(&path)?;
    // After an append, the content of reassigned items has changed; after a retraining, only their IDs.
    let kinds: &[IdChange] = match index.manifest().generation.change {
        ChangeKind::Append => &[IdChange::Updated, IdChange::Reassigned],
        _ => &[IdChange::Updated],
    };
    let rows = ids.rows_by_text();
    let changed = (0..delta.kinds.len()).filter(|&at| kinds.contains(&delta.kinds[at]));
    let mut changed: Vec<usize> = changed.filter_map(|at| rows.get(&delta.item_ids.text(at)).copied()).collect();
    changed.sort_unstable();
    Ok(changed)
}

/// Whether a path has features with the modalities of a model. Any other path is read as a catalog.
fn is_features(path: &Path, model: &Tokenizer) -> bool {
    FeatureFile::open(path).is_ok_and(|features| ModelInput::new(model, &features).is_ok())
}

/// Quantized codes and residual errors of items.
struct Quantized {
    codes: ndarray::Array2<u16>,
    errors: Vec<f32>,
}

impl Quantized {
    fn of(features: &dyn FeatureSource, rows: Vec<usize>, model: &Tokenizer) -> Result<Self> {
        let mut codes = ndarray::Array2::zeros((0, model.config().levels()));
        let mut errors = Vec::new();
        for_each_block(&SelectedRows::new(features, rows)?, |block| {
            let items = QuantizedItems::of(&block.features, model)?;
            errors.extend(items.errors);
            codes
                .append(ndarray::Axis(0), items.codes.view())
                .map_err(|e| Error::mismatch("codes of new items", "those of the model's levels", e, "report this"))
        })?;
        Ok(Quantized { codes, errors })
    }
}

/// The share of changed items whose quantized prefix of two codes differs from that of their ID.
fn misplaced(
    features: &dyn FeatureSource,
    changed: &[usize],
    known: &[Option<usize>],
    (table, model): (&TokenTable, &Tokenizer),
) -> Result<Option<f64>> {
    if changed.is_empty() {
        return Ok(None);
    }
    let quantized = Quantized::of(features, changed.to_vec(), model)?;
    let depth = quantized.codes.ncols().saturating_sub(1).clamp(1, 2);
    let moved = |&(at, &row): &(usize, &usize)| {
        known[row]
            .is_some_and(|old| table.codes.row(old).iter().take(depth).ne(quantized.codes.row(at).iter().take(depth)))
    };
    Ok(Some(changed.iter().enumerate().filter(moved).count() as f64 / changed.len() as f64))
}

fn measured(table: &TokenTable, model: &Tokenizer, new: &Quantized, changed: usize, misplaced: Option<f64>) -> Drift {
    let reference = model.config().training.as_ref().and_then(|record| record.residual_errors.as_ref());
    let residuals = reference.filter(|errors| errors.held_out).map(|errors| ResidualDrift::of(&new.errors, errors));
    let before = table.quantized();
    let novelty = PrefixNovelty::of(before, new.codes.view());
    let usage = UsageShift::of(before, new.codes.view(), &model.config().codebook_sizes);
    let (crowded, generations_left) = CrowdedGrowth::of(table, new.codes.view(), &model.config().codebook_sizes);
    let mut reasons = Vec::new();
    let mut advice = Advice::Append;
    match &residuals {
        Some(found) if found.drifted() => {
            advice = Advice::Retrain;
            reasons.push(format!(
                "a new item has a larger residual error than a held-out item with probability {:.3} (0.5 without \
                 drift); the share of new items with a larger error than 99 % of the held-out items is {:.3} (0.01 \
                 without drift)",
                found.probability, found.far
            ));
        }
        Some(_) => {}
        None => reasons.push("the model has no residual errors of held-out items to compare with".into()),
    }
    if generations_left.is_some_and(|left| left < SOON) {
        advice = Advice::Retrain;
        reasons.push(format!("a prefix is full after {} more such additions", generations_left.unwrap_or_default()));
    }
    if let Some(share) = misplaced.filter(|&share| share > MISPLACED && changed >= FEWEST_CHANGED) {
        if advice == Advice::Append {
            advice = Advice::Reassign;
        }
        reasons.push(format!(
            "{:.0} % of the changed items belong under another prefix than that of their IDs",
            100.0 * share
        ));
    }
    if reasons.is_empty() {
        reasons.push("the new items resemble the training items of the model".into());
    }
    let (items, new) = (table.item_ids.len(), new.errors.len());
    Drift { items, new, residuals, novelty, usage, crowded, generations_left, changed, misplaced, advice, reasons }
}
