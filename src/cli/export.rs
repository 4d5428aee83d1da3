//! `catalex export`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use catalex::Error;
use catalex::pipeline::{
    CatalogColumns, EXPORT_FILE, ExportOptions, ExportSpec, Exported, Output, export, family_templates,
};
use catalex::printable::printable;
use catalex::progress::Progress;
use clap::Args;

use super::config_file::ConfigFile;
use super::flags::Flags;

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Token table, or an index.
    #[arg(value_name = "TOKENS")]
    tokens: Option<PathBuf>,
    /// Family of recommenders: lc-rec, tallrec, instructrec, bigrec, transrec, ranking, agents, minionerec, openonerec,
    /// llamafactory, trl, sequences.
    #[arg(long = "for", value_name = "FAMILY")]
    family: String,
    /// Catalog of the items. Not needed for sequences or for exports with IDs only.
    #[arg(long, value_name = "CATALOG")]
    catalog: Option<PathBuf>,
    #[command(flatten)]
    columns: Flags<CatalogColumns>,
    #[command(flatten)]
    options: Flags<ExportOptions>,
    /// Folder to write.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace an existing output of catalex.
    #[arg(long)]
    force: bool,
    /// Write nothing. Print the first three records of each task, from the first users and items.
    #[arg(long, conflicts_with = "out")]
    dry_run: bool,
    /// Print JSON: the content of export.json without its hash.
    #[arg(long)]
    json: bool,
    /// Print the family's templates as TOML, to change them for --templates, and exit.
    #[arg(long)]
    show_templates: bool,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: ExportArgs, progress: &dyn Progress) -> Result<()> {
    let templates = family_templates(&args.family)?;
    if args.show_templates {
        return super::print(templates);
    }
    let Some(tokens) = args.tokens else {
        let expected = "a token table or an index, as the first argument";
        return Err(Error::config("TOKENS", expected, "none", "see `catalex help export`").into());
    };
    let mut settings = args.config.read()?;
    let spec = ExportSpec {
        tokens,
        family: args.family,
        catalog: args.catalog,
        columns: settings.fill(args.columns)?,
        settings: settings.fill(args.options)?,
        dry_run: args.dry_run,
        output: Output { force: args.force, ..Output::new(args.out.clone().unwrap_or_default()) },
    };
    settings.finish()?;
    let exported = export(&spec, progress)?;
    if args.json { super::print_json(&exported) } else { super::print(&summary(&exported, args.out.as_deref())) }
}

/// A readable summary of the written files.
fn summary(exported: &Exported, out: Option<&Path>) -> String {
    let mut text = format!("{}\n", exported.interactions);
    for (task, report) in &exported.tasks {
        let skipped = if report.skipped > 0 { format!(", {} left out", report.skipped) } else { String::new() };
        if exported.dry_run {
            text += &format!("\n{task}\n");
            report.samples.iter().for_each(|sample| text += &format!("{}\n", printable(&sample.to_string())));
        } else {
            text += &format!("{task:<28} {:>10} records{skipped}\n", report.records);
        }
    }
    for (name, file) in &exported.files {
        text += &format!("{name:<44} {:<7} {:>10} bytes\n", file.role.to_string(), file.bytes);
    }
    if let Some(out) = out {
        text += &format!("{}\n", printable(&out.join(EXPORT_FILE).display().to_string()));
    }
    text
}
