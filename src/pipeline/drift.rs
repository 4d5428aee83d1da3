//! Drift: compares new items with the training items of a model.

use std::path::Path;

use super::grown_index::{GrownIndex, Growth};
use super::spec::DriftSpec;
use super::{sources, threads};
use crate::error::{Error, Result};
use crate::features::{FeatureFile, FeatureSource, SelectedRows, for_each_block};
use crate::index::{ChangeKind, DELTA, Index, MODEL, TOKENS, resolve_index};
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::quality::Drift;
use crate::semantic_id::{IdChange, IdDelta, QuantizedItems, TokenTable};
use crate::settings::SettingGroup;
use crate::tokenizer::{ModelInput, Tokenizer};

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
        let new = (quantized.codes.view(), quantized.errors.as_slice());
        let report = Drift::measured(&table, &model, new, (changed.len(), misplaced));
        progress.end();
        Ok(report)
    })
}

/// The rows of the items whose content a generation changed, among `ids`; ascending.
///
/// # Errors
/// As [`IdDelta::read`].
pub(super) fn changed_rows(index: &Index, ids: &ItemIds) -> Result<Vec<usize>> {
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
pub(super) struct Quantized {
    pub(super) codes: ndarray::Array2<u16>,
    pub(super) errors: Vec<f32>,
}

impl Quantized {
    /// Quantizes the items in these rows.
    ///
    /// # Errors
    /// As [`QuantizedItems::of`].
    pub(super) fn of(features: &dyn FeatureSource, rows: Vec<usize>, model: &Tokenizer) -> Result<Self> {
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

/// The share of changed items whose quantized prefix of two codes differs from that of their ID. `known` maps each row
/// of the features to a row of the table.
///
/// # Errors
/// As [`Quantized::of`].
pub(super) fn misplaced(
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
