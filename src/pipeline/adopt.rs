//! Adoption: from the IDs of another system and the features of its items to an index with a fitted model.

use std::path::{Path, PathBuf};

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::spec::{BuildSpec, EncodeSettings, Environment, Output, VocabularySettings};
use super::{adopt_passes, sources, threads};
use crate::artifact::{OutputLock, Overwrite};
use crate::error::{Error, Result};
use crate::index::{ChangeKind, FEATURES, Generation, GenerationCounts, Index, IndexWriter, MODEL, TOKENS, VOCABULARY};
use crate::progress::Progress;
use crate::semantic_id::TokenTable;
use crate::settings::{MAX_COUNT, Range, SettingGroup, settings};
use crate::vocabulary::write_vocabulary;

/// Default of the maximum latent dimension.
const LATENT_DIM: usize = 512;

settings! {
    /// How a model is fitted to existing codes.
    pub struct AdoptSettings {
        /// Maximum dimension of the latents. The latents are the directions of the features that separate the codes
        /// best.
        latent_dim: usize, "N", default "512", range Range::Between(1.0, MAX_COUNT);
        /// Catalog of the items. The manifest records it for later appends and for titles in reports.
        catalog: PathBuf, "CATALOG";
        /// Reason for the adoption, recorded in the manifest.
        reason: String, "TEXT";
    }
}

/// Fit a model to the IDs of another system: [`adopt`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct AdoptSpec {
    /// Token table, for example one that `import` wrote.
    pub tokens: PathBuf,
    /// Features of the table's items, or an index that has them.
    pub features: PathBuf,
    /// How the model is fitted.
    pub adopt: AdoptSettings,
    /// The encoders that made the features, recorded for later appends; `adopt` encodes nothing. If `features` is an
    /// index, the default is that index's encoders.
    pub encode: EncodeSettings,
    /// The vocabulary folder.
    pub vocabulary: VocabularySettings,
    /// Number of threads; all cores if not given.
    pub threads: Option<usize>,
    /// The index to write.
    pub output: Output,
    /// The environment.
    #[serde(skip)]
    pub environment: Environment,
}

/// How well a model reproduces the codes of one level.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AdoptedLevel {
    /// 0-based level.
    pub level: usize,
    /// Share of items whose own code is the nearest one, given their own codes of the earlier levels.
    pub nearest: f64,
    /// The same share of held-out items, for a model that was fitted without them. `None` for fewer than 200 items.
    pub nearest_held_out: Option<f64>,
    /// Share of items for which the model reproduces all codes up to and including this level.
    pub given_back: f64,
    /// The same share of held-out items.
    pub given_back_held_out: Option<f64>,
    /// Number of codes that no item has.
    pub unused_codes: usize,
}

/// Result of [`adopt`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AdoptSummary {
    /// The index.
    pub index: PathBuf,
    /// Number of items. All of them keep their IDs.
    pub items: usize,
    /// Number of items of the features that are not in the table. The index does not have them.
    pub left_out: usize,
    /// Number of items that share their ID with another item.
    pub colliding_items: usize,
    /// Hash of the model.
    pub model_hash: String,
    /// Dimension of the latents.
    pub latent_dim: usize,
    /// Sum of the squared distances between latents and sums of codewords, divided by the sum of squared latent norms.
    pub relative_error: f64,
    /// Number of items that were held out to measure the model.
    pub held_out: usize,
    /// One entry per level.
    pub levels: Vec<AdoptedLevel>,
}

/// Fits a model to the codes of a token table and the features of its items, and writes an index with this model. Every
/// item keeps its ID. The items of the index are in the order of the features. Reads the features block by block, in
/// three passes.
///
/// # Errors
/// [`Error::Item`] for an item of the table without features. Other errors for files that cannot be read, invalid
/// settings and an output that exists.
pub fn adopt(spec: &AdoptSpec, progress: &dyn Progress) -> Result<AdoptSummary> {
    spec.adopt.check()?;
    spec.encode.check()?;
    spec.vocabulary.check()?;
    let (out, overwrite) = (&spec.output.out, spec.output.overwrite());
    let _lock = OutputLock::claim(out, overwrite)?;
    let writer = IndexWriter::create(out, overwrite)?;
    threads::with_threads(spec.threads, |_| {
        let table = sources::token_table(&spec.tokens)?;
        let features = sources::features(&spec.features)?;
        let latent_dim = spec.adopt.latent_dim.unwrap_or(LATENT_DIM);
        let fitted = adopt_passes::fit(&table, &features, latent_dim, progress)?;
        let model = &fitted.model;
        model.save(&writer.path(MODEL), Overwrite::Refuse)?;
        let (table, measured) = adopt_passes::write(&fitted, table, &features, &writer.path(FEATURES), progress)?;
        table.write(&writer.path(TOKENS), Overwrite::Refuse)?;
        let options = spec.vocabulary.options();
        write_vocabulary(&writer.path(VOCABULARY), &table, &options, Overwrite::Refuse, progress)?;
        let items = table.item_ids.len();
        let generation = Generation {
            change: ChangeKind::Adopt,
            reason: spec.adopt.reason.clone(),
            counts: GenerationCounts { added: items as u64, ..GenerationCounts::default() },
            created: spec.environment.created(),
            ..Generation::default()
        };
        writer.commit(items as u64, model.hash(), settings_of(spec, &table)?, generation)?;
        progress.end();
        let held_out = fitted.held_out.as_ref();
        let (nearest, given_back) = (measured.own.nearest(), measured.own.given_back());
        let held =
            |level: usize, of: &dyn Fn(&crate::tokenizer::OwnCodes) -> Vec<f64>| held_out.map(|own| of(own)[level]);
        let level = |level: usize| AdoptedLevel {
            level,
            nearest: nearest[level],
            nearest_held_out: held(level, &|own| own.nearest()),
            given_back: given_back[level],
            given_back_held_out: held(level, &|own| own.given_back()),
            unused_codes: unused(&table.quantized().to_owned(), level, table.metadata.codebook_sizes[level]),
        };
        Ok(AdoptSummary {
            index: out.clone(),
            items,
            left_out: fitted.left_out,
            colliding_items: colliding(&table),
            model_hash: model.hash().to_owned(),
            latent_dim: model.config().latent_dim,
            relative_error: measured.relative_error,
            held_out: held_out.map_or(0, |own| own.items()),
            levels: (0..nearest.len()).map(level).collect(),
        })
    })
}

fn unused(codes: &Array2<u16>, level: usize, size: usize) -> usize {
    let mut used = vec![false; size];
    codes.column(level).iter().for_each(|&code| used[usize::from(code)] = true);
    used.iter().filter(|used| !**used).count()
}

fn colliding(table: &TokenTable) -> usize {
    let lookup = crate::semantic_id::Lookup::new(table);
    let shared = |row: usize| lookup.rows(&table.codes.row(row).to_vec()).len() > 1;
    (0..table.item_ids.len()).filter(|&row| shared(row)).count()
}

/// The settings for the manifest. The encoders are those of the spec, or those of the index that has the features.
fn settings_of(spec: &AdoptSpec, table: &TokenTable) -> Result<serde_json::Value> {
    let mut build = match Index::is_index(&spec.features) {
        true => BuildSpec::of_manifest(&manifest_settings(&spec.features)?)?,
        false => BuildSpec::default(),
    };
    if spec.encode != EncodeSettings::default() {
        build.encode = spec.encode.clone();
    }
    if let Some(catalog) = &spec.adopt.catalog {
        build.catalog = catalog.clone();
    }
    build.vocabulary = spec.vocabulary.clone();
    build.tokens.token_format = Some(table.metadata.token_format.clone());
    if table.members.is_none() {
        build.tokens.collisions = Some(table.metadata.policy.to_string());
    } else if build.sharing.is_default() {
        let (what, expected) = ("features", "the index whose items share the IDs, which has the columns --must-differ");
        let help = "pass the index with --features";
        return Err(Error::mismatch(what, expected, "other features, for a table with shared IDs", help));
    }
    serde_json::to_value(build)
        .map_err(|e| Error::config("spec", "paths in UTF-8", e, "rename the file or folder that has another encoding"))
}

fn manifest_settings(index: &Path) -> Result<serde_json::Value> {
    Ok(Index::open_for(index, &[])?.manifest().settings.clone())
}
