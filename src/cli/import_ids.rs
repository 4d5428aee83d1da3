//! `catalex import`.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{ImportReport, ImportSettings, ImportSpec, import_ids};
use catalex::printable::printable;
use catalex::progress::Progress;
use clap::Args;

use super::config_file::ConfigFile;
use super::flags::Flags;
use super::output::OutputFlags;

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// File of IDs, or a TorchEasyRec generation folder.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    output: OutputFlags,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    import: Flags<ImportSettings>,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: ImportArgs, progress: &dyn Progress) -> Result<()> {
    let mut file = args.config.read()?;
    let spec = ImportSpec { file: args.file, import: file.fill(args.import)?, output: args.output.output() };
    file.finish()?;
    let report = import_ids(&spec, progress)?;
    if args.json { super::print_json(&report) } else { show(&report) }
}

fn show(report: &ImportReport) -> Result<()> {
    let mut out = String::new();
    writeln!(out, "items              {} of {} in the file", report.items, report.items_read)?;
    writeln!(out, "codebook sizes     {:?}", report.codebook_sizes)?;
    writeln!(out, "token format       {}", printable(&report.token_format))?;
    writeln!(out, "distinct IDs       {}", report.distinct_ids)?;
    writeln!(out, "collisions         {} items share their ID with another item", report.colliding_items)?;
    writeln!(out, "unused codes       {:?} per level", report.unused_codes)?;
    if report.missing_numbers > 0 {
        writeln!(out, "gaps               {} numbers between the item ids have no item", report.missing_numbers)?;
    }
    if report.items_by_levels.len() > 1 {
        let by_levels: Vec<String> =
            report.items_by_levels.iter().map(|(levels, items)| format!("{levels} for {items} items")).collect();
        writeln!(out, "levels             {}", by_levels.join(", "))?;
        writeln!(out, "  others           {} ...", printable(&report.ragged.join(", ")))?;
        if report.padded > 0 {
            writeln!(out, "  padded           {} items with code 0", report.padded)?;
        }
    }
    if report.items_with_unknown_tokens > 0 {
        writeln!(out, "unknown tokens     {} items have them and are left out", report.items_with_unknown_tokens)?;
        for unknown in &report.unknown_tokens {
            let (item, token) = (printable(&unknown.item_id), printable(&unknown.token));
            writeln!(out, "  {item}  {token} at level {}", unknown.level)?;
        }
    }
    if !report.shared_ids.is_empty() {
        writeln!(out, "\nIDs shared by several items, sorted by number of items")?;
        for shared in &report.shared_ids {
            let items = shared.examples.join(", ");
            writeln!(out, "{:>5}  {}  {}", shared.items, printable(&shared.semantic_id), printable(&items))?;
        }
    }
    super::print(&out)
}
