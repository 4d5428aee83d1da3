//! BIGRec (Bao et al., arXiv 2308.08434): from what a user had to the title of what comes next. `items.jsonl` has what
//! grounding such titles needs of the items: their names in the order of the token table, and how often each was had.

use serde::Serialize;
use serde_json::Value;

use crate::behaviour::SplitPart;
use crate::error::Result;
use crate::export::Role;
use crate::export::context::Context;
use crate::export::output::{ExportOutput, FileFormat};
use crate::export::template::Task;

pub(in crate::export) const TEMPLATES: &str = include_str!("../templates/bigrec.toml");

const RECOMMEND: &str = "recommend";

pub(in crate::export) const TASKS: &[Task] = &[Task { name: RECOMMEND, given: &["history"], answer: &["item"] }];

/// An item that a title can be grounded to.
#[derive(Serialize)]
struct BigRecItem {
    item_id: Value,
    title: String,
    semantic_id: String,
    /// Events for training.
    popularity: u32,
}

pub(in crate::export) fn write(context: &Context<'_>, out: &mut ExportOutput) -> Result<()> {
    let mut files = Vec::new();
    for part in SplitPart::ALL {
        files.push(out.file(format!("{part}.json"), part.into(), FileFormat::Array)?);
    }
    let (settings, rated) = (context.settings, context.histories.rated);
    context.each_target(|user, part, at| {
        // What the user did not like is not to be recommended, though it is part of the history.
        if rated && !settings.implicit && user.ratings[at] <= settings.rating_threshold {
            return Ok(());
        }
        let (history, item) = (context.list(context.history(user, at)), context.item(user.rows[at] as usize));
        let values = [("history", &*history), ("item", &item)];
        let examples = context.fill(RECOMMEND, &values, &mut context.draw(RECOMMEND, user, at));
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
