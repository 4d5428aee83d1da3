//! BIGRec (Bao et al., arXiv 2308.08434): from a history to the title of the next item. `items.jsonl` is for grounding the
//! generated titles: the items' titles in the order of the token table, and their popularity.

use serde::Serialize;
use serde_json::Value;

use super::{FamilySpec, TitleUse};
use crate::behaviour::SplitPart;
use crate::error::Result;
use crate::export::Role;
use crate::export::context::Context;
use crate::export::output::{ExportOutput, FileFormat};
use crate::export::template::Task;

pub(super) const FAMILY: FamilySpec = FamilySpec {
    templates: include_str!("../templates/bigrec.toml"),
    tasks: TASKS,
    titles: TitleUse::UnlessIds,
    ..FamilySpec::new("bigrec", write)
};

const RECOMMEND: &str = "recommend";

const TASKS: &[Task] = &[Task { name: RECOMMEND, given: &["history"], answer: &["item"] }];

/// An item that a generated title can be grounded to.
#[derive(Serialize)]
struct BigRecItem {
    item_id: Value,
    title: String,
    semantic_id: String,
    /// Number of training events.
    popularity: u32,
}

fn write(context: &Context<'_>, out: &mut ExportOutput) -> Result<()> {
    let mut files = Vec::new();
    for part in SplitPart::ALL {
        files.push(out.file(format!("{part}.json"), part.into(), FileFormat::Array)?);
    }
    let (settings, rated) = (context.settings, context.histories.rated);
    context.each_target(|user, part, at| {
        // Disliked items stay in the history, but are no targets.
        if rated && !settings.implicit && user.ratings[at] <= settings.rating_threshold {
            return Ok(());
        }
        let (history, item) = (context.list(context.history(user, at)), context.item(user.rows[at] as usize));
        let values = [("history", &*history), ("item", &item)];
        let examples = context.fill(RECOMMEND, &values, &mut context.rng(RECOMMEND, user, at));
        if examples.is_empty() {
            out.skip(RECOMMEND);
        }
        examples.iter().try_for_each(|example| out.record(files[part as usize], RECOMMEND, example))
    })?;
    let file = out.file("items.jsonl", Role::Items, FileFormat::Lines)?;
    for row in context.rows() {
        let item = BigRecItem {
            item_id: context.item_id(row),
            title: context.title(row),
            semantic_id: context.id(row),
            popularity: context.histories.popularity()[row],
        };
        out.record(file, "items", &item)?;
    }
    Ok(())
}
