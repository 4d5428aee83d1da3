//! `catalex embed`.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{BehaviourSettings, EmbedSpec, EmbedSummary, EncodeSettings, Output, ThreadSettings, embed};
use catalex::printable::printable;
use catalex::progress::Progress;
use clap::Args;

use super::config_file::ConfigFile;
use super::flags::Flags;
use super::output::OutputFlags;

#[derive(Debug, Args)]
pub(super) struct EmbedArgs {
    /// A Parquet, Arrow, CSV or JSON Lines table (plain or compressed), a folder or pattern of such tables, or a folder
    /// of images.
    #[arg(value_name = "CATALOG")]
    catalog: PathBuf,
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    encode: Flags<EncodeSettings>,
    #[command(flatten)]
    behaviour: Flags<BehaviourSettings>,
    #[command(flatten)]
    threads: Flags<ThreadSettings>,
    /// Continue an interrupted run from its files next to the output.
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: EmbedArgs, progress: &dyn Progress) -> Result<()> {
    let mut settings = args.config.read()?;
    let spec = EmbedSpec {
        catalog: args.catalog,
        encode: settings.fill(args.encode)?,
        behaviour: settings.fill(args.behaviour)?,
        threads: settings.fill(args.threads)?.threads,
        output: Output { resume: args.resume, ..args.output.output() },
        environment: super::environment::environment()?,
    };
    settings.finish()?;
    super::print(&summary(&embed(&spec, progress)?))
}

/// A summary of the encoded items and the items left out.
pub(super) fn summary(made: &EmbedSummary) -> String {
    let mut out = format!("items              {}\n", made.items);
    for modality in &made.modalities {
        let (name, dim, missing) = (&modality.name, modality.dim, modality.missing);
        let _ = writeln!(out, "{:<18} dimension {dim}, missing for {missing} items", printable(name));
    }
    let _ = writeln!(out, "texts truncated    {}", made.truncated_texts);
    if let Some(bad) = &made.bad_images {
        let _ =
            writeln!(out, "unreadable images  {}, listed in {}", bad.count, printable(&bad.list.display().to_string()));
        let _ = writeln!(out, "items left out     {}, which have no other content", bad.left_out);
    }
    if let Some(bad) = &made.bad_items {
        let first: Vec<String> = bad.first.iter().map(|id| catalex::error::shortened(id)).collect();
        let more = if bad.count > first.len() { ", ..." } else { "" };
        let list = bad.list.display().to_string();
        let (count, first, list) = (bad.count, first.join(", "), printable(&list));
        let _ = writeln!(out, "empty items        {count} left out: {first}{more}, listed in {list}");
    }
    out
}
