//! Chats for LLaMA-Factory and TRL: the six tasks of LC-Rec as messages.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value, json};

use super::tasks;
use crate::error::Result;
use crate::export::Role;
use crate::export::context::Context;
use crate::export::output::{ExportOutput, FileFormat, FileId};
use crate::export::template::Example;

/// A message of a chat.
#[derive(Debug, Clone, Serialize)]
pub(in crate::export) struct Message<'a> {
    role: &'static str,
    content: Cow<'a, str>,
}

/// A chat: what LLaMA-Factory, TRL and others read as `messages`.
#[derive(Debug, Clone, Serialize)]
pub(in crate::export) struct Messages<'a> {
    pub(in crate::export) messages: Vec<Message<'a>>,
}

/// A prompt and its answer apart: TRL then learns the answer alone.
#[derive(Debug, Clone, Serialize)]
struct PromptCompletion<'a> {
    prompt: Vec<Message<'a>>,
    completion: Vec<Message<'a>>,
}

impl<'a> From<&'a Example> for Messages<'a> {
    fn from(example: &'a Example) -> Self {
        let mut messages = prompt(example);
        messages.push(Message { role: "assistant", content: Cow::Borrowed(&example.output) });
        Messages { messages }
    }
}

/// The messages before the answer.
pub(in crate::export) fn prompt(example: &Example) -> Vec<Message<'_>> {
    let system = Some(Message { role: "system", content: Cow::Borrowed(&*example.system) });
    let system = system.filter(|_| !example.system.is_empty());
    system.into_iter().chain([Message { role: "user", content: Cow::Owned(example.prompt()) }]).collect()
}

/// The files of the three parts; searches to be tested on go to the last.
fn files(out: &mut ExportOutput, name: &dyn Fn(Role) -> String) -> Result<impl Fn(Role) -> FileId + use<>> {
    let roles = [Role::Train, Role::Valid, Role::Test];
    let mut files = Vec::new();
    for role in roles {
        files.push(out.file(name(role), role, FileFormat::Lines)?);
    }
    let [train, valid, test] = [files[0], files[1], files[2]];
    Ok(move |role| match role {
        Role::Test => test,
        Role::Valid => valid,
        _ => train,
    })
}

/// LLaMA-Factory: chats in its `sharegpt` format with OpenAI's tags, and the `dataset_info.json` that names them.
pub(in crate::export) fn write_llama_factory(context: &Context<'_>, out: &mut ExportOutput) -> Result<()> {
    let data_set = context.settings.name.clone();
    let name = |role: Role| format!("{data_set}_{role}.jsonl");
    let file = files(out, &name)?;
    tasks::each(context, out, &mut |out, task, role, example| out.record(file(role), task, &Messages::from(&example)))?;
    let info = out.file("dataset_info.json", Role::Layout, FileFormat::Object)?;
    for role in [Role::Train, Role::Valid, Role::Test] {
        let described = described(&name(role));
        out.entry(info, "dataset_info.json", &format!("{data_set}_{role}"), &described)?;
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

/// TRL: conversational prompts with completions.
pub(in crate::export) fn write_trl(context: &Context<'_>, out: &mut ExportOutput) -> Result<()> {
    let file = files(out, &|role| format!("{role}.jsonl"))?;
    tasks::each(context, out, &mut |out, task, role, example| {
        let mut prompt = Messages::from(&example).messages;
        let completion = prompt.split_off(prompt.len() - 1);
        out.record(file(role), task, &PromptCompletion { prompt, completion })
    })
}
