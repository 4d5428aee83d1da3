//! TALLRec (Bao et al., RecSys 2023, arXiv 2305.00447): from what a user liked and disliked, whether the user will like
//! one more item. Small samples to train on are nested: the first 16 of 64 are those of 16.

use std::collections::BinaryHeap;

use crate::behaviour::SplitPart;
use crate::behaviour::UserHistory;
use crate::error::Result;
use crate::export::Role;
use crate::export::context::Context;
use crate::export::draw::{mixed, place};
use crate::export::output::{ExportOutput, FileFormat};
use crate::export::template::{Example, Task};

pub(in crate::export) const TEMPLATES: &str = include_str!("../templates/tallrec.toml");

const BOTH: &str = "liked-and-disliked";
const LIKED: &str = "liked";
const DISLIKED: &str = "disliked";

pub(in crate::export) const TASKS: &[Task] = &[
    Task { name: BOTH, given: &["liked", "disliked", "item"], answer: &["answer"] },
    Task { name: LIKED, given: &["liked", "item"], answer: &["answer"] },
    Task { name: DISLIKED, given: &["disliked", "item"], answer: &["answer"] },
];

/// The samples' records, those with the least numbers.
struct Sample {
    most: usize,
    kept: BinaryHeap<(u64, String)>,
}

pub(in crate::export) fn write(context: &Context<'_>, out: &mut ExportOutput) -> Result<()> {
    let mut files = Vec::new();
    for part in SplitPart::ALL {
        files.push(out.file(format!("{part}.json"), part.into(), FileFormat::Array)?);
    }
    let sizes = &context.settings.few_shot;
    let mut sample = Sample { most: sizes.iter().copied().max().unwrap_or(0), kept: BinaryHeap::new() };
    context.each_target(|user, part, at| {
        for (number, (task, example)) in records(context, user, part, at).into_iter().enumerate() {
            let Some(example) = example else {
                out.skip(task);
                continue;
            };
            out.record(files[part as usize], task, &example)?;
            if part == SplitPart::Train {
                sample.add(mixed(context.settings.seed, "few-shot", place(user, at) << 8 ^ number as u64), &example);
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

/// The records of an event: one, or, where events are all likes, one more of an item that the user never had.
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
    let mut draw = context.draw("tallrec", user, at);
    let mut asked = vec![(user.rows[at], likes(at))];
    if settings.implicit {
        asked.extend(context.others(user, 1, part, &mut draw).into_iter().map(|row| (row, false)));
    }
    let mut found = Vec::new();
    for (row, answer) in asked {
        let (item, answer) = (context.item(row as usize), if answer { "Yes." } else { "No." });
        let values = [("liked", &*liked), ("disliked", &disliked), ("item", &item), ("answer", answer)];
        let examples = context.fill(task, &values, &mut draw);
        if examples.is_empty() {
            found.push((task, None));
        }
        found.extend(examples.into_iter().map(|example| (task, Some(example))));
    }
    found
}

impl Sample {
    fn add(&mut self, number: u64, example: &Example) {
        if self.kept.len() == self.most && self.kept.peek().is_none_or(|(highest, _)| *highest <= number) {
            return;
        }
        self.kept.push((number, serde_json::json!(example).to_string()));
        if self.kept.len() > self.most {
            self.kept.pop();
        }
    }
}
