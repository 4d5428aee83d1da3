//! The report section on the drift of items that were added after training.

use super::markup::{count, grouped, percent, story};
use crate::quality::drift_advice::{Advice, Drift, DriftSince};

/// The section: sentences on the drift, and a table of the figures.
pub(super) fn drift(since: &DriftSince) -> String {
    let story = story(&words(since), &figures(&since.drift));
    format!(
        "<section id=\"drift\" aria-labelledby=\"drift-title\"><h2 id=\"drift-title\">Drift of new items</h2>{story}</section>"
    )
}

/// The outcome as sentences.
fn words(since: &DriftSince) -> Vec<String> {
    let drift = &since.drift;
    let were = if drift.new == 1 { "item was" } else { "items were" };
    let new = grouped(drift.new);
    let mut out = vec![match (since.generation, since.trained) {
        (Some(number), true) => {
            format!("{new} {were} added since generation {number}, which the model was trained on.")
        }
        (Some(number), false) => format!(
            "{new} {were} added since generation {number}, the oldest in the store with this model. The model was \
             trained on an earlier generation."
        ),
        (None, _) => format!("{new} {were} added to the previous generation of this index."),
    }];
    out.push(match &drift.residuals {
        Some(found) => format!(
            "{} The probability that a new item has a larger error than an item held out of training is {} (50% \
             without drift), and {} of the new items have a larger error than 99% of the held-out items (1% without \
             drift).",
            match found.drifted() {
                true => "Their errors show drift.",
                false => "Their errors show no drift.",
            },
            percent(found.probability),
            percent(found.far)
        ),
        None => "The model has no errors of held-out items, so the errors of the new items cannot be compared.".into(),
    });
    if let Some(deepest) = drift.novelty.last() {
        out.push(format!(
            "{} of the new items are under a prefix of {} that no earlier item has ({} expected). A recommender that \
             was trained on the earlier items has not seen these prefixes.",
            percent(deepest.share),
            count(deepest.depth, "code"),
            percent(deepest.expected)
        ));
    }
    out.push(match drift.generations_left {
        Some(0) => "Another addition of this size does not fit: a prefix has too few free IDs.".into(),
        Some(left) => {
            let times =
                if left == 1 { "once more".to_owned() } else { format!("{} more times", grouped(left as usize)) };
            format!("An addition of this size fits {times}; then a prefix has too few free IDs.")
        }
        None => "Prefixes cannot become full, because the model has only one level.".into(),
    });
    out.push(match drift.advice {
        Advice::Append => "Advice: continue to append.".into(),
        Advice::Reassign => format!(
            "Advice: append with --changed reassign. {} of {} belong under another prefix.",
            percent(drift.misplaced.unwrap_or(0.0)),
            count(drift.changed, "changed item")
        ),
        Advice::Retrain => "Advice: train new codebooks with catalex retrain.".into(),
    });
    out
}

/// Names and values of the table.
fn figures(drift: &Drift) -> Vec<(String, String)> {
    let mut rows =
        vec![("Earlier items".to_owned(), grouped(drift.items)), ("New items".to_owned(), grouped(drift.new))];
    if let Some(found) = &drift.residuals {
        rows.extend([
            ("Items held out of training".to_owned(), grouped(found.held_out)),
            ("Probability of a larger error".to_owned(), format!("{:.3}", found.probability)),
            ("p-value".to_owned(), format!("{:.1e}", found.p_value)),
            ("New items beyond 99% of held-out items".to_owned(), percent(found.far)),
        ]);
    }
    for novelty in &drift.novelty {
        let name = format!("New items under a new prefix of {} (expected)", count(novelty.depth, "code"));
        rows.push((name, format!("{}\u{a0}({})", percent(novelty.share), percent(novelty.expected))));
    }
    for usage in &drift.usage {
        let name = format!("Used codes of level {}, before and now", usage.level);
        rows.push((name, format!("{}, {}", grouped(usage.used), grouped(usage.used_now))));
    }
    if let Some(fullest) = drift.crowded.first().filter(|fullest| !fullest.prefix.is_empty()) {
        let name = format!("Items that are quantized to {} (capacity)", fullest.prefix);
        rows.push((name, format!("{}\u{a0}({})", grouped(fullest.items), grouped(fullest.capacity))));
    }
    if let Some(misplaced) = drift.misplaced {
        rows.push(("Changed items".to_owned(), grouped(drift.changed)));
        rows.push(("of these, under another prefix".to_owned(), percent(misplaced)));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::drift::{CrowdedGrowth, PrefixNovelty, ResidualDrift, UsageShift};

    fn since(probability: Option<f64>, advice: Advice, left: Option<u64>) -> DriftSince {
        let residuals = probability.map(|probability| ResidualDrift {
            held_out: 400,
            probability,
            deviations: 40.0 * (probability - 0.5),
            p_value: 0.02,
            mean: 1.0,
            median_held_out: 1.0,
            far: 0.031,
        });
        let drift = Drift {
            items: 4_000,
            new: 1_200,
            residuals,
            novelty: vec![PrefixNovelty { depth: 2, share: 0.12, expected: 0.1 }],
            usage: vec![UsageShift {
                level: 0,
                used: 14,
                used_now: 16,
                perplexity: 1.0,
                perplexity_now: 1.0,
                distance: 0.0,
            }],
            crowded: vec![CrowdedGrowth { prefix: "<a_1>".into(), items: 30, new: 2, capacity: 32 }],
            generations_left: left,
            changed: 20,
            misplaced: Some(0.25),
            advice,
            reasons: Vec::new(),
        };
        DriftSince { drift, generation: Some(3), trained: true }
    }

    #[test]
    fn every_outcome_is_described_in_words() {
        let cases = [
            (since(Some(0.51), Advice::Append, Some(12)), ["show no drift", "51% (50%", "12 more times", "to append"]),
            (since(Some(0.9), Advice::Retrain, Some(0)), ["show drift", "3.1% of", "does not fit", "catalex retrain"]),
            (
                since(None, Advice::Reassign, None),
                ["1,200 items were added since generation 3", "no errors", "cannot become", "25% of 20 changed items"],
            ),
            (
                DriftSince { generation: None, ..since(Some(0.5), Advice::Append, Some(1)) },
                ["previous generation", "prefix of 2 codes that no", "12% of", "once more"],
            ),
            (
                DriftSince { trained: false, ..since(Some(0.5), Advice::Append, Some(1)) },
                ["an earlier generation", "since generation 3", "(10% expected)", "once more"],
            ),
        ];
        for (since, parts) in cases {
            let told = words(&since).join(" ");
            parts.iter().for_each(|part| assert!(told.contains(part), "{part}: {told}"));
        }
    }

    #[test]
    fn the_table_has_all_figures() {
        let html = drift(&since(Some(0.51), Advice::Append, Some(12)));
        for part in
            ["New items</th><td>1,200<", "&lt;a_1&gt; (capacity)</th><td>30\u{a0}(32)<", "12%\u{a0}(10%)", "14, 16"]
        {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert_eq!(html.matches("<section").count(), html.matches("</section>").count());
    }
}
