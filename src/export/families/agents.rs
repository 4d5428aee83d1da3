//! Users for simulators (as RecAgent, arXiv 2306.02552, and Agent4Rec, arXiv 2310.10108): who they are by what they did up
//! to the events that are held out, and pages of items to be shown. What they really did then is in a file of its own.

use rand::seq::SliceRandom;
use serde::Serialize;
use serde_json::Value;

use super::ranking::candidate;
use crate::behaviour::SplitPart;
use crate::behaviour::UserHistory;
use crate::candidate::Candidate;
use crate::error::Result;
use crate::export::Role;
use crate::export::context::Context;
use crate::export::output::{ExportOutput, FileFormat};
use crate::export::template::Task;

pub(in crate::export) const TEMPLATES: &str = include_str!("../templates/agents.toml");

const PERSONA: &str = "persona";
const PAGE: &str = "page";

pub(in crate::export) const TASKS: &[Task] = &[
    Task { name: PERSONA, given: &["attributes", "history", "events", "activity"], answer: &[] },
    Task { name: PAGE, given: &["candidates"], answer: &[] },
];

/// Items of a page.
const PAGE_ITEMS: usize = 4;
/// Attributes of a taste.
const TASTE: usize = 10;

#[derive(Serialize)]
struct Profile<'a> {
    user: &'a str,
    /// Who the user is, as a system message.
    persona: String,
    taste: Vec<Attribute<'a>>,
    activity: Activity,
    history: Vec<Had>,
    pages: Vec<Page>,
}

#[derive(Serialize)]
struct Attribute<'a> {
    name: &'a str,
    /// Share of the items of the history that have it.
    share: f64,
}

#[derive(Serialize)]
struct Activity {
    /// `low`, `medium` or `high`: a third of the users each.
    level: &'static str,
    events: usize,
    /// Time from the first event to the last, where times are known.
    span: Option<f64>,
    /// Mean rating, where ratings are known.
    mean_rating: Option<f64>,
}

#[derive(Serialize)]
struct Had {
    #[serde(flatten)]
    item: Candidate,
    #[serde(skip_serializing_if = "Option::is_none")]
    rating: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<f64>,
}

#[derive(Serialize)]
struct Page {
    /// What the user is shown, as a message.
    prompt: String,
    items: Vec<Candidate>,
}

/// What a user really did.
#[derive(Serialize)]
struct Truth<'a> {
    user: &'a str,
    item_ids: Vec<Value>,
}

pub(in crate::export) fn write(context: &Context<'_>, out: &mut ExportOutput) -> Result<()> {
    let profiles = out.file("profiles.jsonl", Role::Test, FileFormat::Lines)?;
    let truth = out.file("truth.jsonl", Role::Test, FileFormat::Lines)?;
    let mut lengths: Vec<usize> = context.histories.users().map(|user| user.part(SplitPart::Train).len()).collect();
    lengths.sort_unstable();
    let thirds = [1, 2].map(|third| lengths.get(third * lengths.len() / 3).copied().unwrap_or(0));
    for user in context.users() {
        // Whoever did nothing for training, or nothing that is held out, has no profile.
        if user.part(SplitPart::Train).is_empty() || user.part(SplitPart::Test).is_empty() {
            out.skip("profiles");
            continue;
        }
        out.record(profiles, "profiles", &profile(context, &user, thirds))?;
        let item_ids = context.item_ids(&user.rows[user.part(SplitPart::Test)]);
        out.record(truth, "truth", &Truth { user: user.id, item_ids })?;
    }
    Ok(())
}

fn profile<'a>(context: &Context<'a>, user: &UserHistory<'a>, thirds: [usize; 2]) -> Profile<'a> {
    let places = user.part(SplitPart::Train);
    let rows = &user.rows[places.clone()];
    let level = match rows.len() {
        events if events < thirds[0] => "low",
        events if events < thirds[1] => "medium",
        _ => "high",
    };
    let (timed, rated) = (context.histories.timed, context.histories.rated);
    let ratings = &user.ratings[places.clone()];
    let mean = || ratings.iter().map(|&rating| f64::from(rating)).sum::<f64>() / ratings.len() as f64;
    let activity = Activity {
        level,
        events: rows.len(),
        span: timed.then(|| user.times[places.end - 1] - user.times[places.start]),
        mean_rating: rated.then(mean),
    };
    let taste = taste(context, rows);
    let mut draw = context.draw("agents", user, 0);
    let shown = &rows[rows.len().saturating_sub(context.settings.history)..];
    let named: Vec<&str> = taste.iter().map(|attribute| attribute.name).collect();
    let values = [
        ("attributes", &*named.join(", ")),
        ("history", &context.list(shown)),
        ("events", &rows.len().to_string()),
        ("activity", level),
    ];
    let persona = context.fill_one(PERSONA, &values, &mut draw).map(|example| example.prompt()).unwrap_or_default();
    let had = places.map(|at| Had {
        item: candidate(context, user.rows[at] as usize),
        rating: rated.then(|| user.ratings[at]),
        time: timed.then(|| user.times[at]),
    });
    Profile { user: user.id, persona, taste, activity, history: had.collect(), pages: pages(context, user, &mut draw) }
}

fn taste<'a>(context: &Context<'a>, rows: &[u32]) -> Vec<Attribute<'a>> {
    let names = context.frequent_attributes(rows, TASTE);
    let has = |name: &str| rows.iter().filter(|&&row| context.texts.attributes(row as usize).contains(&name)).count();
    names.into_iter().map(|name| Attribute { name, share: has(name) as f64 / rows.len() as f64 }).collect()
}

/// Pages of what the user did next among what the user never had.
fn pages(context: &Context<'_>, user: &UserHistory<'_>, draw: &mut crate::export::draw::RecordRng) -> Vec<Page> {
    let all = context.settings.candidates;
    let mut rows: Vec<u32> = user.rows[user.part(SplitPart::Test)].to_vec();
    rows.sort_unstable();
    rows.dedup();
    rows.truncate((all / 2).max(1));
    let others = context.others(user, all - rows.len(), SplitPart::Test, draw);
    rows.extend(others);
    rows.shuffle(draw);
    let mut pages = Vec::new();
    for rows in rows.chunks(PAGE_ITEMS) {
        let listed: Vec<String> =
            rows.iter().enumerate().map(|(at, &row)| format!("{}. {}", at + 1, context.item(row as usize))).collect();
        let example = context.fill_one(PAGE, &[("candidates", &listed.join("\n"))], draw);
        pages.push(Page {
            prompt: example.map(|example| example.prompt()).unwrap_or_default(),
            items: rows.iter().map(|&row| candidate(context, row as usize)).collect(),
        });
    }
    pages
}
