//! Profiles for user simulators (such as RecAgent, arXiv 2306.02552, and Agent4Rec, arXiv 2310.10108), derived from the
//! training events only, and pages of items to show. A separate file has the users' actual next events.

use rand::seq::SliceRandom;
use serde::Serialize;
use serde_json::Value;

use super::{FamilySpec, TitleUse};
use crate::behaviour::{SplitPart, UserHistory};
use crate::candidate::Candidate;
use crate::error::Result;
use crate::export::Role;
use crate::export::context::Context;
use crate::export::output::{ExportOutput, FileFormat};
use crate::export::record_rng::RecordRng;
use crate::export::template::Task;

pub(super) const FAMILY: FamilySpec = FamilySpec {
    templates: include_str!("../templates/agents.toml"),
    tasks: TASKS,
    titles: TitleUse::UnlessIds,
    ..FamilySpec::new("agents", write)
};

const PERSONA: &str = "persona";
const PAGE: &str = "page";

const TASKS: &[Task] = &[
    Task { name: PERSONA, given: &["attributes", "history", "events", "activity"], answer: &[] },
    Task { name: PAGE, given: &["candidates"], answer: &[] },
];

/// Items per page.
const PAGE_ITEMS: usize = 4;
/// Maximum number of attributes in a profile.
const MAX_ATTRIBUTES: usize = 10;

#[derive(Serialize)]
struct UserProfile<'a> {
    user: &'a str,
    /// A description of the user, as a system message.
    persona: String,
    taste: Vec<TasteAttribute<'a>>,
    activity: Activity,
    history: Vec<HistoryEvent>,
    pages: Vec<Page>,
}

#[derive(Serialize)]
struct TasteAttribute<'a> {
    name: &'a str,
    /// Share of the history's items that have it.
    share: f64,
}

#[derive(Serialize)]
struct Activity {
    /// `low`, `medium` or `high`, each about a third of the users.
    level: &'static str,
    events: usize,
    /// Time between the first and the last event, where times are known.
    span: Option<f64>,
    /// Mean rating, where ratings are known.
    mean_rating: Option<f64>,
}

#[derive(Serialize)]
struct HistoryEvent {
    #[serde(flatten)]
    item: Candidate,
    #[serde(skip_serializing_if = "Option::is_none")]
    rating: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<f64>,
}

#[derive(Serialize)]
struct Page {
    /// The page as a user message.
    prompt: String,
    items: Vec<Candidate>,
}

/// A user's actual events in the test part.
#[derive(Serialize)]
struct Truth<'a> {
    user: &'a str,
    item_ids: Vec<Value>,
}

fn write(context: &Context<'_>, out: &mut ExportOutput) -> Result<()> {
    let profiles = out.file("profiles.jsonl", Role::Test, FileFormat::Lines)?;
    let truth = out.file("truth.jsonl", Role::Test, FileFormat::Lines)?;
    let mut lengths: Vec<usize> = context.histories.users().map(|user| user.part(SplitPart::Train).len()).collect();
    lengths.sort_unstable();
    let thirds = [1, 2].map(|third| lengths.get(third * lengths.len() / 3).copied().unwrap_or(0));
    for user in context.users() {
        // A profile needs training events, and test events to compare with.
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

fn profile<'a>(context: &Context<'a>, user: &UserHistory<'a>, thirds: [usize; 2]) -> UserProfile<'a> {
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
    let mut rng = context.rng("agents", user, 0);
    let shown = &rows[rows.len().saturating_sub(context.settings.history)..];
    let named: Vec<&str> = taste.iter().map(|attribute| attribute.name).collect();
    let values = [
        ("attributes", &*named.join(", ")),
        ("history", &context.list(shown)),
        ("events", &rows.len().to_string()),
        ("activity", level),
    ];
    let persona = context.fill_one(PERSONA, &values, &mut rng).map(|example| example.prompt()).unwrap_or_default();
    let had = places.map(|at| HistoryEvent {
        item: context.candidate(user.rows[at] as usize),
        rating: rated.then(|| user.ratings[at]),
        time: timed.then(|| user.times[at]),
    });
    UserProfile {
        user: user.id,
        persona,
        taste,
        activity,
        history: had.collect(),
        pages: pages(context, user, &mut rng),
    }
}

fn taste<'a>(context: &Context<'a>, rows: &[u32]) -> Vec<TasteAttribute<'a>> {
    let names = context.frequent_attributes(rows, MAX_ATTRIBUTES);
    let has = |name: &str| rows.iter().filter(|&&row| context.texts.attributes(row as usize).contains(&name)).count();
    names.into_iter().map(|name| TasteAttribute { name, share: has(name) as f64 / rows.len() as f64 }).collect()
}

/// Pages with the items of the user's test events among items without an event of the user.
fn pages(context: &Context<'_>, user: &UserHistory<'_>, rng: &mut RecordRng) -> Vec<Page> {
    let all = context.settings.candidates;
    let mut rows: Vec<u32> = user.rows[user.part(SplitPart::Test)].to_vec();
    rows.sort_unstable();
    rows.dedup();
    rows.truncate((all / 2).max(1));
    let others = context.others(user, all - rows.len(), SplitPart::Test, rng);
    rows.extend(others);
    rows.shuffle(rng);
    let mut pages = Vec::new();
    for rows in rows.chunks(PAGE_ITEMS) {
        let listed: Vec<String> =
            rows.iter().enumerate().map(|(at, &row)| format!("{}. {}", at + 1, context.item(row as usize))).collect();
        let example = context.fill_one(PAGE, &[("candidates", &listed.join("\n"))], rng);
        pages.push(Page {
            prompt: example.map(|example| example.prompt()).unwrap_or_default(),
            items: rows.iter().map(|&row| context.candidate(row as usize)).collect(),
        });
    }
    pages
}
