//! LC-Rec (Zheng et al., ICDE 2024, arXiv 2311.09049): the four files that its `data.py` reads, and its six tasks as
//! instructions for other training code.

use serde::Serialize;
use serde_json::Value;

use super::FamilySpec;
use crate::behaviour::{Histories, HistorySplit};
use crate::error::{Error, Result};
use crate::export::chat::Messages;
use crate::export::context::Context;
use crate::export::file_sets::ByTask;
use crate::export::lc_rec_tasks as tasks;
use crate::export::output::{ExportOutput, FileFormat, FileId};
use crate::export::settings::ExportSettings;
use crate::export::user_preferences::preferences;
use crate::export::user_texts::{UserPreferences, UserSearch};
use crate::export::{Role, Show};

pub(super) const FAMILY: FamilySpec = FamilySpec {
    templates: tasks::TEMPLATES,
    tasks: tasks::TASKS,
    show: Show::Ids,
    check,
    ..FamilySpec::new("lc-rec", write)
};

/// An item of `NAME.item.json`.
#[derive(Serialize)]
struct LcRecItem {
    title: String,
    description: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    categories: String,
}

/// A search of `NAME.user.json`.
#[derive(Serialize)]
struct LcRecIntention {
    item: Value,
    inters: Vec<Value>,
    querys: Vec<String>,
}

fn check(settings: &ExportSettings, _: &Histories) -> Result<()> {
    if settings.split == HistorySplit::LeaveOneOut {
        return Ok(());
    }
    let help = "LC-Rec's loader cuts the last two events of each user itself; llamafactory and trl have the same tasks \
                with any split";
    Err(Error::config("split", "leave-one-out for lc-rec", "time", help))
}

fn write(context: &Context<'_>, out: &mut ExportOutput) -> Result<()> {
    write_items(context, out)?;
    let file = out.file(format!("{}.inter.json", context.settings.name), Role::Layout, FileFormat::Object)?;
    for user in context.histories.users() {
        out.entry(file, "inter.json", user.id, &context.item_ids(user.rows))?;
    }
    write_users(context, out)?;
    let mut alpaca = ByTask::new("instructions/", ".json", FileFormat::Array);
    let mut chat = ByTask::new("instructions/", ".chat.jsonl", FileFormat::Lines);
    tasks::each(context, out, &mut |out, task, role, example| {
        let file = alpaca.file(out, task, role)?;
        out.record(file, task, &example)?;
        let file = chat.file(out, task, role)?;
        out.again(file, &Messages::from(&example))
    })
}

/// `NAME.index.json` and `NAME.item.json`, which MiniOneRec reads, too.
pub(super) fn write_items(context: &Context<'_>, out: &mut ExportOutput) -> Result<()> {
    let name = &context.settings.name;
    let index = out.file(format!("{name}.index.json"), Role::Items, FileFormat::Object)?;
    let items = out.file(format!("{name}.item.json"), Role::Items, FileFormat::Object)?;
    for row in context.rows() {
        let id = context.table.item_ids.text(row);
        out.entry(index, "index.json", &id, &context.token_texts(row))?;
        let item = LcRecItem {
            title: context.title(row),
            description: context.texts.description(row).to_owned(),
            categories: context.texts.attributes(row).join(","),
        };
        out.entry(items, "item.json", &id, &item)?;
    }
    Ok(())
}

/// `NAME.user.json`. Its three sections follow one another, so this iterates over the users three times.
fn write_users(context: &Context<'_>, out: &mut ExportOutput) -> Result<()> {
    let file = out.file(format!("{}.user.json", context.settings.name), Role::Layout, FileFormat::Text)?;
    let item = |at: usize, rows: &[u32]| context.item_id(rows[at] as usize);
    let intention = |rows: &[u32], search: &UserSearch| LcRecIntention {
        item: item(search.at, rows),
        inters: context.item_ids(&rows[..search.at]),
        querys: search.queries.clone(),
    };
    out.line_again(file, "{\"user_explicit_preference\": {")?;
    entries(context, out, file, |found, _| serde_json::to_value(&found.preferences))?;
    out.line_again(file, "}, \"user_vague_intention\": {\"train\": {")?;
    entries(context, out, file, |found, rows| serde_json::to_value(intention(rows, &found.train)))?;
    out.line_again(file, "}, \"test\": {")?;
    entries(context, out, file, |found, rows| serde_json::to_value(intention(rows, &found.test)))?;
    out.line_again(file, "}}}")
}

fn entries(
    context: &Context<'_>,
    out: &mut ExportOutput,
    file: FileId,
    value: impl Fn(&UserPreferences, &[u32]) -> serde_json::Result<Value>,
) -> Result<()> {
    let mut comma = "";
    for user in context.histories.users() {
        if let Some(found) = preferences(context, &user)? {
            let value = value(&found, user.rows).unwrap_or(Value::Null);
            out.line_again(file, &format!("{comma}{}: {value}", Value::from(user.id)))?;
            comma = ",";
        }
    }
    Ok(())
}
