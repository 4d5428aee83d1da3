//! Grounding: matches a language model's answers to items by the nearest vectors (BIGRec).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

#[cfg(feature = "encoders")]
use super::spec::EncodeSettings;
use super::spec::{Environment, NAME_BOTH, Output, ReadsTexts, needs, text_settings};
use super::{json_lines, sources, threads};
use crate::answers::{ChosenGammas, GroundedItem, Grounding, GroundingWeights, MeasuredRanking, popularity};
use crate::artifact::{AtomicFile, OutputLock, read_input};
use crate::behaviour::{MAX_UNKNOWN_EVENTS, refuse_unknown};
use crate::catalog::{InteractionSpec, Interactions};
use crate::error::{Error, Result};
use crate::features::{Features, Modality};
use crate::index::resolve_index;
use crate::item_ids::ItemIds;
use crate::progress::Progress;
use crate::settings::{MAX_COUNT, Range, SettingGroup};

/// Default number of items per answer.
const TOP: usize = 20;

text_settings! {
    /// How answers are matched to items.
    pub struct GroundSettings {
        /// Column of vectors, if there are several.
        modality: String, "NAME", default "text, or the only one";
        /// Column of the answers' texts. The texts are encoded with --text-encoder.
        text: String, "COLUMN";
        /// Folder of the text encoder that encoded the items.
        text_encoder: PathBuf, "DIR";
        /// Number of items per answer.
        top: usize, "N", default "20", range Range::Between(1.0, MAX_COUNT);
        /// Weight popular items by these interactions, as `catalex embed` reads them.
        interactions: PathBuf, "FILE";
        /// Column of the users.
        interactions_user: String, "COLUMN", default "user_id or user";
        /// Column of the items.
        interactions_item: String, "COLUMN", default "item_id or item";
        /// Column of the times.
        interactions_time: String, "COLUMN", default "timestamp or time, else the order of the file";
        /// Maximum fraction of events of items that are not in the index. These events are ignored; a larger fraction
        /// is an error.
        max_unknown_events: f64, "X", default "0.5", range Range::Between(0.0, 1.0);
        /// Number of last events per user to leave out.
        hold_out_last: usize, "N", default "0", range Range::Between(0.0, MAX_COUNT);
        /// Other non-negative weights: .npy with one number per item (a column), or one row per answer.
        weights: PathBuf, "FILE";
        /// Exponent of the weights. Pass --valid instead to tune it.
        gamma: f64, "X";
        /// File with the id of the correct item of each answer, one per line: compute Recall and NDCG.
        targets: PathBuf, "FILE";
        /// Vectors of validation answers, on which gamma is tuned.
        valid: PathBuf, "ANSWERS";
        /// The correct items of --valid, one id per line.
        valid_targets: PathBuf, "FILE";
        /// Weights per item and answer for --valid.
        valid_weights: PathBuf, "FILE";
    }
}

/// Match a language model's answers to items: [`ground`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct GroundSpec {
    /// Vectors of the answers, one row per answer; or, with `text`, a table of texts.
    pub answers: PathBuf,
    /// Vectors of the items by the same model, or an index.
    pub items: PathBuf,
    /// How answers are matched.
    pub settings: GroundSettings,
    /// Number of threads; all cores if not given.
    pub threads: Option<usize>,
    /// The matches to write, as JSON Lines.
    pub output: Output,
    /// The environment.
    #[serde(skip)]
    pub environment: Environment,
}

/// A line of the output.
#[derive(Serialize)]
struct GroundedLine {
    id: String,
    items: Vec<String>,
    distances: Vec<f64>,
    scores: Vec<f64>,
}

/// Matches each answer to the items with the nearest vectors (BIGRec), and writes the rankings. With `targets`, also
/// computes Recall and NDCG.
///
/// # Errors
/// As [`Grounding::rank`]; [`Error::Config`] for settings that require or contradict others; for files that cannot be
/// read, and an output that exists.
pub fn ground(spec: &GroundSpec, progress: &dyn Progress) -> Result<Option<Vec<MeasuredRanking>>> {
    spec.settings.check()?;
    spec.settings.check_together()?;
    let _lock = OutputLock::claim(&spec.output.out, spec.output.overwrite())?;
    threads::with_threads(spec.threads, |threads| {
        let settings = &spec.settings;
        let source = resolve_index(&spec.items)?;
        let items = sources::features(&source)?.read()?;
        let answers = spec.answers(threads, progress)?;
        let known = vectors(&items, settings.modality.as_deref(), &spec.items)?;
        let answered = vectors(&answers, settings.modality.as_deref(), &spec.answers)?;
        let grounding = Grounding::new(known.vectors.view())?;
        let rows = items.item_ids().rows_by_text();
        let weights = settings.weights(items.item_ids(), &rows, progress)?;
        let chosen = settings.choose(&grounding, weights.as_ref(), &rows, progress)?;
        if weights.is_some() && chosen.is_none() && settings.gamma.is_none() {
            let help = "set --gamma, or pass answers for tuning it with --valid and --valid-targets";
            return Err(Error::config("gamma", "a number, because there are weights", "none", help));
        }
        let measured = match &settings.targets {
            Some(path) => {
                let named = settings.gamma.map(ChosenGammas::of);
                let with = weights.as_ref().zip(chosen.as_ref().or(named.as_ref()));
                Some(grounding.measure(answered.vectors.view(), with, &targets(path, &rows)?, progress)?)
            }
            None => None,
        };
        // One list per answer, ranked with the given gamma, or with the one that has the best NDCG@10.
        let best = |chosen: &ChosenGammas| chosen.measured.iter().find(|m| m.measure == "NDCG@10").map(|m| m.gamma);
        let gamma = settings.gamma.or_else(|| chosen.as_ref().and_then(best));
        let top = settings.top.unwrap_or(TOP);
        let ranked = grounding.rank(answered.vectors.view(), weights.as_ref().zip(gamma), top, progress)?;
        write(spec, &answers, items.item_ids(), &ranked)?;
        progress.end();
        Ok(measured)
    })
}

fn write(spec: &GroundSpec, answers: &Features, items: &ItemIds, ranked: &[Vec<GroundedItem>]) -> Result<()> {
    let out = &spec.output.out;
    let mut file = AtomicFile::create(out, spec.output.overwrite())?;
    for (row, found) in ranked.iter().enumerate() {
        let line = GroundedLine {
            id: answers.item_ids().text(row),
            items: found.iter().map(|one| items.text(one.item)).collect(),
            distances: found.iter().map(|one| one.distance).collect(),
            scores: found.iter().map(|one| one.score).collect(),
        };
        json_lines::write(&mut file, out, &line)?;
    }
    file.commit()
}

impl GroundSpec {
    /// The answers' vectors.
    #[cfg(feature = "encoders")]
    fn answers(&self, threads: usize, progress: &dyn Progress) -> Result<Features> {
        let (Some(text), Some(encoder)) = (&self.settings.text, &self.settings.text_encoder) else {
            return sources::features(&self.answers)?.read();
        };
        let settings = EncodeSettings {
            text: Some(vec![text.clone()]),
            text_encoder: Some(encoder.clone()),
            csv_quote: self.settings.csv_quote,
            csv_escape: self.settings.csv_escape,
            raw_text: self.settings.raw_text,
            parse_lists: self.settings.parse_lists,
            ..EncodeSettings::default()
        };
        let catalog = settings.catalog_spec(&self.answers)?;
        let mut loaded = super::encoders::load(&settings, &catalog, &self.environment, threads, progress)?;
        let on_bad_image = crate::encoder::OnBadImage::Error;
        let embedded = crate::encoder::embed(&catalog, loaded.text.as_mut(), None, Vec::new(), on_bad_image, progress)?;
        Ok(embedded.features)
    }

    #[cfg(not(feature = "encoders"))]
    fn answers(&self, _threads: usize, _progress: &dyn Progress) -> Result<Features> {
        if self.settings.text_encoder.is_some() {
            return Err(super::not_built("encoding texts", "encoders"));
        }
        sources::features(&self.answers)?.read()
    }
}

impl GroundSettings {
    /// Refuses settings that require or contradict others.
    fn check_together(&self) -> Result<()> {
        let pairs = [
            ("text", self.text.is_some(), "text-encoder", self.text_encoder.is_some()),
            ("valid", self.valid.is_some(), "valid-targets", self.valid_targets.is_some()),
        ];
        for (one, has_one, other, has_other) in pairs {
            if has_one != has_other {
                let (given, needed) = if has_one { (one, other) } else { (other, one) };
                return Err(needs(given, needed, NAME_BOTH));
            }
        }
        self.check_reading("text", self.text.is_some())?;
        let apart = [
            ("weights", self.weights.is_some(), "interactions", self.interactions.is_some()),
            ("gamma", self.gamma.is_some(), "valid", self.valid.is_some()),
        ];
        for (one, has_one, other, has_other) in apart {
            if has_one && has_other {
                return Err(Error::config(
                    one,
                    format!("only one of --{one} and --{other}"),
                    "both",
                    "omit one of them",
                ));
            }
        }
        let of_interactions = [
            ("interactions-user", self.interactions_user.is_some()),
            ("interactions-item", self.interactions_item.is_some()),
            ("interactions-time", self.interactions_time.is_some()),
            ("max-unknown-events", self.max_unknown_events.is_some()),
            ("hold-out-last", self.hold_out_last.is_some()),
        ];
        if let Some((setting, _)) = of_interactions.iter().find(|(_, given)| *given && self.interactions.is_none()) {
            return Err(needs(setting, "interactions", NAME_BOTH));
        }
        if self.valid_weights.is_some() && self.valid.is_none() {
            return Err(needs("valid-weights", "valid", NAME_BOTH));
        }
        Ok(())
    }

    /// The weights of the items: the numbers of a file, or popularity.
    fn weights(
        &self,
        ids: &ItemIds,
        rows: &HashMap<String, usize>,
        progress: &dyn Progress,
    ) -> Result<Option<GroundingWeights>> {
        if let Some(path) = &self.weights {
            let read = sources::features(path)?.read()?.concatenated();
            return Ok(Some(match read.ncols() {
                1 => GroundingWeights::Items(read.into_raw_vec_and_offset().0),
                _ => GroundingWeights::Answers(read),
            }));
        }
        let Some(path) = &self.interactions else { return Ok(None) };
        let wanted = InteractionSpec {
            path: path.clone(),
            user: self.interactions_user.clone(),
            item: self.interactions_item.clone(),
            time: self.interactions_time.clone(),
            csv: self.csv(),
            ..InteractionSpec::default()
        };
        let mut read = Interactions::read(&wanted, progress)?;
        refuse_unknown(&read, ids, "the index", self.max_unknown_events.unwrap_or(MAX_UNKNOWN_EVENTS))?;
        read.hold_out_last(self.hold_out_last.unwrap_or(0));
        let mut counts = vec![0; ids.len()];
        for event in read.histories.iter().flatten() {
            if let Some(&row) = rows.get(&read.items[event.item as usize]) {
                counts[row] += 1;
            }
        }
        if counts.iter().all(|&count| count == 0) {
            let help = "name the interactions of these items; ids are compared as text";
            return Err(Error::mismatch("interactions", "some events of the items", "none of them", help));
        }
        Ok(Some(popularity(&counts)))
    }

    /// The gammas that are best on the validation answers.
    fn choose(
        &self,
        grounding: &Grounding,
        weights: Option<&GroundingWeights>,
        rows: &HashMap<String, usize>,
        progress: &dyn Progress,
    ) -> Result<Option<ChosenGammas>> {
        let (Some(valid), Some(valid_targets)) = (&self.valid, &self.valid_targets) else { return Ok(None) };
        let own = match &self.valid_weights {
            Some(path) => Some(GroundingWeights::Answers(sources::features(path)?.read()?.concatenated())),
            None => None,
        };
        let Some(weights) = own.as_ref().or(weights) else {
            let help = "pass --interactions or --weights, because --valid tunes their strength";
            return Err(Error::config("valid", "weights or interactions as well", "none", help));
        };
        let answers = sources::features(valid)?.read()?;
        let vectors = vectors(&answers, self.modality.as_deref(), valid)?;
        Ok(Some(grounding.search(vectors.vectors.view(), weights, &targets(valid_targets, rows)?, progress)?))
    }
}

/// The given column of vectors, or the default one.
fn vectors<'a>(features: &'a Features, name: Option<&str>, path: &Path) -> Result<&'a Modality> {
    let all = features.modalities();
    let found = match name {
        Some(name) if all.len() > 1 => all.iter().find(|m| m.name == name),
        None if all.len() > 1 => all.iter().find(|m| m.name == "text"),
        _ => all.first(),
    };
    let found = found.filter(|found| found.present.iter().all(|&there| there));
    found.ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|m| m.name.as_str()).collect();
        let help = "name the column with --modality; every row needs a vector";
        Error::file(path, "a column of vectors without gaps", names.join(", "), help)
    })
}

/// The rows of the items whose ids a file lists, one per line.
fn targets(path: &Path, rows: &HashMap<String, usize>) -> Result<Vec<usize>> {
    let text = read_input(path).map_err(|e| Error::io("read", path, e))?;
    let row = |(at, line): (usize, &str)| {
        rows.get(line.trim()).copied().ok_or_else(|| Error::Row {
            path: path.into(),
            row: at as u64 + 1,
            column: "item".into(),
            expected: "the id of an item".into(),
            got: line.trim().into(),
            help: "write the id of the correct item for the answer in this line".into(),
        })
    };
    text.lines().enumerate().map(row).collect()
}
