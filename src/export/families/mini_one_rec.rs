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

/// The words that `pandas.read_csv` reads as missing values by default.
const MISSING: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
];

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
    warn_missing(context);
    lc_rec::write_items(context, out)?;
    let file = out.file(format!("info/{name}.txt"), Role::Items, FileFormat::Text)?;
    for row in context.rows() {
        let id = context.table.item_ids.text(row);
        if id.contains(['\t', '\n', '\r']) {
            return Err(Error::Item {
                item: id.escape_debug().to_string(),
                expected: "an id without tabs or line breaks, which separate the fields of info.txt".into(),
                got: "an id with a tab or line break".into(),
                help: "change the ids in the catalog".into(),
            });
        }
        // Tabs and line breaks separate fields and items in this file.
        let title = context.title(row).replace(['\t', '\n', '\r'], " ");
        out.line(file, "info.txt", &format!("{}\t{title}\t{id}", context.id(row)))?;
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
        out.line(files[part as usize], "next-item", &fields.map(|field| quoted(&surviving(field))).join(","))
    })
}

/// Warns about titles and ids that MiniOneRec's reader would read as missing values.
fn warn_missing(context: &Context<'_>) {
    let titles = context.rows().filter(|&row| is_missing(&context.title(row))).count();
    let items = context.rows().filter(|&row| is_missing(&context.table.item_ids.text(row))).count();
    let users = context.users_unseen().filter(|user| is_missing(user.id)).count();
    if titles + items + users > 0 {
        context.progress.warn(&format!(
            "{titles} titles, {items} item ids and {users} user ids are words such as NA, None or null, which MiniOneRec's \
             reader (pandas.read_csv) takes for missing values: they are written with a space at the end, which it keeps"
        ));
    }
}

/// Whether `pandas.read_csv` reads a field as a missing value, quoted or not.
fn is_missing(field: &str) -> bool {
    MISSING.contains(&field)
}

/// A field that `pandas.read_csv` reads as text.
fn surviving(field: String) -> String {
    if is_missing(&field) { field + " " } else { field }
}

/// Quotes a CSV field where needed.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_value_words_of_pandas_are_kept_and_other_fields_do_not_change() {
        for word in MISSING {
            assert!(is_missing(word) && !is_missing(&surviving(word.to_owned())), "{word:?}");
        }
        for word in ["none", "na", "Nan", "N/a", " NA", "Null", "0", "\u{e9}"] {
            assert_eq!(surviving(word.to_owned()), word);
        }
    }
}
