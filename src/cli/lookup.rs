//! `catalex lookup`.

use std::path::PathBuf;

use anyhow::Result;
use catalex::error::Error;
use catalex::semantic_id::Lookup;
use clap::{ArgGroup, Args};
use serde::Serialize;

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
}

/// An item and its ID.
#[derive(Debug, Serialize)]
struct Found {
    item_id: String,
    semantic_id: String,
    codes: Vec<u16>,
    reassigned: bool,
}

pub(super) fn run(args: LookupArgs) -> Result<()> {
    let table = super::sources::token_table(&args.tokens)?;
    let lookup = Lookup::new(&table);
    let rows = match (&args.semantic_id, &args.item) {
        (_, Some(item)) => vec![lookup.item(item)?],
        (Some(id), None) => lookup.find(id)?,
        (None, None) => Vec::new(),
    };
    if rows.is_empty() {
        let wanted = args.semantic_id.unwrap_or_default();
        return Err(Error::data(
            "lookup",
            "an item under this prefix",
            format!("none under {wanted}"),
            "try a shorter prefix",
        )
        .into());
    }
    let found: Vec<Found> = rows
        .into_iter()
        .map(|row| Found {
            item_id: table.item_ids.text(row),
            semantic_id: table.semantic_id(row),
            codes: table.codes.row(row).to_vec(),
            reassigned: table.reassigned[row],
        })
        .collect();
    if args.json {
        return super::print_json(&found);
    }
    let lines: Vec<String> = found.iter().map(|f| format!("{}\t{}\n", f.semantic_id, f.item_id)).collect();
    super::print(&lines.concat())
}
