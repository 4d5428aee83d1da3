//! `catalex vocab`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{LlmSettings, VocabSpec, VocabularySettings, vocab};
use catalex::progress::Progress;
use clap::Args;

use super::config_file::ConfigFile;
use super::flags::Flags;
use super::output::OutputFlags;

#[derive(Debug, Args)]
pub(super) struct VocabArgs {
    /// Token table, or an index.
    #[arg(value_name = "TOKENS")]
    tokens: PathBuf,
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    vocabulary: Flags<VocabularySettings>,
    #[command(flatten)]
    llm: Flags<LlmSettings>,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: VocabArgs, progress: &dyn Progress) -> Result<()> {
    let mut settings = args.config.read()?;
    let spec = VocabSpec {
        tokens: args.tokens,
        vocabulary: settings.fill(args.vocabulary)?,
        llm: settings.fill(args.llm)?,
        output: args.output.output(),
    };
    settings.finish()?;
    Ok(vocab(&spec, progress)?)
}
