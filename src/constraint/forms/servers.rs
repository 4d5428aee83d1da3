//! Files for servers: logits processors for vLLM and SGLang, and the item catalog of NVIDIA's generative recommendation.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::json;

use super::kind::ConstraintForm;
use crate::item_ids::ItemIds;
use crate::semantic_id::TokenTable;
use crate::vocabulary::TokenIds;

/// The Python module with the logits processor of a server.
pub(super) fn processor(form: ConstraintForm) -> &'static str {
    match form {
        ConstraintForm::Sglang => include_str!("templates/catalex_sglang.py"),
        _ => include_str!("templates/catalex_vllm.py"),
    }
}

/// How to start a server with a form, in ten lines.
pub(super) fn readme(
    form: ConstraintForm,
    table: &TokenTable,
    tokens: Option<&TokenIds>,
    logits: Option<usize>,
) -> String {
    let markers = tokens.map_or(0, |tokens| tokens.begin.iter().chain(&tokens.end).count());
    let vocabulary = logits.or(tokens.map(|tokens| tokens.vocabulary_size as usize)).unwrap_or_default();
    let template = match form {
        ConstraintForm::Vllm => include_str!("templates/README-vllm.md"),
        ConstraintForm::Sglang => include_str!("templates/README-sglang.md"),
        _ => include_str!("templates/README-nvidia.md"),
    };
    template
        // The codes, the markers and the end token.
        .replace("{max_tokens}", &(table.codes.ncols() + markers + 1).to_string())
        .replace("{vocabulary}", &vocabulary.to_string())
        .replace("{duplicates}", if table.members.is_some() { " --catalog-allow-duplicate-token-paths" } else { "" })
        .replace(
            "{reload_duplicates}",
            if table.members.is_some() { ", \"allow_duplicate_token_paths\": true" } else { "" },
        )
        .replace("{processor}", &sglang_processor())
}

/// The value of SGLang's `custom_logit_processor`: JSON text, as a JSON string. SGLang expects the pickle of a class; this
/// is the reference to the class in `catalex_sglang.py` by its name.
fn sglang_processor() -> String {
    let pickle = b"\x80\x02ccatalex_sglang\nCatalexLogitProcessor\n.";
    let hex: String = pickle.iter().map(|byte| format!("{byte:02x}")).collect();
    json!(json!({"callable": hex}).to_string()).to_string()
}

/// A line of NVIDIA's item catalog.
#[derive(Serialize)]
struct ServedItem<'a> {
    item_id: serde_json::Value,
    token_ids: Vec<u32>,
    metadata: ItemMetadata<'a>,
}

#[derive(Serialize)]
struct ItemMetadata<'a> {
    semantic_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
}

/// Writes one JSON object per item: `item_id`, `token_ids` (with the markers, if the vocabulary has them) and `metadata`
/// (`semantic_id`, and `title` if there are titles).
pub(super) fn write_nvidia(
    out: &mut dyn Write,
    table: &TokenTable,
    ids: &TokenIds,
    titles: Option<&[String]>,
    rows: impl Iterator<Item = usize>,
) -> io::Result<()> {
    for row in rows {
        let item = match &table.item_ids {
            ItemIds::Integers(items) => json!(items[row]),
            ItemIds::Strings(items) => json!(items[row]),
        };
        let codes = table.codes.row(row);
        let codes = codes.iter().enumerate().map(|(level, &code)| ids.id(level, code));
        let tokens: Vec<u32> = ids.begin.into_iter().chain(codes).chain(ids.end).collect();
        let title = titles.map(|titles| titles[row].as_str());
        let metadata = ItemMetadata { semantic_id: table.semantic_id(row), title };
        serde_json::to_writer(&mut *out, &ServedItem { item_id: item, token_ids: tokens, metadata })?;
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic_id::{Collisions, TableMetadata, TokenFormat};

    fn tokens(markers: bool) -> TokenIds {
        TokenIds {
            first_id: 100,
            codebook_sizes: vec![2, 3],
            begin: markers.then_some(105),
            end: markers.then_some(106),
            vocabulary_size: 107,
        }
    }

    fn table(item_ids: ItemIds) -> TokenTable {
        TokenTable {
            members: None,
            item_ids,
            codes: ndarray::array![[1, 0], [0, 2]],
            residual_error: vec![0.0; 2],
            reassigned: vec![false; 2],
            metadata: TableMetadata {
                model_hash: "abc".into(),
                codebook_sizes: vec![2, 3],
                token_format: TokenFormat::default(),
                policy: Collisions::Resolve,
                collisions: None,
            },
        }
    }

    fn nvidia(item_ids: ItemIds, markers: bool, titles: Option<&[String]>) -> String {
        let mut out = Vec::new();
        write_nvidia(&mut out, &table(item_ids), &tokens(markers), titles, [1, 0].into_iter()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn items_of_nvidia_have_the_tokens_that_the_model_generates() {
        let lines = nvidia(ItemIds::Integers(vec![7, -1]), false, None);
        let first = lines.lines().next().unwrap();
        assert_eq!(first, r#"{"item_id":-1,"token_ids":[100,104],"metadata":{"semantic_id":"<a_0><b_2>"}}"#);
        let titles = ["A \"pen\"".to_owned(), String::new()];
        let lines = nvidia(ItemIds::Strings(vec!["é\n".into(), "y".into()]), true, Some(&titles));
        let last: serde_json::Value = serde_json::from_str(lines.lines().nth(1).unwrap()).unwrap();
        assert_eq!(last["item_id"], "é\n");
        assert_eq!(last["token_ids"], json!([105, 101, 102, 106]));
        assert_eq!(last["metadata"]["title"], titles[0]);
    }

    #[test]
    fn readmes_have_ten_lines_and_no_placeholders() {
        for form in [ConstraintForm::Vllm, ConstraintForm::Sglang, ConstraintForm::Nvidia] {
            let text = readme(form, &table(ItemIds::row_numbers(2)), Some(&tokens(true)), Some(128));
            assert!(text.lines().count() <= 10, "{text}");
            for placeholder in ["{max_tokens}", "{vocabulary}", "{processor}", "duplicates"] {
                assert!(!text.contains(placeholder), "{text}");
            }
            assert!(text.contains('5'), "2 codes, 2 markers and the end: {text}");
        }
        assert!(sglang_processor().contains("8002636361"), "{}", sglang_processor());
    }
}
