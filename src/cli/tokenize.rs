//! `catalex tokenize`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{
    FarSettings, MemberCatalogSettings, SharingSettings, ThreadSettings, TokenSettings, TokenizeSpec, tokenize,
};
use catalex::progress::Progress;
use clap::Args;

use super::config_file::ConfigFile;
use super::flags::Flags;
use super::output::OutputFlags;

#[derive(Debug, Args)]
pub(super) struct TokenizeArgs {
    /// Features with the modalities that the model was trained on, or an index.
    #[arg(value_name = "FEATURES")]
    features: PathBuf,
    /// Folder of the model, or an index.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Token table of this model, or an index. Its items keep their IDs; only other items get new IDs.
    #[arg(long, value_name = "TABLE")]
    previous: Option<PathBuf>,
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    tokens: Flags<TokenSettings>,
    #[command(flatten)]
    sharing: Flags<SharingSettings>,
    #[command(flatten)]
    members: Flags<MemberCatalogSettings>,
    #[command(flatten)]
    far: Flags<FarSettings>,
    #[command(flatten)]
    threads: Flags<ThreadSettings>,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: TokenizeArgs, progress: &dyn Progress) -> Result<()> {
    let mut settings = args.config.read()?;
    let spec = TokenizeSpec {
        features: args.features,
        model: args.model,
        previous: args.previous,
        tokens: settings.fill(args.tokens)?,
        sharing: settings.fill(args.sharing)?,
        members: settings.fill(args.members)?,
        far: settings.fill(args.far)?,
        threads: settings.fill(args.threads)?.threads,
        output: args.output.output(),
    };
    settings.finish()?;
    tokenize(&spec, progress)?;
    Ok(())
}
