//! The figures in words, for someone who knows the catalog and not the model.

use super::markup::{count, escape, grouped, percent};
use crate::quality::figures::Figures;
use crate::semantic_id::{CollisionReport, Collisions};

/// A headline figure: the figure, what it is, and what to make of it.
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

/// What there is to say at the top of the page.
pub(super) fn headlines(figures: &Figures) -> Vec<Headline> {
    let mut out = Vec::new();
    let unique = figures.distinct_ids as f64 / figures.items.max(1) as f64;
    out.push(headline(
        if figures.distinct_ids == figures.items { "100%".into() } else { percent(unique) },
        "unique",
        if figures.distinct_ids == figures.items {
            "Every item has a semantic ID of its own, so an ID always leads back to one item.".into()
        } else {
            let shared = figures.items - figures.distinct_ids;
            format!("{} the ID of another: a recommender cannot tell them apart.", has(shared))
        },
    ));
    if let Some(n) = &figures.neighbours {
        let sampled = if n.queries < figures.items {
            format!(" Measured on {} items drawn by lot.", grouped(n.queries))
        } else {
            String::new()
        };
        let chance = percent(n.recall_by_chance);
        out.push(headline(
            percent(n.recall),
            "of neighbours stay together",
            format!(
                "Of the {} items most like an item, this share is also nearest to it by ID. With IDs given at random it \
                 would be {chance}.{sampled}",
                n.neighbours,
            ),
        ));
    }
    if let Some(r) = figures.reconstruction {
        out.push(headline(
            percent((1.0 - r.after_resolution).max(0.0)),
            "of the differences kept",
            "How much of what tells the items apart can be read back from their IDs alone. More codes a level, or more \
             levels, keep more."
                .into(),
        ));
    }
    let (used, codes) = figures.usage.iter().fold((0, 0), |(used, codes), l| (used + l.used, codes + l.codes));
    out.push(headline(
        percent(figures.hit_rate),
        "of the codes in use",
        if used == codes {
            format!("All {} codes have items: a language model learns no word in vain.", grouped(codes))
        } else {
            let idle = codes - used;
            format!("{} of {} codes have no item yet; they are words that nothing says.", grouped(idle), grouped(codes))
        },
    ));
    out
}

fn has(items: usize) -> String {
    format!("{} {}", count(items, "item"), if items == 1 { "has" } else { "have" })
}

/// What happened to the items that had one code, as sentences.
pub(super) fn collisions(c: &CollisionReport, policy: Collisions) -> Vec<String> {
    let collided = c.items - c.distinct_before;
    if collided == 0 {
        return vec!["The codes came out different for every item: nothing had to be moved.".into()];
    }
    let mut out = vec![format!(
        "The codes alone did not tell all items apart: {} ({}) got a code that another item had already. At most {} \
         shared one code.",
        count(collided, "item"),
        percent(c.collision_rate),
        count(c.largest_group, "item"),
    )];
    match policy {
        Collisions::Resolve => (),
        Collisions::Keep => out.push("They keep it: such an ID means all of its items, and a language model cannot tell them apart.".into()),
        Collisions::LcRec => out.push("LC-Rec's rounds of balancing spread them over the last level; items that still share an ID cannot be told apart.".into()),
        Collisions::Suffix => out.push("One code more, the last, counts the items of a code, so that IDs differ; it says nothing of what an item is.".into()),
    }
    if c.moved > 0 {
        let stayed = c.moved - c.moved_to_other_prefix;
        let mut moved = format!(
            "So {} moved to a free code nearby",
            if c.moved == 1 { "1 item was".into() } else { format!("{} items were", grouped(c.moved)) }
        );
        moved += &match (stayed, c.moved_to_other_prefix) {
            (_, 0) => "; only the last code of their IDs changed, and they kept their place in the hierarchy.".into(),
            (0, _) => "; their prefixes were full, and they had to go to another one.".into(),
            (_, 1) => "; all but 1 kept their prefix, which was full for that one.".into(),
            (_, elsewhere) => {
                format!("; all but {} kept their prefix, which was full for those.", grouped(elsewhere))
            }
        };
        out.push(moved);
        let cost = match c.added_distortion {
            added if added.abs() < 0.0001 => "nothing that could be measured".into(),
            added => format!("{} more error over the whole catalog", percent(added)),
        };
        out.push(format!("The price: {cost}. Moved items carry a mark in the lists above."));
    }
    if c.exact_duplicates > 0 {
        let (are, them) = if c.exact_duplicates == 1 { ("is", "it") } else { ("are", "them") };
        out.push(format!(
            "{} {are} exactly alike another in text and picture as far as the encoders see. Look at {them}: the \
             catalog may list one product twice.",
            count(c.exact_duplicates, "item"),
        ));
    }
    out
}

/// One sentence on how a level's codebook is used.
pub(super) fn usage(figures: &Figures, level: usize, fullest: &str, items: usize) -> String {
    let l = &figures.usage[level];
    let idle = match l.codes - l.used {
        0 => format!("All {} codes are in use", grouped(l.codes)),
        _ => format!("{} of {} codes are in use", grouped(l.used), grouped(l.codes)),
    };
    format!(
        "{idle}, as evenly as {:.0} codes with equal shares would be ({}). The fullest, <code>{}</code>, has {}.",
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
    fn the_collision_story_has_its_cases() {
        assert_eq!(collisions(&report(0, 0, 0), Collisions::Resolve).len(), 1);
        let told = collisions(&report(41, 42, 1), Collisions::Resolve).join(" ");
        for part in ["41 items (4.1%)", "42 items were moved", "all but 1 kept", "1% more error", "1 item is exactly"] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(collisions(&report(2, 2, 0), Collisions::Resolve).join(" ").contains("kept their place"));
        assert!(collisions(&report(2, 2, 2), Collisions::Resolve).join(" ").contains("had to go"));
        assert!(collisions(&report(2, 0, 0), Collisions::Keep).join(" ").contains("They keep it"));
        assert!(collisions(&report(2, 0, 0), Collisions::Suffix).join(" ").contains("counts the items"));
    }

    #[test]
    fn shapes_in_words() {
        assert_eq!(shape(&[256; 4]), "4 codes, each one of 256");
        assert_eq!(shape(&[1_024, 64]), "2 codes, of 1,024, 64");
        assert_eq!(shape(&[8]), "1 code, one of 8");
    }
}
