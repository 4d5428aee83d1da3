//! Metrics and report of a model, a token table or an index.

use std::path::Path;

use super::generation_drift::generation_drift;
use super::histories::{histories, warn_of_seen_events};
use super::report_items::{ReportItems, title};
use super::sources;
use super::spec::{InspectSpec, NAME_BOTH, ReadsTexts, ReportColumns, needs};
use crate::artifact::{OutputLock, Overwrite, write_file};
use crate::catalog::CsvDialect;
use crate::error::{Error, Result};
use crate::features::{FeatureSource, LayeredFeatures};
use crate::index::{Index, MODEL, TOKENS, resolve_index};
use crate::progress::Progress;
use crate::quality::{DuplicateGroup, Figures, HistoryFigures, LabelFigures, LabelNeighbours, Map, Report};
use crate::semantic_id::{Collisions, TokenFormat, TokenTable};
use crate::settings::SettingGroup;
use crate::tokenizer::{self, Tokenizer};

/// Result of [`inspect`].
#[derive(Debug, Clone, PartialEq)]
pub enum Inspected {
    /// A model without features: its configuration, and the hash of its weights.
    Model(Box<tokenizer::Config>, String),
    /// Metrics of a token table.
    Table(Box<Figures>),
}

/// The inspected object: a table, with its model and features if they are available.
struct Subject {
    table: TokenTable,
    source: Option<(Tokenizer, LayeredFeatures)>,
    /// The index, unless another model or other features replace its own.
    index: Option<Index>,
}

/// Measures a model, a token table or an index, and writes a report if `report` is set. Features are streamed.
///
/// # Errors
/// As [`Figures::of_table`]; [`Error::Config`] for settings that require others; for files that cannot be read.
pub fn inspect(spec: &InspectSpec, progress: &dyn Progress) -> Result<Inspected> {
    spec.columns.check()?;
    let overwrite = if spec.force { Overwrite::Replace } else { Overwrite::Refuse };
    let columns = &spec.columns;
    let id = ("id", columns.id.is_some());
    let of_catalog = [id, ("label", columns.label.is_some())];
    let shown = [("text", columns.text.is_some()), ("image", columns.image.is_some())];
    if let Some((setting, _)) = of_catalog.iter().chain(&shown).find(|(_, given)| *given && columns.catalog.is_none()) {
        return Err(needs(setting, "catalog", NAME_BOTH));
    }
    let with_histories = spec.histories.interactions.is_some();
    // Interactions are read with the same quote and escape characters.
    let csv = if with_histories { CsvDialect::default() } else { columns.csv() };
    let of_texts = ReportColumns { csv_quote: csv.quote, csv_escape: csv.escape, ..columns.clone() };
    of_texts.check_reading("catalog", columns.catalog.is_some())?;
    if let Some((setting, _)) = shown.iter().find(|(_, given)| *given && spec.report.is_none()) {
        return Err(needs(setting, "report", NAME_BOTH));
    }
    let _lock = spec.report.as_deref().map(|report| OutputLock::claim(report, overwrite)).transpose()?;
    // A resolved generation of a store is not removed while it is being read.
    let path = resolve_index(&spec.path)?;
    let features = spec.features.as_deref().map(resolve_index).transpose()?;
    let features = features.as_deref();
    let Some(subject) = subject(spec, &path, features, progress)? else {
        if spec.report.is_some() || columns.catalog.is_some() || with_histories {
            let help = "pass --features as well: a model alone has no items";
            return Err(Error::config("features", "a file of features", "none", help));
        }
        let model = Tokenizer::load(&spec.path)?;
        return Ok(Inspected::Model(Box::new(model.config().clone()), model.hash().to_owned()));
    };
    let Subject { table, source, index } = &subject;
    let source = source.as_ref().map(|(model, features)| (model, features as &dyn FeatureSource));
    let mut figures = Figures::of_table(table, source, progress)?;
    if let Some(read) = histories(&spec.histories, columns.csv(), &table.item_ids, progress)? {
        if let Some(index) = index {
            warn_of_seen_events(index, &spec.path, progress);
        }
        figures.histories = Some(HistoryFigures::measure(table.codes.view(), &read, progress));
    }
    let duplicates = match &spec.report {
        Some(_) => DuplicateGroup::largest(table, source.map(|(_, features)| features))?,
        None => Vec::new(),
    };
    let more: Vec<usize> = duplicates.iter().flat_map(|group| group.rows.iter().copied()).collect();
    let items = match columns.catalog_spec() {
        Some(catalog) => ReportItems::read(table, &catalog, columns.label.as_deref(), &more, progress)?,
        None => ReportItems::default(),
    };
    if let (Some(label), Some(labels)) = (&columns.label, &items.labels) {
        let mut measured = LabelFigures::measure(table, label, labels)?;
        if let Some((model, features)) = source {
            measured.neighbours = Some(LabelNeighbours::measure(model, features, labels, progress)?);
        }
        figures.labels = Some(measured);
    }
    if let Some(path) = &spec.report {
        let map = source.map(|(model, features)| Map::of_items(table, model, features)).transpose()?;
        let drift = match (index, source) {
            (Some(index), Some(source)) => generation_drift(index, table, source)?,
            _ => None,
        };
        let title = title(columns.catalog.as_deref().unwrap_or(&spec.path));
        let training = source.and_then(|(model, _)| model.config().training.as_ref());
        let (cards, map) = (&items.cards, map.as_ref());
        let report = Report {
            title: &title,
            table,
            figures: &figures,
            cards,
            duplicates: &duplicates,
            training,
            map,
            drift: drift.as_ref(),
        };
        write_file(path, report.html()?.as_bytes(), overwrite)?;
    }
    progress.end();
    Ok(Inspected::Table(Box::new(figures)))
}

/// The table at a path, with its model and features; none for a model without features.
fn subject(
    spec: &InspectSpec,
    path: &Path,
    features: Option<&Path>,
    progress: &dyn Progress,
) -> Result<Option<Subject>> {
    let features = features.map(sources::features).transpose()?;
    if Index::is_index(path) {
        let index = Index::open(path)?;
        let model = match &spec.model {
            Some(other) => sources::model(other)?,
            None => Tokenizer::load(&index.path(MODEL))?,
        };
        let table = TokenTable::read(&index.path(TOKENS))?;
        let is_own = spec.model.is_none() && features.is_none();
        let features = features.map_or_else(|| index.features(&table.item_ids), Ok)?;
        return Ok(Some(Subject { table, source: Some((model, features)), index: is_own.then_some(index) }));
    }
    if path.join(tokenizer::CONFIG_FILE).is_file() {
        if let Some(other) = &spec.model {
            let help = "omit --model, or name a token table or an index instead of a model";
            return Err(Error::config("model", "no second model", other.display(), help));
        }
        return of_model(path, features, progress);
    }
    if path.is_dir() {
        let help = "name the folder that `catalex train` or `catalex build` wrote, or a token table";
        return Err(Error::file(path, "a model's folder or an index", "another folder", help));
    }
    let table = TokenTable::read(path)?;
    let source = match (spec.model.as_deref().map(sources::model).transpose()?, features) {
        (Some(model), Some(features)) => Some((model, features)),
        (None, None) => None,
        _ => {
            let help = "pass both to compare codes with vectors, or neither";
            return Err(Error::config("features", "both --features and --model", "only one of them", help));
        }
    };
    Ok(Some(Subject { table, source, index: None }))
}

fn of_model(path: &Path, features: Option<LayeredFeatures>, progress: &dyn Progress) -> Result<Option<Subject>> {
    let Some(features) = features else { return Ok(None) };
    let model = Tokenizer::load(path)?;
    let table = TokenTable::of_features(&features, &model, TokenFormat::default(), Collisions::Resolve, progress)?;
    Ok(Some(Subject { table, source: Some((model, features)), index: None }))
}
