//! `catalex aggregate`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{AggregateSettings, AggregateSpec, aggregate};
use catalex::progress::Progress;
use clap::Args;

use super::config_file::ConfigFile;
use super::flags::Flags;
use super::output::OutputFlags;

#[derive(Debug, Args)]
pub(super) struct AggregateArgs {
    /// Generated fragments, as JSON Lines: an "id", and "pieces" with a "facet", "tokens" (ids) or a "text", and a
    /// "score" (logarithm of the probability).
    #[arg(value_name = "PIECES")]
    pieces: PathBuf,
    /// Folder that `catalex export --for transrec --tokenizer` wrote.
    #[arg(long, value_name = "DIR")]
    export: PathBuf,
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    settings: Flags<AggregateSettings>,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: AggregateArgs, progress: &dyn Progress) -> Result<()> {
    let mut file = args.config.read()?;
    let settings = file.fill(args.settings)?;
    file.finish()?;
    let spec = AggregateSpec { pieces: args.pieces, export: args.export, settings, output: args.output.output() };
    Ok(aggregate(&spec, progress)?)
}
