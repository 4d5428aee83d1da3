//! `catalex tokenize`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::progress::Progress;
use catalex::semantic_id::{Collisions, TokenFormat, TokenTable};
use clap::Args;

use super::options::{Output, ThreadOptions};

#[derive(Debug, Args)]
pub(super) struct TokenizeArgs {
    /// Features with the modalities the model was trained on.
    #[arg(value_name = "FEATURES")]
    features: PathBuf,
    /// Folder of the model, or an index.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    #[command(flatten)]
    output: Output,
    /// Form of a token, with {level} (a letter) or {index} (a number) and {code}.
    #[arg(long, value_name = "FORMAT", default_value_t)]
    token_format: TokenFormat,
    /// Items of one code: resolve (move to free codes), keep, suffix (a level more that counts them), or lc-rec
    /// (LC-Rec's loop, which may leave some).
    #[arg(long, value_name = "POLICY", default_value_t)]
    collisions: Collisions,
    #[command(flatten)]
    threads: ThreadOptions,
}

pub(super) fn run(args: TokenizeArgs, progress: &dyn Progress) -> Result<()> {
    let (out, overwrite) = (&args.output.out, args.output.overwrite());
    catalex::artifact::refuse_existing(out, overwrite)?;
    args.threads.apply()?;
    let model = super::sources::model(&args.model)?;
    let features = super::sources::features(&args.features)?;
    let table = TokenTable::of_features(&features, &model, args.token_format, args.collisions, progress)?;
    Ok(table.write(out, overwrite)?)
}
