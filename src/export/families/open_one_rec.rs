//! OpenOneRec: chats in the Parquet format of its `data/onerec_data/sft` scripts, with JSON cells. Its IDs have three tokens
//! between `<|sid_begin|>` and `<|sid_end|>`; `docs/recommenders.md` gives the token format.

use serde_json::{Value, json};

use super::FamilySpec;
use crate::behaviour::SplitPart;
use crate::error::Result;
use crate::export::context::Context;
use crate::export::output::{ExportOutput, FileId};
use crate::export::parquet::ParquetColumns;
use crate::export::record_rng::{event_number, hash};
use crate::export::template::{Example, Task};
use crate::export::{Role, Show};

pub(super) const FAMILY: FamilySpec = FamilySpec {
    templates: include_str!("../templates/openonerec.toml"),
    tasks: TASKS,
    show: Show::Ids,
    markers: ("<|sid_begin|>", "<|sid_end|>"),
    ..FamilySpec::new("openonerec", write)
};

const NEXT: &str = "next-item";
const UNDERSTAND: &str = "item-understand";

const TASKS: &[Task] = &[
    Task { name: NEXT, given: &["history"], answer: &["item"] },
    Task { name: UNDERSTAND, given: &["item"], answer: &["title", "description", "attributes"] },
];

fn write(context: &Context<'_>, out: &mut ExportOutput) -> Result<()> {
    let columns = || ParquetColumns::new(&["source", "uuid", "messages", "metadata"], &[]);
    let file = out.table(format!("{UNDERSTAND}/train.parquet"), Role::Items, columns())?;
    for row in context.rows() {
        let (id, title, attributes) = (context.id(row), context.title(row), context.texts.attributes(row).join(", "));
        let description = context.texts.description(row);
        let values = [("item", &*id), ("title", &title), ("description", description), ("attributes", &attributes)];
        let examples = context.fill(UNDERSTAND, &values, &mut context.item_rng(UNDERSTAND, row));
        let metadata = json!({"pid": context.item_id(row), "sid": id});
        write_rows(context, out, (file, UNDERSTAND), &examples, row as u64, &metadata)?;
    }
    let mut files = Vec::new();
    for part in SplitPart::ALL {
        files.push(out.table(format!("{NEXT}/{part}.parquet"), part.into(), columns())?);
    }
    context.each_target(|user, part, at| {
        let (history, item) = (context.list(context.history(user, at)), context.id(user.rows[at] as usize));
        let values = [("history", &*history), ("item", &item)];
        let examples = context.fill(NEXT, &values, &mut context.rng(NEXT, user, at));
        let number = event_number(user, at);
        write_rows(context, out, (files[part as usize], NEXT), &examples, number, &json!({"uid": user.id}))
    })
}

fn write_rows(
    context: &Context<'_>,
    out: &mut ExportOutput,
    (file, task): (FileId, &'static str),
    examples: &[Example],
    number: u64,
    metadata: &Value,
) -> Result<()> {
    if examples.is_empty() {
        out.skip(task);
    }
    for (at, example) in examples.iter().enumerate() {
        let message = |role: &str, text: &str| json!({"role": role, "content": [{"type": "text", "text": text}]});
        let mut messages = Vec::new();
        if !example.system.is_empty() {
            messages.push(message("system", &example.system));
        }
        messages.push(message("user", &example.prompt()));
        messages.push(message("assistant", &example.output));
        let (messages, metadata) = (Value::from(messages).to_string(), metadata.to_string());
        let uuid = uuid(context.settings.seed, task, number << 8 ^ at as u64);
        let add = |columns: &mut ParquetColumns| columns.push(&["catalex", &uuid, &messages, &metadata], &[]);
        out.row(
            file,
            task,
            add,
            || json!({"source": "catalex", "uuid": uuid, "messages": messages, "metadata": metadata}),
        )?;
    }
    Ok(())
}

/// A UUID in the format of version 4, derived from the record so that exports are reproducible.
fn uuid(seed: u64, task: &str, number: u64) -> String {
    let (high, low) = (hash(seed, task, number), hash(!seed, task, number));
    let (b, c) = (high >> 16 & 0xFFFF, 0x4000 | high & 0xFFF);
    let (d, e) = (0x8000 | low >> 48 & 0x3FFF, low & 0xFFFF_FFFF_FFFF);
    format!("{:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}", high >> 32)
}
