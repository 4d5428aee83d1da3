//! The figures as sentences, for readers who know the catalog but not the model.

use super::markup::{count, escape, grouped, percent};
use crate::quality::figures::Figures;
use crate::semantic_id::{CollisionReport, Collisions};

/// A headline figure with its name and its meaning.
pub(super) struct Headline {
    pub(super) figure: String,
    pub(super) what: &'static str,
    pub(super) meaning: String,
}

fn headline(figure: String, what: &'static str, meaning: String) -> Headline {
    Headline { figure, what, meaning }
}

/// "4 codes, each one of 256".
pub(super) fn shape(sizes: &[usize]) -> String {
    let codes = count(sizes.len(), "code");
    match sizes {
        [first, rest @ ..] if rest.iter().all(|size| size == first) => {
            let each = if rest.is_empty() { "" } else { "each " };
            format!("{codes}, {each}one of {}", grouped(*first))
        }
        _ => format!("{codes}, of {}", sizes.iter().map(|&size| grouped(size)).collect::<Vec<_>>().join(", ")),
    }
}

/// The headline figures.
pub(super) fn headlines(figures: &Figures) -> Vec<Headline> {
    let mut out = Vec::new();
    let unique = figures.distinct_ids as f64 / figures.items.max(1) as f64;
    out.push(headline(
        if figures.distinct_ids == figures.items { "100%".into() } else { percent(unique) },
        "unique IDs",
        if figures.distinct_ids == figures.items {
            "Every item has its own semantic ID, so an ID identifies one item.".into()
        } else {
            let shared = figures.items - figures.distinct_ids;
            format!("{} the same ID as another item: a recommender cannot distinguish them.", has(shared))
        },
    ));
    if let Some(n) = &figures.neighbours {
        let sampled = if n.queries < figures.items {
            format!(" Measured on a random sample of {} items.", grouped(n.queries))
        } else {
            String::new()
        };
        let chance = percent(n.recall_by_chance);
        out.push(headline(
            percent(n.recall),
            "neighbour recall",
            format!(
                "The fraction of an item's {} nearest neighbours that are also nearest to it by the length of the common \
                 prefix. Random IDs would have {chance}.{sampled}",
                n.neighbours,
            ),
        ));
    }
    if let Some(r) = figures.reconstruction {
        let in_sample = percent((1.0 - r.after_resolution).max(0.0));
        let (explained, of) = match r.held_out {
            Some(held_out) => {
                let of = format!(
                    "measured on {} held out of training ({in_sample} on all items, including those that the model was \
                     trained on)",
                    count(held_out.items, "item")
                );
                (percent((1.0 - held_out.error).max(0.0)), of)
            }
            None => (in_sample, "measured on all items, including those that the model was trained on".into()),
        };
        out.push(headline(
            explained,
            "of the variance explained",
            format!(
                "The fraction of the variance of the features that the IDs explain (1 minus the relative \
                 reconstruction error), {of}. It increases with more codes per level or more levels."
            ),
        ));
    }
    let (used, codes) = figures.usage.iter().fold((0, 0), |(used, codes), l| (used + l.used, codes + l.codes));
    out.push(headline(
        percent(figures.hit_rate),
        "of codes used",
        if used == codes {
            format!("All {} codes have items, so every new token of a language model is used.", grouped(codes))
        } else {
            let idle = codes - used;
            format!("{} of {} codes have no item; their tokens would not be used.", grouped(idle), grouped(codes))
        },
    ));
    out
}

fn has(items: usize) -> String {
    format!("{} {}", count(items, "item"), if items == 1 { "has" } else { "have" })
}

/// The outcome of the collision resolution as sentences.
pub(super) fn collisions(c: &CollisionReport, policy: Collisions) -> Vec<String> {
    let collided = c.items - c.distinct_before;
    if collided == 0 {
        return vec!["There were no collisions: the quantizer assigned different codes to all items.".into()];
    }
    let mut out = vec![format!(
        "The quantizer assigned {} ({}) the same codes as another item. The largest collision had {}.",
        count(collided, "item"),
        percent(c.collision_rate),
        count(c.largest_group, "item"),
    )];
    match policy {
        Collisions::Resolve => (),
        Collisions::Keep => out.push("These items share an ID, and a language model cannot distinguish them.".into()),
        Collisions::Share { capacity } => out.push(format!("Up to {capacity} items share an ID; each has a rank among the members of its ID.")),
        Collisions::LcRec => out.push("LC-Rec's balanced assignment changed their last codes; items that still share an ID cannot be distinguished.".into()),
        Collisions::Suffix => out.push("An additional last code numbers the items of a collision, so that IDs are unique; it carries no information about the item.".into()),
    }
    if c.moved > 0 {
        let stayed = c.moved - c.moved_to_other_prefix;
        let mut moved = format!(
            "{} moved to a nearby free code",
            if c.moved == 1 { "1 item was".into() } else { format!("{} items were", grouped(c.moved)) }
        );
        moved += &match (stayed, c.moved_to_other_prefix) {
            (_, 0) => "; only the last code changed, and all kept their prefix.".into(),
            (0, _) => "; their prefixes were full, and all got another prefix.".into(),
            (_, 1) => "; all but 1 kept their prefix.".into(),
            (_, elsewhere) => {
                format!("; all but {} kept their prefix.", grouped(elsewhere))
            }
        };
        out.push(moved);
        if c.moved > collided {
            out.push(
                "More items moved than collided, because moving an item without a collision can cost less.".into(),
            );
        }
        let cost = match c.added_distortion {
            added if added.abs() < 0.0001 => "below 0.01%".into(),
            added => percent(added),
        };
        out.push(format!(
            "The added distortion is {cost} of the error before. Moved items are marked in the lists above."
        ));
    }
    if c.exact_duplicates > 0 {
        let (are, them) = match c.exact_duplicates {
            1 => ("is an exact duplicate of another item", "it"),
            _ => ("are exact duplicates of other items", "them"),
        };
        out.push(format!(
            "{} {are} for the encoders. Check {them}: the catalog may list a product twice.",
            count(c.exact_duplicates, "item"),
        ));
    }
    out
}

/// The usage of the codebook of a level as sentences.
pub(super) fn usage(figures: &Figures, level: usize, fullest: &str, items: usize) -> String {
    let l = &figures.usage[level];
    let idle = match l.codes - l.used {
        0 => format!("All {} codes are used", grouped(l.codes)),
        _ => format!("{} of {} codes are used", grouped(l.used), grouped(l.codes)),
    };
    format!(
        "{idle}. The perplexity is {:.0} ({} of the codebook). The most frequent code, <code>{}</code>, has {}.",
        l.perplexity,
        percent(l.effective_share),
        escape(fullest),
        count(items, "item"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(collided: usize, moved: usize, elsewhere: usize) -> CollisionReport {
        CollisionReport {
            items: 1_000,
            distinct_before: 1_000 - collided,
            collision_rate: collided as f64 / 1_000.0,
            moved,
            moved_to_other_prefix: elsewhere,
            largest_group: 4,
            exact_duplicates: 1,
            residual_error_before: 1.0,
            residual_error_after: 1.01,
            added_distortion: 0.01,
        }
    }

    #[test]
    fn every_outcome_of_collision_resolution_has_its_sentences() {
        assert_eq!(collisions(&report(0, 0, 0), Collisions::Resolve).len(), 1);
        let told = collisions(&report(41, 42, 1), Collisions::Resolve).join(" ");
        for part in
            ["41 items (4.1%)", "42 items were moved", "all but 1 kept", "is 1% of the error", "1 item is an exact"]
        {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(collisions(&report(2, 2, 0), Collisions::Resolve).join(" ").contains("all kept their prefix"));
        assert!(collisions(&report(2, 2, 2), Collisions::Resolve).join(" ").contains("got another prefix"));
        assert!(collisions(&report(2, 0, 0), Collisions::Keep).join(" ").contains("These items share an ID"));
        assert!(collisions(&report(2, 0, 0), Collisions::Suffix).join(" ").contains("numbers the items"));
    }

    #[test]
    fn shapes_in_words() {
        assert_eq!(shape(&[256; 4]), "4 codes, each one of 256");
        assert_eq!(shape(&[1_024, 64]), "2 codes, of 1,024, 64");
        assert_eq!(shape(&[8]), "1 code, one of 8");
    }
}
