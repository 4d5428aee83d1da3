//! `catalex retrain`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{AppendSettings, RetrainSettings, ThreadSettings};
use catalex::progress::Progress;
use clap::Args;

use super::config_file::ConfigFile;
use super::flags::Flags;
use super::output::GenerationFlags;

#[derive(Debug, Args)]
pub(super) struct RetrainArgs {
    /// The index, or a store.
    #[arg(value_name = "INDEX")]
    index: PathBuf,
    /// The whole new catalog, or only its new and changed items. If omitted, the items of the index are used.
    #[arg(value_name = "CATALOG")]
    new_catalog: Option<PathBuf>,
    #[command(flatten)]
    output: GenerationFlags,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    retrain: Flags<RetrainSettings>,
    #[command(flatten)]
    append: Flags<AppendSettings>,
    #[command(flatten)]
    threads: Flags<ThreadSettings>,
    #[command(flatten)]
    config: ConfigFile,
}

#[cfg(feature = "train")]
pub(super) fn run(args: RetrainArgs, progress: &dyn Progress) -> Result<()> {
    use catalex::pipeline::{RetrainSpec, retrain};

    let mut settings = args.config.read()?;
    let (output, store) = args.output.target();
    let spec = RetrainSpec {
        index: args.index,
        catalog: args.new_catalog,
        settings: settings.fill(args.retrain)?,
        append: settings.fill(args.append)?,
        threads: settings.fill(args.threads)?.threads,
        output,
        store,
        environment: super::environment::environment()?,
    };
    settings.finish()?;
    let summary = retrain(&spec, progress)?;
    if args.json {
        return super::print_json(&summary);
    }
    let mut out = super::delete::changed(&summary.counts);
    out += &format!("error        {:.4} on held-out items (on all if none)\n\ndepth  items changed", summary.error);
    let events = summary.changed.iter().any(|change| change.events.is_some());
    out += if events { "  events changed\n" } else { "\n" };
    for change in &summary.changed {
        out += &format!("{:>5}  {:>12.2}%", change.depth, 100.0 * change.items);
        out += &change.events.map_or("\n".into(), |events| format!("  {:>13.2}%\n", 100.0 * events));
    }
    out += "\n";
    out += &super::delete::written(summary.items, summary.generation, &summary.index);
    super::print(&out)
}

#[cfg(not(feature = "train"))]
pub(super) fn run(_args: RetrainArgs, _progress: &dyn Progress) -> Result<()> {
    match super::training_program::run("catalex retrain")? {}
}
