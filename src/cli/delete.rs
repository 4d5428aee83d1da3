//! `catalex delete`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use catalex::pipeline::{DeleteSettings, DeleteSpec, GenerationCounts, delete};
use catalex::printable::printable;
use catalex::progress::Progress;
use clap::Args;

use super::config_file::ConfigFile;
use super::flags::Flags;
use super::output::GenerationFlags;

#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    /// The index, or a store.
    #[arg(value_name = "INDEX")]
    index: PathBuf,
    /// Text file with the item ids to delete, one per line.
    #[arg(long, value_name = "FILE")]
    items: PathBuf,
    #[command(flatten)]
    output: GenerationFlags,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    delete: Flags<DeleteSettings>,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: DeleteArgs, progress: &dyn Progress) -> Result<()> {
    let mut settings = args.config.read()?;
    let (output, store) = args.output.target();
    let spec = DeleteSpec {
        index: args.index,
        items: args.items,
        settings: settings.fill(args.delete)?,
        output,
        store,
        environment: super::environment::environment()?,
    };
    settings.finish()?;
    let summary = delete(&spec, progress)?;
    if args.json {
        return super::print_json(&summary);
    }
    super::print(&(changed(&summary.counts) + &written(summary.items, summary.generation, &summary.index)))
}

/// The counts of changed items, one line each.
pub(super) fn changed(counts: &GenerationCounts) -> String {
    let GenerationCounts { unchanged, added, updated, reassigned, deleted } = counts;
    format!(
        "unchanged    {unchanged}\nadded        {added}\nupdated      {updated}\nreassigned   {reassigned}\ndeleted      {deleted}\n"
    )
}

/// The size, generation and path of the written index, one line each.
pub(super) fn written(items: u64, generation: u64, index: &Path) -> String {
    let index = index.display().to_string();
    format!("items        {items}\ngeneration   {generation}\nindex        {}\n", printable(&index))
}
