//! InstructRec (Zhang et al., arXiv 2305.07001): instructions put together from a preference, an intention and a form of
//! task, for an encoder-decoder such as Flan-T5.
//!
//! | kind | preference | intention |
//! |---|---|---|
//! | sequential recommendation | implicit (a history), explicit (a text) | none |
//! | product search | none | vague, specific |
//! | personalised search | implicit, explicit | vague, specific |
//!
//! Each is asked pointwise, pairwise, by matching (any item) or by reranking. Some forms of matching have a blank: T5's
//! first sentinel stands for it, and the target is what fills it, between that sentinel and the next.

use serde::Serialize;

use crate::behaviour::SplitPart;
use crate::behaviour::UserHistory;
use crate::error::{Error, Result};
use crate::export::context::Context;
use crate::export::draw::RecordRng;
use crate::export::output::{ByTask, ExportOutput, FileFormat};
use crate::export::template::Task;
use rand::Rng;
use rand::seq::SliceRandom;

pub(in crate::export) const TEMPLATES: &str = include_str!("../templates/instructrec.toml");

const IMPLICIT: &str = "preference-implicit";
const EXPLICIT: &str = "preference-explicit";
const VAGUE: &str = "intention-vague";
const SPECIFIC: &str = "intention-specific";
const POINTWISE: &str = "pointwise";
const PAIRWISE: &str = "pairwise";
const MATCHING: &str = "matching";
const BLANK: &str = "matching-blank";
const RERANKING: &str = "reranking";

pub(in crate::export) const TASKS: &[Task] = &[
    Task { name: IMPLICIT, given: &["history"], answer: &[] },
    Task { name: EXPLICIT, given: &["attributes"], answer: &[] },
    Task { name: VAGUE, given: &["attributes"], answer: &[] },
    Task { name: SPECIFIC, given: &["attributes", "description"], answer: &[] },
    Task { name: POINTWISE, given: &["context", "item"], answer: &["answer"] },
    Task { name: PAIRWISE, given: &["context", "first", "second"], answer: &["item"] },
    Task { name: MATCHING, given: &["context"], answer: &["item"] },
    Task { name: BLANK, given: &["context", "blank"], answer: &["item"] },
    Task { name: RERANKING, given: &["context", "candidates"], answer: &["item"] },
];

/// What T5's sentinels begin with. There are 100 of them.
const SENTINEL: &str = "<extra_id_";
/// Attributes of a preference.
const PREFERRED: usize = 5;

/// Kinds of recommendation with their preferences and intentions; none is the empty name.
const KINDS: [(&str, &[&str], &[&str]); 3] = [
    ("sequential", &[IMPLICIT, EXPLICIT], &[""]),
    ("product-search", &[""], &[VAGUE, SPECIFIC]),
    ("personalised-search", &[IMPLICIT, EXPLICIT], &[VAGUE, SPECIFIC]),
];

/// A record: T5 reads `inputs` and writes `targets`.
#[derive(Serialize)]
struct InstructRecRecord {
    inputs: String,
    targets: String,
    kind: &'static str,
    preference: &'static str,
    intention: &'static str,
    form: &'static str,
}

pub(in crate::export) fn write(context: &Context<'_>, out: &mut ExportOutput) -> Result<()> {
    if context.token_texts(0).iter().any(|token| token.starts_with(SENTINEL)) {
        let help = "give the items another --token-format: T5 takes these tokens for blanks";
        return Err(Error::mismatch("tokens of the semantic IDs", "none of T5's sentinels", SENTINEL, help));
    }
    let mut files = ByTask::new("", ".jsonl", FileFormat::Lines);
    context.each_target(|user, part, at| {
        for (kind, preferences, intentions) in KINDS {
            let mut draw = context.draw(kind, user, at);
            for _ in 0..context.settings.prompts {
                match record(context, user, (part, at), (kind, preferences, intentions), &mut draw) {
                    None => out.skip(kind),
                    Some(record) => {
                        let file = files.file(out, kind, part.into())?;
                        out.record(file, &format!("{kind}/{}", record.form), &record)?;
                    }
                }
            }
        }
        Ok(())
    })
}

/// A record of a kind, with its preference, intention and form drawn; none where the item has too few words for it.
fn record(
    context: &Context<'_>,
    user: &UserHistory<'_>,
    (part, at): (SplitPart, usize),
    (kind, preferences, intentions): (&'static str, &[&'static str], &[&'static str]),
    draw: &mut RecordRng,
) -> Option<InstructRecRecord> {
    let preference = preferences[draw.gen_range(0..preferences.len())];
    let intention = intentions[draw.gen_range(0..intentions.len())];
    let form = [POINTWISE, PAIRWISE, MATCHING, BLANK, RERANKING][draw.gen_range(0..5)];
    let row = user.rows[at];
    let mut said = Vec::new();
    if !preference.is_empty() {
        let rows = context.history(user, at);
        let (history, attributes) = (context.list(rows), context.frequent_attributes(rows, PREFERRED).join(", "));
        let values = [("history", &*history), ("attributes", &attributes)];
        said.push(context.fill_one(preference, &values, draw)?.instruction);
    }
    if !intention.is_empty() {
        let attributes = context.texts.attributes(row as usize);
        let named = if intention == VAGUE {
            attributes.choose(draw).copied().unwrap_or_default().to_owned()
        } else {
            attributes.join(", ")
        };
        let values = [("attributes", &*named), ("description", context.texts.description(row as usize))];
        said.push(context.fill_one(intention, &values, draw)?.instruction);
    }
    let others = match form {
        POINTWISE | PAIRWISE => 1,
        RERANKING => context.settings.candidates - 1,
        _ => 0,
    };
    let mut candidates = context.others(user, others, part, draw);
    if candidates.len() < others.min(1) {
        return None;
    }
    let is_right = draw.gen_bool(0.5);
    let asked = if form == POINTWISE && !is_right { candidates[0] } else { row };
    candidates.push(row);
    candidates.shuffle(draw);
    let item = |row: u32| plain(&context.item(row as usize));
    let (first, second) = (item(candidates[0]), item(candidates[candidates.len() - 1]));
    let listed: Vec<String> = candidates.iter().map(|&row| item(row)).collect();
    let blank = format!("{SENTINEL}0>");
    let values = [
        ("context", &*plain(&said.join(" "))),
        ("item", &item(asked)),
        ("first", &first),
        ("second", &second),
        ("candidates", &listed.join(context.separator())),
        ("blank", &blank),
        ("answer", if is_right { "Yes" } else { "No" }),
    ];
    let example = context.fill_one(form, &values, draw)?;
    let targets = match form {
        BLANK => format!("{blank} {} {SENTINEL}1>", example.output),
        _ => example.output.clone(),
    };
    let name = |task: &'static str| task.split_once('-').map_or("none", |(_, name)| name);
    Some(InstructRecRecord {
        inputs: example.prompt(),
        targets,
        kind,
        preference: name(preference),
        intention: name(intention),
        form,
    })
}

/// Text that T5 takes for words only: a sentinel in a title would be a blank.
fn plain(text: &str) -> String {
    if text.contains(SENTINEL) { text.replace(SENTINEL, "extra_id_") } else { text.to_owned() }
}
