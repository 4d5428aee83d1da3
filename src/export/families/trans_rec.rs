//! TransRec (Lin et al., arXiv 2310.06491): several facets identify an item. Each facet has training pairs, as source and
//! target lines for fairseq. The identifiers of all items are the documents of the FM-index.
//!
//! The facets are TransRec's number, attributes and title, plus the semantic ID. The semantic ID stands between the
//! attributes and the title and needs no delimiters, because its tokens occur nowhere else.

use rand::Rng;
use serde::Serialize;
use serde_json::Value;

use super::FamilySpec;
use crate::artifact::Overwrite;
use crate::behaviour::{SplitPart, UserHistory};
use crate::constraint::{Document, FmIndex};
use crate::error::Result;
use crate::export::context::Context;
use crate::export::output::{ExportOutput, FileFormat, FileId};
use crate::export::record_rng::RecordRng;
use crate::export::template::Task;
use crate::export::{Role, Show};
use crate::vocabulary::{FacetTokenizer, trans_rec};

pub(super) const FAMILY: FamilySpec = FamilySpec {
    templates: include_str!("../templates/transrec.toml"),
    tasks: TASKS,
    ..FamilySpec::new("transrec", write)
};

const NUMBER: &str = "number";
const ATTRIBUTE: &str = "attribute";
const SEMANTIC_ID: &str = "semantic-id";
const TITLE: &str = "title";

const TASKS: &[Task] = &[
    Task { name: NUMBER, given: &["history"], answer: &["item"] },
    Task { name: ATTRIBUTE, given: &["history"], answer: &["item"] },
    Task { name: SEMANTIC_ID, given: &["history"], answer: &["item"] },
    Task { name: TITLE, given: &["history"], answer: &["item"] },
];

/// Maximum number of title words in a target.
const MAX_TITLE_WORDS: usize = 10;

/// The identifier of an item.
#[derive(Serialize)]
struct ItemIdentifier {
    item_id: Value,
    number: usize,
    semantic_id: String,
    /// Number, attributes, semantic ID and title, as in the FM-index.
    facets: [String; 4],
}

fn write(context: &Context<'_>, out: &mut ExportOutput) -> Result<()> {
    let documents = out.file("documents.jsonl", Role::Items, FileFormat::Lines)?;
    for row in context.rows() {
        let identifier = ItemIdentifier {
            item_id: context.item_id(row),
            number: row,
            semantic_id: context.id(row),
            facets: facets(context, row),
        };
        out.record(documents, "documents", &identifier)?;
    }
    write_index(context, out)?;
    let mut files = Vec::new();
    for part in SplitPart::ALL {
        let mut side = |side: &str| out.file(format!("{part}.{side}"), part.into(), FileFormat::Text);
        files.push((side("source")?, side("target")?));
    }
    context.each_target(|user, part, at| pairs(context, out, files[part as usize], user, at))
}

/// An item's facets, whose concatenation is its document.
fn facets(context: &Context<'_>, row: usize) -> [String; 4] {
    let title = context.title(row);
    let [number, attributes, title] = trans_rec(&row.to_string(), &context.texts.attributes(row), &title);
    [number, attributes, context.id(row), title]
}

/// Writes the FM-index of all documents, over the tokens of the language model.
fn write_index(context: &Context<'_>, out: &mut ExportOutput) -> Result<()> {
    let Some(folder) = &context.settings.tokenizer else { return Ok(()) };
    let tokenizer = FacetTokenizer::load(folder)?;
    let Some(path) = out.folder().map(|folder| folder.join("items.fm")) else { return Ok(()) };
    let mut failed = None;
    let documents = (0..context.table.item_ids.len()).map_while(|row| {
        let facets = tokenizer.tokenize(&facets(context, row));
        facets.map(|facets| Document { facets }).map_err(|e| failed = Some(e)).ok()
    });
    let index = FmIndex::new(documents);
    if let Some(error) = failed {
        return Err(error);
    }
    let index = index?;
    index.save(&path, Overwrite::Refuse)?;
    out.register("items.fm", Role::Items, index.len() as u64);
    Ok(())
}

fn pairs(
    context: &Context<'_>,
    out: &mut ExportOutput,
    files: (FileId, FileId),
    user: &UserHistory<'_>,
    at: usize,
) -> Result<()> {
    let (rows, row) = (context.history(user, at), user.rows[at] as usize);
    for task in [NUMBER, TITLE, ATTRIBUTE, SEMANTIC_ID] {
        let mut rng = context.rng(task, user, at);
        let targets = match task {
            NUMBER => vec![format!("|| {row} ##")],
            TITLE => vec![title_fragment(&context.title(row), &mut rng)],
            SEMANTIC_ID => vec![context.id(row)],
            _ => context.texts.attributes(row).iter().map(|attribute| format!("## {} @@", attribute.trim())).collect(),
        };
        let history = history(context, task, rows, &mut rng);
        for target in &targets {
            let examples = context.fill(task, &[("history", &history), ("item", target)], &mut rng);
            if examples.is_empty() {
                out.skip(task);
            }
            for example in examples {
                out.line(files.0, task, &format!(" {}", line(&example.prompt())))?;
                out.line_again(files.1, &format!(" {}", line(&example.output)))?;
            }
        }
        if targets.is_empty() {
            out.skip(task);
        }
    }
    Ok(())
}

/// A history, worded for a facet.
fn history(context: &Context<'_>, task: &str, rows: &[u32], rng: &mut RecordRng) -> String {
    let words: Vec<String> = match task {
        NUMBER => rows.iter().map(u32::to_string).collect(),
        TITLE => return context.list_as(rows, Show::Titles),
        SEMANTIC_ID => return context.list_as(rows, Show::Ids),
        _ => {
            let one = |&row: &u32| {
                let attributes = context.texts.attributes(row as usize);
                attributes.get(rng.gen_range(0..attributes.len().max(1))).map(|&attribute| attribute.to_owned())
            };
            rows.iter().filter_map(one).collect()
        }
    };
    words.join(context.separator())
}

/// Consecutive words of a title, from a random word on.
fn title_fragment(title: &str, rng: &mut RecordRng) -> String {
    let words: Vec<&str> = title.split_whitespace().collect();
    let from = rng.gen_range(0..words.len().max(1));
    words.iter().skip(from).take(MAX_TITLE_WORDS).copied().collect::<Vec<_>>().join(" ")
}

/// Text on one line.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
