//! LLaMA-Factory: the tasks of LC-Rec as chats in its `sharegpt` format with OpenAI's tags, and the `dataset_info.json`
//! that lists the files.

use serde_json::{Value, json};

use super::FamilySpec;
use crate::error::Result;
use crate::export::chat::Messages;
use crate::export::context::Context;
use crate::export::file_sets::SplitFiles;
use crate::export::lc_rec_tasks as tasks;
use crate::export::output::{ExportOutput, FileFormat};
use crate::export::{Role, Show};

pub(super) const FAMILY: FamilySpec = FamilySpec {
    templates: tasks::TEMPLATES,
    tasks: tasks::TASKS,
    show: Show::Ids,
    ..FamilySpec::new("llamafactory", write)
};

fn write(context: &Context<'_>, out: &mut ExportOutput) -> Result<()> {
    let data_set = context.settings.name.clone();
    let name = |role: Role| format!("{data_set}_{role}.jsonl");
    let files = SplitFiles::create(out, name, FileFormat::Lines)?;
    tasks::each(context, out, &mut |out, task, role, example| {
        out.record(files.of(role), task, &Messages::from(&example))
    })?;
    let info = out.file("dataset_info.json", Role::Layout, FileFormat::Object)?;
    for role in [Role::Train, Role::Valid, Role::Test] {
        out.entry(info, "dataset_info.json", &format!("{data_set}_{role}"), &described(&name(role)))?;
    }
    Ok(())
}

fn described(file: &str) -> Value {
    json!({
        "file_name": file,
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
        },
    })
}
