//! `catalex answers`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{AnswersSpec, answers};
use clap::Args;

use super::config_file::ConfigFile;
use super::output::OutputFlags;

#[derive(Debug, Args)]
pub(super) struct AnswersArgs {
    /// Prompts that `catalex export --for ranking` wrote: pointwise, pairwise or listwise.
    #[arg(value_name = "PROMPTS")]
    prompts: PathBuf,
    /// Answers of a language model: JSON Lines with the "id" of a prompt and its "answer".
    #[arg(value_name = "ANSWERS")]
    answers: PathBuf,
    #[command(flatten)]
    output: OutputFlags,
    /// Print the statistics as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: AnswersArgs) -> Result<()> {
    args.config.read()?.finish()?;
    let spec = AnswersSpec { prompts: args.prompts, answers: args.answers, output: args.output.output() };
    let summary = answers(&spec)?;
    if args.json {
        return super::print_json(&summary);
    }
    let counts = &summary.statistics;
    let mut text = String::new();
    for (name, value) in [
        ("answers", counts.answers),
        ("complete", counts.complete),
        ("empty", counts.empty),
        ("mentions by ID", counts.by_id),
        ("mentions by title", counts.by_title),
        ("mentions by number", counts.by_number),
        ("repeated mentions", counts.repeated),
        ("lines without an item", counts.malformed),
        ("with a target", counts.judged),
        ("target ranked first", counts.first),
    ] {
        text += &format!("{name:<22}{value:>10}\n");
    }
    super::print(&(text + &format!("{:<22}{:>10.4}\n", "NDCG", summary.ndcg)))
}
