//! InstructRec (Zhang et al., arXiv 2305.07001): instructions composed of a preference, an intention and a task form, for an
//! encoder-decoder such as Flan-T5.
//!
//! | kind | preference | intention |
//! |---|---|---|
//! | sequential recommendation | implicit (a history), explicit (a text) | none |
//! | product search | none | vague, specific |
//! | personalised search | implicit, explicit | vague, specific |
//!
//! The task form is pointwise, pairwise, matching (any item) or reranking. Some matching templates have a blank, marked by
//! T5's first sentinel; the target then is the text of the blank, between that sentinel and the next.

use serde::Serialize;

use super::{FamilySpec, TitleUse};
use crate::behaviour::{SplitPart, UserHistory};
use crate::error::{Error, Result};
use crate::export::context::Context;
use crate::export::file_sets::ByTask;
use crate::export::output::{ExportOutput, FileFormat};
use crate::export::record_rng::RecordRng;
use crate::export::template::Task;
use rand::Rng;
use rand::seq::SliceRandom;

pub(super) const FAMILY: FamilySpec = FamilySpec {
    templates: include_str!("../templates/instructrec.toml"),
    tasks: TASKS,
    titles: TitleUse::UnlessIds,
    ..FamilySpec::new("instructrec", write)
};

const IMPLICIT: &str = "preference-implicit";
const EXPLICIT: &str = "preference-explicit";
const VAGUE: &str = "intention-vague";
const SPECIFIC: &str = "intention-specific";
const POINTWISE: &str = "pointwise";
const PAIRWISE: &str = "pairwise";
const MATCHING: &str = "matching";
const BLANK: &str = "matching-blank";
const RERANKING: &str = "reranking";

const TASKS: &[Task] = &[
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

/// Prefix of T5's sentinel tokens.
const SENTINEL: &str = "<extra_id_";
/// Maximum number of attributes in a preference.
const MAX_ATTRIBUTES: usize = 5;

/// Kinds of recommendation with their preferences and intentions; an empty name stands for none.
const KINDS: [(&str, &[&str], &[&str]); 3] = [
    ("sequential", &[IMPLICIT, EXPLICIT], &[""]),
    ("product-search", &[""], &[VAGUE, SPECIFIC]),
    ("personalised-search", &[IMPLICIT, EXPLICIT], &[VAGUE, SPECIFIC]),
];

/// A record; T5 maps `inputs` to `targets`.
#[derive(Serialize)]
struct InstructRecRecord {
    inputs: String,
    targets: String,
    kind: &'static str,
    preference: &'static str,
    intention: &'static str,
    form: &'static str,
}

fn write(context: &Context<'_>, out: &mut ExportOutput) -> Result<()> {
    if context.token_texts(0).iter().any(|token| token.starts_with(SENTINEL)) {
        let help = "choose another --token-format: T5 takes these tokens for blanks";
        return Err(Error::mismatch("tokens of the semantic IDs", "none of T5's sentinels", SENTINEL, help));
    }
    let mut files = ByTask::new("", ".jsonl", FileFormat::Lines);
    context.each_target(|user, part, at| {
        for (kind, preferences, intentions) in KINDS {
            let mut rng = context.rng(kind, user, at);
            for _ in 0..context.settings.prompts {
                match record(context, user, (part, at), (kind, preferences, intentions), &mut rng) {
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

/// A record of a kind, with preference, intention and form drawn at random; `None` where the item's texts do not suffice.
fn record(
    context: &Context<'_>,
    user: &UserHistory<'_>,
    (part, at): (SplitPart, usize),
    (kind, preferences, intentions): (&'static str, &[&'static str], &[&'static str]),
    rng: &mut RecordRng,
) -> Option<InstructRecRecord> {
    let preference = preferences[rng.gen_range(0..preferences.len())];
    let intention = intentions[rng.gen_range(0..intentions.len())];
    let form = [POINTWISE, PAIRWISE, MATCHING, BLANK, RERANKING][rng.gen_range(0..5)];
    let row = user.rows[at];
    let mut said = Vec::new();
    if !preference.is_empty() {
        let rows = context.history(user, at);
        let (history, attributes) = (context.list(rows), context.frequent_attributes(rows, MAX_ATTRIBUTES).join(", "));
        let values = [("history", &*history), ("attributes", &attributes)];
        said.push(context.fill_one(preference, &values, rng)?.instruction);
    }
    if !intention.is_empty() {
        let attributes = context.texts.attributes(row as usize);
        let named = if intention == VAGUE {
            attributes.choose(rng).copied().unwrap_or_default().to_owned()
        } else {
            attributes.join(", ")
        };
        let values = [("attributes", &*named), ("description", context.texts.description(row as usize))];
        said.push(context.fill_one(intention, &values, rng)?.instruction);
    }
    let others = match form {
        POINTWISE | PAIRWISE => 1,
        RERANKING => context.settings.candidates - 1,
        _ => 0,
    };
    let mut candidates = context.others(user, others, part, rng);
    if candidates.len() < others.min(1) {
        return None;
    }
    let is_right = rng.gen_bool(0.5);
    let asked = if form == POINTWISE && !is_right { candidates[0] } else { row };
    candidates.push(row);
    candidates.shuffle(rng);
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
    let example = context.fill_one(form, &values, rng)?;
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

/// Removes sentinel tokens, which T5 would take for a blank.
fn plain(text: &str) -> String {
    if text.contains(SENTINEL) { text.replace(SENTINEL, "extra_id_") } else { text.to_owned() }
}
