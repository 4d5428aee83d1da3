//! TALLRec (Bao et al., RecSys 2023, arXiv 2305.00447): given liked and disliked items, will the user like another
//! item? The few-shot samples are nested: the first 16 records of the sample of 64 are the sample of 16.

use std::collections::BinaryHeap;

use super::{FamilySpec, TitleUse};
use crate::behaviour::{Histories, SplitPart, UserHistory};
use crate::error::{Error, Result};
use crate::export::Role;
use crate::export::context::Context;
use crate::export::output::{ExportOutput, FileFormat};
use crate::export::record_rng::{event_number, hash};
use crate::export::settings::ExportSettings;
use crate::export::template::{Example, Task};

pub(super) const FAMILY: FamilySpec = FamilySpec {
    templates: include_str!("../templates/tallrec.toml"),
    tasks: TASKS,
    titles: TitleUse::UnlessIds,
    check,
    ..FamilySpec::new("tallrec", write)
};

const BOTH: &str = "liked-and-disliked";
const LIKED: &str = "liked";
const DISLIKED: &str = "disliked";

const TASKS: &[Task] = &[
    Task { name: BOTH, given: &["liked", "disliked", "item"], answer: &["answer"] },
    Task { name: LIKED, given: &["liked", "item"], answer: &["answer"] },
    Task { name: DISLIKED, given: &["disliked", "item"], answer: &["answer"] },
];

/// The few-shot sample: the records with the smallest hashes.
struct FewShotSample {
    size: usize,
    kept: BinaryHeap<(u64, String)>,
}

fn check(settings: &ExportSettings, histories: &Histories) -> Result<()> {
    if histories.rated || settings.implicit {
        return Ok(());
    }
    let help = "set --interactions-rating, or pass --implicit to count every event as a like and draw dislikes";
    Err(Error::data("tallrec", "ratings, which determine likes", "events without ratings", help))
}

fn write(context: &Context<'_>, out: &mut ExportOutput) -> Result<()> {
    let mut files = Vec::new();
    for part in SplitPart::ALL {
        files.push(out.file(format!("{part}.json"), part.into(), FileFormat::Array)?);
    }
    let sizes = &context.settings.few_shot;
    let mut sample = FewShotSample { size: sizes.iter().copied().max().unwrap_or(0), kept: BinaryHeap::new() };
    context.each_target(|user, part, at| {
        for (number, (task, example)) in records(context, user, part, at).into_iter().enumerate() {
            let Some(example) = example else {
                out.skip(task);
                continue;
            };
            out.record(files[part as usize], task, &example)?;
            if part == SplitPart::Train {
                sample.add(
                    hash(context.settings.seed, "few-shot", event_number(user, at) << 8 ^ number as u64),
                    &example,
                );
            }
        }
        Ok(())
    })?;
    let sampled: Vec<(u64, String)> = sample.kept.into_sorted_vec();
    for size in sizes {
        let file = out.file(format!("train.{size}.json"), Role::Train, FileFormat::Array)?;
        for (_, record) in sampled.iter().take(*size) {
            let record: Box<serde_json::value::RawValue> =
                serde_json::value::RawValue::from_string(record.clone()).unwrap_or_default();
            out.again(file, &record)?;
        }
    }
    Ok(())
}

/// The records of an event: one, and with implicit feedback a second one of an item without an event of the user.
fn records(
    context: &Context<'_>,
    user: &UserHistory<'_>,
    part: SplitPart,
    at: usize,
) -> Vec<(&'static str, Option<Example>)> {
    let settings = context.settings;
    let likes = |at: usize| settings.implicit || user.ratings[at] > settings.rating_threshold;
    let rows = |liked: bool| -> Vec<u32> {
        let places = user.before(at, settings.history).filter(|&at| likes(at) == liked);
        places.map(|at| user.rows[at]).collect()
    };
    let (liked, disliked) = (context.list(&rows(true)), context.list(&rows(false)));
    let task = match (liked.is_empty(), disliked.is_empty()) {
        (false, false) => BOTH,
        (false, true) => LIKED,
        _ => DISLIKED,
    };
    let mut rng = context.rng("tallrec", user, at);
    let mut asked = vec![(user.rows[at], likes(at))];
    if settings.implicit {
        asked.extend(context.others(user, 1, part, &mut rng).into_iter().map(|row| (row, false)));
    }
    let mut found = Vec::new();
    for (row, answer) in asked {
        let (item, answer) = (context.item(row as usize), if answer { "Yes." } else { "No." });
        let values = [("liked", &*liked), ("disliked", &disliked), ("item", &item), ("answer", answer)];
        let examples = context.fill(task, &values, &mut rng);
        if examples.is_empty() {
            found.push((task, None));
        }
        found.extend(examples.into_iter().map(|example| (task, Some(example))));
    }
    found
}

impl FewShotSample {
    fn add(&mut self, hash: u64, example: &Example) {
        if self.kept.len() == self.size && self.kept.peek().is_none_or(|(highest, _)| *highest <= hash) {
            return;
        }
        self.kept.push((hash, serde_json::json!(example).to_string()));
        if self.kept.len() > self.size {
            self.kept.pop();
        }
    }
}
