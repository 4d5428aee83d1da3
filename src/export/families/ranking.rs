//! Zero-shot ranking (Hou et al., arXiv 2305.08845): prompts that ask a language model to judge, choose or rank candidates,
//! and prompts that ask it to describe the user first. [`parse_answer`](crate::answers::parse_answer) parses the answers.

use rand::seq::SliceRandom;
use serde::Serialize;

use super::{FamilySpec, TitleUse};
use crate::behaviour::{SplitPart, UserHistory};
use crate::candidate::Candidate;
use crate::error::Result;
use crate::export::Role;
use crate::export::chat::{Message, prompt};
use crate::export::context::Context;
use crate::export::output::{ExportOutput, FileFormat, FileId};
use crate::export::record_rng::RecordRng;
use crate::export::template::{Example, Task};

pub(super) const FAMILY: FamilySpec = FamilySpec {
    templates: include_str!("../templates/ranking.toml"),
    tasks: TASKS,
    titles: TitleUse::UnlessIds,
    ..FamilySpec::new("ranking", write)
};

const POINTWISE: &str = "pointwise";
const PAIRWISE: &str = "pairwise";
const LISTWISE: &str = "listwise";
const PROFILE: &str = "profile";

const TASKS: &[Task] = &[
    Task { name: POINTWISE, given: &["history", "item", "profile"], answer: &[] },
    Task { name: PAIRWISE, given: &["history", "candidates", "profile"], answer: &[] },
    Task { name: LISTWISE, given: &["history", "candidates", "count", "profile"], answer: &[] },
    Task { name: PROFILE, given: &["history", "attributes"], answer: &[] },
];

/// A prompt, with the data for parsing its answer.
#[derive(Serialize)]
struct RankingPrompt<'a> {
    id: String,
    task: &'static str,
    user: &'a str,
    messages: Vec<Message<'a>>,
    /// Numbered from 1 in the prompt; one for a pointwise prompt, none for a profile.
    candidates: &'a [Candidate],
    /// Number of the item that came next; null for a profile.
    target: Option<usize>,
    /// For a pointwise prompt: whether the candidate is the item that came next.
    label: Option<bool>,
}

fn write(context: &Context<'_>, out: &mut ExportOutput) -> Result<()> {
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
    // {profile} is for custom templates: the caller later replaces it with the answer to the profile prompt.
    let base = [("history", &*history), ("attributes", &attributes), ("profile", "{profile}")];
    for (&file, task) in files.iter().zip([POINTWISE, PAIRWISE, LISTWISE, PROFILE]) {
        let mut rng = context.rng(task, user, at);
        let n = match task {
            PROFILE => 0,
            PAIRWISE | POINTWISE => 2,
            _ => context.settings.candidates,
        };
        let chosen = if n == 0 { Vec::new() } else { candidates(context, user, at, n, &mut rng) };
        if n > 0 && chosen.len() < 2 {
            out.skip(task);
            continue;
        }
        // Two pointwise prompts: one with the item that came next, one with another item.
        let groups: Vec<&[u32]> = if task == POINTWISE { chosen.chunks(1).collect() } else { vec![&chosen] };
        for (number, group) in groups.into_iter().enumerate() {
            let described: Vec<Candidate> = group.iter().map(|&row| context.candidate(row as usize)).collect();
            let listed = numbered(group.iter().map(|&row| context.item(row as usize)));
            let (item, count) = (group.first().map_or(String::new(), |&row| context.item(row as usize)), group.len());
            let count = count.to_string();
            let more = [("candidates", &*listed), ("item", &item), ("count", &count)];
            let values = [&base[..], &more].concat();
            let examples = context.fill(task, &values, &mut rng);
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

/// The item that came next and `n - 1` other items, shuffled.
fn candidates(context: &Context<'_>, user: &UserHistory<'_>, at: usize, n: usize, rng: &mut RecordRng) -> Vec<u32> {
    let mut rows = context.others(user, n - 1, SplitPart::Test, rng);
    rows.push(user.rows[at]);
    rows.shuffle(rng);
    rows
}

fn numbered(items: impl Iterator<Item = String>) -> String {
    items.enumerate().map(|(at, item)| format!("{}. {item}", at + 1)).collect::<Vec<_>>().join("\n")
}
