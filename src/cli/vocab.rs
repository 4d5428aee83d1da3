//! `catalex vocab`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::progress::Progress;
use catalex::vocabulary::{VocabularyOptions, write_vocabulary};
use clap::Args;

use super::options::Output;
use super::vocab_llm::LlmOptions;

#[derive(Debug, Args)]
pub(super) struct VocabArgs {
    /// Token table, or an index.
    #[arg(value_name = "TOKENS")]
    tokens: PathBuf,
    #[command(flatten)]
    output: Output,
    /// Hugging Face tokenizer folder to write an extended copy of.
    #[arg(long, value_name = "HF_DIR")]
    tokenizer: Option<PathBuf>,
    #[command(flatten)]
    llm: LlmOptions,
}

pub(super) fn run(args: VocabArgs, progress: &dyn Progress) -> Result<()> {
    let (out, overwrite) = (&args.output.out, args.output.overwrite());
    catalex::artifact::refuse_existing(out, overwrite)?;
    let table = super::sources::token_table(&args.tokens)?;
    let tokenizer = args.tokenizer.as_deref();
    let model = args.llm.model(&args.tokens)?;
    let options = VocabularyOptions { tokenizer, start_values: args.llm.start_values(tokenizer, model.as_ref())? };
    Ok(write_vocabulary(out, &table, &options, overwrite, progress)?)
}
