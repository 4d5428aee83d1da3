//! `catalex vocab`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::progress::Progress;
use catalex::vocabulary::write_vocabulary;
use clap::Args;

use super::options::{Output, VocabularyFlags};
use super::vocab_llm::LlmOptions;

#[derive(Debug, Args)]
pub(super) struct VocabArgs {
    /// Token table, or an index.
    #[arg(value_name = "TOKENS")]
    tokens: PathBuf,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    vocabulary: VocabularyFlags,
    #[command(flatten)]
    llm: LlmOptions,
}

pub(super) fn run(args: VocabArgs, progress: &dyn Progress) -> Result<()> {
    let (out, overwrite) = (&args.output.out, args.output.overwrite());
    catalex::artifact::refuse_existing(out, overwrite)?;
    let table = super::sources::token_table(&args.tokens)?;
    let mut options = args.vocabulary.options();
    let model = args.llm.model(&args.tokens)?;
    options.start_values = args.llm.start_values(&options, model.as_ref())?;
    Ok(write_vocabulary(out, &table, &options, overwrite, progress)?)
}
