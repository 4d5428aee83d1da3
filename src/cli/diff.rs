//! `catalex diff`.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{DiffItem, DiffSettings, DiffSpec, LookupSettings, TableDiff, diff};
use catalex::printable::printable;
use catalex::progress::Progress;
use clap::Args;

use super::config_file::ConfigFile;
use super::flags::Flags;

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The older token table, index or store.
    #[arg(value_name = "BEFORE")]
    before: PathBuf,
    /// The newer token table, index or store.
    #[arg(value_name = "AFTER")]
    after: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    diff: Flags<DiffSettings>,
    #[command(flatten)]
    titles: Flags<LookupSettings>,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: DiffArgs, progress: &dyn Progress) -> Result<()> {
    let mut file = args.config.read()?;
    let spec = DiffSpec {
        before: args.before,
        after: args.after,
        diff: file.fill(args.diff)?,
        titles: file.fill(args.titles)?,
    };
    file.finish()?;
    let found = diff(&spec, progress)?;
    if args.json { super::print_json(&found) } else { show(&found) }
}

fn show(diff: &TableDiff) -> Result<()> {
    let mut out = String::new();
    let share = |items: usize| 100.0 * items as f64 / diff.common.max(1) as f64;
    writeln!(out, "items              {} before, {} after", diff.before.items, diff.after.items)?;
    writeln!(out, "added              {}", diff.added)?;
    writeln!(out, "removed            {}", diff.removed)?;
    writeln!(out, "in both            {}", diff.common)?;
    writeln!(out, "  same ID          {} ({:.2}%)", diff.same, share(diff.same))?;
    writeln!(out, "  different ID     {} ({:.2}%)", diff.moved, share(diff.moved))?;
    if diff.renamed > 0 {
        writeln!(out, "    renamed codes  {} of these keep their ID up to renamed codes", diff.renamed)?;
    }
    if diff.reused_ids > 0 {
        writeln!(out, "IDs reused         {} items have an ID that another item had before", diff.reused_ids)?;
    }
    if diff.before.codebook_sizes != diff.after.codebook_sizes {
        writeln!(
            out,
            "codebook sizes     {:?} before, {:?} after",
            diff.before.codebook_sizes, diff.after.codebook_sizes
        )?;
    }
    if diff.before.token_format != diff.after.token_format {
        let (before, after) = (printable(&diff.before.token_format), printable(&diff.after.token_format));
        writeln!(out, "token format       {before} before, {after} after")?;
    }
    let model = if diff.before.model_hash == diff.after.model_hash { "same" } else { "different" };
    writeln!(out, "model              {model}")?;
    writeln!(out, "\nlevel  same code  after renaming  codes renamed  moves explained  now unused   newly used")?;
    for l in &diff.levels {
        let explained = l.moves_explained.map_or("-".to_owned(), |share| format!("{share:.4}"));
        write!(out, "{:>5}  {:>9.4}  {:>14.4}  {:>13}", l.level, l.same, l.same_after_renaming, l.renamed_codes)?;
        writeln!(out, "  {explained:>15}  {:>10}  {:>11}", l.codes_left, l.codes_taken)?;
    }
    writeln!(out, "\ndepth  same prefix  after renaming  neighbours kept  prefixes before  prefixes after")?;
    for p in &diff.prefixes {
        let kept = p.neighbours_kept.map_or("-".to_owned(), |share| format!("{share:.4}"));
        write!(out, "{:>5}  {:>11.4}  {:>14.4}  {kept:>15}", p.depth, p.same, p.same_after_renaming)?;
        writeln!(out, "  {:>15}  {:>14}", p.prefixes_before, p.prefixes_after)?;
    }
    for l in diff.levels.iter().filter(|level| !level.renamings.is_empty()) {
        writeln!(out, "\nrenamed codes of level {}, sorted by number of items", l.level)?;
        for r in &l.renamings {
            let (before, after) = (printable(&r.before), printable(&r.after));
            writeln!(
                out,
                "  {before} -> {after}  {} of {} items before, of {} items after",
                r.items, r.items_before, r.items_after
            )?;
        }
    }
    let examples = &diff.examples;
    for (kind, items) in [
        ("added", &examples.added),
        ("removed", &examples.removed),
        ("moved", &examples.moved),
        ("renamed", &examples.renamed),
        ("with a reused ID", &examples.reused),
    ] {
        if !items.is_empty() {
            writeln!(out, "\n{kind}")?;
            items.iter().try_for_each(|item| writeln!(out, "  {}", line(item)))?;
        }
    }
    super::print(&out)
}

fn line(item: &DiffItem) -> String {
    let ids: Vec<_> = item.before.iter().chain(&item.after).map(|id| printable(id)).collect();
    let title = item.title.as_ref().map(|title| format!("  {}", printable(title))).unwrap_or_default();
    format!("{}  {}{title}", printable(&item.item_id), ids.join(" -> "))
}
