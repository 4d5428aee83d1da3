//! MiniOneRec (arXiv 2510.24431): the files that its `sft.py`, `rl.py` and `evaluate.py` read.

use super::FamilySpec;
use super::lc_rec;
use crate::behaviour::SplitPart;
use crate::error::{Error, Result};
use crate::export::Role;
use crate::export::context::Context;
use crate::export::output::{ExportOutput, FileFormat};

pub(super) const FAMILY: FamilySpec = FamilySpec::new("minionerec", write);

/// Tokens per ID that its title tasks read.
const TOKENS: usize = 3;

const COLUMNS: [&str; 7] =
    ["user_id", "history_item_title", "item_title", "history_item_id", "item_id", "history_item_sid", "item_sid"];

fn write(context: &Context<'_>, out: &mut ExportOutput) -> Result<()> {
    let (name, levels) = (&context.settings.name, context.table.codes.ncols());
    if levels > TOKENS {
        context.progress.warn(&format!(
            "MiniOneRec's title tasks read the first {TOKENS} tokens of an ID, and these IDs have {levels}: train with \
             --levels {TOKENS}, or those tasks confuse items that differ in later tokens only"
        ));
    }
    lc_rec::write_items(context, out)?;
    let file = out.file(format!("info/{name}.txt"), Role::Items, FileFormat::Text)?;
    for row in context.rows() {
        let id = context.table.item_ids.text(row);
        if id.contains(['\t', '\n', '\r']) {
            return Err(Error::Item {
                item: id.escape_debug().to_string(),
                expected: "an id without tabs and line breaks, which separate the fields of info.txt".into(),
                got: "one with them".into(),
                help: "choose other ids".into(),
            });
        }
        out.line(file, "info.txt", &format!("{}\t{}\t{id}", context.id(row), context.title(row)))?;
    }
    let mut files = Vec::new();
    for part in SplitPart::ALL {
        let file = out.file(format!("{part}/{name}.csv"), part.into(), FileFormat::Text)?;
        out.line_again(file, &COLUMNS.join(","))?;
        files.push(file);
    }
    context.each_target(|user, part, at| {
        let (rows, row) = (context.history(user, at), user.rows[at] as usize);
        // MiniOneRec parses the lists with Python's `eval`, which accepts JSON lists of strings and integers.
        let titles: Vec<String> = rows.iter().map(|&row| context.title(row as usize)).collect();
        let ids: Vec<String> = rows.iter().map(|&row| context.id(row as usize)).collect();
        let fields = [
            user.id.to_owned(),
            serde_json::json!(titles).to_string(),
            context.title(row),
            serde_json::json!(context.item_ids(rows)).to_string(),
            context.table.item_ids.text(row),
            serde_json::json!(ids).to_string(),
            context.id(row),
        ];
        out.line(files[part as usize], "next-item", &fields.map(|field| quoted(&field)).join(","))
    })
}

/// Quotes a CSV field where needed.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
