//! `catalex lookup`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{LookupKey, LookupSpec, lookup};
use clap::{ArgGroup, Args};

use super::config_file::ConfigFile;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("wanted").required(true).args(["semantic_id", "item"])))]
pub(super) struct LookupArgs {
    /// Token table, or an index.
    #[arg(value_name = "TOKENS")]
    tokens: PathBuf,
    /// A semantic ID, or the first tokens of one.
    #[arg(value_name = "ID")]
    semantic_id: Option<String>,
    /// The item whose semantic ID to print.
    #[arg(long, value_name = "ID")]
    item: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: LookupArgs) -> Result<()> {
    args.config.read()?.finish()?;
    let key = match args.item {
        Some(item) => LookupKey::Item(item),
        None => LookupKey::SemanticId(args.semantic_id.unwrap_or_default()),
    };
    let found = lookup(&LookupSpec { tokens: args.tokens, key })?;
    if args.json {
        return super::print_json(&found);
    }
    let lines: Vec<String> = found.iter().map(|hit| format!("{}\t{}\n", hit.semantic_id, hit.item_id)).collect();
    super::print(&lines.concat())
}
