//! `catalex compare`.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Result;
use catalex::pipeline::{CompareSettings, CompareSpec, CompareSummary, HistorySettings, compare};
use catalex::printable::printable;
use catalex::progress::Progress;
use clap::Args;

use super::config_file::ConfigFile;
use super::flags::Flags;

#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// The first token table, index or store.
    #[arg(value_name = "A")]
    a: PathBuf,
    /// The second token table, index or store.
    #[arg(value_name = "B")]
    b: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    histories: Flags<HistorySettings>,
    #[command(flatten)]
    compare: Flags<CompareSettings>,
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn run(args: CompareArgs, progress: &dyn Progress) -> Result<()> {
    let mut file = args.config.read()?;
    let spec =
        CompareSpec { a: args.a, b: args.b, histories: file.fill(args.histories)?, compare: file.fill(args.compare)? };
    file.finish()?;
    let found = compare(&spec, progress)?;
    if args.json { super::print_json(&found) } else { show(&found) }
}

fn show(found: &CompareSummary) -> Result<()> {
    let mut out = String::new();
    let comparison = &found.comparison;
    writeln!(out, "{}.\n", comparison.result)?;
    writeln!(out, "items              {} of A, {} of B, {} of both", found.items_a, found.items_b, found.common_items)?;
    for (table, items, only) in [("A", found.items_a, &found.only_a), ("B", found.items_b, &found.only_b)] {
        if !only.is_empty() {
            let shown: Vec<_> = only.iter().map(|item| printable(item)).collect();
            let left_out = items - found.common_items;
            writeln!(out, "only in {table}          {left_out} items, left out, such as {}", shown.join(", "))?;
        }
    }
    let ranked = match comparison.ranked_users == comparison.users {
        true => String::new(),
        false => format!(" ({} of them ranked)", comparison.ranked_users),
    };
    writeln!(out, "histories          {} users{ranked}, {} events", comparison.users, comparison.a.events)?;
    let resamples = comparison.resamples;
    writeln!(out, "resamples          {resamples} of the users; A - B with its 95% interval\n")?;
    writeln!(out, "{:<32}  better        A        B    A - B       from       to  P(A better)", "on the last events")?;
    for f in &comparison.figures {
        let better = if f.larger_is_better { "higher" } else { "lower" };
        // Rounded differences of zero have no sign.
        let unsigned = |x: f64| if x.abs() < 0.00005 { 0.0 } else { x };
        let ([low, high], difference) = (f.interval.map(unsigned), unsigned(f.difference));
        write!(out, "{:<32}  {better:<6} {:>8.4} {:>8.4} {difference:>8.4}", f.name, f.a, f.b)?;
        writeln!(out, "   {low:>8.4} {high:>8.4} {:>12.3}", f.probability_a_better)?;
    }
    writeln!(out, "\ndepth  lift of the prefix: A       B  of co-occurrence: A       B  events in largest: A       B")?;
    let lift = |lift: Option<f64>| lift.map_or("-".to_owned(), |lift| format!("{lift:.1}"));
    let depths = |figures: &catalex::pipeline::HistoryFigures| -> Vec<[String; 3]> {
        let parts = figures.purity.iter().zip(&figures.co_occurrence).zip(&figures.spread);
        parts
            .map(|((purity, kept), spread)| {
                [lift(purity.lift), lift(kept.lift), format!("{:.4}", spread.largest_share)]
            })
            .collect()
    };
    let (a, b) = (depths(&comparison.a), depths(&comparison.b));
    let none = || ["-"; 3].map(str::to_owned);
    for depth in 0..a.len().max(b.len()) {
        let [purity_a, kept_a, largest_a] = a.get(depth).cloned().unwrap_or_else(none);
        let [purity_b, kept_b, largest_b] = b.get(depth).cloned().unwrap_or_else(none);
        write!(out, "{:>5}  {purity_a:>21} {purity_b:>7}  {kept_a:>19} {kept_b:>7}", depth + 1)?;
        writeln!(out, "  {largest_a:>20} {largest_b:>7}")?;
    }
    super::print(&out)
}
