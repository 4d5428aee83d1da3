//! `catalex history`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{HistoryEntry, history};
use catalex::printable::printable;
use clap::Args;

use super::config_file::ConfigFile;

#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// A store, or an index.
    #[arg(value_name = "DIR")]
    path: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: HistoryArgs) -> Result<()> {
    args.config.read()?.finish()?;
    let entries = history(&args.path)?;
    if args.json {
        return super::print_json(&entries);
    }
    let mut out = String::from(
        "generation  parent  change    items    added  updated  reassigned  deleted  created               reason\n",
    );
    entries.iter().for_each(|entry| out += &line(entry));
    super::print(&out)
}

fn line(entry: &HistoryEntry) -> String {
    let mark = if entry.current { '*' } else { ' ' };
    let Some(record) = &entry.record else {
        let problem = entry.problem.as_deref().unwrap_or_default();
        return format!("{mark}{:>9}  {}\n", entry.number, printable(problem));
    };
    let parent = record.parent.map_or("-".into(), |number| number.to_string());
    let (counts, created) = (&record.counts, record.created.as_deref().unwrap_or("-"));
    let line = format!(
        "{mark}{:>9}  {parent:>6}  {:<7}  {:>6}  {:>7}  {:>7}  {:>10}  {:>7}  {:<20}  {}",
        entry.number,
        record.change.name(),
        record.items,
        counts.added,
        counts.updated,
        counts.reassigned,
        counts.deleted,
        printable(created),
        printable(record.reason.as_deref().unwrap_or_default())
    );
    line.trim_end().to_owned() + "\n"
}
