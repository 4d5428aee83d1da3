//! `catalex ground`.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use catalex::answers::{ChosenGammas, Grounding, GroundingWeights, MeasuredRanking, popularity};
use catalex::artifact::{AtomicFile, refuse_existing};
use catalex::catalog::{InteractionSpec, Interactions};
#[cfg(feature = "encoders")]
use catalex::encoder::{OnBadImage, embed};
use catalex::error::Error;
use catalex::features::{Features, Modality};
use catalex::item_ids::ItemIds;
use catalex::progress::Progress;
use clap::Args;
use serde::Serialize;

use super::options::{Output, ThreadOptions};

#[derive(Debug, Args)]
pub(super) struct GroundArgs {
    /// Vectors of what a language model said, a row an answer: .npy, Parquet or Arrow; or, with --text, a table of texts.
    #[arg(value_name = "ANSWERS")]
    answers: PathBuf,
    /// Vectors of the items by the same model: .npy, Parquet or Arrow, or an index.
    #[arg(long, value_name = "FEATURES")]
    items: PathBuf,
    #[command(flatten)]
    output: Output,
    /// Column of vectors, where there are several [default: text, or the only one]
    #[arg(long, value_name = "NAME")]
    modality: Option<String>,
    /// Column of the answers' texts, to be encoded.
    #[arg(long, value_name = "COLUMN", requires = "text_encoder")]
    text: Option<String>,
    /// Folder of the text encoder that made the items' vectors.
    #[arg(long, value_name = "DIR", requires = "text")]
    text_encoder: Option<PathBuf>,
    /// Items an answer.
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    /// Draw popular items nearer: what users did, as `catalex embed` reads it.
    #[arg(long, value_name = "FILE", conflicts_with = "weights")]
    interactions: Option<PathBuf>,
    /// Events at the end of every history that are not counted.
    #[arg(long, value_name = "N", default_value_t = 0)]
    hold_out_last: usize,
    /// Draw items nearer by other numbers of 0 and more: .npy, one an item (a column) or a row an answer.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// How strongly weights draw; with --valid it is searched for.
    #[arg(long, value_name = "X", conflicts_with = "valid")]
    gamma: Option<f64>,
    /// File with the id of the item that each answer should have named, one a line: measure.
    #[arg(long, value_name = "FILE")]
    targets: Option<PathBuf>,
    /// Vectors of other answers, to choose gamma by.
    #[arg(long, value_name = "ANSWERS", requires = "valid_targets")]
    valid: Option<PathBuf>,
    /// Their items.
    #[arg(long, value_name = "FILE", requires = "valid")]
    valid_targets: Option<PathBuf>,
    /// Weights of an item and answer for --valid.
    #[arg(long, value_name = "FILE", requires = "valid")]
    valid_weights: Option<PathBuf>,
    /// Print the measures as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    threads: ThreadOptions,
}

/// A line of the output.
#[derive(Serialize)]
struct Line {
    id: String,
    items: Vec<String>,
    distances: Vec<f64>,
    scores: Vec<f64>,
}

pub(super) fn run(args: GroundArgs, progress: &dyn Progress) -> Result<()> {
    refuse_existing(&args.output.out, args.output.overwrite())?;
    let threads = args.threads.apply()?;
    let items = super::sources::features(&args.items)?.read()?;
    let answers = args.answers(threads, progress)?;
    let known = vectors(&items, args.modality.as_deref(), &args.items)?;
    let said = vectors(&answers, args.modality.as_deref(), &args.answers)?;
    let grounding = Grounding::new(known.vectors.view())?;
    let rows = items.item_ids().rows_by_text();
    let weights = args.weights(args.weights.as_deref(), items.item_ids(), &rows)?;
    let chosen = args.choose(&grounding, weights.as_ref(), &rows, progress)?;
    if weights.is_some() && chosen.is_none() && args.gamma.is_none() {
        let help = "name it, or answers to choose it by with --valid and --valid-targets";
        return Err(Error::config("gamma", "a number together with weights", "none", help).into());
    }
    let measured = match &args.targets {
        Some(path) => {
            Some(args.measure(&grounding, said, weights.as_ref(), chosen.as_ref(), &targets(path, &rows)?, progress)?)
        }
        None => None,
    };

    // One list an answer: by the gamma that was named, or that is best by NDCG@10.
    let gamma =
        args.gamma.or_else(|| chosen.as_ref()?.measured.iter().find(|m| m.measure == "NDCG@10").map(|m| m.gamma));
    let ranked = grounding.rank(said.vectors.view(), weights.as_ref().zip(gamma), args.top, progress)?;
    let mut file = AtomicFile::create(&args.output.out, args.output.overwrite())?;
    for (row, found) in ranked.iter().enumerate() {
        let line = Line {
            id: answers.item_ids().text(row),
            items: found.iter().map(|one| items.item_ids().text(one.item)).collect(),
            distances: found.iter().map(|one| one.distance).collect(),
            scores: found.iter().map(|one| one.score).collect(),
        };
        writeln!(file, "{}", serde_json::to_string(&line)?)?;
    }
    file.commit()?;
    progress.end();
    match measured {
        Some(measured) if args.json => super::print_json(&measured),
        Some(measured) => super::print(&table(&measured)),
        None => Ok(()),
    }
}

impl GroundArgs {
    /// The answers' vectors.
    #[cfg(feature = "encoders")]
    fn answers(&self, threads: usize, progress: &dyn Progress) -> Result<Features> {
        let (Some(text), Some(encoder)) = (&self.text, &self.text_encoder) else {
            return Ok(super::sources::features(&self.answers)?.read()?);
        };
        let options = super::options::EncodeOptions {
            text: Some(vec![text.clone()]),
            text_encoder: Some(encoder.clone()),
            ..super::options::EncodeOptions::default()
        };
        let spec = super::sources::catalog_spec(&self.answers, &options)?;
        let (mut text, _) = super::encoders::load(&options, threads, progress)?;
        Ok(embed(&spec, text.as_mut(), None, Vec::new(), OnBadImage::Error, progress)?.features)
    }

    #[cfg(not(feature = "encoders"))]
    fn answers(&self, _threads: usize, _progress: &dyn Progress) -> Result<Features> {
        if self.text_encoder.is_some() {
            return Err(super::not_built("encoding texts", "encoders"));
        }
        Ok(super::sources::features(&self.answers)?.read()?)
    }

    /// What draws items nearer: a file's numbers, or popularity.
    fn weights(
        &self,
        path: Option<&Path>,
        ids: &ItemIds,
        rows: &HashMap<String, usize>,
    ) -> Result<Option<GroundingWeights>> {
        if let Some(path) = path {
            let read = super::sources::features(path)?.read()?.concatenated();
            return Ok(Some(match read.ncols() {
                1 => GroundingWeights::Items(read.into_raw_vec_and_offset().0),
                _ => GroundingWeights::Answers(read),
            }));
        }
        let Some(path) = &self.interactions else { return Ok(None) };
        let mut read = Interactions::read(&InteractionSpec { path: path.clone(), ..InteractionSpec::default() })?;
        read.hold_out_last(self.hold_out_last);
        let mut counts = vec![0; ids.len()];
        for event in read.histories.iter().flatten() {
            if let Some(&row) = rows.get(&read.items[event.item as usize]) {
                counts[row] += 1;
            }
        }
        if counts.iter().all(|&count| count == 0) {
            let help = "name the interactions of these items; ids are compared as text";
            return Err(Error::mismatch("interactions", "some with the items", "none of them", help).into());
        }
        Ok(Some(popularity(&counts)))
    }

    /// The gammas that are best on the answers for that.
    fn choose(
        &self,
        grounding: &Grounding,
        weights: Option<&GroundingWeights>,
        rows: &HashMap<String, usize>,
        progress: &dyn Progress,
    ) -> Result<Option<ChosenGammas>> {
        let (Some(valid), Some(valid_targets)) = (&self.valid, &self.valid_targets) else { return Ok(None) };
        let own = match &self.valid_weights {
            Some(path) => Some(GroundingWeights::Answers(super::sources::features(path)?.read()?.concatenated())),
            None => None,
        };
        let Some(weights) = own.as_ref().or(weights) else {
            let help = "name --interactions or --weights, whose strength it is for";
            return Err(Error::config("valid", "together with weights", "it alone", help).into());
        };
        let answers = super::sources::features(valid)?.read()?;
        let vectors = vectors(&answers, self.modality.as_deref(), valid)?;
        Ok(Some(grounding.search(vectors.vectors.view(), weights, &targets(valid_targets, rows)?, progress)?))
    }

    fn measure(
        &self,
        grounding: &Grounding,
        said: &Modality,
        weights: Option<&GroundingWeights>,
        chosen: Option<&ChosenGammas>,
        targets: &[usize],
        progress: &dyn Progress,
    ) -> Result<Vec<MeasuredRanking>> {
        let named = self.gamma.map(ChosenGammas::of);
        let with = weights.zip(chosen.or(named.as_ref()));
        Ok(grounding.measure(said.vectors.view(), with, targets, progress)?)
    }
}

/// The column of vectors that was named, or that is meant.
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
        Error::file(path, "a column of vectors without gaps", names.join(", "), help).into()
    })
}

/// Rows of the items that a file names, one a line.
fn targets(path: &Path, rows: &HashMap<String, usize>) -> Result<Vec<usize>> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
    let row = |(at, line): (usize, &str)| {
        rows.get(line.trim()).copied().ok_or_else(|| Error::Row {
            path: path.into(),
            row: at as u64 + 1,
            column: "item".into(),
            expected: "the id of an item".into(),
            got: line.trim().into(),
            help: "name the item that the answer of this line should have named".into(),
        })
    };
    Ok(text.lines().enumerate().map(row).collect::<catalex::Result<_>>()?)
}

fn table(measured: &[MeasuredRanking]) -> String {
    let line = |m: &MeasuredRanking| format!("{:<10} {:.4}  (gamma {:.3})\n", m.measure, m.value, m.gamma);
    measured.iter().map(line).collect()
}
