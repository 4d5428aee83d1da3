//! `catalex publish` and `catalex rollback`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{PublishSettings, PublishSpec, RollbackSpec, publish, rollback};
use catalex::printable::printable;
use clap::Args;

use super::config_file::ConfigFile;
use super::flags::Flags;

#[derive(Debug, Args)]
pub(super) struct PublishArgs {
    /// The index to publish.
    #[arg(value_name = "INDEX")]
    index: PathBuf,
    /// The store. It is created if it does not exist.
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    #[command(flatten)]
    settings: Flags<PublishSettings>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: PublishArgs) -> Result<()> {
    let mut file = args.config.read()?;
    let spec = PublishSpec { index: args.index, store: args.store, settings: file.fill(args.settings)? };
    file.finish()?;
    let published = publish(&spec)?;
    if args.json {
        return super::print_json(&published);
    }
    let path = published.path.display().to_string();
    let mut out = match published.previous {
        Some(previous) if previous == published.number => format!("generation {previous} is already current"),
        Some(previous) => format!("generation {} is now current, replacing {previous}", published.number),
        None => format!("generation {} is now current", published.number),
    };
    out += &format!("\n{}\n", printable(&path));
    if !published.pruned.is_empty() {
        let removed: Vec<String> = published.pruned.iter().map(u64::to_string).collect();
        out += &format!("removed            {}\n", removed.join(", "));
    }
    super::print(&out)
}

#[derive(Debug, Args)]
pub(super) struct RollbackArgs {
    /// The store.
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// Number of the generation to make current [default: the parent of the current one]
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run_rollback(args: RollbackArgs) -> Result<()> {
    args.config.read()?.finish()?;
    let done = rollback(&RollbackSpec { store: args.store, to: args.to })?;
    if args.json {
        return super::print_json(&done);
    }
    super::print(&format!("generation {} is now current, replacing {}\n", done.to, done.from))
}
