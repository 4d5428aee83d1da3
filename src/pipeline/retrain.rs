//! Retraining: new codebooks for an index, which keep the codes of its items to a given degree.

use std::path::PathBuf;

use ndarray::Array2;
use serde::Serialize;

use super::append::has_behaviour;
use super::append_plan::ParentIndex;
use super::append_target::Target;
use super::attributes::attributes_of;
use super::constraint_folders::{NextForms, forms_of};
use super::grown_index::{GrownIndex, Growth};
use super::new_behaviour;
use super::next_generation::counts;
use super::prefix_changes::{PrefixChange, prefix_changes};
use super::retrain_suffixes::keep_suffixes;
use super::spec::{BuildSpec, RetrainSettings, RetrainSpec};
use super::threads;
use crate::artifact::Overwrite;
use crate::catalog::{InteractionSpec, Interactions};
use crate::error::{Error, Result};
use crate::features::{FeatureFile, FeatureSource, LayeredFeatures};
use crate::index::{
    ATTRIBUTES, CONTENT, ChangeKind, DELTA, FEATURES, FEATURES_ADDED, Generation, GenerationCounts, Index, MODEL,
    TOKENS, TOMBSTONES, VOCABULARY,
};
use crate::progress::Progress;
use crate::rqvae::{self, Kept, Retrained};
use crate::semantic_id::{Collisions, IdChange, IdDelta, TokenTable, TokenizedItems, names_like};
use crate::settings::SettingGroup;
use crate::tokenizer::{PreviousCodes, Tokenizer};
use crate::training::{QuantizerConfig, TrainConfig};
use crate::vocabulary;

/// Default of `keep`.
const KEEP: f64 = 0.4;

/// Result of [`retrain`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetrainSummary {
    /// The index.
    pub index: PathBuf,
    /// Number of the generation.
    pub generation: u64,
    /// Number of items in the index.
    pub items: u64,
    /// Hash of the new model.
    pub model_hash: String,
    /// Number of items per kind of change.
    pub counts: GenerationCounts,
    /// How strongly codes were kept, from 0 to 1.
    pub keep: f64,
    /// Relative error of the new model on items that were held out of training, or on all items if none were held out.
    pub error: f64,
    /// For each depth, the share of items whose prefix changed.
    pub changed: Vec<PrefixChange>,
}

/// Trains new codebooks for the items of an index and, if given, of a catalog, and writes the next generation. An item
/// keeps a code unless another code is nearer by more than a price (see [`rqvae::retrain`]). New items get free codes.
/// IDs in quarantine are not given to other items.
///
/// # Errors
/// As [`append`](super::append()) and [`rqvae::train`]; [`Error::Config`] for a model of the recipe lc-rec with `keep`
/// above 0. Nothing is written in these cases.
pub fn retrain(spec: &RetrainSpec, progress: &dyn Progress) -> Result<RetrainSummary> {
    spec.settings.check()?;
    spec.append.check()?;
    let keep = spec.settings.keep.unwrap_or(KEEP);
    let added = forms_of(spec.append.constraint_form.as_deref())?;
    let interactions = interactions(spec, progress)?;
    let target = Target::begin(&spec.index, &spec.output, spec.store.as_deref())?;
    let number = target.number();
    let mut writer = target.writer()?;
    let parent = ParentIndex::read(Index::open(target.parent())?, number)?;
    if parent.table.members.is_some() {
        let (what, help) = ("index to retrain", "build a new index; `catalex append` works with shared IDs");
        return Err(Error::mismatch(what, "unique IDs", "shared IDs (--capacity)", help));
    }
    let old_model = Tokenizer::load(&parent.index.path(MODEL))?;
    let renew = renews_behaviour(&spec.settings, &old_model)?;
    let grown = match &spec.catalog {
        None => GrownIndex::of(target.parent()),
        Some(catalog) => {
            let growth = Growth {
                index: target.parent(),
                catalog,
                settings: &spec.append,
                threads: spec.threads,
                environment: &spec.environment,
            };
            GrownIndex::new(&growth, &writer.path(""), progress)?
        }
    };
    let grown = Index::open(grown.path()).map(|index| (index, grown))?;
    let current = TokenTable::read(&grown.0.path(TOKENS))?;
    let mut built = BuildSpec::of_manifest(&parent.index.manifest().settings)?;
    if let Some(tokenizer) = &spec.settings.tokenizer {
        built.vocabulary.tokenizer = Some(tokenizer.clone());
    }
    if let Some(folder) = built.vocabulary.tokenizer.as_ref().filter(|folder| !folder.is_dir()) {
        let expected = format!("the tokenizer that the index was built with, at {}", folder.display());
        return Err(Error::config("tokenizer", expected, "no such folder", "pass its new folder"));
    }
    threads::with_threads(spec.threads, |_| {
        let mut features = grown.0.features(&current.item_ids)?;
        if let (true, Some(interactions)) = (renew, &interactions) {
            let out = writer.path(FEATURES);
            let config = built.behaviour.config();
            new_behaviour::write_features((&features, &current.item_ids), interactions, &config, &out, progress)?;
            features = LayeredFeatures::of_file(FeatureFile::open(&out)?);
            built.behaviour.interactions.clone_from(&spec.settings.interactions);
        }
        let previous = parent.table.codes_of(&current.item_ids);
        let reserved = parent.tombstones.quarantined(number);
        let job = Retraining {
            features: &features,
            previous: &previous,
            sizes: &old_model.config().codebook_sizes,
            reserved: &reserved,
            table: &parent.table,
            progress,
        };
        let (model, table, error) = job.run(built.train.config()?, keep)?;
        model.save(&writer.path(MODEL), Overwrite::Refuse)?;
        table.write(&writer.path(TOKENS), Overwrite::Refuse)?;
        let (folder, options) = (writer.path(VOCABULARY), built.vocabulary.options());
        vocabulary::write_vocabulary(&folder, &table, &options, Overwrite::Refuse, progress)?;
        let shared: &[&str] = if renew { &[] } else { &[FEATURES, FEATURES_ADDED] };
        for part in shared.iter().chain(&[ATTRIBUTES, CONTENT, TOMBSTONES]) {
            writer.share(&grown.0, part)?;
        }
        let catalog = spec.catalog.as_deref().map(|path| built.encode.catalog_spec(path)).transpose()?;
        let attributes = attributes_of(&grown.0)?;
        let forms = NextForms {
            attributes: attributes.as_ref(),
            writer: &writer,
            parent: &parent.index,
            before: &parent.table,
            table: &table,
            catalog,
            added: added.as_deref(),
            out: target.out(),
            progress,
        };
        forms.write()?;
        let mut delta = delta(&parent.table, &table);
        if spec.catalog.is_some() {
            mark_updated(&mut delta, &IdDelta::read(&grown.0.path(DELTA))?, &table);
        }
        delta.write(&writer.path(DELTA), Overwrite::Refuse)?;
        let counts = counts(&delta, table.item_ids.len());
        let changed = prefix_changes(&parent.table, &table, interactions.as_ref());
        let generation = Generation {
            number,
            parent: Some(parent.index.manifest().hash()),
            change: ChangeKind::Retrain,
            reason: spec.append.reason.clone(),
            counts,
            created: spec.environment.created(),
        };
        let (items, mut settings) = (table.item_ids.len() as u64, parent.index.manifest().settings.clone());
        if renew {
            settings["behaviour"] = serde_json::json!(built.behaviour);
        }
        writer.commit(items, model.hash(), settings, generation)?;
        let index = target.publish()?;
        progress.end();
        let model_hash = model.hash().to_owned();
        Ok(RetrainSummary { index, generation: number, items, model_hash, counts, keep, error, changed })
    })
}

/// Whether the behaviour vectors of all items are computed from the interactions.
fn renews_behaviour(settings: &RetrainSettings, model: &Tokenizer) -> Result<bool> {
    let given = settings.interactions.is_some();
    match settings.behaviour.as_deref() {
        None => Ok(given && has_behaviour(model)),
        Some("keep") => Ok(false),
        Some("renew") if given => Ok(true),
        Some("renew") => Err(Error::config("behaviour", "keep", "renew without interactions", "pass --interactions")),
        Some(other) => Err(Error::config("behaviour", "keep or renew", other, "use one of these")),
    }
}

/// Reads the interactions, if given.
fn interactions(spec: &RetrainSpec, progress: &dyn Progress) -> Result<Option<Interactions>> {
    let given = &spec.settings;
    let Some(path) = given.interactions.clone() else { return Ok(None) };
    let wanted = InteractionSpec {
        path,
        user: given.interactions_user.clone(),
        item: given.interactions_item.clone(),
        time: given.interactions_time.clone(),
        ..InteractionSpec::default()
    };
    Interactions::read(&wanted, progress).map(Some)
}

/// The inputs of a retraining.
struct Retraining<'a> {
    features: &'a dyn FeatureSource,
    previous: &'a PreviousCodes,
    sizes: &'a [usize],
    /// Codes in quarantine, which no item may get.
    reserved: &'a Array2<u16>,
    /// The table of the index.
    table: &'a TokenTable,
    progress: &'a dyn Progress,
}

impl Retraining<'_> {
    /// Trains a model. Returns the model, the token table of all items, and the error of the model.
    fn run(&self, config: TrainConfig, keep: f64) -> Result<(Tokenizer, TokenTable, f64)> {
        let (trained, prices) = match config {
            TrainConfig::ResidualQuantizer(config) if keep > 0.0 => {
                let config = QuantizerConfig { codebook_sizes: self.sizes.to_vec(), ..config };
                let kept = Kept { previous: self.previous, strength: keep };
                let Retrained { trained, prices } = rqvae::retrain(self.features, config, kept, self.progress)?;
                (trained, prices)
            }
            TrainConfig::LcRec(_) if keep > 0.0 => {
                let help = "use --keep 0, or build an index with another recipe";
                return Err(Error::config("keep", "0 for a model of the recipe lc-rec", keep, help));
            }
            config => (rqvae::train(self.features, config, None, self.progress)?, vec![0.0; self.sizes.len()]),
        };
        let error = trained.history.get(trained.best_epoch).map_or(f64::NAN, |figures| figures.error);
        let (model, none);
        let previous = if keep > 0.0 {
            model = trained.tokenizer;
            self.previous
        } else {
            model = self.renamed(&trained.tokenizer)?;
            let (codes, n) = (Array2::zeros(self.previous.codes.dim()), self.previous.known.len());
            none = PreviousCodes { codes, known: vec![false; n] };
            &none
        };
        let metadata = &self.table.metadata;
        let items = TokenizedItems::keeping(
            self.features,
            &model,
            (previous, &prices, self.reserved.view()),
            metadata.token_format.clone(),
            metadata.policy,
            self.progress,
        )?;
        let mut table = items.table;
        keep_suffixes(&mut table, self.table, keep > 0.0, self.reserved.view())?;
        Ok((model, table, error))
    }

    /// Renumbers the codes of a model so that they match the earlier codes as well as possible.
    fn renamed(&self, model: &Tokenizer) -> Result<Tokenizer> {
        let format = self.table.metadata.token_format.clone();
        if model.config().codebook_sizes != self.sizes {
            return Ok(model.clone());
        }
        let natural = TokenTable::of_features(self.features, model, format, Collisions::Keep, self.progress)?;
        model.renamed(&names_like(natural.codes.view(), self.previous, self.sizes)?)
    }
}

/// The changes of IDs from one table to another. Changes of content are not included.
fn delta(before: &TokenTable, after: &TokenTable) -> IdDelta {
    let (old, new) = (before.item_ids.rows_by_text(), after.item_ids.rows_by_text());
    let mut delta = IdDelta::default();
    for row in (0..before.item_ids.len()).filter(|&row| !new.contains_key(&before.item_ids.text(row))) {
        delta.push(before.item_ids.take(&[row]), IdChange::Deleted, (Some(before.semantic_id(row)), None), None);
    }
    for row in 0..after.item_ids.len() {
        let (id, now) = (after.item_ids.take(&[row]), after.semantic_id(row));
        match old.get(&after.item_ids.text(row)).map(|&row| before.semantic_id(row)) {
            None => delta.push(id, IdChange::Added, (None, Some(now)), None),
            Some(then) if then != now => delta.push(id, IdChange::Reassigned, (Some(then), Some(now)), None),
            Some(_) => {}
        }
    }
    delta
}

/// Adds the items whose content changed but whose ID did not.
fn mark_updated(delta: &mut IdDelta, appended: &IdDelta, table: &TokenTable) {
    let listed = delta.item_ids.rows_by_text();
    let rows = table.item_ids.rows_by_text();
    for at in (0..appended.kinds.len()).filter(|&at| appended.kinds[at] != IdChange::Deleted) {
        let id = appended.item_ids.text(at);
        if let (false, Some(&row)) = (listed.contains_key(&id), rows.get(&id)) {
            let same = Some(table.semantic_id(row));
            delta.push(table.item_ids.take(&[row]), IdChange::Updated, (same.clone(), same), None);
        }
    }
}
