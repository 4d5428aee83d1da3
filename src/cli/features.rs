//! `catalex features`.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{RankingSettings, RankingSpec, RankingSummary, ranking_features};
use catalex::printable::printable;
use catalex::progress::Progress;
use clap::Args;

use super::config_file::ConfigFile;
use super::flags::Flags;
use super::output::OutputFlags;

#[derive(Debug, Args)]
pub(super) struct FeaturesArgs {
    /// Token table, index or store.
    #[arg(value_name = "TOKENS")]
    tokens: PathBuf,
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    ranking: Flags<RankingSettings>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: FeaturesArgs, progress: &dyn Progress) -> Result<()> {
    let mut file = args.config.read()?;
    let ranking = file.fill(args.ranking)?;
    file.finish()?;
    let spec = RankingSpec { tokens: args.tokens, ranking, output: args.output.output() };
    let written = ranking_features(&spec, progress)?;
    if args.json { super::print_json(&written) } else { show(&written) }
}

fn show(written: &RankingSummary) -> Result<()> {
    let mut out = String::new();
    writeln!(out, "items              {}", written.items)?;
    if let Some(vocabulary) = &written.subword_vocabulary {
        let source = if vocabulary.trained { "trained and written to" } else { "read from" };
        let path = vocabulary.path.display().to_string();
        writeln!(out, "subwords           {} pieces, {source} {}", vocabulary.pieces, printable(&path))?;
    }
    writeln!(out, "\ncolumn       type            cardinality")?;
    for column in &written.columns {
        let hashed = if column.hashed { "  hashed" } else { "" };
        writeln!(out, "{:<12} {:<12} {:>14}{hashed}", column.name, column.arrow_type, column.cardinality)?;
    }
    super::print(&out)
}
