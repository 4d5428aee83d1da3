//! Sequences of token ids in Parquet, for models that are trained from scratch (such as TIGER, arXiv 2305.05065).

use serde_json::json;

use super::{FamilySpec, TitleUse};
use crate::behaviour::SplitPart;
use crate::error::Result;
use crate::export::context::Context;
use crate::export::output::ExportOutput;
use crate::export::parquet::ParquetColumns;
use crate::vocabulary::TokenIds;

pub(super) const FAMILY: FamilySpec = FamilySpec { titles: TitleUse::Never, ..FamilySpec::new("sequences", write) };

const SEQUENCE: &str = "sequence";

fn write(context: &Context<'_>, out: &mut ExportOutput) -> Result<()> {
    let sizes = &context.table.metadata.codebook_sizes;
    let from_zero = TokenIds { first_id: 0, codebook_sizes: sizes.clone(), begin: None, end: None, vocabulary_size: 0 };
    let ids = context.tokens.unwrap_or(&from_zero);
    let tokens = |rows: &[u32]| -> Vec<i32> {
        let of_row = |&row: &u32| {
            let codes = context.table.codes.row(row as usize);
            let codes: Vec<u32> = codes.iter().enumerate().map(|(level, &code)| ids.id(level, code)).collect();
            ids.begin.into_iter().chain(codes).chain(ids.end)
        };
        // Vocabularies have far fewer than 2^31 tokens.
        rows.iter().flat_map(of_row).map(|id| id as i32).collect()
    };
    let mut files = Vec::new();
    for part in SplitPart::ALL {
        let columns = ParquetColumns::new(&["user_id", "item_id"], &["input_ids", "labels"]);
        files.push(out.table(format!("{part}.parquet"), part.into(), columns)?);
    }
    context.each_target(|user, part, at| {
        let (input, labels) = (tokens(context.history(user, at)), tokens(&user.rows[at..=at]));
        let item = context.table.item_ids.text(user.rows[at] as usize);
        let add = |columns: &mut ParquetColumns| columns.push(&[user.id, &item], &[&input, &labels]);
        out.row(
            files[part as usize],
            SEQUENCE,
            add,
            || json!({"user_id": user.id, "item_id": item, "input_ids": input, "labels": labels}),
        )
    })
}
