//! `catalex inspect`.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{
    Collisions, Figures, HistorySettings, InspectSpec, Inspected, ModelConfig, ReportColumns, inspect,
};
use catalex::printable::printable;
use catalex::progress::Progress;
use clap::Args;

use super::config_file::ConfigFile;
use super::flags::Flags;
use super::history_figures;

#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// A model's folder, a token table, or an index.
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Features, for the metrics that need them.
    #[arg(long, value_name = "FEATURES")]
    features: Option<PathBuf>,
    /// Model of the token table, for the reconstruction error. For an index, a model to use instead of its own.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// With --interactions: print all figures, and not only those that predict the quality of recommendations.
    #[arg(long)]
    all: bool,
    /// Also write the report: one HTML file that opens offline.
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Replace an existing report.
    #[arg(long, requires = "report")]
    force: bool,
    #[command(flatten)]
    columns: Flags<ReportColumns>,
    #[command(flatten)]
    histories: Flags<HistorySettings>,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: InspectArgs, progress: &dyn Progress) -> Result<()> {
    let mut file = args.config.read()?;
    let columns = file.fill(args.columns)?;
    let histories = file.fill(args.histories)?;
    file.finish()?;
    let (path, features, model, report, force) = (args.path, args.features, args.model, args.report, args.force);
    match inspect(&InspectSpec { path, features, model, columns, histories, report, force }, progress)? {
        Inspected::Model(config, hash) => show_model(&config, &hash, args.json),
        Inspected::Table(figures) if args.json => super::print_json(&figures),
        Inspected::Table(figures) => show(&figures, args.all),
    }
}

fn show_model(config: &ModelConfig, hash: &str, json: bool) -> Result<()> {
    if json {
        return super::print_json(config);
    }
    let modalities: Vec<String> =
        config.modalities.iter().map(|m| format!("{} ({})", printable(&m.name), m.dim)).collect();
    let mut out = String::new();
    writeln!(out, "levels            {}", config.levels())?;
    writeln!(out, "codebook sizes    {}", join(&config.codebook_sizes))?;
    writeln!(out, "latent dimension  {}", config.latent_dim)?;
    writeln!(out, "hidden widths     {}", join(&config.hidden))?;
    writeln!(out, "modalities        {}", modalities.join(", "))?;
    writeln!(out, "model hash        {hash}")?;
    if let Some(training) = &config.training {
        writeln!(out, "trained on        {} items, {} of them held out", training.items, training.held_out)?;
        if let Some(best) = training.best() {
            let on = if training.held_out == 0 { "training" } else { "held-out" };
            writeln!(out, "relative error    {:.4} on {on} items, epoch {}", best.error, training.best_epoch)?;
        }
    }
    writeln!(out, "\nPass --features for metrics of its codes.")?;
    super::print(&out)
}

/// Prints figures as tables. With interactions, those that predict the quality of recommendations come first, and others
/// are printed with `all` only.
pub(super) fn show(figures: &Figures, all: bool) -> Result<()> {
    let mut out = String::new();
    let Some(histories) = &figures.histories else {
        show_table(&mut out, figures)?;
        show_usage(&mut out, figures)?;
        return super::print(&out);
    };
    history_figures::show(&mut out, histories)?;
    writeln!(out)?;
    show_table(&mut out, figures)?;
    if all {
        history_figures::show_more(&mut out, histories)?;
        show_usage(&mut out, figures)?;
    } else {
        writeln!(out, "\nPass --all for entropies, figures by depth, the usage of the codes, and crowded prefixes.")?;
    }
    super::print(&out)
}

fn show_table(out: &mut String, figures: &Figures) -> Result<()> {
    writeln!(out, "items              {}", figures.items)?;
    writeln!(out, "distinct IDs       {}", figures.distinct_ids)?;
    writeln!(out, "levels             {}", figures.levels)?;
    let hash = if figures.model_hash.is_empty() { "none: the IDs were imported" } else { &figures.model_hash };
    writeln!(out, "model hash         {hash}")?;
    if let Some(c) = &figures.collisions {
        let collided = c.items - c.distinct_before;
        let rate = c.collision_rate;
        match figures.collision_policy {
            Collisions::Resolve | Collisions::LcRec => {
                let taken = "got an ID that another item had";
                writeln!(
                    out,
                    "collision rate     {rate:.4} before resolution ({collided} of {} items {taken})",
                    c.items
                )?;
                let elsewhere = c.moved_to_other_prefix;
                writeln!(out, "items moved        {} ({elsewhere} of them to another prefix)", c.moved)?;
                if c.moved > collided {
                    let why = "moving an item without a collision can cost less";
                    writeln!(out, "                   more than collided: {why}")?;
                }
                writeln!(out, "added distortion   {:.4} of the latent error before", c.added_distortion)?;
            }
            Collisions::Keep => writeln!(out, "collision rate     {rate:.4} ({collided} items), kept")?,
            Collisions::Share { capacity } => {
                writeln!(out, "collision rate     {rate:.4} ({collided} items); up to {capacity} items share an ID")?;
                writeln!(out, "items moved        {} ({} to another prefix)", c.moved, c.moved_to_other_prefix)?;
            }
            Collisions::Suffix => {
                writeln!(out, "collision rate     {rate:.4} ({collided} items) before the suffix, the last level")?;
            }
        }
    }
    if let Some(r) = figures.reconstruction {
        let (after, before) = (r.after_resolution, r.before_resolution);
        if let Some(held_out) = r.held_out {
            let (error, items) = (held_out.error, held_out.items);
            writeln!(out, "held-out error     {error:.4} on {items} items held out of training")?;
        }
        writeln!(out, "in-sample error    {after:.4} on all items ({before:.4} before resolution)")?;
    }
    if let Some(n) = &figures.neighbours {
        let (k, chance) = (n.neighbours, n.recall_by_chance);
        writeln!(out, "neighbour recall   {:.4} of {k} by longest prefix ({chance:.6} by chance)", n.recall)?;
    }
    writeln!(out, "codes in use       {:.4} of all", figures.hit_rate)?;
    Ok(())
}

/// The usage of the codes, figures by depth and label, and crowded prefixes.
fn show_usage(out: &mut String, figures: &Figures) -> Result<()> {
    writeln!(out, "\nlevel  codes   used  perplexity  of codes    Gini")?;
    for l in &figures.usage {
        let (level, codes, used, share) = (l.level, l.codes, l.used, l.effective_share);
        writeln!(out, "{level:>5}  {codes:>5}  {used:>5}  {:>10.1}  {share:>8.3}  {:>6.3}", l.perplexity, l.gini)?;
    }
    depths(out, figures)?;
    if let Some(labels) = &figures.labels
        && let Some(near) = &labels.neighbours
    {
        writeln!(
            out,
            "\nnearest {} with the same {} ({:.4} by chance)",
            near.neighbours,
            printable(&labels.label),
            near.by_chance
        )?;
        for nearness in &near.shares {
            writeln!(out, "{:<18} {:.4} of {} items", nearness.by, nearness.share, nearness.items)?;
        }
    }
    writeln!(out, "\nmost crowded prefixes")?;
    for crowded in &figures.crowded {
        writeln!(out, "{:>5}  {}", crowded.items, printable(&crowded.prefix))?;
    }
    Ok(())
}

/// One line per depth of the hierarchy.
fn depths(out: &mut String, figures: &Figures) -> Result<()> {
    write!(out, "\ndepth  prefixes")?;
    if figures.neighbours.is_some() {
        write!(out, "  neighbours kept")?;
    }
    if let Some(labels) = &figures.labels {
        write!(out, "  purity of {0}  information on {0}", printable(&labels.label))?;
    }
    writeln!(out)?;
    for (at, prefixes) in figures.distinct_prefixes.iter().enumerate() {
        write!(out, "{:>5}  {prefixes:>8}", at + 1)?;
        if let Some(neighbours) = &figures.neighbours {
            write!(out, "  {:>15.4}", neighbours.share_by_depth[at])?;
        }
        if let Some(labels) = &figures.labels {
            let (depth, width) = (&labels.by_depth[at], printable(&labels.label).chars().count());
            let (purity, information) = (depth.purity, depth.normalized_mutual_information);
            write!(out, "  {purity:>0$.4}  {information:>1$.4}", 10 + width, 15 + width)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn join(values: &[usize]) -> String {
    values.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}
