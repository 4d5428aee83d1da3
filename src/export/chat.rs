//! Prompts and answers as chat messages.

use std::borrow::Cow;

use serde::Serialize;

use super::template::Example;

/// A message of a chat.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Message<'a> {
    role: &'static str,
    content: Cow<'a, str>,
}

/// A chat in the `messages` format of LLaMA-Factory, TRL and others.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Messages<'a> {
    pub(super) messages: Vec<Message<'a>>,
}

impl<'a> From<&'a Example> for Messages<'a> {
    fn from(example: &'a Example) -> Self {
        let mut messages = prompt(example);
        messages.push(Message { role: "assistant", content: Cow::Borrowed(&example.output) });
        Messages { messages }
    }
}

/// The messages before the answer.
pub(super) fn prompt(example: &Example) -> Vec<Message<'_>> {
    let system = Some(Message { role: "system", content: Cow::Borrowed(&*example.system) });
    let system = system.filter(|_| !example.system.is_empty());
    system.into_iter().chain([Message { role: "user", content: Cow::Owned(example.prompt()) }]).collect()
}
