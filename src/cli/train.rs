//! `catalex train`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::ThreadSettings;
use catalex::progress::Progress;
use catalex::training::TrainSettings;
use clap::Args;

use super::config_file::ConfigFile;
use super::flags::Flags;
use super::output::{CheckpointFlags, OutputFlags};

#[derive(Debug, Args)]
pub(super) struct TrainArgs {
    /// Table with vector columns, a 2-D .npy or safetensors matrix, or an index.
    #[arg(value_name = "FEATURES")]
    features: PathBuf,
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    train: Flags<TrainSettings>,
    #[command(flatten)]
    threads: Flags<ThreadSettings>,
    #[command(flatten)]
    checkpoints: CheckpointFlags,
    #[command(flatten)]
    config: ConfigFile,
}

#[cfg(feature = "train")]
pub(super) fn run(args: TrainArgs, progress: &dyn Progress) -> Result<()> {
    use catalex::pipeline::{TrainSpec, train};

    let mut settings = args.config.read()?;
    let spec = TrainSpec {
        features: args.features,
        train: settings.fill(args.train)?,
        threads: settings.fill(args.threads)?.threads,
        output: args.checkpoints.with(args.output),
    };
    settings.finish()?;
    train(&spec, progress)?;
    Ok(())
}

#[cfg(not(feature = "train"))]
pub(super) fn run(_args: TrainArgs, _progress: &dyn Progress) -> Result<()> {
    match super::training_program::run("catalex train")? {}
}
