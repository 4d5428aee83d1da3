//! LC-Rec's six tasks (arXiv 2311.09049), under the names of its code.

use crate::behaviour::SplitPart;
use crate::behaviour::UserHistory;
use crate::error::Result;
use crate::export::context::Context;
use crate::export::output::ExportOutput;
use crate::export::template::{Example, Task};
use crate::export::users::taste;
use crate::export::{Role, Show};

pub(in crate::export) const TEMPLATES: &str = include_str!("../templates/lc-rec.toml");

/// Next item from IDs.
const SEQREC: &str = "seqrec";
/// An item's ID from its text.
const ITEM2INDEX: &str = "item2index";
/// An item's text from its ID.
const INDEX2ITEM: &str = "index2item";
/// Asymmetric prediction: IDs to title or description, titles to ID.
const FUSION: &str = "fusionseqrec";
/// An item by an intention.
const SEARCH: &str = "itemsearch";
/// A preference from a history.
const PREFERENCE: &str = "preferenceobtain";

pub(in crate::export) const TASKS: &[Task] = &[
    Task { name: SEQREC, given: &["history"], answer: &["item"] },
    Task { name: ITEM2INDEX, given: &["title", "description", "attributes"], answer: &["item"] },
    Task { name: INDEX2ITEM, given: &["item"], answer: &["title", "description", "attributes"] },
    Task { name: FUSION, given: &["history", "titles"], answer: &["item", "title", "description"] },
    Task { name: SEARCH, given: &["query", "history", "preference"], answer: &["item"] },
    Task { name: PREFERENCE, given: &["history"], answer: &["preference"] },
    Task { name: "derived-preference", given: &["attributes"], answer: &[] },
    Task { name: "derived-query", given: &["attributes"], answer: &[] },
];

/// Takes an example of a task, and says which part it belongs to.
type ExampleSink<'a> = &'a mut dyn FnMut(&mut ExportOutput, &'static str, Role, Example) -> Result<()>;

/// Makes every example of the six tasks: those of items, then user by user.
pub(in crate::export) fn each(context: &Context<'_>, out: &mut ExportOutput, take: ExampleSink<'_>) -> Result<()> {
    for row in context.rows() {
        let (id, title, attributes) = (context.id(row), context.title(row), context.texts.attributes(row).join(", "));
        let description = context.texts.description(row);
        let values = [("item", &*id), ("title", &title), ("description", description), ("attributes", &attributes)];
        for task in [ITEM2INDEX, INDEX2ITEM] {
            let examples = context.fill(task, &values, &mut context.draw_item(task, row));
            hand_on(out, task, Role::Train, examples, take)?;
        }
    }
    for user in context.users() {
        for part in SplitPart::ALL {
            for at in user.targets(part) {
                events(context, out, &user, part, at, take)?;
            }
        }
        searches(context, out, &user, take)?;
    }
    Ok(())
}

fn events(
    context: &Context<'_>,
    out: &mut ExportOutput,
    user: &UserHistory<'_>,
    part: SplitPart,
    at: usize,
    take: ExampleSink<'_>,
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
        let examples = context.fill(task, &values, &mut context.draw(task, user, at));
        hand_on(out, task, part.into(), examples, take)?;
    }
    Ok(())
}

fn searches(
    context: &Context<'_>,
    out: &mut ExportOutput,
    user: &UserHistory<'_>,
    take: ExampleSink<'_>,
) -> Result<()> {
    let Some(taste) = taste(context, user)? else {
        out.skip(SEARCH);
        out.skip(PREFERENCE);
        return Ok(());
    };
    for (role, search) in [(Role::Train, &taste.train), (Role::Test, &taste.test)] {
        let mut draw = context.draw(SEARCH, user, search.at);
        let pick = |texts: &[String], draw: &mut crate::export::draw::RecordRng| {
            texts[rand::Rng::gen_range(draw, 0..texts.len())].clone()
        };
        let (query, preference) = (pick(&search.queries, &mut draw), pick(&taste.preferences, &mut draw));
        let history = context.list(context.history(user, search.at));
        let item = context.id(user.rows[search.at] as usize);
        let values = [("query", &*query), ("preference", &preference), ("history", &history), ("item", &item)];
        let examples = context.fill(SEARCH, &values, &mut draw);
        hand_on(out, SEARCH, role, examples, take)?;
    }
    let mut draw = context.draw(PREFERENCE, user, taste.train.at);
    let history = context.list(context.history(user, taste.train.at));
    for preference in &taste.preferences {
        let values = [("history", &*history), ("preference", preference)];
        hand_on(out, PREFERENCE, Role::Train, context.fill(PREFERENCE, &values, &mut draw), take)?;
    }
    Ok(())
}

fn hand_on(
    out: &mut ExportOutput,
    task: &'static str,
    role: Role,
    examples: Vec<Example>,
    take: ExampleSink<'_>,
) -> Result<()> {
    if examples.is_empty() {
        out.skip(task);
    }
    examples.into_iter().try_for_each(|example| take(out, task, role, example))
}
