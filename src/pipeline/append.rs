//! Appends: from an index and a catalog to the next generation of the index.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::append_ids::FreshIds;
use super::append_members::AppendedMembers;
use super::append_plan::{AppendPlan, FreshItem, ParentIndex};
use super::append_target::Target;
use super::catalog_features::CatalogFeatures;
use super::constraint_folders::{NextForms, forms_of, has_forms};
use super::next_generation::{share_unchanged, write_features};
use super::next_items::{CatalogItems, kept_rows, next_items};
use super::parent_encoders::{embed_spec, moved};
use super::read_catalog::ReadCatalog;
use super::sharing::with_classes;
use super::spec::{AbsentItems, AppendSpec, ChangedItems, EncodeSettings, MAX_DELETED, OverflowItems};
use super::suffixes::{check_growth, write_grown_vocabulary};
use super::threads;
use crate::artifact::{Overwrite, write_file};
use crate::attributes::Attributes;
use crate::constraint::ConstraintForm;
use crate::error::{Error, Result};
use crate::features::{BEHAVIOUR, CompletedFeatures, FeatureFile, FeatureSource};
use crate::index::{BAD_IMAGES, BAD_ITEMS, ChangeKind, Generation, GenerationCounts, Index, MODEL, PARTS, Partial};
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::semantic_id::{Collisions, FarItems, Occupied, TokenTable};
use crate::settings::SettingGroup;
use crate::tokenizer::Tokenizer;

/// The file with the vectors of the encoded items.
const FRESH: &str = "encoded.parquet";

/// Result of [`append`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AppendSummary {
    /// The index.
    pub index: PathBuf,
    /// Number of the generation.
    pub generation: u64,
    /// Whether a generation was written. In a store, none is written if nothing changed.
    pub written: bool,
    /// Number of items in the index.
    pub items: u64,
    /// Number of items that were encoded, that is, new and changed items.
    pub encoded: u64,
    /// Number of items without content. New items were left out; changed items were kept unchanged.
    pub left_out: u64,
    /// Number of texts that were longer than the encoder's maximum length.
    pub truncated_texts: u64,
    /// Number of tokens added to the vocabulary. 0 unless the disambiguating level has more codes than in the parent.
    /// Existing tokens keep their ids.
    pub new_tokens: u64,
    /// Number of items per kind of change.
    pub counts: GenerationCounts,
    /// Added distortion of the assigned IDs. `None` if no ID was assigned.
    pub distortion: Option<AddedDistortion>,
    /// Items that are far from the training items. `None` if no ID was assigned, or if the model has no residual errors
    /// of held-out items.
    pub far: Option<FarItems>,
}

/// The added distortion of items whose nearest ID was taken, as squared distances between latents and sums of
/// codewords.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AddedDistortion {
    /// Number of items that were assigned an ID.
    pub placed: u64,
    /// Number of these items that did not get their nearest ID.
    pub moved: u64,
    /// Mean squared distance if every item had its nearest ID.
    pub nearest: f64,
    /// Mean added distortion.
    pub mean: f64,
    /// Largest added distortion of an item.
    pub largest: f32,
}

/// Adds the new items of a catalog to an index, updates items whose content changed, and writes the next generation. By
/// default, existing items keep their IDs. Only new and changed items are encoded, with the encoders and the model of
/// the index.
///
/// # Errors
/// For an index or a catalog that cannot be read, an encoder that is missing, too few free IDs, and an output that
/// exists. No index is written in these cases.
///
/// In a store, nothing is written if the catalog changes nothing, so a finished job can be run again.
pub fn append(spec: &AppendSpec, progress: &dyn Progress) -> Result<AppendSummary> {
    append_items(spec, true, progress)
}

/// As [`append`]. If `constraints` is false, the index is temporary: it gets no constraint files, and the
/// disambiguating level can grow without new tokens in the vocabulary.
pub(super) fn append_items(spec: &AppendSpec, constraints: bool, progress: &dyn Progress) -> Result<AppendSummary> {
    spec.settings.check()?;
    spec.far.check()?;
    let policies = spec.settings.policies()?;
    let mut overflow = spec.settings.overflow()?;
    let added = forms_of(spec.settings.constraint_form.as_deref())?;
    threads::with_threads(spec.threads, |threads| {
        let target = Target::begin(&spec.index, &spec.output, spec.store.as_deref())?;
        let parent = ParentIndex::read(Index::open(target.parent())?, target.number())?;
        if overflow == OverflowItems::Suffix {
            check_growth(&parent)?;
        } else if !constraints && parent.table.metadata.policy == Collisions::Suffix {
            overflow = OverflowItems::Suffix;
        }
        let model = Tokenizer::load(&parent.index.path(MODEL))?;
        let embed = embed_spec(spec, &parent.index, &model)?;
        if constraints && has_behaviour(&model) {
            progress.warn(
                "new and changed items get no behaviour vector: vectors computed from other interactions would have \
                 other axes. `catalex retrain --interactions` computes new vectors for all items",
            );
        }
        let job = CatalogFeatures::new(&embed, threads)?;
        let begun = serde_json::json!({
            "append": spec.settings, "parent": parent.index.manifest().hash(), "features": job.fingerprint()?,
        });
        let partial = target.partial(&begun, spec.output.resume)?;
        let run = AppendRun {
            spec,
            target: &target,
            partial: &partial,
            job: &job,
            encode: &embed.encode,
            model: &model,
            forms: constraints.then_some(added.as_deref()),
            overflow,
            progress,
        };
        let made = run.write(parent, policies);
        // A run that failed before its first checkpoint leaves no state.
        if made.is_ok() || !partial.has_parts() {
            partial.remove()?;
        }
        let summary = made?;
        if summary.written {
            target.publish()?;
        }
        progress.end();
        Ok(summary)
    })
}

/// Whether a model has the modality "behaviour".
pub(super) fn has_behaviour(model: &Tokenizer) -> bool {
    model.config().modalities.iter().any(|modality| modality.name == BEHAVIOUR)
}

/// The inputs and the output of one append.
struct AppendRun<'a> {
    spec: &'a AppendSpec,
    target: &'a Target,
    partial: &'a Partial,
    job: &'a CatalogFeatures<'a>,
    encode: &'a EncodeSettings,
    model: &'a Tokenizer,
    /// The constraint forms to add, if any. If the outer option is `None`, no constraint files are written.
    forms: Option<Option<&'a [ConstraintForm]>>,
    overflow: OverflowItems,
    progress: &'a dyn Progress,
}

impl AppendRun<'_> {
    /// Writes the next generation of `parent`.
    fn write(&self, mut parent: ParentIndex, policies: (ChangedItems, AbsentItems)) -> Result<AppendSummary> {
        let (settings, number, progress) = (&self.spec.settings, self.target.number(), self.progress);
        let of_catalog = |parent: &Attributes| {
            Attributes::of_catalog(&self.encode.catalog_spec(&self.spec.catalog)?, &parent.requests(), true)
        };
        let attributes = parent.attributes.as_ref().map(of_catalog).transpose()?;
        let mut catalog = self.job.read(&self.partial.path(PARTS), None, progress)?;
        let mut content = catalog.content(self.job.reads(), progress)?;
        let ids = catalog.spool.ids().clone();
        let members = AppendedMembers::read(&parent, self.encode.catalog_spec(&self.spec.catalog)?, &ids, progress)?;
        with_classes(&mut content, members.as_ref().and_then(|members| members.facts.classes.as_ref()));
        let plan = AppendPlan::new(&parent, &ids, &content, policies, number);
        plan.check_deleted(settings.max_deleted.unwrap_or(MAX_DELETED))?;
        parent.hold(&plan)?;
        if !parent.knows_content() {
            progress.warn("the index has no content hashes of its items: changed items are not recognised");
        }
        let fresh = self.encoded(catalog, &plan, &ids)?;
        let with_parents = fresh.file.as_ref().map(|file| {
            let layers = parent.index.features(&parent.table.item_ids)?;
            let shapes = layers.shapes();
            Ok::<_, Error>((layers, CompletedFeatures::new(file, shapes)))
        });
        let with_parents = with_parents.transpose()?;
        let vectors = with_parents.as_ref().map(|(_, vectors)| vectors as &dyn FeatureSource);
        let assigned = FreshIds::new(
            &parent,
            &plan,
            &fresh.items,
            vectors,
            self.model,
            members.as_ref().map(|members| (members, number)),
            (&self.spec.far, self.overflow, progress),
        )?;
        parent.occupied = Occupied::new(&assigned.codebook_sizes)?;
        let kept = kept_rows(&parent, &plan, &fresh.items);
        let catalog = CatalogItems { ids: &ids, content: &content, attributes: attributes.as_ref() };
        let mut next =
            next_items(&parent, &plan, &kept, (&fresh.items, &assigned), &catalog, (number, settings.quarantine))?;
        next.table.members =
            members.as_ref().map(|members| members.next(&parent, &next.table, &kept, (&fresh.items, &assigned.placed)));
        if next.table.item_ids.is_empty() {
            let help = "use --missing keep, or pass a catalog that contains items of the index";
            return Err(Error::data("the next generation", "at least one item", "none", help));
        }
        let (counts, items) = (next.counts(), next.table.item_ids.len() as u64);
        let tokens = |table: &TokenTable| table.metadata.codebook_sizes.iter().sum::<usize>() as u64;
        let new_tokens = tokens(&next.table) - tokens(&parent.table);
        let summary = AppendSummary {
            index: self.target.out().to_path_buf(),
            generation: number,
            written: true,
            items,
            encoded: fresh.items.len() as u64,
            left_out: (plan.fresh.len() - fresh.items.len()) as u64,
            truncated_texts: fresh.truncated_texts as u64,
            new_tokens,
            counts,
            distortion: AddedDistortion::of(&assigned),
            far: assigned.far.clone(),
        };
        drop((plan, assigned, content, ids, attributes));
        let same_attributes =
            parent.attributes.as_ref().zip(next.attributes.as_ref()).is_none_or(|(a, b)| a.same_values(b));
        let has_forms = |forms: &[ConstraintForm]| has_forms(&parent.index, forms, &parent.table);
        let is_same = next.delta.kinds.is_empty() && same_attributes;
        if self.target.is_store() && is_same && self.forms.flatten().is_none_or(has_forms) {
            let (index, generation) = (self.target.parent().to_path_buf(), parent.index.manifest().generation.number);
            return Ok(AppendSummary { index, generation, written: false, ..summary });
        }
        let mut writer = self.target.writer()?;
        share_unchanged(&mut writer, &parent.index, &next.table, new_tokens == 0)?;
        if new_tokens > 0 && self.forms.is_some() {
            write_grown_vocabulary(&writer, &parent.index, &next.table, progress)?;
        }
        let with_parents = with_parents.as_ref().map(|(layers, vectors)| (layers, vectors as &dyn FeatureSource));
        write_features(&mut writer, &parent, &kept, with_parents, &next.table)?;
        next.write(&writer)?;
        for (list, lines) in [BAD_IMAGES, BAD_ITEMS].into_iter().zip(&fresh.lists) {
            lines.iter().try_for_each(|lines| write_file(&writer.path(list), lines, Overwrite::Refuse))?;
        }
        if let Some(added) = self.forms {
            let forms = NextForms {
                attributes: next.attributes.as_ref(),
                writer: &writer,
                parent: &parent.index,
                before: &parent.table,
                table: &next.table,
                catalog: Some(self.encode.catalog_spec(&self.spec.catalog)?),
                added,
                out: self.target.out(),
                progress,
            };
            forms.write()?;
        }
        let manifest = parent.index.manifest();
        let generation = Generation {
            number,
            parent: Some(manifest.hash()),
            change: ChangeKind::Append,
            reason: settings.reason.clone(),
            counts,
            created: self.spec.environment.created(),
        };
        writer.commit(items, self.model.hash(), manifest.settings.clone(), generation)?;
        Ok(summary)
    }

    /// Encodes the new and changed items.
    fn encoded(&self, catalog: ReadCatalog, plan: &AppendPlan, ids: &ItemIds) -> Result<Fresh> {
        let rows: Vec<usize> = plan.fresh.iter().map(|item| item.row).collect();
        if rows.is_empty() {
            return Ok(Fresh::default());
        }
        let (file, parts) = (self.partial.path(FRESH), self.partial.path(PARTS));
        let loaded = self.job.load(self.progress).map_err(|error| moved(self.encode, error))?;
        let some = catalog.select(&rows, &parts)?;
        let made = self.job.encode(some, loaded, (&file, Overwrite::Replace), self.partial, self.progress)?;
        let lists = [made.bad_images.map(|bad| bad.lines), made.bad_items.map(|bad| bad.lines)];
        let truncated_texts = made.truncated_texts;
        Ok(Fresh { lists, truncated_texts, ..Fresh::of(&file, made.items, plan, ids)? })
    }
}

/// The encoded items, with their vectors.
#[derive(Default)]
struct Fresh {
    items: Vec<FreshItem>,
    file: Option<FeatureFile>,
    /// Images that could not be read, and items without content, as JSON lines.
    lists: [Option<Vec<u8>>; 2],
    truncated_texts: usize,
}

impl Fresh {
    /// The items of the plan whose vectors are in the file.
    fn of(path: &Path, items: usize, plan: &AppendPlan, ids: &ItemIds) -> Result<Self> {
        if items == 0 {
            return Ok(Fresh::default());
        }
        let file = FeatureFile::open(path)?;
        let made = file.ids()?;
        let mut items = Vec::with_capacity(made.len());
        for item in &plan.fresh {
            if items.len() < made.len() && made.text(items.len()) == ids.text(item.row) {
                items.push(*item);
            }
        }
        Ok(Fresh { items, file: Some(file), ..Fresh::default() })
    }
}

impl AddedDistortion {
    fn of(assigned: &FreshIds) -> Option<Self> {
        let placed: Vec<usize> = (0..assigned.placed.len()).filter(|&at| assigned.placed[at]).collect();
        let mean = |value: &dyn Fn(usize) -> f32| {
            placed.iter().map(|&at| f64::from(value(at))).sum::<f64>() / placed.len() as f64
        };
        (!placed.is_empty()).then(|| AddedDistortion {
            placed: placed.len() as u64,
            moved: placed.iter().filter(|&&at| assigned.reassigned[at]).count() as u64,
            nearest: mean(&|at| assigned.errors[at] - assigned.added[at]),
            mean: mean(&|at| assigned.added[at]),
            largest: placed.iter().map(|&at| assigned.added[at]).fold(0.0, f32::max),
        })
    }
}
