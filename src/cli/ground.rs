//! `catalex ground`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{GroundSettings, GroundSpec, ThreadSettings, ground};
use catalex::progress::Progress;
use clap::Args;

use super::config_file::ConfigFile;
use super::flags::Flags;
use super::output::OutputFlags;

#[derive(Debug, Args)]
pub(super) struct GroundArgs {
    /// Vectors of the answers, one row per answer: .npy, Parquet or Arrow; or, with --text, a table of texts.
    #[arg(value_name = "ANSWERS")]
    answers: PathBuf,
    /// Vectors of the items by the same model: .npy, Parquet or Arrow, or an index.
    #[arg(long, value_name = "FEATURES")]
    items: PathBuf,
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    settings: Flags<GroundSettings>,
    /// Print the measures as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    threads: Flags<ThreadSettings>,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: GroundArgs, progress: &dyn Progress) -> Result<()> {
    let mut file = args.config.read()?;
    let spec = GroundSpec {
        answers: args.answers,
        items: args.items,
        settings: file.fill(args.settings)?,
        threads: file.fill(args.threads)?.threads,
        output: args.output.output(),
        environment: super::environment::environment()?,
    };
    file.finish()?;
    match ground(&spec, progress)? {
        Some(measured) if args.json => super::print_json(&measured),
        Some(measured) => {
            let lines = measured.iter().map(|m| format!("{:<10} {:.4}  (gamma {:.3})\n", m.measure, m.value, m.gamma));
            super::print(&lines.collect::<String>())
        }
        None => Ok(()),
    }
}
