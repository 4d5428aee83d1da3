//! A Hugging Face tokenizer folder with the tokens added.
//!
//! `tokenizer.json` is edited as JSON, so that everything else in it is carried over untouched. Tokens are appended
//! after the highest id in use: recommenders hard-code ids of ordinary words, and none of them may change.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use tokenizers::Tokenizer;

use super::{TokenIds, Vocabulary};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::semantic_id::TokenTable;

const TOKENIZER: &str = "tokenizer.json";
const CONFIG: &str = "tokenizer_config.json";
const ADDED: &str = "added_tokens.json";
/// What belongs to a tokenizer and is copied as it is; weights do not.
const COMPANIONS: [&str; 14] = [
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "chat_template.jinja",
    "chat_template.json",
    "config.json",
    "generation_config.json",
    "tokenization_config.json",
    "LICENSE",
    "LICENSE.txt",
];

/// Checks, before anything long is begun, that a folder holds a tokenizer that can be extended.
///
/// # Errors
/// [`Error::Missing`] without `tokenizer.json`; [`Error::File`] where it cannot be read.
pub fn check_tokenizer(folder: &Path) -> Result<()> {
    read(folder).map(|_| ())
}

/// Writes the extended copy of `source` into the folder `out`, and checks it on every item of the table.
pub(super) fn extend(
    source: &Path,
    out: &Path,
    vocabulary: &Vocabulary,
    table: &TokenTable,
    progress: &dyn Progress,
) -> Result<TokenIds> {
    let (path, mut tokenizer) = (source.join(TOKENIZER), read(source)?);
    let tokens: Vec<String> = vocabulary.tokens().collect();
    let words = words(&tokenizer);
    if let Some((token, id)) = tokens.iter().find_map(|token| words.get(token.as_str()).map(|id| (token, id))) {
        return Err(Error::file(
            &path,
            "a tokenizer without the index's tokens",
            format!("{token:?} with id {id}"),
            "name the tokenizer as it was before it was extended, or choose another --token-format",
        ));
    }
    let first_id = words.values().max().map_or(0, |id| id + 1);
    drop(words);
    let ids = first_id..first_id + tokens.len() as u64;
    let list = tokenizer.as_object_mut().map(|t| t.entry("added_tokens").or_insert_with(|| json!([])));
    if let Some(Value::Array(list)) = list {
        list.extend(tokens.iter().zip(ids.clone()).map(|(token, id)| {
            let mut entry = Map::from_iter([("id".to_owned(), json!(id))]);
            entry.extend(added_token(token));
            Value::Object(entry)
        }));
    }
    write_json(&out.join(TOKENIZER), &tokenizer)?;
    if let Some(mut config) = read_optional(source, CONFIG)? {
        if let Some(Value::Object(known)) = config.get_mut("added_tokens_decoder") {
            known.extend(tokens.iter().zip(ids.clone()).map(|(token, id)| (id.to_string(), added_token(token).into())));
        }
        write_json(&out.join(CONFIG), &config)?;
    }
    if let Some(mut added) = read_optional(source, ADDED)? {
        if let Value::Object(known) = &mut added {
            known.extend(tokens.iter().zip(ids.clone()).map(|(token, id)| (token.clone(), json!(id))));
        }
        write_json(&out.join(ADDED), &added)?;
    }
    for name in COMPANIONS {
        let from = source.join(name);
        if from.is_file() {
            fs::copy(&from, out.join(name)).map_err(|e| Error::io("copy", &from, e))?;
        }
    }
    let first_id = u32::try_from(first_id).map_err(|e| unusable(&path, e))?;
    verify(&out.join(TOKENIZER), &path, first_id, vocabulary, table, progress)?;
    let last_id = first_id + tokens.len() as u32 - 1;
    Ok(TokenIds { first_id, last_id, vocabulary_size: last_id + 1 })
}

/// As `tokenizers` writes one. Not normalised: a tokenizer that lowercases must still find `<A_1>`.
fn added_token(token: &str) -> Map<String, Value> {
    Map::from_iter([
        ("content".to_owned(), json!(token)),
        ("single_word".to_owned(), json!(false)),
        ("lstrip".to_owned(), json!(false)),
        ("rstrip".to_owned(), json!(false)),
        ("normalized".to_owned(), json!(false)),
        ("special".to_owned(), json!(false)),
    ])
}

/// Every string that has an id, from the model's vocabulary and the tokens added before.
fn words(tokenizer: &Value) -> std::collections::HashMap<&str, u64> {
    let mut words = std::collections::HashMap::new();
    match &tokenizer["model"]["vocab"] {
        Value::Object(vocab) => words.extend(vocab.iter().filter_map(|(w, id)| Some((w.as_str(), id.as_u64()?)))),
        // Unigram: pairs of a piece and its score, the id is the place.
        Value::Array(pieces) => words.extend(pieces.iter().zip(0..).filter_map(|(p, id)| Some((p[0].as_str()?, id)))),
        _ => {}
    }
    if let Value::Array(added) = &tokenizer["added_tokens"] {
        words.extend(added.iter().filter_map(|t| Some((t["content"].as_str()?, t["id"].as_u64()?))));
    }
    words
}

/// Encodes every semantic ID with the extended tokenizer: one id a level, and the right one.
fn verify(
    extended: &Path,
    source: &Path,
    first_id: u32,
    vocabulary: &Vocabulary,
    table: &TokenTable,
    progress: &dyn Progress,
) -> Result<()> {
    let mut tokenizer = Tokenizer::from_file(extended).map_err(|e| unusable(source, e))?;
    // Some files keep the padding of their last use.
    tokenizer.with_padding(None);
    progress.begin("verify", Some(table.codes.nrows() as u64), "IDs");
    for (row, codes) in table.codes.rows().into_iter().enumerate() {
        let id = table.semantic_id(row);
        let encoding = tokenizer.encode(id.as_str(), false).map_err(|e| unusable(source, e))?;
        let index = |(level, &code): (usize, &u16)| first_id + vocabulary.index(level, code) as u32;
        let expected: Vec<u32> = codes.iter().enumerate().map(index).collect();
        if encoding.get_ids() != expected {
            return Err(Error::Item {
                item: table.item_ids.text(row),
                expected: format!("{id} to be encoded as {expected:?} by the extended tokenizer"),
                got: format!("{:?}", encoding.get_ids()),
                help: "choose another --token-format; this tokenizer splits these tokens".into(),
            });
        }
        progress.advance(1);
    }
    progress.end();
    Ok(())
}

fn read(folder: &Path) -> Result<Value> {
    let path = folder.join(TOKENIZER);
    if !path.is_file() {
        return Err(Error::Missing {
            path,
            expected: "the tokenizer of a Hugging Face folder".into(),
            help: "name a folder with tokenizer.json; AutoTokenizer's save_pretrained writes one".into(),
        });
    }
    let tokenizer = read_json(&path)?;
    Tokenizer::from_file(&path).map_err(|e| unusable(&path, e))?;
    Ok(tokenizer)
}

fn read_optional(folder: &Path, name: &str) -> Result<Option<Value>> {
    let path = folder.join(name);
    path.is_file().then(|| read_json(&path)).transpose()
}

fn read_json(path: &Path) -> Result<Value> {
    let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
    serde_json::from_slice(&bytes).map_err(|e| unusable(path, e))
}

fn unusable(path: &Path, reason: impl ToString) -> Error {
    let help = "save it again with AutoTokenizer's save_pretrained";
    Error::file(path, "a Hugging Face tokenizer", reason, help)
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    let json = serde_json::to_string_pretty(value).map_err(|e| Error::io("write", path, e.into()))?;
    fs::write(path, json + "\n").map_err(|e| Error::io("write", path, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Overwrite;
    use crate::item_ids::ItemIds;
    use crate::progress::Silent;
    use crate::semantic_id::{Collisions, TableMetadata, TokenFormat};
    use crate::vocabulary::{VocabularyOptions, write_vocabulary};

    fn table(format: &str) -> TokenTable {
        TokenTable {
            item_ids: ItemIds::Strings(vec!["x".into(), "y\"".into()]),
            codes: ndarray::array![[1, 0], [0, 2]],
            residual_error: vec![0.0; 2],
            reassigned: vec![false; 2],
            metadata: TableMetadata {
                model_hash: "abc".into(),
                codebook_sizes: vec![2, 3],
                token_format: format.parse::<TokenFormat>().unwrap(),
                policy: Collisions::Resolve,
                collisions: None,
            },
        }
    }

    /// A lowercasing WordPiece tokenizer with an added token after a gap in nothing.
    fn source(folder: &Path) {
        let tokenizer = json!({
            "version": "1.0", "truncation": null, "padding": null,
            "added_tokens": [{"id": 0, "content": "[UNK]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
            "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": null, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                      "vocab": {"[UNK]": 0, "hello": 1, "yes": 2, "no": 3}},
        });
        write_json(&folder.join(TOKENIZER), &tokenizer).unwrap();
        write_json(
            &folder.join(CONFIG),
            &json!({"added_tokens_decoder": {"0": {"content": "[UNK]"}}, "chat_template": "x"}),
        )
        .unwrap();
        fs::write(folder.join("model.safetensors"), "weights").unwrap();
    }

    #[test]
    fn the_extended_tokenizer_keeps_old_ids_and_knows_every_semantic_id() {
        let folder = tempfile::tempdir().unwrap();
        source(folder.path());
        let out = folder.path().join("vocabulary");
        let options = |source| VocabularyOptions { tokenizer: Some(source), ..Default::default() };
        write_vocabulary(&out, &table("<{level}_{code}>"), &options(folder.path()), Overwrite::Refuse, &Silent)
            .unwrap();
        let description = read_json(&out.join("vocabulary.json")).unwrap();
        assert_eq!(description["tokenizer"]["token_ids"]["<b_2>"], 8);
        assert_eq!(description["tokenizer"]["vocabulary_size"], 9);
        let index = read_json(&out.join("index.json")).unwrap();
        assert_eq!(index, json!({"x": ["<a_1>", "<b_0>"], "y\"": ["<a_0>", "<b_2>"]}));
        let extended = out.join("tokenizer");
        assert!(!extended.join("model.safetensors").exists());
        assert_eq!(read_json(&extended.join(CONFIG)).unwrap()["added_tokens_decoder"]["8"]["content"], "<b_2>");
        let tokenizer = Tokenizer::from_file(extended.join(TOKENIZER)).unwrap();
        let encoded = tokenizer.encode("Yes <a_1><b_0> no", false).unwrap();
        assert_eq!(encoded.get_ids(), [2, 5, 6, 3]);

        let again = write_vocabulary(
            &folder.path().join("v2"),
            &table("<{level}_{code}>"),
            &options(&extended),
            Overwrite::Refuse,
            &Silent,
        );
        assert!(again.unwrap_err().to_string().contains("before it was extended"));
        assert!(!folder.path().join("v2").exists());
    }

    #[test]
    fn tokens_that_are_words_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        source(folder.path());
        let mut tokenizer = read_json(&folder.path().join(TOKENIZER)).unwrap();
        tokenizer["model"]["vocab"]["b-1"] = json!(4);
        write_json(&folder.path().join(TOKENIZER), &tokenizer).unwrap();
        let out = folder.path().join("vocabulary");
        let options = VocabularyOptions { tokenizer: Some(folder.path()), ..Default::default() };
        let error = write_vocabulary(&out, &table("{level}-{code}"), &options, Overwrite::Refuse, &Silent);
        assert!(error.unwrap_err().to_string().contains("\"b-1\" with id 4"));
        assert!(check_tokenizer(&out).unwrap_err().to_string().contains("save_pretrained"));
    }
}
