//! Ranking in context: prompts that ask a language model as it is to judge, to choose or to rank candidates, as Hou et al.
//! do (arXiv 2305.08845), and prompts that ask it to describe a user first. `answers::parse_answer` reads what it says.

use rand::seq::SliceRandom;
use serde::Serialize;
use serde_json::Value;

use super::chat::{Message, prompt};
use crate::behaviour::SplitPart;
use crate::behaviour::UserHistory;
use crate::candidate::Candidate;
use crate::error::Result;
use crate::export::Role;
use crate::export::context::Context;
use crate::export::draw::RecordRng;
use crate::export::output::{ExportOutput, FileFormat, FileId};
use crate::export::template::{Example, Task};

pub(in crate::export) const TEMPLATES: &str = include_str!("../templates/ranking.toml");

const POINTWISE: &str = "pointwise";
const PAIRWISE: &str = "pairwise";
const LISTWISE: &str = "listwise";
const PROFILE: &str = "profile";

pub(in crate::export) const TASKS: &[Task] = &[
    Task { name: POINTWISE, given: &["history", "item", "profile"], answer: &[] },
    Task { name: PAIRWISE, given: &["history", "candidates", "profile"], answer: &[] },
    Task { name: LISTWISE, given: &["history", "candidates", "count", "profile"], answer: &[] },
    Task { name: PROFILE, given: &["history", "attributes"], answer: &[] },
];

/// A prompt with what is needed to read its answer.
#[derive(Serialize)]
struct RankingPrompt<'a> {
    id: String,
    task: &'static str,
    user: &'a str,
    messages: Vec<Message<'a>>,
    /// Numbered from 1 in the prompt; one for pointwise prompts, none for profiles.
    candidates: &'a [Candidate],
    /// Number of the item that came next; null for profiles.
    target: Option<usize>,
    /// For pointwise prompts, whether the candidate is the item that came next.
    label: Option<bool>,
}

pub(in crate::export) fn write(context: &Context<'_>, out: &mut ExportOutput) -> Result<()> {
    let mut files = Vec::new();
    for task in [POINTWISE, PAIRWISE, LISTWISE, PROFILE] {
        files.push(out.file(format!("{task}.jsonl"), Role::Test, FileFormat::Lines)?);
    }
    for user in context.users() {
        for at in user.targets(SplitPart::Test) {
            prompts(context, out, &files, &user, at)?;
        }
    }
    Ok(())
}

fn prompts(
    context: &Context<'_>,
    out: &mut ExportOutput,
    files: &[FileId],
    user: &UserHistory<'_>,
    at: usize,
) -> Result<()> {
    let rows = context.history(user, at);
    let attributes = context.frequent_attributes(rows, 5).join(", ");
    let history = numbered(rows.iter().map(|&row| context.item(row as usize)));
    // {profile} is for templates of the user's own: what a model said to a profile prompt is put in its place later.
    let base = [("history", &*history), ("attributes", &attributes), ("profile", "{profile}")];
    for (&file, task) in files.iter().zip([POINTWISE, PAIRWISE, LISTWISE, PROFILE]) {
        let mut draw = context.draw(task, user, at);
        let n = match task {
            PROFILE => 0,
            PAIRWISE | POINTWISE => 2,
            _ => context.settings.candidates,
        };
        let chosen = if n == 0 { Vec::new() } else { candidates(context, user, at, n, &mut draw) };
        if n > 0 && chosen.len() < 2 {
            out.skip(task);
            continue;
        }
        // Two pointwise prompts: of the item that came next, and of another.
        let groups: Vec<&[u32]> = if task == POINTWISE { chosen.chunks(1).collect() } else { vec![&chosen] };
        for (number, group) in groups.into_iter().enumerate() {
            let described: Vec<Candidate> = group.iter().map(|&row| candidate(context, row as usize)).collect();
            let listed = numbered(group.iter().map(|&row| context.item(row as usize)));
            let (item, count) = (group.first().map_or(String::new(), |&row| context.item(row as usize)), group.len());
            let count = count.to_string();
            let more = [("candidates", &*listed), ("item", &item), ("count", &count)];
            let values = [&base[..], &more].concat();
            let examples = context.fill(task, &values, &mut draw);
            if examples.is_empty() {
                out.skip(task);
            }
            let target = group.iter().position(|&row| row == user.rows[at]).map(|place| place + 1);
            for (form, example) in examples.iter().enumerate() {
                let id = format!("{}/{at}/{task}/{number}/{form}", user.id);
                out.record(file, task, &record(id, task, user.id, example, &described, target))?;
            }
        }
    }
    Ok(())
}

fn record<'a>(
    id: String,
    task: &'static str,
    user: &'a str,
    example: &'a Example,
    candidates: &'a [Candidate],
    target: Option<usize>,
) -> RankingPrompt<'a> {
    let label = (task == POINTWISE).then_some(target.is_some());
    RankingPrompt { id, task, user, messages: prompt(example), candidates, target, label }
}

/// The item that came next among others, in an order drawn.
fn candidates(context: &Context<'_>, user: &UserHistory<'_>, at: usize, n: usize, draw: &mut RecordRng) -> Vec<u32> {
    let mut rows = context.others(user, n - 1, SplitPart::Test, draw);
    rows.push(user.rows[at]);
    rows.shuffle(draw);
    rows
}

/// What is known of a candidate.
pub(in crate::export) fn candidate(context: &Context<'_>, row: usize) -> Candidate {
    let item_id = match context.item_id(row) {
        Value::String(id) => id,
        other => other.to_string(),
    };
    Candidate { item_id, title: context.title(row), semantic_id: context.id(row) }
}

fn numbered(items: impl Iterator<Item = String>) -> String {
    items.enumerate().map(|(at, item)| format!("{}. {item}", at + 1)).collect::<Vec<_>>().join("\n")
}
