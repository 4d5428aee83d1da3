//! `catalex verify`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{VerifySpec, verify};
use catalex::printable::printable;
use catalex::progress::Progress;
use clap::Args;

use super::config_file::ConfigFile;

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// An index, a store, or a file or folder that catalex wrote.
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Token table or index that the vocabulary, trie or constraint folder PATH must match.
    #[arg(long, value_name = "TOKENS")]
    tokens: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: VerifyArgs, progress: &dyn Progress) -> Result<()> {
    args.config.read()?.finish()?;
    let spec = VerifySpec { path: args.path, tokens: args.tokens };
    let verified = verify(&spec, progress)?;
    if args.json {
        super::print_json(&verified)?;
    } else {
        let (checks, problems) = (verified.checks.len(), verified.problems().count());
        let mut out = format!("kind               {}\nchecks             {checks}\n", verified.kind);
        out += &format!("problems           {problems}\n");
        for check in verified.problems() {
            out += &format!("{}: {}\n", check.check, printable(check.problem.as_deref().unwrap_or_default()));
        }
        super::print(&out)?;
    }
    if verified.whole {
        return Ok(());
    }
    let (what, got) = (spec.path.display().to_string(), format!("{} problems", verified.problems().count()));
    let help = "restore the damaged files from a copy, or write them again";
    Err(catalex::Error::data(what, "no problems", got, help).into())
}
