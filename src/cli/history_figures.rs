//! Prints figures of IDs against histories.

use std::fmt::Write;

use anyhow::Result;
use catalex::pipeline::{HistoryFigures, ShuffledIds};

/// Writes the figures that predict the quality of recommendations, with what is good and what is bad.
pub(super) fn show(out: &mut String, figures: &HistoryFigures) -> Result<()> {
    let entropy = &figures.entropy;
    writeln!(out, "histories          {} users, {} events", figures.users, figures.events)?;
    writeln!(out, "next item          the last event of each user, predicted from the codes of the item before:")?;
    let (own, by_popularity) = (entropy.given_last_item, entropy.by_popularity);
    if let Some(shuffled) = &figures.shuffled {
        let ShuffledIds { nats, gain, standard_error } = shuffled;
        writeln!(
            out,
            "  nats             {own:.4}; lower is better ({nats:.4} if the IDs are shuffled, {by_popularity:.4} by popularity)"
        )?;
        let told = if shuffled.is_clear() { "" } else { ": these IDs are no better than random ones" };
        writeln!(out, "  gain             {gain:.4} over shuffled IDs, standard error {standard_error:.4}{told}")?;
    }
    for (purity, name) in figures.purity.iter().zip(["first code", "first two codes"]) {
        let times = purity
            .lift
            .map_or(String::new(), |lift| format!(", {lift:.1} times as often as by chance; random IDs have 1"));
        writeln!(out, "{name:<19}shared by {:.4} of the last two items{times}", purity.share)?;
    }
    if figures.shared_ids.share > 0.0 {
        let shared = &figures.shared_ids;
        writeln!(
            out,
            "shared IDs         {:.4} of the events; {:.4} of the credit lost",
            shared.share, shared.credit_lost
        )?;
    }
    Ok(())
}

/// Writes the other figures: the Markov model's recommendations, entropies per level, and prefixes by depth.
pub(super) fn show_more(out: &mut String, figures: &HistoryFigures) -> Result<()> {
    let (next, list) = (&figures.next_item, figures.next_item.list);
    let sample = match figures.ranked_users == figures.users {
        true => String::new(),
        false => format!(" ({} users ranked)", figures.ranked_users),
    };
    writeln!(
        out,
        "\nlast five items    the last event of each user, predicted from the codes of the five before{sample}:"
    )?;
    writeln!(out, "  nats             {:.4}", next.nats)?;
    writeln!(out, "  Recall@{list:<9} {:.4} ({:.4} by popularity)", next.recall, next.recall_by_popularity)?;
    writeln!(out, "  NDCG@{list:<11} {:.4} ({:.4} by popularity)", next.ndcg, next.ndcg_by_popularity)?;
    let entropy = &figures.entropy;
    writeln!(out, "\nlevel  nats of the code: by popularity  given the last first code  given the last item")?;
    for level in &entropy.levels {
        let (given_first, given_last) = (level.given_first_code, level.given_last_item);
        write!(out, "{:>5}  {:>31.4}  {given_first:>25.4}", level.level, level.by_popularity)?;
        writeln!(out, "  {given_last:>19.4}")?;
    }
    let (given_first, given_last) = (entropy.given_first_code, entropy.given_last_item);
    writeln!(out, "  all  {:>31.4}  {given_first:>25.4}  {given_last:>19.4}", entropy.by_popularity)?;
    writeln!(
        out,
        "\ndepth  next item has prefix    lift  co-occurring have it    lift  events in largest    Gini  code perplexity"
    )?;
    let lift = |lift: Option<f64>| lift.map_or("-".to_owned(), |lift| format!("{lift:.1}"));
    for ((purity, kept), spread) in figures.purity.iter().zip(&figures.co_occurrence).zip(&figures.spread) {
        write!(out, "{:>5}  {:>20.4}  {:>6}", purity.depth, purity.share, lift(purity.lift))?;
        write!(out, "  {:>20.4}  {:>6}", kept.share, lift(kept.lift))?;
        writeln!(out, "  {:>17.4}  {:>6.3}  {:>15.1}", spread.largest_share, spread.gini, spread.code_perplexity)?;
    }
    Ok(())
}
