//! `catalex drift`.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{Advice, AppendSettings, Drift, DriftSpec, ThreadSettings, drift};
use catalex::printable::printable;
use catalex::progress::Progress;
use clap::Args;

use super::config_file::ConfigFile;
use super::flags::Flags;

#[derive(Debug, Args)]
pub(super) struct DriftArgs {
    /// The index, or a store.
    #[arg(value_name = "INDEX")]
    index: PathBuf,
    /// The new catalog, features of new items, or a later generation of INDEX. Items already in INDEX are not new.
    #[arg(value_name = "CATALOG|FEATURES")]
    items: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    append: Flags<AppendSettings>,
    #[command(flatten)]
    threads: Flags<ThreadSettings>,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: DriftArgs, progress: &dyn Progress) -> Result<()> {
    let mut settings = args.config.read()?;
    let spec = DriftSpec {
        index: args.index,
        items: args.items,
        append: settings.fill(args.append)?,
        threads: settings.fill(args.threads)?.threads,
        environment: super::environment::environment()?,
    };
    settings.finish()?;
    let found = drift(&spec, progress)?;
    if args.json { super::print_json(&found) } else { super::print(&text(&found)?) }
}

fn text(found: &Drift) -> Result<String> {
    let mut out = String::new();
    writeln!(out, "items              {}", found.items)?;
    writeln!(out, "new items          {}", found.new)?;
    if let Some(residuals) = &found.residuals {
        writeln!(
            out,
            "larger error       with probability {:.3} than {} held-out items (0.5 without drift; p = {:.1e})",
            residuals.probability, residuals.held_out, residuals.p_value
        )?;
        writeln!(out, "far                {:.3} of the new items (0.01 without drift)", residuals.far)?;
    }
    writeln!(out, "\ndepth  under new prefixes  expected")?;
    for novelty in &found.novelty {
        writeln!(out, "{:>5}  {:>18.3}  {:>8.3}", novelty.depth, novelty.share, novelty.expected)?;
    }
    writeln!(out, "\nlevel   used    now  perplexity     now  distance of new items")?;
    for usage in &found.usage {
        writeln!(
            out,
            "{:>5}  {:>5}  {:>5}  {:>10.1}  {:>6.1}  {:>21.3}",
            usage.level, usage.used, usage.used_now, usage.perplexity, usage.perplexity_now, usage.distance
        )?;
    }
    writeln!(out, "\nmost crowded prefixes (capacity {} items)", found.crowded.first().map_or(0, |p| p.capacity))?;
    for crowded in &found.crowded {
        writeln!(out, "{:>5}  {} ({} new)", crowded.items, printable(&crowded.prefix), crowded.new)?;
    }
    match found.generations_left {
        Some(left) => writeln!(out, "\nroom for           {left} more additions of this size")?,
        None => writeln!(out, "\nroom for           any number of additions of this size")?,
    }
    if let Some(misplaced) = found.misplaced {
        writeln!(out, "changed items      {}, {misplaced:.3} of them now quantized to another prefix", found.changed)?;
    }
    let advice = match found.advice {
        Advice::Append => "append",
        Advice::Reassign => "append with --changed reassign",
        Advice::Retrain => "retrain",
    };
    writeln!(out, "advice             {advice}: {}", found.reasons.join("; "))?;
    Ok(out)
}
