//! The six tasks of LC-Rec (arXiv 2311.09049), under the names of its code. Other families train on them, too.

use super::context::Context;
use super::output::ExportOutput;
use super::template::{Example, Task};
use super::user_preferences::preferences;
use super::{Role, Show};
use crate::behaviour::{SplitPart, UserHistory};
use crate::error::Result;

pub(super) const TEMPLATES: &str = include_str!("templates/lc-rec.toml");

/// The next item, from the IDs of a history.
const SEQREC: &str = "seqrec";
/// An item's ID, from its text.
const ITEM2INDEX: &str = "item2index";
/// An item's text, from its ID.
const INDEX2ITEM: &str = "index2item";
/// Asymmetric prediction: the next item's title or description from IDs, its ID from titles.
const FUSION: &str = "fusionseqrec";
/// An item, from a search query.
const SEARCH: &str = "itemsearch";
/// A preference, from a history.
const PREFERENCE: &str = "preferenceobtain";

pub(super) const TASKS: &[Task] = &[
    Task { name: SEQREC, given: &["history"], answer: &["item"] },
    Task { name: ITEM2INDEX, given: &["title", "description", "attributes"], answer: &["item"] },
    Task { name: INDEX2ITEM, given: &["item"], answer: &["title", "description", "attributes"] },
    Task { name: FUSION, given: &["history", "titles"], answer: &["item", "title", "description"] },
    Task { name: SEARCH, given: &["query", "history", "preference"], answer: &["item"] },
    Task { name: PREFERENCE, given: &["history"], answer: &["preference"] },
    Task { name: "derived-preference", given: &["attributes"], answer: &[] },
    Task { name: "derived-query", given: &["attributes"], answer: &[] },
];

/// Receives every example, with its task and the role of its file.
type ExampleSink<'a> = &'a mut dyn FnMut(&mut ExportOutput, &'static str, Role, Example) -> Result<()>;

/// Generates every example of the six tasks: first those of items, then user by user.
pub(super) fn each(context: &Context<'_>, out: &mut ExportOutput, sink: ExampleSink<'_>) -> Result<()> {
    for row in context.rows() {
        let (id, title, attributes) = (context.id(row), context.title(row), context.texts.attributes(row).join(", "));
        let description = context.texts.description(row);
        let values = [("item", &*id), ("title", &title), ("description", description), ("attributes", &attributes)];
        for task in [ITEM2INDEX, INDEX2ITEM] {
            let examples = context.fill(task, &values, &mut context.item_rng(task, row));
            emit(out, task, Role::Train, examples, sink)?;
        }
    }
    for user in context.users() {
        for part in SplitPart::ALL {
            for at in user.targets(part) {
                events(context, out, &user, part, at, sink)?;
            }
        }
        searches(context, out, &user, sink)?;
    }
    Ok(())
}

fn events(
    context: &Context<'_>,
    out: &mut ExportOutput,
    user: &UserHistory<'_>,
    part: SplitPart,
    at: usize,
    sink: ExampleSink<'_>,
) -> Result<()> {
    let row = user.rows[at] as usize;
    let rows = context.history(user, at);
    let (history, titles) = (context.list(rows), context.list_as(rows, Show::Titles));
    let (item, title) = (context.id(row), context.title(row));
    let values = [
        ("history", &*history),
        ("titles", &titles),
        ("item", &item),
        ("title", &title),
        ("description", context.texts.description(row)),
    ];
    for task in [SEQREC, FUSION] {
        let examples = context.fill(task, &values, &mut context.rng(task, user, at));
        emit(out, task, part.into(), examples, sink)?;
    }
    Ok(())
}

fn searches(
    context: &Context<'_>,
    out: &mut ExportOutput,
    user: &UserHistory<'_>,
    sink: ExampleSink<'_>,
) -> Result<()> {
    let Some(found) = preferences(context, user)? else {
        out.skip(SEARCH);
        out.skip(PREFERENCE);
        return Ok(());
    };
    for (role, search) in [(Role::Train, &found.train), (Role::Test, &found.test)] {
        let mut rng = context.rng(SEARCH, user, search.at);
        let pick = |texts: &[String], rng: &mut super::record_rng::RecordRng| {
            texts[rand::Rng::gen_range(rng, 0..texts.len())].clone()
        };
        let (query, preference) = (pick(&search.queries, &mut rng), pick(&found.preferences, &mut rng));
        let history = context.list(context.history(user, search.at));
        let item = context.id(user.rows[search.at] as usize);
        let values = [("query", &*query), ("preference", &preference), ("history", &history), ("item", &item)];
        let examples = context.fill(SEARCH, &values, &mut rng);
        emit(out, SEARCH, role, examples, sink)?;
    }
    let mut rng = context.rng(PREFERENCE, user, found.train.at);
    let history = context.list(context.history(user, found.train.at));
    for preference in &found.preferences {
        let values = [("history", &*history), ("preference", preference)];
        emit(out, PREFERENCE, Role::Train, context.fill(PREFERENCE, &values, &mut rng), sink)?;
    }
    Ok(())
}

fn emit(
    out: &mut ExportOutput,
    task: &'static str,
    role: Role,
    examples: Vec<Example>,
    sink: ExampleSink<'_>,
) -> Result<()> {
    if examples.is_empty() {
        out.skip(task);
    }
    examples.into_iter().try_for_each(|example| sink(out, task, role, example))
}
