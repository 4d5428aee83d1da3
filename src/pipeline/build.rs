//! The main job: from a catalog to an index.

use std::path::PathBuf;

use super::catalog_features::CatalogFeatures;
use super::costs::{Costs, StageCost};
use super::embed::EmbedSummary;
use super::encode_stage;
use super::report_items::{ReportItems, title};
use super::sharing::{MemberSource, SharedIds, with_classes};
use super::spec::{BuildSpec, EmbedSpec, ReadsTexts};
use super::threads;
use super::train::checkpoints;
use crate::artifact::{OutputLock, Overwrite, write_file};
use crate::catalog::{CatalogReader, CatalogSpec};
use crate::error::{Error, Result};
use crate::features::{ContentHashes, FeatureSource};
use crate::index::{ATTRIBUTES, CONTENT, Generation, IndexWriter, MODEL, Partial, REPORT, TOKENS, VOCABULARY};
use crate::progress::Progress;
use crate::quality::{DuplicateGroup, Figures, Map, Report};
use crate::semantic_id::{Lookup, TokenTable};
use crate::settings::SettingGroup;
use crate::{rqvae, vocabulary};

/// Number of prefixes that the summary shows, and number of items of each.
const PREFIXES: usize = 6;
const MEMBERS: usize = 6;

/// Result of [`build`].
#[derive(Debug, Clone, PartialEq)]
pub struct IndexSummary {
    /// The index.
    pub index: PathBuf,
    /// The report in it.
    pub report: PathBuf,
    /// A summary of the encoded items and those left out. The lists are files of the index.
    pub encoded: EmbedSummary,
    /// Hash of the model.
    pub model_hash: String,
    /// The metrics of the index.
    pub figures: Figures,
    /// The fullest prefixes with some of their items.
    pub prefixes: Vec<PrefixExample>,
    /// Time and memory of each stage.
    pub costs: Vec<StageCost>,
}

/// A prefix and some of the items that share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixExample {
    /// The prefix as tokens.
    pub prefix: String,
    /// The items' texts, or the ids of items without text.
    pub items: Vec<String>,
}

/// Builds an index of a catalog: encodes it, trains a model, gives every item a unique semantic ID, and writes the
/// vocabulary and the report. Features are streamed: only item ids, codes, the training sample and one block of
/// features are in memory at a time. Interactions are an exception; see [`crate::behaviour::vectors()`] for their
/// memory use until the behaviour vectors are written to a temporary file.
///
/// A killed build leaves its finished parts next to the output. With `output.resume`, it continues and produces the
/// same bytes.
///
/// # Errors
/// Settings out of range and files that cannot be read are reported before anything is encoded. As
/// [`embed`](super::embed()), [`rqvae::train`], [`TokenTable::of_features`] and [`vocabulary::write_vocabulary`].
pub fn build(spec: &BuildSpec, progress: &dyn Progress) -> Result<IndexSummary> {
    spec.tokens.check()?;
    spec.vocabulary.check()?;
    let config = spec.train.config()?;
    let (format, collisions) = (spec.tokens.token_format(), spec.tokens.collisions()?);
    spec.show.check()?;
    let mut catalog = spec.encode.catalog_spec(&spec.catalog)?;
    let sharing = spec.sharing(&catalog)?;
    let capacity = sharing.as_ref().map_or(1, |shared| shared.capacity);
    if let Some(shown) = spec.show.text() {
        catalog.text = shown;
        // Report a missing column before anything is encoded.
        CatalogReader::open(&catalog)?;
    }
    // Report a value that does not fit before anything is encoded.
    let attributes = spec.attributes.read(&catalog)?;
    let (out, overwrite) = (&spec.output.out, spec.output.overwrite());
    let _lock = OutputLock::claim(out, overwrite)?;
    let writer = IndexWriter::create(out, overwrite)?;
    let options = spec.vocabulary.options();
    let words = vocabulary::Vocabulary::new(config.codebook_sizes(), format.clone());
    vocabulary::check_options(&options, &words)?;
    threads::with_threads(spec.threads, |threads| {
        let embed = spec.embed();
        let job = CatalogFeatures::new(&embed, threads)?;
        let partial = Partial::begin(out, &job.fingerprint()?, spec.output.resume, overwrite)?;
        let mut costs = Costs::default();
        let (features, encoded) = costs.of("encode", || encode_stage::features(&job, &partial, &writer, progress))?;
        let checkpoints = checkpoints(&spec.output, &partial.path(MODEL));
        let trained =
            costs.of("train", || rqvae::train_sharing(&features, config, capacity, Some(&checkpoints), progress))?;
        let model = &trained.tokenizer;
        model.save(&writer.path(MODEL), Overwrite::Refuse)?;
        let table = costs.of("tokenize", || match &sharing {
            None => TokenTable::of_features(&features, model, format, collisions, progress),
            Some(shared) => Ok(shared.tokenize(&features, model, format, progress)?.table),
        })?;
        table.write(&writer.path(TOKENS), Overwrite::Refuse)?;
        let mut content = ContentHashes::read(&partial.path(CONTENT))?.of(&table.item_ids)?;
        with_classes(&mut content.hashes, table.members.as_ref().and_then(|members| members.classes.as_ref()));
        content.write(&writer.path(CONTENT), Overwrite::Refuse)?;
        if let Some(attributes) = attributes {
            attributes.of_items(&table.item_ids)?.write(&writer.path(ATTRIBUTES), Overwrite::Refuse)?;
        }
        let folder = writer.path(VOCABULARY);
        costs.of("vocabulary", || {
            vocabulary::write_vocabulary(&folder, &table, &options, Overwrite::Refuse, progress)
        })?;
        let source: &dyn FeatureSource = &features;
        let figures = costs.of("measure", || Figures::of_table(&table, Some((model, source)), progress))?;
        let prefixes = fullest_prefixes(&table);
        let (items, html) = costs.of("report", || -> Result<_> {
            let duplicates = DuplicateGroup::largest(&table, Some(source))?;
            let of_prefixes = prefixes.iter().flat_map(|(_, rows)| rows.iter());
            let members: Vec<usize> =
                of_prefixes.chain(duplicates.iter().flat_map(|group| &group.rows)).copied().collect();
            let items = ReportItems::read(&table, &catalog, None, &members, progress)?;
            let map = Map::of_items(&table, model, source)?;
            let report = Report {
                title: &title(&spec.catalog),
                table: &table,
                figures: &figures,
                cards: &items.cards,
                duplicates: &duplicates,
                training: model.config().training.as_ref(),
                map: Some(&map),
                drift: None,
            };
            let html = report.html()?;
            Ok((items, html))
        })?;
        write_file(&writer.path(REPORT), html.as_bytes(), Overwrite::Refuse)?;
        let settings = serde_json::to_value(spec).map_err(|e| {
            Error::config("spec", "paths in UTF-8", e, "rename the file or folder that has another encoding")
        })?;
        let generation = Generation { created: spec.environment.created(), ..Generation::default() };
        writer.commit(table.item_ids.len() as u64, model.hash(), settings, generation)?;
        partial.remove()?;
        progress.end();
        Ok(IndexSummary {
            index: out.clone(),
            report: out.join(REPORT),
            encoded,
            model_hash: model.hash().to_owned(),
            prefixes: prefixes.into_iter().map(|prefix| example(&table, &items, prefix)).collect(),
            figures,
            costs: costs.report(progress),
        })
    })
}

impl BuildSpec {
    /// The capacity of shared IDs and the source of their members' properties; `None` for unique IDs.
    ///
    /// # Errors
    /// As [`MemberSource::read`]; [`Error::Config`] for settings that contradict each other.
    fn sharing(&self, catalog: &CatalogSpec) -> Result<Option<SharedIds>> {
        self.sharing.check()?;
        let Some(capacity) = self.sharing.capacity(&self.tokens)? else { return Ok(None) };
        let held_out = self.behaviour.hold_out_last.unwrap_or(0);
        let interactions = self.behaviour.spec(self.encode.csv())?.map(|spec| (spec, held_out));
        let members = MemberSource::read(&self.sharing, catalog, interactions)?;
        Ok(Some(SharedIds { capacity, members }))
    }

    /// The spec of the encoding stage.
    fn embed(&self) -> EmbedSpec {
        EmbedSpec {
            catalog: self.catalog.clone(),
            encode: self.encode.clone(),
            behaviour: self.behaviour.clone(),
            threads: self.threads,
            output: self.output.clone(),
            environment: self.environment.clone(),
        }
    }
}

/// The fullest prefixes of one or two codes, with the rows of some of their items.
fn fullest_prefixes(table: &TokenTable) -> Vec<(Vec<u16>, Vec<usize>)> {
    let lookup = Lookup::new(table);
    let depth = (table.codes.ncols() - 1).clamp(1, 2);
    let fullest = lookup.fullest_prefixes(depth, PREFIXES).into_iter();
    fullest
        .map(|(codes, _)| {
            let rows = lookup.rows(&codes).iter().copied().take(MEMBERS).collect();
            (codes, rows)
        })
        .collect()
}

fn example(table: &TokenTable, items: &ReportItems, (codes, rows): (Vec<u16>, Vec<usize>)) -> PrefixExample {
    let name = |row: usize| match items.cards.texts.get(&row).filter(|text| !text.is_empty()) {
        Some(text) => text.clone(),
        None => table.item_ids.text(row),
    };
    PrefixExample {
        prefix: table.metadata.token_format.semantic_id(&codes),
        items: rows.into_iter().map(name).collect(),
    }
}
