//! `catalex answers`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use catalex::answers::{AnswerStatistics, parse_answer};
use catalex::artifact::AtomicFile;
use catalex::candidate::Candidate;
use catalex::error::Error;
use clap::Args;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::options::Output;

#[derive(Debug, Args)]
pub(super) struct AnswersArgs {
    /// Prompts that `catalex export --for ranking` wrote: pointwise, pairwise or listwise.
    #[arg(value_name = "PROMPTS")]
    prompts: PathBuf,
    /// What a language model said: JSON Lines with the "id" of a prompt and its "answer".
    #[arg(value_name = "ANSWERS")]
    answers: PathBuf,
    #[command(flatten)]
    output: Output,
    /// Print the statistics as JSON.
    #[arg(long)]
    json: bool,
}

/// What of a prompt is read.
#[derive(Deserialize)]
struct Prompt {
    id: String,
    candidates: Vec<Candidate>,
    target: Option<usize>,
}

#[derive(Deserialize)]
struct Answer {
    id: String,
    answer: String,
}

/// A line of the output.
#[derive(Serialize)]
struct Ranked<'a> {
    id: &'a str,
    /// Ids of the items that the answer names, the best first.
    ranking: Vec<&'a str>,
    /// Those that it does not name, in the order of the prompt.
    missing: Vec<&'a str>,
}

/// Sums, and what follows from them.
#[derive(Serialize)]
struct Statistics {
    #[serde(flatten)]
    sums: AnswerStatistics,
    ndcg: f64,
}

pub(super) fn run(args: AnswersArgs) -> Result<()> {
    let out = &args.output.out;
    catalex::artifact::refuse_existing(out, args.output.overwrite())?;
    let mut prompts: HashMap<String, Prompt> = HashMap::new();
    lines(&args.prompts, "prompts of `catalex export --for ranking`", |prompt: Prompt, _| {
        prompts.insert(prompt.id.clone(), prompt);
        Ok(())
    })?;
    let mut file = AtomicFile::create(out, args.output.overwrite())?;
    let mut sums = AnswerStatistics::default();
    lines(&args.answers, "answers with id and answer", |answer: Answer, line| {
        let prompt = prompts.get(&answer.id).ok_or_else(|| {
            let got = format!("{:?} in line {line}", answer.id);
            Error::file(&args.answers, "ids of the prompts", got, "name the prompts that were answered")
        })?;
        let parsed = parse_answer(&answer.answer, &prompt.candidates);
        sums.add(&parsed, prompt.candidates.len(), prompt.target.and_then(|number| number.checked_sub(1)));
        let id = |place: usize| prompt.candidates[place].item_id.as_str();
        let missing = (0..prompt.candidates.len()).filter(|place| !parsed.ranking.contains(place));
        let ranked = Ranked {
            id: &answer.id,
            ranking: parsed.ranking.iter().map(|&place| id(place)).collect(),
            missing: missing.map(id).collect(),
        };
        let written =
            serde_json::to_writer(&mut file, &ranked).map_err(Into::into).and_then(|()| file.write_all(b"\n"));
        written.map_err(|e| Error::io("write", out, e))
    })?;
    file.commit()?;
    let statistics = Statistics { ndcg: sums.ndcg(), sums };
    if args.json {
        return super::print_json(&statistics);
    }
    let sums = &statistics.sums;
    let mut text = String::new();
    for (name, value) in [
        ("answers", sums.answers),
        ("complete", sums.complete),
        ("empty", sums.empty),
        ("mentions by ID", sums.by_id),
        ("mentions by title", sums.by_title),
        ("mentions by number", sums.by_number),
        ("named again", sums.repeated),
        ("lines that name none", sums.malformed),
        ("with a right one", sums.judged),
        ("right one first", sums.first),
    ] {
        text += &format!("{name:<22}{value:>10}\n");
    }
    super::print(&(text + &format!("{:<22}{:>10.4}\n", "NDCG", statistics.ndcg)))
}

/// Reads JSON Lines one by one.
fn lines<T: DeserializeOwned>(
    path: &Path,
    expected: &str,
    mut take: impl FnMut(T, usize) -> catalex::Result<()>,
) -> Result<()> {
    let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    for (at, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|e| Error::io("read", path, e))?;
        if line.trim().is_empty() {
            continue;
        }
        let record = serde_json::from_str(&line).map_err(|e| {
            let help = "write an object a line";
            Error::file(path, format!("JSON Lines: {expected}"), format!("line {}: {e}", at + 1), help)
        })?;
        take(record, at + 1)?;
    }
    Ok(())
}
