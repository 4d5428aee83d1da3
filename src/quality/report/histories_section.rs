//! The report section on the IDs against user histories.

use super::markup::{count, grouped, percent, story};
use crate::quality::histories::HistoryFigures;

/// The section: sentences on what the codes say about the next item, and a table of the figures.
pub(super) fn histories(figures: &HistoryFigures) -> String {
    let story = story(&words(figures), &rows(figures));
    format!(
        "<section id=\"histories\" aria-labelledby=\"histories-title\"><h2 id=\"histories-title\">The next item of a user</h2>{story}</section>"
    )
}

/// The figures as sentences.
fn words(figures: &HistoryFigures) -> Vec<String> {
    let mut out = vec![format!(
        "The last item of {} was predicted from the codes of the item before it. IDs are good for a recommender if \
         their codes help to do this.",
        count(figures.users, "user")
    )];
    if let Some(shuffled) = &figures.shuffled {
        let (times, gain, error) = (shuffled.gain.exp(), shuffled.gain, shuffled.standard_error);
        out.push(match shuffled.is_clear() {
            true => format!(
                "These codes help: on average (geometric mean), the correct item is {times:.2} times as probable as with \
                 the same IDs shuffled among the items. This is a gain of {gain:.3} nats, with a standard error of \
                 {error:.3}."
            ),
            false => format!(
                "These codes do not help: the correct item is not clearly more probable than with the same IDs shuffled \
                 among the items (a gain of {gain:.3} nats, with a standard error of {error:.3})."
            ),
        });
    }
    if let Some(lift) = figures.purity.first().and_then(|first| first.lift) {
        out.push(format!("The last two items share the first code {lift:.1} times as often as by chance."));
    }
    if figures.shared_ids.share > 0.0 {
        out.push(format!(
            "{} of the events are of items that share their ID with others. A recommender cannot tell these apart.",
            percent(figures.shared_ids.share)
        ));
    }
    out
}

/// Names and values of the table.
fn rows(figures: &HistoryFigures) -> Vec<(String, String)> {
    let (next, entropy) = (&figures.next_item, &figures.entropy);
    let mut rows = vec![
        ("Users".to_owned(), grouped(figures.users)),
        ("Events".to_owned(), grouped(figures.events)),
        ("Cost of the next item in nats, given the last".to_owned(), format!("{:.3}", entropy.given_last_item)),
    ];
    if let Some(shuffled) = &figures.shuffled {
        rows.push(("with the same IDs, shuffled".to_owned(), format!("{:.3}", shuffled.nats)));
    }
    rows.extend([
        ("by popularity".to_owned(), format!("{:.3}", entropy.by_popularity)),
        (
            format!("Recall@{} from the last five items, by popularity", next.list),
            format!("{:.4}, {:.4}", next.recall, next.recall_by_popularity),
        ),
        (
            format!("NDCG@{} from the last five items, by popularity", next.list),
            format!("{:.4}, {:.4}", next.ndcg, next.ndcg_by_popularity),
        ),
    ]);
    for purity in &figures.purity {
        let lift = purity.lift.map_or(String::new(), |lift| format!("\u{a0}({lift:.1})"));
        let name = format!("Last two items with the same {} (times chance)", count(purity.depth, "code"));
        rows.push((name, format!("{}{lift}", percent(purity.share))));
    }
    rows
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::progress::Silent;
    use crate::quality::histories::tests::{given_to_others, histories as read};

    #[test]
    fn ids_that_help_and_ids_that_do_not_are_described_in_words() {
        // Users stay in one of 8 groups of 32 items.
        let rows: Vec<Vec<u32>> =
            (0..400u32).map(|user| (0..4).map(|at| user % 8 * 32 + (user * 7 + at * 13) % 32).collect()).collect();
        let events = read(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>(), 256);
        let codes = Array2::from_shape_fn((256, 2), |(row, level)| [row / 32, row % 32][level] as u16);
        let told = |codes: &Array2<u16>| histories(&HistoryFigures::measure(codes.view(), &events, &Silent));
        let (good, bad) = (told(&codes), told(&given_to_others(&codes)));
        for part in ["last item of 400 users", "These codes help", "same 1 code (times chance)"] {
            assert!(good.contains(part), "{part}: {good}");
        }
        assert!(bad.contains("These codes do not help"), "{bad}");
        assert!(!good.contains("share their ID"), "{good}");
        assert!(told(&Array2::zeros((256, 2))).contains("100% of the events are of items that share their ID"));
        assert_eq!(good.matches("<section").count(), good.matches("</section>").count());
    }
}
