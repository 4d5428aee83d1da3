//! The static sections of the page.

use std::fmt::Write;

use super::cards::Cards;
use super::markup::{count, escape, grouped, percent, shortened, story};
use super::{charts, words};
use crate::quality::duplicates::DuplicateGroup;
use crate::quality::figures::Figures;
use crate::semantic_id::TokenTable;
use crate::tokenizer::CodeUsage;
use crate::training::{EpochFigures, TrainConfig, TrainingRecord};

/// Maximum number of characters of an item's text or id in a list.
const NAME: usize = 80;

/// The headline figures.
pub(super) fn headlines(figures: &Figures) -> String {
    let mut out = String::new();
    for headline in words::headlines(figures) {
        let _ = write!(
            out,
            "<div><dt>{}</dt><dd class=\"figure\">{}</dd><dd>{}</dd></div>",
            headline.what,
            escape(&headline.figure),
            escape(&headline.meaning)
        );
    }
    out
}

/// A chart and a sentence per level.
pub(super) fn codebooks(table: &TokenTable, figures: &Figures) -> String {
    let mut out = String::new();
    let usage = CodeUsage::of_levels(table.codes.view(), &table.metadata.codebook_sizes);
    for (level, usage) in usage.iter().enumerate() {
        let counts: Vec<usize> = usage.counts.iter().map(|&count| count as usize).collect();
        let most = counts.iter().copied().max().unwrap_or(0);
        let fullest = counts.iter().position(|&count| count == most).unwrap_or(0);
        let token = |code: usize| table.metadata.token_format.token(level, code as u16);
        let label = format!("Items per code of level {level}, in descending order");
        let _ = write!(
            out,
            "<article><h3>Level {level} <small>{} to {}</small></h3>{}<p>{}</p></article>",
            escape(&token(0)),
            escape(&token(counts.len().saturating_sub(1))),
            charts::codebook(&counts, &label),
            words::usage(figures, level, &token(fullest), most)
        );
    }
    out
}

/// The table of figures by prefix length.
pub(super) fn depths(figures: &Figures) -> String {
    let (neighbours, labels) = (&figures.neighbours, &figures.labels);
    let mut out = String::from(
        "<table><thead><tr><th scope=\"col\">Codes</th><th scope=\"col\">Prefixes</th>\
         <th scope=\"col\">Items per prefix</th>",
    );
    if neighbours.is_some() {
        out += "<th scope=\"col\" class=\"wide\">Neighbours with the same prefix</th>";
    }
    if let Some(labels) = labels {
        let name = escape(&labels.label);
        let _ = write!(
            out,
            "<th scope=\"col\" class=\"wide\">Items with the most frequent <q>{name}</q> of their prefix (purity)</th>\
             <th scope=\"col\">Mutual information with <q>{name}</q></th>"
        );
    }
    out += "</tr></thead><tbody>";
    let share = |share: f64| format!("<td>{}{}</td>", charts::bar(share), percent(share));
    for (at, &prefixes) in figures.distinct_prefixes.iter().enumerate() {
        let mean = figures.items as f64 / prefixes.max(1) as f64;
        let codes = if at == 0 { "first".to_owned() } else { format!("first {}", at + 1) };
        let _ = write!(out, "<tr><th scope=\"row\">{codes}</th><td>{}</td><td>{mean:.1}</td>", grouped(prefixes));
        if let Some(neighbours) = neighbours {
            out += &share(neighbours.share_by_depth.get(at).copied().unwrap_or(0.0));
        }
        if let Some(depth) = labels.as_ref().and_then(|labels| labels.by_depth.get(at)) {
            out += &share(depth.purity);
            let _ = write!(out, "<td>{:.3}</td>", depth.normalized_mutual_information);
        }
        out += "</tr>";
    }
    out += "</tbody></table>";
    if let Some(labels) = labels {
        let _ = write!(
            out,
            "<p class=\"note\">{} items have one of {} values of <q>{}</q>; the most frequent value has {} of them. Mutual \
             information is normalised: 0 if prefix and value are independent, 1 if each determines the other.</p>",
            grouped(labels.labelled),
            grouped(labels.labels),
            escape(&labels.label),
            percent(labels.largest_share)
        );
    }
    out
}

/// The section on ID collisions.
pub(super) fn collisions(figures: &Figures) -> String {
    let Some(report) = &figures.collisions else {
        return "<p>The token table has no record of the collision resolution.</p>".into();
    };
    let mut rows = vec![
        ("Items", grouped(report.items)),
        ("Distinct IDs before", grouped(report.distinct_before)),
        ("Items moved", grouped(report.moved)),
        ("of these, to another prefix", grouped(report.moved_to_other_prefix)),
        ("Largest collision", grouped(report.largest_group)),
        ("Exact duplicates", grouped(report.exact_duplicates)),
    ];
    if let Some(r) = figures.reconstruction {
        if let Some(held_out) = r.held_out {
            rows.push(("Held-out error", format!("{:.4}", held_out.error)));
        }
        rows.push(("In-sample error before", format!("{:.4}", r.before_resolution)));
        rows.push(("In-sample error after", format!("{:.4}", r.after_resolution)));
    }
    story(&words::collisions(report, figures.collision_policy), &rows)
}

/// The largest groups of items that the quantizer cannot distinguish, with their texts and ids.
pub(super) fn duplicates(groups: &[DuplicateGroup], table: &TokenTable, cards: &Cards) -> String {
    if groups.is_empty() {
        return String::new();
    }
    let name = |&row: &usize| {
        let id = table.item_ids.text(row);
        match cards.texts.get(&row).filter(|text| !text.is_empty()) {
            Some(text) => escape(&format!("{} ({})", shortened(text, NAME), shortened(&id, NAME))),
            None => escape(&shortened(&id, NAME)),
        }
    };
    let line = |group: &DuplicateGroup| {
        let more = if group.items > group.rows.len() { "; …" } else { "" };
        let names: Vec<String> = group.rows.iter().map(name).collect();
        format!("<li>{}: {}{more}</li>", count(group.items, "item"), names.join("; "))
    };
    let lines: String = groups.iter().map(line).collect();
    format!("<p>The largest groups of items with equal vectors or IDs:</p><ul>{lines}</ul>")
}

/// Curves of error and loss over the epochs. Empty if there are too few epochs for a curve.
pub(super) fn training(record: &TrainingRecord) -> String {
    let held_out = record.held_out > 0;
    let error = if held_out { "Error on held-out items" } else { "Error on training items" };
    let errors = record.history.iter().map(|epoch| Some(epoch.error));
    let losses = record.history.iter().map(|epoch| epoch.loss);
    let mut out = String::new();
    for (name, figures) in [(error, errors.collect::<Vec<_>>()), ("Loss", losses.collect())] {
        let point = |(epoch, figure): (&EpochFigures, Option<f64>)| {
            Some((epoch.epoch as f64, figure.filter(|value| value.is_finite())?))
        };
        let values: Vec<(f64, f64)> = record.history.iter().zip(figures).filter_map(point).collect();
        if let Some(svg) = charts::curve(name, &values, Some(record.best_epoch as f64)) {
            let _ = write!(out, "<figure><figcaption>{name}</figcaption>{svg}</figure>");
        }
    }
    if out.is_empty() {
        return out;
    }
    let on = if held_out { "held-out" } else { "training" };
    let by_collisions = matches!(record.config, Some(TrainConfig::LcRec(_)));
    let told = match record.best_epoch {
        0 => format!("The state before gradient descent was kept: no epoch reduced the error on {on} items enough."),
        epoch if by_collisions => {
            format!("The state after epoch {epoch} was kept (marked): it has the fewest collisions.")
        }
        epoch => format!(
            "The state after epoch {epoch} was kept (marked): no later epoch reduced the error on {on} items enough."
        ),
    };
    format!(
        "<section id=\"training\" aria-labelledby=\"training-title\"><h2 id=\"training-title\">Training</h2>\
         <p>{told} The error is the relative reconstruction error of the codes.</p>\
         <div class=\"curves\">{out}</div></section>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_drawn_if_there_are_enough_epochs() {
        let epoch = |epoch, loss| EpochFigures { epoch, loss, error: 0.5, revived: 0 };
        let record = |history| TrainingRecord {
            config: None,
            items: 100,
            held_out: 7,
            best_epoch: 1,
            history,
            residual_errors: None,
        };
        let html = training(&record(vec![epoch(0, None), epoch(1, Some(0.4)), epoch(2, Some(0.3))]));
        assert_eq!(html.matches("<svg").count(), 2);
        assert!(html.contains("held-out") && html.contains("epoch 1 was kept"));
        assert_eq!(training(&record(vec![epoch(0, None)])), "");
        assert_eq!(training(&record(vec![])), "");
    }
}
