//! `catalex lookup`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{LookupHit, LookupKey, LookupSettings, LookupSpec, lookup};
use catalex::printable::printable;
use clap::{ArgGroup, Args};

use super::config_file::ConfigFile;
use super::flags::Flags;

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
    titles: Flags<LookupSettings>,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: LookupArgs) -> Result<()> {
    let key = match args.item {
        Some(item) => LookupKey::Item(item),
        None => LookupKey::SemanticId(args.semantic_id.unwrap_or_default()),
    };
    let mut file = args.config.read()?;
    let titles = file.fill(args.titles)?;
    file.finish()?;
    let found = lookup(&LookupSpec { tokens: args.tokens, key, titles })?;
    if args.json {
        return super::print_json(&found);
    }
    let line = |hit: &LookupHit| {
        let title = hit.title.as_ref().map(|title| format!("\t{}", printable(title))).unwrap_or_default();
        let deleted = hit.deleted_in.map(|number| format!("\tdeleted in generation {number}")).unwrap_or_default();
        format!("{}\t{}{title}{deleted}\n", printable(&hit.semantic_id), printable(&hit.item_id))
    };
    let lines: Vec<String> = found.iter().map(line).collect();
    super::print(&lines.concat())
}
