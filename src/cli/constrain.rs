//! `catalex constrain`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{ConstrainSettings, ConstrainSpec, constrain};
use catalex::printable::printable_json;
use catalex::progress::Progress;
use clap::Args;

use super::config_file::ConfigFile;
use super::flags::Flags;
use super::output::OutputFlags;

#[derive(Debug, Args)]
pub(super) struct ConstrainArgs {
    /// Token table, or an index.
    #[arg(value_name = "TOKENS")]
    tokens: PathBuf,
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    constraint: Flags<ConstrainSettings>,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: ConstrainArgs, progress: &dyn Progress) -> Result<()> {
    let mut settings = args.config.read()?;
    let constraint = settings.fill(args.constraint)?;
    settings.finish()?;
    let spec = ConstrainSpec { tokens: args.tokens, constraint, output: args.output.output() };
    super::print(&printable_json(&constrain(&spec, progress)?))
}
