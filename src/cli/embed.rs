//! `catalex embed`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::progress::Progress;
use clap::Args;

use super::behaviour::BehaviourOptions;
use super::config_file::ConfigFile;
use super::options::{EncodeOptions, Output, ThreadOptions};

#[derive(Debug, Args)]
pub(super) struct EmbedArgs {
    /// Parquet, Arrow, CSV or JSONL table, or a folder of pictures.
    #[arg(value_name = "CATALOG")]
    catalog: PathBuf,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    encode: EncodeOptions,
    #[command(flatten)]
    behaviour: BehaviourOptions,
    #[command(flatten)]
    threads: ThreadOptions,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: EmbedArgs, progress: &dyn Progress) -> Result<()> {
    let mut settings = args.config.read()?;
    let encode = settings.fill(args.encode)?;
    let behaviour = settings.fill(args.behaviour)?;
    let threads = settings.fill(args.threads)?;
    settings.finish()?;
    catalex::artifact::refuse_existing(&args.output.out, args.output.overwrite())?;
    let features = super::behaviour::features(&args.catalog, &encode, &behaviour, threads.apply()?, progress)?;
    Ok(features.write(&args.output.out, args.output.overwrite())?)
}
