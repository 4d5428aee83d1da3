//! `catalex adopt`.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{
    AdoptSettings, AdoptSpec, AdoptSummary, EncodeSettings, ThreadSettings, VocabularySettings, adopt,
};
use catalex::printable::printable;
use catalex::progress::Progress;
use clap::Args;

use super::config_file::ConfigFile;
use super::environment::environment;
use super::flags::Flags;
use super::output::OutputFlags;

#[derive(Debug, Args)]
pub(super) struct AdoptArgs {
    /// Token table, such as one that `catalex import` wrote.
    #[arg(value_name = "TABLE")]
    tokens: PathBuf,
    /// Features of the table's items, or an index with these features.
    #[arg(long, value_name = "FEATURES")]
    features: PathBuf,
    #[command(flatten)]
    output: OutputFlags,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    adopt: Flags<AdoptSettings>,
    #[command(flatten)]
    encode: Flags<EncodeSettings>,
    #[command(flatten)]
    vocabulary: Flags<VocabularySettings>,
    #[command(flatten)]
    threads: Flags<ThreadSettings>,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: AdoptArgs, progress: &dyn Progress) -> Result<()> {
    let mut file = args.config.read()?;
    let spec = AdoptSpec {
        tokens: args.tokens,
        features: args.features,
        adopt: file.fill(args.adopt)?,
        encode: file.fill(args.encode)?,
        vocabulary: file.fill(args.vocabulary)?,
        threads: file.fill(args.threads)?.threads,
        output: args.output.output(),
        environment: environment()?,
    };
    file.finish()?;
    let summary = adopt(&spec, progress)?;
    if args.json { super::print_json(&summary) } else { show(&summary) }
}

fn show(summary: &AdoptSummary) -> Result<()> {
    let mut out = String::new();
    writeln!(out, "index              {}", printable(&summary.index.display().to_string()))?;
    writeln!(out, "items              {}, IDs unchanged", summary.items)?;
    if summary.left_out > 0 {
        writeln!(out, "left out           {} items of the features that are not in the table", summary.left_out)?;
    }
    writeln!(out, "collisions         {} items share their ID with another item", summary.colliding_items)?;
    writeln!(out, "latent dimension   {}", summary.latent_dim)?;
    writeln!(out, "relative error     {:.4} of the latents, with the given codes", summary.relative_error)?;
    writeln!(out, "\nlevel  own code nearest  held out  model reproduces  held out  unused codes")?;
    for l in &summary.levels {
        let held = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{share:.4}"));
        let (nearest, back) = (held(l.nearest_held_out), held(l.given_back_held_out));
        write!(out, "{:>5}  {:>16.4}  {nearest:>8}  {:>16.4}  {back:>8}", l.level, l.nearest, l.given_back)?;
        writeln!(out, "  {:>12}", l.unused_codes)?;
    }
    if summary.held_out > 0 {
        let n = summary.held_out;
        writeln!(out, "\nHeld out: {n} items, measured with a second model that was fitted without them.")?;
    }
    super::print(&out)
}
