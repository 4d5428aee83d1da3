//! `catalex train`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::progress::Progress;
use clap::Args;

use super::config_file::ConfigFile;
use super::options::{CheckpointOptions, Output, ThreadOptions, TrainOptions};

#[derive(Debug, Args)]
pub(super) struct TrainCommand {
    /// Parquet or Arrow table with vector columns, or a 2-D .npy matrix.
    #[arg(value_name = "FEATURES")]
    features: PathBuf,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    train: TrainOptions,
    #[command(flatten)]
    threads: ThreadOptions,
    #[command(flatten)]
    checkpoints: CheckpointOptions,
    #[command(flatten)]
    config: ConfigFile,
}

#[cfg(feature = "train")]
pub(super) fn run(args: TrainCommand, progress: &dyn Progress) -> Result<()> {
    let mut settings = args.config.read()?;
    let train = settings.fill(args.train)?;
    let threads = settings.fill(args.threads)?;
    settings.finish()?;
    let (out, overwrite) = (&args.output.out, args.output.overwrite());
    catalex::artifact::refuse_existing(out, overwrite)?;
    let config = train.config()?;
    threads.apply()?;
    let features = super::sources::features(&args.features)?;
    let checkpoints = args.checkpoints.at(out, args.output.force)?;
    let trained = catalex::rqvae::train(&features, config, Some(&checkpoints), progress)?;
    trained.tokenizer.save(out, overwrite)?;
    Ok(checkpoints.remove()?)
}

#[cfg(not(feature = "train"))]
pub(super) fn run(_args: TrainCommand, _progress: &dyn Progress) -> Result<()> {
    Err(super::not_built("catalex train", "train"))
}
