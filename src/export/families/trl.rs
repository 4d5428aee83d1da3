//! TRL: the tasks of LC-Rec as conversational prompts with completions, so that TRL trains on the completion only.

use serde::Serialize;

use super::FamilySpec;
use crate::error::Result;
use crate::export::Show;
use crate::export::chat::{Message, Messages};
use crate::export::context::Context;
use crate::export::file_sets::SplitFiles;
use crate::export::lc_rec_tasks as tasks;
use crate::export::output::{ExportOutput, FileFormat};

pub(super) const FAMILY: FamilySpec =
    FamilySpec { templates: tasks::TEMPLATES, tasks: tasks::TASKS, show: Show::Ids, ..FamilySpec::new("trl", write) };

#[derive(Debug, Clone, Serialize)]
struct PromptCompletion<'a> {
    prompt: Vec<Message<'a>>,
    completion: Vec<Message<'a>>,
}

fn write(context: &Context<'_>, out: &mut ExportOutput) -> Result<()> {
    let files = SplitFiles::create(out, |role| format!("{role}.jsonl"), FileFormat::Lines)?;
    tasks::each(context, out, &mut |out, task, role, example| {
        let mut prompt = Messages::from(&example).messages;
        let completion = prompt.split_off(prompt.len() - 1);
        out.record(files.of(role), task, &PromptCompletion { prompt, completion })
    })
}
